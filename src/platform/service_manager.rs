//! What the service manager is told, where there is one: systemd's protocol of sd_notify(3).
//!
//! Nothing is sent, and no thread started, when `NOTIFY_SOCKET` is not set.

use std::time::Duration;

/// Something that the service manager wants to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// All listeners are bound, or the configuration is applied or refused after [`Notice::Reloading`].
    Ready,
    Reloading,
    /// No new connection is taken any more.
    Stopping,
    /// One line for `systemctl status`.
    Status(String),
    /// The watchdog's question is answered for one more interval.
    Alive,
}

/// The service manager that started this process, or nobody.
#[derive(Clone, Debug, Default)]
pub struct ServiceManager {
    #[cfg(unix)]
    notices: Option<std::sync::mpsc::SyncSender<Queued>>,
    watchdog: Option<Duration>,
}

/// What the thread that sends is given.
#[cfg(unix)]
enum Queued {
    Notice(Notice),
    /// Everything before this was sent.
    Flushed(std::sync::mpsc::SyncSender<()>),
}

/// Notices waiting to be sent. A service manager that takes none for so long is not served any better by more.
#[cfg(unix)]
const QUEUE: usize = 16;

impl ServiceManager {
    /// Reads `NOTIFY_SOCKET` and `WATCHDOG_USEC`. The socket is written to on a thread of its own: a service manager
    /// that does not read holds up nothing.
    #[cfg(unix)]
    #[must_use]
    pub fn of_environment() -> Self {
        if std::env::var_os("NOTIFY_SOCKET").is_none_or(|socket| socket.is_empty()) {
            return Self::default();
        }
        let (notices, queue) = std::sync::mpsc::sync_channel(QUEUE);
        let spawned = std::thread::Builder::new().name("service-manager".to_owned()).spawn(move || {
            for queued in queue {
                match queued {
                    Queued::Notice(notice) => {
                        if let Err(error) = send(&notice) {
                            tracing::warn!(%error, ?notice, "the service manager cannot be told");
                        }
                    }
                    // Whoever waited may have given up.
                    Queued::Flushed(done) => drop(done.try_send(())),
                }
            }
        });
        if let Err(error) = spawned {
            tracing::warn!(%error, "the service manager cannot be told anything");
            return Self::default();
        }
        Self { notices: Some(notices), watchdog: sd_notify::watchdog_enabled() }
    }

    /// Only Unix has such a socket.
    #[cfg(not(unix))]
    #[must_use]
    pub fn of_environment() -> Self {
        Self::default()
    }

    /// Queues a notice; a full queue drops it.
    pub fn tell(&self, notice: Notice) {
        #[cfg(unix)]
        if let Some(notices) = &self.notices {
            // Full or ended: said by the thread that sends.
            let _ = notices.try_send(Queued::Notice(notice));
        }
        #[cfg(not(unix))]
        drop(notice);
    }

    /// Waits until everything that was told is sent, at most so long: a process that ends takes its queue along.
    pub fn flush(&self, deadline: Duration) {
        #[cfg(unix)]
        if let Some(notices) = &self.notices {
            let (done, flushed) = std::sync::mpsc::sync_channel(1);
            if notices.try_send(Queued::Flushed(done)).is_ok() {
                let _ = flushed.recv_timeout(deadline);
            }
        }
        #[cfg(not(unix))]
        let _ = deadline;
    }

    /// How long the service manager waits for [`Notice::Alive`] before it kills this process; `None` when it does not
    /// watch.
    #[must_use]
    pub fn watchdog(&self) -> Option<Duration> {
        self.watchdog
    }

    /// Whether there is anybody to tell.
    #[must_use]
    pub fn is_there(&self) -> bool {
        #[cfg(unix)]
        return self.notices.is_some();
        #[cfg(not(unix))]
        return false;
    }
}

#[cfg(unix)]
fn send(notice: &Notice) -> std::io::Result<()> {
    use sd_notify::NotifyState;
    match notice {
        Notice::Ready => sd_notify::notify(&[NotifyState::Ready]),
        // systemd from 253 on compares the time with that of its own signal.
        Notice::Reloading => sd_notify::notify(&[NotifyState::Reloading, NotifyState::monotonic_usec_now()?]),
        Notice::Stopping => sd_notify::notify(&[NotifyState::Stopping]),
        Notice::Status(line) => sd_notify::notify(&[NotifyState::Status(line)]),
        Notice::Alive => sd_notify::notify(&[NotifyState::Watchdog]),
    }
}
