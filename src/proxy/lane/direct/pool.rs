//! Idle connections to 8sens, the one that was used last first.
//!
//! What happens to an idle connection is noticed when it happens: each is registered with the runtime for
//! [`Pool::watch`], which drops those that 8sens has closed or said anything on, and those that were idle for too long.
//! Before one is used again the system is asked once more, so that nothing that came before a request can be taken for
//! its answer.

use super::stream::UpstreamStream;
use parking_lot::Mutex;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Wake, Waker};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

/// Where a connection leads to and what it was opened under. It is used again only for a request to the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Route {
    pub address: SocketAddr,
    /// Which authorities were believed, by number; 0 for none, in clear.
    pub trust: u32,
    /// What was opened under an earlier one is not used again.
    pub generation: u32,
}

/// Idle connections, at most so many.
pub(super) struct Pool {
    /// By the time they were put back.
    idle: Mutex<Vec<Idle>>,
    most: usize,
    alert: Arc<Alert>,
    waker: Waker,
}

struct Idle {
    stream: UpstreamStream,
    route: Route,
    expires: Instant,
}

/// Told when something happens to an idle connection.
#[derive(Default)]
struct Alert {
    news: Notify,
    /// Somebody looks again when the next connection expires.
    is_timed: AtomicBool,
}

impl Wake for Alert {
    fn wake(self: Arc<Self>) {
        self.news.notify_one();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.news.notify_one();
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("most", &self.most).finish_non_exhaustive()
    }
}

impl Pool {
    #[must_use]
    pub(super) fn new(most: usize) -> Self {
        let alert = Arc::new(Alert::default());
        let waker = Waker::from(Arc::clone(&alert));
        Self { idle: Mutex::default(), most, alert, waker }
    }

    /// An idle connection on that route on which nothing has happened, if there is one.
    pub(super) fn take(&self, route: Route, now: Instant) -> Option<UpstreamStream> {
        loop {
            let idle = self.idle.lock().pop()?;
            if idle.route == route && idle.expires > now && idle.stream.is_silent() {
                return Some(idle.stream);
            }
        }
    }

    /// Keeps a connection until it expires. Where there is no room, the one that was idle longest is closed for it.
    pub(super) fn put(&self, mut stream: UpstreamStream, route: Route, expires: Instant) {
        if self.most == 0 || !stream.is_quiet(&mut Context::from_waker(&self.waker)) {
            return;
        }
        let mut idle = self.idle.lock();
        let displaced = (idle.len() >= self.most).then(|| idle.remove(0));
        idle.push(Idle { stream, route, expires });
        drop(idle);
        drop(displaced);
        if !self.alert.is_timed.swap(true, Ordering::Relaxed) {
            self.alert.news.notify_one();
        }
    }

    /// Closes what is of no use any more, for ever.
    pub(super) async fn watch(&self) {
        loop {
            match self.sweep() {
                Some(next) => tokio::select! {
                    () = self.alert.news.notified() => {}
                    () = sleep_until(next) => {}
                },
                None => self.alert.news.notified().await,
            }
        }
    }

    /// How many are idle.
    #[cfg(test)]
    fn len(&self) -> usize {
        self.idle.lock().len()
    }

