//! Closing a connection so that its last answer arrives (RFC 9112 section 9.6).
//!
//! Closing a socket while bytes still come resets the connection, and the reset can overtake an answer and take it
//! away. So the writing side is closed first, and what still comes is thrown away until the caller closes too. Nobody
//! looks at it, and it is bounded: in bytes, in time, in silence, in pace, and in how many connections linger at the
//! same time.

use super::pace::Pace;
use super::socket::Socket;
use crate::config::MinimumRate;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncWriteExt, ReadBuf};
use tokio::sync::{Notify, watch};
use tokio::time::{sleep, timeout};

/// Bytes of one connection that are thrown away, at most.
const DISCARDED_MAX: u64 = 16 * 1024 * 1024;

/// How long one connection lingers, at most.
const LONGEST: Duration = Duration::from_secs(30);

/// The longest silence, and the least that has to come once as much time has passed.
const PACE: MinimumRate = MinimumRate { grace: Duration::from_secs(5), rate: 64 * 1024 };

/// The same for a stream, whose caller may be told to stop at any time: but not so early that it learns of the end
/// before the answer.
const STREAM_PACE: MinimumRate = MinimumRate { grace: Duration::from_secs(1), rate: 64 * 1024 };

/// How much longer a connection lingers once the gate is ending.
const AT_THE_END: Duration = Duration::from_secs(1);

/// Bytes that are thrown away at a time.
const SCRATCH: usize = 16 * 1024;

/// The connections that linger, oldest first.
#[derive(Debug, Default)]
pub struct Lingering {
    queue: Mutex<Queue>,
}

#[derive(Debug, Default)]
struct Queue {
    /// Ascending by number.
    members: VecDeque<(u64, Arc<Notify>)>,
    next: u64,
}

impl Lingering {
    /// Closes a connection on which everything was said, and returns when it may be dropped: the caller has closed, has
    /// sent what one may send, or is silent or slow; the gate is ending; or others need the slot. `most` linger at the
    /// same time, and the oldest gives way.
    pub async fn close(&self, mut socket: Socket, most: usize, shutdown: watch::Receiver<bool>) {
        match timeout(PACE.grace, socket.shutdown()).await {
            Ok(Ok(())) => {}
            // Gone already.
            Ok(Err(_)) => return,
            // It does not even take the farewell.
            Err(_) => return socket.reset(),
        }
        let mut scratch = vec![0; SCRATCH];
        let mut scratch = ReadBuf::new(&mut scratch);
        let read = |cx: &mut Context<'_>| socket.poll_discard(cx, &mut scratch).map(|read| read.unwrap_or(0));
        self.wait(discard(read, PACE), most, shutdown).await;
    }

    /// The same for one stream of a connection that goes on: `read` throws some bytes of it away, and tells how many; 0
    /// is its end.
    pub async fn end_stream(
        &self,
        read: impl FnMut(&mut Context<'_>) -> Poll<usize>,
        most: usize,
        shutdown: watch::Receiver<bool>,
    ) {
        self.wait(discard(read, STREAM_PACE), most, shutdown).await;
    }

    async fn wait(&self, discarding: impl Future<Output = ()>, most: usize, mut shutdown: watch::Receiver<bool>) {
        let stay = self.enter(most);
        let end_of_the_gate = async {
            // An error says that nobody is left to tell: the end as well.
            let _ = shutdown.wait_for(|stop| *stop).await;
            sleep(AT_THE_END).await;
        };
        tokio::select! {
            () = discarding => {}
            () = stay.displaced.notified() => {}
            () = sleep(LONGEST) => {}
            () = end_of_the_gate => {}
        }
    }

    fn enter(&self, most: usize) -> Stay<'_> {
        let displaced = Arc::new(Notify::new());
        let mut queue = self.queue.lock();
        let number = queue.next;
        queue.next += 1;
        queue.members.push_back((number, Arc::clone(&displaced)));
        while queue.members.len() > most.max(1) {
            if let Some((_, oldest)) = queue.members.pop_front() {
                oldest.notify_one();
            }
        }
        Stay { lingering: self, number, displaced }
    }
}

/// One connection's slot among those that linger, given back on drop.
#[derive(Debug)]
struct Stay<'a> {
    lingering: &'a Lingering,
    number: u64,
    /// Told when the slot is needed for another.
    displaced: Arc<Notify>,
}

impl Drop for Stay<'_> {
    fn drop(&mut self) {
        let members = &mut self.lingering.queue.lock().members;
        if let Ok(at) = members.binary_search_by_key(&self.number, |(number, _)| *number) {
            members.remove(at);
        }
    }
}

