//! The witness: an upstream that records every byte it receives and answers by a script.

use super::wire::{Framing, Reader, fields, framing};
use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Sleep, sleep, timeout};

/// One whole request.
#[derive(Clone, Debug)]
pub struct SeenRequest {
    /// Connections are numbered from 0 in the order they were accepted.
    pub connection: u64,
    /// 0 for the first request of its connection.
    pub nth_on_connection: usize,
    /// Everything up to and including the empty line; bytes that are not UTF-8 replaced.
    pub head: String,
    /// Decoded.
    pub body: Vec<u8>,
    /// True from the moment an answer begins, so before a caller can have read it.
    pub answered: bool,
}

impl SeenRequest {
    pub fn method(&self) -> &str {
        self.head.split(' ').next().unwrap_or_default()
    }

    pub fn target(&self) -> &str {
        self.head.split(' ').nth(1).unwrap_or_default()
    }

    /// Every value of a field, by its name in any case, in order.
    pub fn values(&self, name: &str) -> Vec<String> {
        let fields = fields(&self.head).into_iter();
        fields.filter(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value).collect()
    }
}

/// What is done about one request.
#[derive(Clone, Debug)]
pub enum Action {
    /// 200 with a small JSON body; the connection stays open.
    Answer,
    /// That status with that JSON body and those fields; the connection stays open.
    AnswerWith { status: u16, headers: Vec<(String, String)>, body: Vec<u8> },
    /// [`Action::Answer`], then the connection is closed without having said so.
    AnswerThenClose,
    /// Closed without an answer.
    Close,
    /// Those bytes as they are; the connection stays open.
    Bytes(Vec<u8>),
    /// Those bytes as they are, then closed.
    BytesThenClose(Vec<u8>),
    /// 200 with a body of that many bytes.
    Download(u64),
    /// No answer, ever.
    Hang,
    /// The other action, later.
    After(Duration, Box<Self>),
    /// The other action, once this is true.
    When(watch::Receiver<bool>, Box<Self>),
    /// Step by step.
    Script(Arc<Script>),
}

/// An answer made of bytes and pauses.
#[derive(Debug)]
pub struct Script {
    steps: Vec<Step>,
    end: ScriptEnd,
    finished: watch::Sender<bool>,
}

#[derive(Clone, Debug)]
pub enum Step {
    Send(Vec<u8>),
    /// One byte in each segment.
    Bytewise(Vec<u8>),
    Pause(Duration),
    /// Again and again, until the other side closes.
    Endless(Vec<u8>),
}

/// What becomes of the connection after a script.
#[derive(Clone, Copy, Debug)]
pub enum ScriptEnd {
    Keep,
    Close,
    Reset,
    Hang,
}

impl Script {
    pub fn new(steps: Vec<Step>, end: ScriptEnd) -> Self {
        Self { steps, end, finished: watch::Sender::new(false) }
    }

    /// Waits until the steps were done or the other side has closed.
    pub async fn finished(&self) {
        let mut finished = self.finished.subscribe();
        // The sender lives as long as the script.
        let _ = finished.wait_for(|finished| *finished).await;
    }

    async fn play(&self, write: &mut OwnedWriteHalf) -> io::Result<Next> {
        let outcome = self.steps(write).await;
        self.finished.send_replace(true);
        outcome?;
        Ok(match self.end {
            ScriptEnd::Keep => Next::Read,
            ScriptEnd::Close => Next::Close,
            ScriptEnd::Hang => Next::Hang,
            ScriptEnd::Reset => {
                write.as_ref().set_zero_linger()?;
                Next::Reset
            }
        })
    }

    async fn steps(&self, write: &mut OwnedWriteHalf) -> io::Result<()> {
        for step in &self.steps {
            match step {
                Step::Send(bytes) => write.write_all(bytes).await?,
                Step::Bytewise(bytes) => {
                    for byte in bytes {
                        write.write_all(&[*byte]).await?;
                        tokio::task::yield_now().await;
                    }
                }
                Step::Pause(pause) => sleep(*pause).await,
                Step::Endless(bytes) => loop {
                    write.write_all(bytes).await?;
                },
            }
        }
        Ok(())
    }
}

/// The script of a witness.
#[derive(Clone)]
pub struct Behaviour {
    act: Arc<dyn Fn(&SeenRequest) -> Action + Send + Sync>,
    /// Most bytes read at a time, and the pause after each time.
    pace: Option<(usize, Duration)>,
}

impl Behaviour {
    /// Decides by a closure on each whole request.
    pub fn by(act: impl Fn(&SeenRequest) -> Action + Send + Sync + 'static) -> Self {
        Self { act: Arc::new(act), pace: None }
    }

    /// What this behaviour does about a request, for behaviours that build on others.
    pub fn act(&self, request: &SeenRequest) -> Action {
        (self.act)(request)
    }

    /// The same for every request.
    pub fn always(action: Action) -> Self {
        Self::by(move |_| action.clone())
    }

