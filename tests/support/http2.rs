//! A client of HTTP/2 that sends the frames it is given, right or wrong, and reads what comes, never longer than its
//! deadline.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

const DEADLINE: Duration = Duration::from_secs(10);

pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Frame types (RFC 9113 section 6).
pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const PRIORITY: u8 = 2;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;

/// Flags; the same bit is the acknowledgement of SETTINGS and PING, and the end of a stream.
pub const ACK: u8 = 1;
pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;

/// Error codes (RFC 9113 section 7).
pub const NO_ERROR: u32 = 0;
pub const PROTOCOL_ERROR: u32 = 1;
pub const CANCEL: u32 = 8;
pub const COMPRESSION_ERROR: u32 = 9;
pub const ENHANCE_YOUR_CALM: u32 = 11;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

impl Frame {
    pub fn new(kind: u8, flags: u8, stream: u32, payload: impl Into<Vec<u8>>) -> Self {
        Self { kind, flags, stream, payload: payload.into() }
    }

    pub fn bytes(&self) -> Vec<u8> {
        let len = u32::try_from(self.payload.len()).unwrap().to_be_bytes();
        let [a, b, c, d] = self.stream.to_be_bytes();
        [&[len[1], len[2], len[3], self.kind, self.flags, a, b, c, d][..], &self.payload].concat()
    }

    /// The error code of a reset or a GOAWAY; also the bytes of a window update.
    pub fn error(&self) -> u32 {
        let at = if self.kind == GOAWAY { 4 } else { 0 };
        u32::from_be_bytes(self.payload[at..at + 4].try_into().unwrap())
    }
}

/// What a stream came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Answer(Answer),
    /// Reset with that code, maybe in the middle of an answer.
    Reset(u32),
    /// The connection ends with that code and did not answer this stream.
    GoAway(u32),
    Closed,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub fields: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The code of a refusal of the gate's own.
    pub fn code(&self) -> Option<String> {
        let problem: serde_json::Value = serde_json::from_slice(&self.body).ok()?;
        Some(problem.get("code")?.as_str()?.to_owned())
    }
}

impl Outcome {
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Answer(answer) => Some(answer.status),
            _ => None,
        }
    }
}

/// Field lines as literals that no table remembers (RFC 7541 section 6.2.2), whatever their bytes are.
pub fn literal(fields: &[(&[u8], &[u8])]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            integer(&mut block, text.len());
            block.extend_from_slice(text);
        }
    }
    block
}

/// An integer with a prefix of seven bits (RFC 7541 section 5.1).
fn integer(block: &mut Vec<u8>, value: usize) {
    if value < 127 {
        return block.push(value as u8);
    }
    block.push(127);
    let mut rest = value - 127;
    while rest >= 128 {
        block.push((rest % 128) as u8 | 128);
        rest /= 128;
    }
    block.push(rest as u8);
}

/// The pseudo-header fields of a request, and those that follow.
pub fn request<'a>(method: &'a str, path: &'a str, fields: &[(&'a str, &'a str)]) -> Vec<u8> {
    let pseudo = [(":method", method), (":scheme", "https"), (":authority", "gate.example"), (":path", path)];
    let all: Vec<_> = pseudo.iter().chain(fields).map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
    literal(&all)
}

