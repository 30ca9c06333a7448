//! A timer that is set again and again and hardly ever rings.
//!
//! Setting a timer takes a lock of the runtime. A deadline that only ever moves on is therefore noted, and looked at
//! when the timer of an earlier one rings.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::time::{Instant, Sleep, sleep_until};

/// One timer for all deadlines of one connection.
#[derive(Default)]
pub(super) struct LazyTimer {
    sleep: Option<Pin<Box<Sleep>>>,
}

impl fmt::Debug for LazyTimer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LazyTimer").finish_non_exhaustive()
    }
}

impl LazyTimer {
    /// Ready once `deadline` has passed; until then, the task is woken when it may have.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, deadline: Instant) -> Poll<()> {
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if sleep.deadline() > deadline {
            sleep.as_mut().reset(deadline);
        }
        loop {
            ready!(sleep.as_mut().poll(cx));
            if sleep.deadline() >= deadline {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(deadline);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use std::time::Duration;
    use tokio::time::timeout;

    #[tokio::test(start_paused = true)]
    async fn it_rings_at_the_deadline_of_that_moment() {
        let (begun, mut timer) = (Instant::now(), LazyTimer::default());
        let after = |seconds| begun + Duration::from_secs(seconds);
        let passed = |seconds| begun.elapsed() == Duration::from_secs(seconds);
        // Later than before, earlier than before, at once.
        for (set, rings) in [(5, 5), (9, 9), (11, 11), (11, 11), (3, 11)] {
            poll_fn(|cx| timer.poll(cx, after(set))).await;
            assert!(passed(rings), "{set}: {:?}", begun.elapsed());
        }
        let early = timeout(Duration::from_secs(1), poll_fn(|cx| timer.poll(cx, after(60))));
        assert!(early.await.is_err());
        poll_fn(|cx| timer.poll(cx, after(20))).await;
        assert!(passed(20));
        poll_fn(|cx| timer.poll(cx, after(70))).await;
        assert!(passed(70));
    }
}
