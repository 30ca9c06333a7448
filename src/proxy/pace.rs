//! The least that the other end of a connection has to move while the gate waits for it.
//!
//! Only waiting counts: time that 8sens takes, or that the gate lets bytes lie, is never held against a caller.

use crate::config::MinimumRate;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::{Instant, Sleep, sleep_until};

/// How one transfer has gone so far.
#[derive(Debug)]
pub(super) struct Pace {
    minimum: MinimumRate,
    moved: u64,
    /// Time waited before the wait under way.
    waited: Duration,
    /// Since when this wait lasts.
    since: Option<Instant>,
    too_slow: Option<Pin<Box<Sleep>>>,
}

impl Pace {
    #[must_use]
    pub(super) fn new(minimum: MinimumRate) -> Self {
        Self { minimum, moved: 0, waited: Duration::ZERO, since: None, too_slow: None }
    }

    /// Another transfer begins.
    pub(super) fn restart(&mut self) {
        *self = Self::new(self.minimum);
    }

    /// Goes on waiting. Ready when the other end has been too slow.
    pub(super) fn poll_too_slow(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let until = self.waits_until();
        let too_slow = self.too_slow.get_or_insert_with(|| Box::pin(sleep_until(until)));
        ready!(too_slow.as_mut().poll(cx));
        Poll::Ready(())
    }

    /// Goes on waiting by a timer of somebody else's: until then, when nothing comes.
    pub(super) fn waits_until(&mut self) -> Instant {
        let since = *self.since.get_or_insert_with(Instant::now);
        since + patience(self.minimum, self.moved, self.waited)
    }

    /// Something came through: the wait is over.
    pub(super) fn moved(&mut self, bytes: usize) {
        self.moved = self.moved.saturating_add(bytes as u64);
        self.too_slow = None;
        if let Some(since) = self.since.take() {
            self.waited = self.waited.saturating_add(since.elapsed());
        }
    }
}

/// How long may be waited now, after `moved` bytes and `waited` for them.
fn patience(minimum: MinimumRate, moved: u64, waited: Duration) -> Duration {
    let earned = Duration::from_secs(moved / minimum.rate.max(1));
    minimum.grace.min(minimum.grace.saturating_add(earned).saturating_sub(waited))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;

    const MINIMUM: MinimumRate = MinimumRate { grace: Duration::from_secs(10), rate: 100 };

    #[test]
    fn bytes_buy_time_and_silence_is_bounded() {
        let patience = |moved, waited| patience(MINIMUM, moved, Duration::from_secs(waited)).as_secs();
        assert_eq!(patience(0, 0), 10);
        assert_eq!(patience(0, 4), 6);
        assert_eq!(patience(500, 4), 10);
        assert_eq!(patience(500, 12), 3);
        assert_eq!(patience(u64::MAX, 0), 10);
        assert_eq!(patience(0, 99), 0);
    }

    /// How long a transfer of `bytes` every `every` is borne.
    async fn borne(bytes: usize, every: Duration) -> Duration {
        let begun = Instant::now();
        let mut pace = Pace::new(MINIMUM);
        while begun.elapsed() < Duration::from_secs(3600) {
            tokio::select! {
                biased;
                () = tokio::time::sleep(every) => pace.moved(bytes),
                () = poll_fn(|cx| pace.poll_too_slow(cx)) => break,
            }
        }
        begun.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn a_drip_is_given_up_and_a_stream_is_not() {
        assert_eq!(borne(1, Duration::from_secs(9)).await.as_secs(), 10);
        assert_eq!(borne(1, Duration::from_secs(60)).await.as_secs(), 10);
        assert!(borne(100, Duration::from_secs(2)).await < Duration::from_secs(30));
        assert!(borne(100, Duration::from_secs(1)).await >= Duration::from_secs(3600));
    }
}