/// Offers HTTP/2 and believes every certificate of the list.
pub fn connector(trusted: &[rustls::pki_types::CertificateDer<'static>]) -> TlsConnector {
    let mut roots = rustls::RootCertStore::empty();
    trusted.iter().for_each(|der| roots.add(der.clone()).unwrap());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder =
        rustls::ClientConfig::builder_with_provider(provider).with_protocol_versions(rustls::ALL_VERSIONS).unwrap();
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    TlsConnector::from(Arc::new(config))
}

/// One connection.
pub struct FrameClient {
    stream: TlsStream<TcpStream>,
    read: Vec<u8>,
    fields: loona_hpack::Decoder<'static>,
    /// What has come of each stream, and which of them have ended.
    answers: BTreeMap<u32, Answer>,
    ended: BTreeMap<u32, Outcome>,
    goaway: Option<u32>,
    /// Frames as they came, in order.
    pub seen: Vec<Frame>,
    /// Whether windows are opened again as data comes.
    pub takes_data: bool,
    /// The preface was sent, so that frames may follow.
    begun: bool,
    /// Bytes that may be sent: what a new stream may, and what each stream and the connection (0) was allowed beyond
    /// that.
    first_window: i64,
    windows: BTreeMap<u32, i64>,
}

/// What may be sent before any setting or update (RFC 9113 section 6.9.2), and in one frame.
const FIRST_WINDOW: i64 = 65_535;
const MAX_FRAME: usize = 16_384;

impl FrameClient {
    /// Connects and begins HTTP/2 with these settings: identifiers and values (RFC 9113 section 6.5.1).
    pub async fn connect(gate: SocketAddr, connector: &TlsConnector, settings: &[(u16, u32)]) -> io::Result<Self> {
        let mut client = Self::silent(gate, connector).await?;
        let settings: Vec<u8> =
            settings.iter().flat_map(|(id, value)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat()).collect();
        client.send_bytes(PREFACE).await?;
        client.send(Frame::new(SETTINGS, 0, 0, settings)).await?;
        client.begun = true;
        Ok(client)
    }

    /// Connects and says nothing.
    pub async fn silent(gate: SocketAddr, connector: &TlsConnector) -> io::Result<Self> {
        let stream = TcpStream::connect(gate).await?;
        stream.set_nodelay(true)?;
        let stream = connector.connect("gate.example".try_into().unwrap(), stream).await?;
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        Ok(Self {
            stream,
            read: Vec::new(),
            fields: loona_hpack::Decoder::new(),
            answers: BTreeMap::new(),
            ended: BTreeMap::new(),
            goaway: None,
            seen: Vec::new(),
            takes_data: true,
            begun: false,
            first_window: FIRST_WINDOW,
            windows: BTreeMap::new(),
        })
    }

    pub async fn send_bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        within(async {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await
        })
        .await
    }

    pub async fn send(&mut self, frame: Frame) -> io::Result<()> {
        self.send_bytes(&frame.bytes()).await
    }

    /// A request without a body.
    pub async fn get(&mut self, stream: u32, path: &str, fields: &[(&str, &str)]) -> io::Result<()> {
        self.send(Frame::new(HEADERS, END_HEADERS | END_STREAM, stream, request("GET", path, fields))).await
    }

    /// The head of a request whose body follows.
    pub async fn post(&mut self, stream: u32, path: &str, fields: &[(&str, &str)]) -> io::Result<()> {
        self.send(Frame::new(HEADERS, END_HEADERS, stream, request("POST", path, fields))).await
    }

    pub async fn data(&mut self, stream: u32, bytes: &[u8], is_last: bool) -> io::Result<()> {
        self.send(Frame::new(DATA, u8::from(is_last), stream, bytes)).await
    }

    /// A head of any length, in as many frames as it takes.
    pub async fn head(&mut self, stream: u32, flags: u8, block: &[u8]) -> io::Result<()> {
        let pieces: Vec<_> = block.chunks(MAX_FRAME).collect();
        for (at, piece) in pieces.iter().enumerate() {
            let (kind, own) = if at == 0 { (HEADERS, flags) } else { (CONTINUATION, 0) };
            let last = if at + 1 == pieces.len() { END_HEADERS } else { 0 };
            self.send(Frame::new(kind, own | last, stream, *piece)).await?;
        }
        Ok(())
    }

    /// A body as fast as the other side takes it; less of it when the stream comes to something before.
    pub async fn body(&mut self, stream: u32, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() && !self.ended.contains_key(&stream) {
            let window = |of, first: i64| first + self.windows.get(&of).copied().unwrap_or(0);
            let window = window(0, FIRST_WINDOW).min(window(stream, self.first_window));
            let take = usize::try_from(window).unwrap_or(0).min(MAX_FRAME).min(bytes.len());
            if take == 0 {
                if self.next().await.is_none() {
                    return Ok(());
                }
                continue;
            }
            self.data(stream, &bytes[..take], take == bytes.len()).await?;
            for of in [0, stream] {
                *self.windows.entry(of).or_insert(0) -= take as i64;
            }
            bytes = &bytes[take..];
        }
        Ok(())
    }

    /// The next frame; `None` at the end of the connection, however it comes.
    pub async fn next(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = self.take() {
                self.note(&frame).await;
                self.seen.push(frame.clone());
                return Some(frame);
            }
            let read = timeout(DEADLINE, self.stream.read_buf(&mut self.read)).await.expect("nothing came in time");
            if !matches!(read, Ok(1..)) {
                return None;
            }
        }
    }

    /// Waits until a stream has come to something.
    pub async fn outcome(&mut self, stream: u32) -> Outcome {
        loop {
            if let Some(outcome) = self.ended.remove(&stream) {
                return outcome;
            }
            if self.next().await.is_none() {
                return self.ended.remove(&stream).unwrap_or(self.goaway.map_or(Outcome::Closed, Outcome::GoAway));
            }
        }
    }

    /// Waits for the end of the connection, and tells its last error code.
    pub async fn end(&mut self) -> Option<u32> {
        while self.next().await.is_some() {}
        self.goaway
    }

    fn take(&mut self) -> Option<Frame> {
        let [a, b, c, kind, flags, d, e, f, g, ..] = self.read[..] else { return None };
        let end = 9 + u32::from_be_bytes([0, a, b, c]) as usize;
        if self.read.len() < end {
            return None;
        }
        let rest = self.read.split_off(end);
        let payload = std::mem::replace(&mut self.read, rest)[9..].to_vec();
        Some(Frame { kind, flags, stream: u32::from_be_bytes([d, e, f, g]), payload })
    }

    async fn note(&mut self, frame: &Frame) {
        let answer = self.answers.entry(frame.stream).or_default();
        match frame.kind {
            SETTINGS if frame.flags & ACK == 0 && self.begun => {
                for setting in frame.payload.chunks_exact(6).filter(|setting| setting[..2] == [0, 4]) {
                    self.first_window = u32::from_be_bytes(setting[2..].try_into().unwrap()).into();
                }
                let _ = self.send(Frame::new(SETTINGS, ACK, 0, [])).await;
            }
            PING if frame.flags & ACK == 0 => {
                let _ = self.send(Frame::new(PING, ACK, 0, frame.payload.clone())).await;
            }
            HEADERS => {
                assert!(frame.flags & END_HEADERS != 0, "no answer of the tests is so long");
                let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                let fields = self.fields.decode(&frame.payload).unwrap();
                for (name, value) in fields.iter().map(|(name, value)| (text(name), text(value))) {
                    if name == ":status" {
                        answer.status = value.parse().unwrap();
                    } else {
                        answer.fields.push((name, value));
                    }
                }
                if answer.status < 200 {
                    answer.fields.clear();
                }
            }
            DATA => {
                answer.body.extend_from_slice(&frame.payload);
                if self.takes_data && !frame.payload.is_empty() {
                    let more = u32::try_from(frame.payload.len()).unwrap().to_be_bytes();
                    let ended = frame.flags & END_STREAM != 0;
                    for stream in [Some(0), (!ended).then_some(frame.stream)].into_iter().flatten() {
                        let _ = self.send(Frame::new(WINDOW_UPDATE, 0, stream, more)).await;
                    }
                }
            }
            RST_STREAM => {
                self.ended.entry(frame.stream).or_insert(Outcome::Reset(frame.error()));
            }
            WINDOW_UPDATE => *self.windows.entry(frame.stream).or_insert(0) += i64::from(frame.error()),
            GOAWAY => self.goaway = Some(frame.error()),
            _ => {}
        }
        if matches!(frame.kind, HEADERS | DATA) && frame.flags & END_STREAM != 0 {
            let answer = self.answers.remove(&frame.stream).unwrap_or_default();
            self.ended.insert(frame.stream, Outcome::Answer(answer));
        }
    }
}

async fn within<T>(work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    timeout(DEADLINE, work).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}