    /// 200 with JSON, keep-alive.
    pub fn answer() -> Self {
        Self::always(Action::Answer)
    }

    /// Keep-alive that breaks, by pseudo-random numbers from `seed`: `percent` of the answers are followed by a close,
    /// and `percent` of the requests on a reused connection are read and then met by a close instead of an answer.
    pub fn flaky_keep_alive(seed: u64, percent: u64) -> Self {
        let state = AtomicU64::new(seed);
        Self::by(move |request| {
            let number = split_mix(state.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed));
            let (first, second) = (number % 100 < percent, (number >> 32) % 100 < percent);
            match (request.nth_on_connection > 0 && first, second) {
                (true, _) => Action::Close,
                (false, true) => Action::AnswerThenClose,
                (false, false) => Action::Answer,
            }
        })
    }

    /// Reads each POST whole and closes; answers the rest.
    pub fn close_after_post() -> Self {
        Self::by(|request| if request.method() == "POST" { Action::Close } else { Action::Answer })
    }

    /// At most `bytes` at a time, with a pause after each.
    #[must_use]
    pub fn reading_slowly(mut self, bytes: usize, pause: Duration) -> Self {
        self.pace = Some((bytes, pause));
        self
    }
}

/// A running witness. Dropping it closes every connection.
pub struct Witness {
    address: SocketAddr,
    record: Arc<Record>,
    accepting: JoinHandle<()>,
}

impl Witness {
    /// Starts on a free port of 127.0.0.1, inside the current runtime.
    pub async fn start(behaviour: Behaviour) -> Self {
        Self::start_at((Ipv4Addr::LOCALHOST, 0).into(), behaviour).await
    }

    pub async fn start_at(address: SocketAddr, behaviour: Behaviour) -> Self {
        let listener = TcpListener::bind(address).await.expect("a loopback port");
        let address = listener.local_addr().expect("a bound address");
        let record = Arc::new(Record::default());
        let accepting = tokio::spawn(accept(listener, behaviour, Arc::clone(&record)));
        Self { address, record, accepting }
    }

    pub fn addr(&self) -> SocketAddr {
        self.address
    }

    /// Closes everything, and waits until that is done.
    pub async fn stop(mut self) {
        self.accepting.abort();
        // It was aborted.
        let _ = (&mut self.accepting).await;
    }

    /// Every whole request so far, in the order in which they were complete.
    pub fn requests(&self) -> Vec<SeenRequest> {
        self.record.lock().requests.clone()
    }

    /// Every byte received so far, by connection.
    pub fn raw_bytes(&self) -> BTreeMap<u64, Vec<u8>> {
        self.record.lock().bytes.clone()
    }

    /// How many connections were accepted so far.
    pub fn connections(&self) -> usize {
        self.record.lock().bytes.len()
    }

    /// Waits until `count` whole requests were seen; panics with those that were when the deadline passes.
    pub async fn wait_for(&self, count: usize, deadline: Duration) -> Vec<SeenRequest> {
        self.wait_until(deadline, |requests| requests.len() >= count).await
    }

