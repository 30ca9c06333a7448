//! Signals, as commands to a running gate.

use crate::admin::command::Command;
#[cfg(unix)]
use std::sync::Arc;
#[cfg(unix)]
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::mpsc;

/// SIGHUP and SIGUSR1 of the time before there is a gate that could obey them.
#[derive(Debug, Default)]
pub struct EarlySignals {
    #[cfg(unix)]
    reload: Arc<AtomicBool>,
    #[cfg(unix)]
    reopen_logs: Arc<AtomicBool>,
}

impl EarlySignals {
    /// Takes both signals from now on; before, the system ends a process that gets one.
    #[must_use]
    pub fn take() -> Self {
        let taken = Self::default();
        #[cfg(unix)]
        {
            use signal_hook::consts::{SIGHUP, SIGUSR1};
            // Only signals that nobody may take are refused.
            let _ = signal_hook::flag::register(SIGHUP, Arc::clone(&taken.reload));
            let _ = signal_hook::flag::register(SIGUSR1, Arc::clone(&taken.reopen_logs));
        }
        taken
    }

    /// What was asked for until now.
    #[cfg(unix)]
    fn commands(&self) -> impl Iterator<Item = Command> {
        let both = [(&self.reload, Command::Reload), (&self.reopen_logs, Command::ReopenLogs)];
        both.into_iter().filter(|(asked, _)| asked.swap(false, Ordering::Relaxed)).map(|(_, command)| command)
    }
}

/// Turns the signals of this process into commands, on a thread of its own, those of before included. They are watched
/// when this returns. A second SIGINT or SIGTERM ends the process at once.
#[must_use]
pub fn commands_from_signals(early: EarlySignals) -> mpsc::Receiver<Command> {
    let (commands, receiver) = mpsc::channel(8);
    let (watched, is_watched) = std::sync::mpsc::sync_channel(1);
    let watch = move || {
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
            return tracing::error!("signals cannot be watched");
        };
        if let Err(error) = runtime.block_on(forward(&early, commands, watched)) {
            tracing::error!(%error, "signals cannot be watched");
        }
    };
    if let Err(error) = std::thread::Builder::new().name("signals".to_owned()).spawn(watch) {
        tracing::error!(%error, "signals cannot be watched");
    }
    // An error says that they never will be, which was logged.
    let _ = is_watched.recv();
    receiver
}

#[cfg(unix)]
async fn forward(
    early: &EarlySignals,
    commands: mpsc::Sender<Command>,
    watched: std::sync::mpsc::SyncSender<()>,
) -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let mut user1 = signal(SignalKind::user_defined1())?;
    // Whoever started this thread waits.
    let _ = watched.send(());
    let mut draining = false;
    // A signal between these two lines and those above is obeyed twice, and none is lost.
    for command in early.commands() {
        // Without a receiver there is nothing left to obey for.
        let _ = commands.send(command).await;
    }
    loop {
        let command = tokio::select! {
            _ = terminate.recv() => Command::Drain,
            _ = interrupt.recv() => Command::Drain,
            _ = hangup.recv() => Command::Reload,
            _ = user1.recv() => Command::ReopenLogs,
        };
        if command == Command::Drain && std::mem::replace(&mut draining, true) {
            std::process::exit(1);
        }
        if commands.send(command).await.is_err() && !draining {
            return Ok(());
        }
    }
}

#[cfg(not(unix))]
async fn forward(
    _: &EarlySignals,
    commands: mpsc::Sender<Command>,
    watched: std::sync::mpsc::SyncSender<()>,
) -> std::io::Result<()> {
    // Whoever started this thread waits; the first call of `ctrl_c` watches from its first poll on.
    let _ = watched.send(());
    tokio::signal::ctrl_c().await?;
    // The receiver is gone only when the gate has ended already.
    let _ = commands.send(Command::Drain).await;
    tokio::signal::ctrl_c().await?;
    std::process::exit(1)
}