/// Throws away what comes, until nothing comes any more or more than enough has come.
async fn discard(mut read: impl FnMut(&mut Context<'_>) -> Poll<usize>, least: MinimumRate) {
    let (mut pace, mut left) = (Pace::new(least), DISCARDED_MAX);
    while left > 0 {
        let came = poll_fn(|cx| match read(cx) {
            Poll::Ready(came) => Poll::Ready(came),
            Poll::Pending => pace.poll_too_slow(cx).map(|()| 0),
        });
        let came = came.await;
        if came == 0 {
            return;
        }
        pace.moved(came);
        left = left.saturating_sub(came as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, DuplexStream};
    use tokio::time::Instant;

    /// What a caller does until it is given up.
    #[derive(Clone, Copy, Debug)]
    struct Caller {
        bytes: usize,
        every: Duration,
        pieces: usize,
        closes: bool,
    }

    /// Returns what was sent, and the stream of a caller that does not close.
    async fn play(mut stream: DuplexStream, caller: Caller) -> (u64, Option<DuplexStream>) {
        let mut sent = 0;
        let piece = vec![b'x'; caller.bytes];
        for _ in 0..caller.pieces {
            if stream.write_all(&piece).await.is_err() {
                break;
            }
            sent += caller.bytes as u64;
            sleep(caller.every).await;
        }
        (sent, (!caller.closes).then_some(stream))
    }

    /// How long a caller is borne with, and the bytes that were taken from it.
    async fn borne(caller: Caller) -> (Duration, u64) {
        let (near, far) = tokio::io::duplex(SCRATCH);
        let lingering = Lingering::default();
        let (_running, shutdown) = watch::channel(false);
        let begun = Instant::now();
        let sent = tokio::spawn(play(near, caller));
        lingering.close(Socket::piped(far), 9, shutdown).await;
        let borne = begun.elapsed();
        assert!(lingering.queue.lock().members.is_empty());
        (borne, sent.await.unwrap().0)
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn every_bound_holds() {
        let caller = Caller { bytes: 64 * 1024, every: Duration::ZERO, pieces: 0, closes: true };
        assert_eq!(borne(caller).await, (Duration::ZERO, 0), "who closes is waited for no longer");
        let silent = Caller { closes: false, ..caller };
        assert_eq!(borne(silent).await.0, PACE.grace);
        let whole = Caller { pieces: 192, ..caller };
        assert_eq!(borne(whole).await.1, 12 << 20);
        let huge = Caller { pieces: 10_000, ..caller };
        let sent = borne(huge).await.1;
        assert!((DISCARDED_MAX - (1 << 17)..=DISCARDED_MAX).contains(&sent), "{sent}");
        let slow = Caller { bytes: 16 * 1024, every: SECOND, pieces: 100, closes: true };
        assert!((5..10).contains(&borne(slow).await.0.as_secs()));
        let steady = Caller { bytes: 80 * 1024, every: SECOND, pieces: 100, closes: true };
        assert_eq!(borne(steady).await.0, LONGEST);
    }

    #[tokio::test(start_paused = true)]
    async fn the_end_of_the_gate_is_the_end_soon() {
        let (mut near, far) = tokio::io::duplex(SCRATCH);
        let (gate, shutdown) = watch::channel(false);
        let lingering = Lingering::default();
        let begun = Instant::now();
        let ending = async {
            sleep(2 * SECOND).await;
            gate.send(true).unwrap();
        };
        tokio::join!(lingering.close(Socket::piped(far), 9, shutdown), ending);
        assert_eq!(begun.elapsed(), 3 * SECOND);
        assert_eq!(near.read(&mut [0]).await.unwrap(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn the_oldest_gives_way() {
        let lingering = Arc::new(Lingering::default());
        let (_running, shutdown) = watch::channel(false);
        let mut callers = Vec::new();
        for _ in 0..3 {
            let (near, far) = tokio::io::duplex(SCRATCH);
            let (lingering, shutdown) = (Arc::clone(&lingering), shutdown.clone());
            let close = tokio::spawn(async move { lingering.close(Socket::piped(far), 2, shutdown).await });
            callers.push((near, close));
            tokio::task::yield_now().await;
        }
        let begun = Instant::now();
        let (first, rest) = callers.split_first_mut().unwrap();
        (&mut first.1).await.unwrap();
        assert_eq!(begun.elapsed(), Duration::ZERO);
        for (_, close) in rest {
            close.await.unwrap();
        }
        assert_eq!(begun.elapsed(), PACE.grace);
    }
}
