//! One token: its generation, its idle clock, and the requests that are on their way with it.

use crate::domain::types::Mono;
use parking_lot::Mutex;
use secrecy::SecretString;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// Instants are kept moved forward by this much: a restored session was used before the process started.
const BEFORE: u64 = 1 << 62;

/// A token that 8sens handed out. Shared by all workers, without a lock on the way of a request.
pub struct Live {
    generation: u64,
    token: SecretString,
    /// When the login was sent.
    began: u64,
    /// When the latest answered request was sent.
    used: AtomicU64,
    in_flight: AtomicUsize,
    /// No more leases: its successor is being asked for.
    is_retiring: AtomicBool,
    /// Who waits until nothing is in flight.
    waiting: Mutex<Option<Waker>>,
}

impl Live {
    /// A token that was asked for `age` ago and used `idle` ago.
    pub(super) fn new(generation: u64, token: SecretString, (age, idle): (Duration, Duration), now: Mono) -> Self {
        Self {
            generation,
            token,
            began: moved(now, age),
            used: AtomicU64::new(moved(now, idle)),
            in_flight: AtomicUsize::new(0),
            is_retiring: AtomicBool::new(false),
            waiting: Mutex::default(),
        }
    }

    #[must_use]
    pub const fn generation(&self) -> u64 {
        self.generation
    }

    #[must_use]
    pub const fn token(&self) -> &SecretString {
        &self.token
    }

    /// Time since its login was sent.
    #[must_use]
    pub fn age(&self, now: Mono) -> Duration {
        elapsed(self.began, now)
    }

    /// Time since the latest answered request was sent.
    #[must_use]
    pub fn idle(&self, now: Mono) -> Duration {
        elapsed(self.used.load(Ordering::Relaxed), now)
    }

    /// Ready when no request is on its way with it. One task at a time waits.
    pub fn poll_unused(&self, cx: &mut Context<'_>) -> Poll<()> {
        *self.waiting.lock() = Some(cx.waker().clone());
        if self.in_flight.load(Ordering::SeqCst) == 0 { Poll::Ready(()) } else { Poll::Pending }
    }

    /// One more request goes on its way with it; `None` once it retires.
    pub(super) fn lease(self: &Arc<Self>) -> Option<Lease> {
        // Counted before it is looked whether it retires, as whoever retires it looks at the count after that.
        self.in_flight.fetch_add(1, Ordering::SeqCst);
        let lease = Lease { live: Arc::clone(self) };
        (!self.is_retiring.load(Ordering::SeqCst)).then_some(lease)
    }

    pub(super) fn retire(&self) {
        self.is_retiring.store(true, Ordering::SeqCst);
    }

    /// It is used on, because there is no successor.
    pub(super) fn stay(&self) {
        self.is_retiring.store(false, Ordering::SeqCst);
    }
}

/// Never shows the token.
impl fmt::Debug for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Live").field("generation", &self.generation).finish_non_exhaustive()
    }
}

/// The use of a token by one request, from its decision to its end.
#[derive(Debug)]
pub struct Lease {
    live: Arc<Live>,
}

impl Lease {
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.live.generation
    }

    /// What is used.
    #[must_use]
    pub const fn live(&self) -> &Arc<Live> {
        &self.live
    }

    /// 8sens answered a request that was sent at this instant: its clock began again then, or later.
    pub fn answered(&self, sent: Mono) {
        self.live.used.fetch_max(moved(sent, Duration::ZERO), Ordering::Relaxed);
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if self.live.in_flight.fetch_sub(1, Ordering::SeqCst) == 1
            && self.live.is_retiring.load(Ordering::SeqCst)
            && let Some(waiting) = self.live.waiting.lock().take()
        {
            waiting.wake();
        }
    }
}

fn moved(now: Mono, by: Duration) -> u64 {
    let by = u64::try_from(by.as_nanos()).unwrap_or(u64::MAX);
    now.0.saturating_add(BEFORE).saturating_sub(by)
}

fn elapsed(instant: u64, now: Mono) -> Duration {
    Duration::from_nanos(now.0.saturating_add(BEFORE).saturating_sub(instant))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::Wake;

    const SECOND: Duration = Duration::from_secs(1);

    fn live(idle: Duration, now: Mono) -> Arc<Live> {
        Arc::new(Live::new(1, "secret-token".to_owned().into(), (idle, idle), now))
    }

    #[test]
    fn the_clock_only_moves_forward_and_reaches_back_before_the_start() {
        let now = Mono(5);
        let live = live(SECOND * 100, now);
        assert_eq!((live.idle(now), live.age(now)), (SECOND * 100, SECOND * 100));
        let lease = live.lease().unwrap();
        lease.answered(now.after(SECOND));
        lease.answered(now);
        assert_eq!(live.idle(now.after(SECOND * 3)), SECOND * 2);
        assert_eq!(live.idle(now), Duration::ZERO, "sent later than now");
    }

    #[test]
    fn nobody_takes_one_that_retires_and_the_last_to_leave_wakes_who_waits() {
        struct Woken(AtomicUsize);
        impl Wake for Woken {
            fn wake(self: Arc<Self>) {
                self.0.fetch_add(1, Ordering::SeqCst);
            }
        }
        let woken = Arc::new(Woken(AtomicUsize::new(0)));
        let waker = Arc::clone(&woken).into();
        let mut cx = Context::from_waker(&waker);
        let live = live(SECOND, Mono(0));
        let (first, second) = (live.lease().unwrap(), live.lease().unwrap());
        live.retire();
        assert!(live.lease().is_none());
        assert!(live.poll_unused(&mut cx).is_pending());
        drop(first);
        assert!(live.poll_unused(&mut cx).is_pending());
        let before = woken.0.load(Ordering::SeqCst);
        drop(second);
        assert_eq!(woken.0.load(Ordering::SeqCst), before + 1);
        assert!(live.poll_unused(&mut cx).is_ready());
        live.stay();
        assert!(live.lease().is_some());
    }

    #[test]
    fn the_token_is_not_shown() {
        let live = live(SECOND, Mono(0));
        assert!(!format!("{live:?} {:?}", live.lease()).contains("secret"));
    }
}