    /// Takes out what has expired and what 8sens has closed or said anything on. When the next one expires.
    fn sweep(&self) -> Option<Instant> {
        let (now, mut gone) = (Instant::now(), Vec::new());
        let mut context = Context::from_waker(&self.waker);
        let mut idle = self.idle.lock();
        let mut at = 0;
        while let Some(next) = idle.get_mut(at) {
            if next.expires <= now || !next.stream.is_quiet(&mut context) {
                gone.push(idle.remove(at));
            } else {
                at += 1;
            }
        }
        let next = idle.iter().map(|idle| idle.expires).min();
        self.alert.is_timed.store(next.is_some(), Ordering::Relaxed);
        drop(idle);
        // Closing is not for the lock.
        drop(gone);
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::io::AsyncWriteExt;
    use tokio::net::{TcpListener, TcpStream};

    const LONG: Duration = Duration::from_secs(3600);

    fn route(generation: u32) -> Route {
        Route { address: ([127, 0, 0, 1], 1).into(), trust: 0, generation }
    }

    /// Both ends of a connection, ours first.
    async fn connection(listener: &TcpListener) -> (UpstreamStream, TcpStream) {
        let near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (UpstreamStream::plain(near), listener.accept().await.unwrap().0)
    }

    async fn listener() -> TcpListener {
        TcpListener::bind("127.0.0.1:0").await.unwrap()
    }

    fn local_port(stream: &UpstreamStream) -> u16 {
        stream.tcp().local_addr().unwrap().port()
    }

    #[tokio::test]
    async fn the_last_one_put_back_is_the_first_one_taken() {
        let (listener, pool) = (listener().await, Pool::new(2));
        let mut far = Vec::new();
        let mut ports = Vec::new();
        for _ in 0..3 {
            let (near, end) = connection(&listener).await;
            far.push(end);
            ports.push(local_port(&near));
            pool.put(near, route(0), Instant::now() + LONG);
        }
        assert_eq!(pool.len(), 2, "the oldest made room");
        let taken = [pool.take(route(0), Instant::now()).unwrap(), pool.take(route(0), Instant::now()).unwrap()];
        assert_eq!(taken.map(|stream| local_port(&stream)), [ports[2], ports[1]]);
        assert!(pool.take(route(0), Instant::now()).is_none());
    }

    #[tokio::test]
    async fn what_was_opened_under_something_else_is_not_used() {
        let (listener, pool) = (listener().await, Pool::new(4));
        let (near, _far) = connection(&listener).await;
        pool.put(near, route(1), Instant::now() + LONG);
        assert!(pool.take(route(2), Instant::now()).is_none());
        assert_eq!(pool.len(), 0);
        let (near, _far) = connection(&listener).await;
        pool.put(near, route(1), Instant::now());
        assert!(pool.take(route(1), Instant::now()).is_none(), "it has expired");
    }

    /// Waits for what the watching task does.
    async fn until_empty(pool: &Pool) {
        while pool.len() > 0 {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn a_close_or_a_byte_is_noticed_when_it_happens() {
        let (listener, pool) = (listener().await, Arc::new(Pool::new(4)));
        let watching = tokio::spawn({
            let pool = Arc::clone(&pool);
            async move { pool.watch().await }
        });
        let (near, far) = connection(&listener).await;
        pool.put(near, route(0), Instant::now() + LONG);
        tokio::task::yield_now().await;
        assert_eq!(pool.len(), 1);
        drop(far);
        until_empty(&pool).await;
        let (near, mut far) = connection(&listener).await;
        pool.put(near, route(0), Instant::now() + LONG);
        far.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
        until_empty(&pool).await;
        watching.abort();
    }

    #[tokio::test]
    async fn what_the_runtime_has_not_heard_of_yet_is_no_use_either() {
        let (listener, pool) = (listener().await, Pool::new(4));
        let (near, far) = connection(&listener).await;
        pool.put(near, route(0), Instant::now() + LONG);
        // Nothing is awaited in between, so the runtime cannot have looked.
        far.try_write(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
        assert!(pool.take(route(0), Instant::now()).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_idle_for_too_long_is_closed() {
        let (listener, pool) = (listener().await, Arc::new(Pool::new(4)));
        let watching = tokio::spawn({
            let pool = Arc::clone(&pool);
            async move { pool.watch().await }
        });
        let begun = Instant::now();
        let mut far = Vec::new();
        for seconds in [5, 9] {
            let (near, end) = connection(&listener).await;
            far.push(end);
            pool.put(near, route(0), begun + Duration::from_secs(seconds));
        }
        tokio::time::sleep(Duration::from_secs(6)).await;
        assert_eq!(pool.len(), 1);
        tokio::time::sleep(Duration::from_secs(6)).await;
        assert_eq!(pool.len(), 0);
        watching.abort();
    }
}