    /// Waits until the requests seen are as `wanted` says; panics with them when the deadline passes.
    pub async fn wait_until(&self, deadline: Duration, wanted: impl Fn(&[SeenRequest]) -> bool) -> Vec<SeenRequest> {
        let mut changed = self.record.changed.subscribe();
        let met = async {
            loop {
                changed.borrow_and_update();
                if wanted(&self.record.lock().requests) {
                    return;
                }
                changed.changed().await.expect("the sender lives as long as the witness");
            }
        };
        let passed = timeout(deadline, met).await.is_err();
        let requests = self.requests();
        assert!(!passed, "still only {} requests: {requests:#?}", requests.len());
        requests
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

#[derive(Default)]
struct Record {
    entries: Mutex<Entries>,
    changed: watch::Sender<()>,
}

#[derive(Default)]
struct Entries {
    requests: Vec<SeenRequest>,
    bytes: BTreeMap<u64, Vec<u8>>,
}

impl Record {
    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().expect("no panic under this lock")
    }

    fn complete(&self, request: SeenRequest) -> usize {
        let mut entries = self.lock();
        entries.requests.push(request);
        let index = entries.requests.len() - 1;
        drop(entries);
        self.changed.send_replace(());
        index
    }

    fn answered(&self, index: usize) {
        self.lock().requests[index].answered = true;
        self.changed.send_replace(());
    }
}

async fn accept(listener: TcpListener, behaviour: Behaviour, record: Arc<Record>) {
    // Dropped with this task, and the connections with it.
    let mut connections = JoinSet::new();
    for connection in 0.. {
        let Ok((stream, _)) = listener.accept().await else { return };
        record.lock().bytes.insert(connection, Vec::new());
        connections.spawn(serve(stream, connection, behaviour.clone(), Arc::clone(&record)));
        while connections.try_join_next().is_some() {}
    }
}

async fn serve(stream: TcpStream, connection: u64, behaviour: Behaviour, record: Arc<Record>) {
    let _ = stream.set_nodelay(true);
    let (read, mut write) = stream.into_split();
    let tap = Tap { stream: read, connection, record: Arc::clone(&record), pace: behaviour.pace, pausing: None };
    let mut reader = Reader::new(tap);
    let mut nth_on_connection = 0;
    while let Ok(Some(head)) = reader.head().await {
        let Ok(body) = reader.body(framing(&fields(&head), Framing::None)).await else { return };
        let request = SeenRequest { connection, nth_on_connection, head, body, answered: false };
        let action = (behaviour.act)(&request);
        let to_head = request.method() == "HEAD";
        let index = record.complete(request);
        match perform(action, to_head, &mut write, || record.answered(index)).await {
            Ok(Next::Read) => {}
            Ok(Next::Hang) => {
                // The caller may still leave, or send more: both are to be seen.
                let _ = reader.rest().await;
                return;
            }
            Ok(Next::Reset) => {
                // Its drop would send an orderly end first.
                write.forget();
                return;
            }
            Ok(Next::Close) | Err(_) => return,
        }
        nth_on_connection += 1;
    }
}

/// What becomes of the connection.
enum Next {
    Read,
    Close,
    Reset,
    Hang,
}

async fn perform(
    mut action: Action,
    to_head: bool,
    write: &mut OwnedWriteHalf,
    answering: impl FnOnce(),
) -> io::Result<Next> {
    loop {
        match action {
            Action::After(delay, then) => {
                sleep(delay).await;
                action = *then;
            }
            Action::When(mut told, then) => {
                // A test that has ended waits for nothing.
                let _ = told.wait_for(|told| *told).await;
                action = *then;
            }
            _ => break,
        }
    }
    let body = br#"{"witness":true}"#;
    let (bytes, next) = match action {
        Action::Answer => (answer(200, &[], body, to_head), Next::Read),
        Action::AnswerThenClose => (answer(200, &[], body, to_head), Next::Close),
        Action::AnswerWith { status, headers, body } => (answer(status, &headers, &body, to_head), Next::Read),
        Action::Bytes(bytes) => (bytes, Next::Read),
        Action::BytesThenClose(bytes) => (bytes, Next::Close),
        Action::Download(length) => {
            answering();
            return download(length, to_head, write).await.map(|()| Next::Read);
        }
        Action::Script(script) => {
            answering();
            return script.play(write).await;
        }
        Action::Close => return Ok(Next::Close),
        Action::Hang | Action::After(..) | Action::When(..) => return Ok(Next::Hang),
    };
    answering();
    write.write_all(&bytes).await?;
    Ok(next)
}

fn answer(status: u16, headers: &[(String, String)], body: &[u8], to_head: bool) -> Vec<u8> {
    let mut head = format!("HTTP/1.1 {status} Witness\r\nContent-Type: application/json\r\n");
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    if !matches!(status, 100..=199 | 204 | 304) {
        head += &format!("Content-Length: {}\r\n", body.len());
    }
    head.push_str("\r\n");
    let mut bytes = head.into_bytes();
    if !to_head {
        bytes.extend(body);
    }
    bytes
}

async fn download(length: u64, to_head: bool, write: &mut OwnedWriteHalf) -> io::Result<()> {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: {length}\r\n\r\n");
    write.write_all(head.as_bytes()).await?;
    let filler = vec![b'w'; 64 << 10];
    let mut left = if to_head { 0 } else { length };
    while left > 0 {
        let piece = usize::try_from(left).map_or(filler.len(), |left| left.min(filler.len()));
        write.write_all(&filler[..piece]).await?;
        left -= piece as u64;
    }
    Ok(())
}

/// The reading half of a connection; writes down what passes and keeps the pace.
struct Tap {
    stream: OwnedReadHalf,
    connection: u64,
    record: Arc<Record>,
    pace: Option<(usize, Duration)>,
    pausing: Option<Pin<Box<Sleep>>>,
}

impl AsyncRead for Tap {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if let Some(pausing) = &mut self.pausing {
            ready!(pausing.as_mut().poll(context));
            self.pausing = None;
        }
        let mut room = into.take(self.pace.map_or(usize::MAX, |(bytes, _)| bytes));
        ready!(Pin::new(&mut self.stream).poll_read(context, &mut room))?;
        let read = room.filled().to_vec();
        if let Some(bytes) = self.record.lock().bytes.get_mut(&self.connection) {
            bytes.extend(&read);
        }
        // The part of the buffer behind `room` was written by it.
        into.put_slice(&read);
        self.pausing = self.pace.map(|(_, pause)| Box::pin(sleep(pause)));
        Poll::Ready(Ok(()))
    }
}

/// The finisher of `SplitMix64`: well mixed numbers from a counter.
fn split_mix(counter: u64) -> u64 {
    let mixed = (counter ^ (counter >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
