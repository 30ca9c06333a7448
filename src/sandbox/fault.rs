//! Faults that a request asks for with the header `x-sandbox-fault`, when the settings allow it, and those of every
//! login, which `login_fault` sets: a gate that logs in by itself sends no such header.
//!
//! Either holds one or several of these, separated by `;`:
//!
//! | fault | what happens |
//! |---|---|
//! | `delay=250ms` | the answer starts that much later |
//! | `status=500` | that status, and the route is not run |
//! | `hang` | no answer, ever |
//! | `close` | the connection is closed without an answer |
//! | `close-after-head` | the head and half of the body, then the connection is closed; to `HEAD`, nothing special |
//! | `slow-body=10ms` | the body in at most 64 pieces, one per pause |
//! | `big-body=5MiB` | a body of that many bytes instead of the route's; at most 1 GiB |

use super::duration::parse_duration;
use axum::body::{Body, HttpBody};
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use hyper::body::{Frame, SizeHint};
use std::io;
use std::pin::Pin;
use std::str::FromStr;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::{Sleep, sleep};

/// The header that asks for faults.
pub const HEADER: &str = "x-sandbox-fault";

/// Longest `delay` and longest pause of `slow-body`.
const MAX_PAUSE: Duration = Duration::from_mins(10);
const MAX_BIG_BODY: u64 = 1 << 30;
const SLOW_PIECES: u64 = 64;

/// What becomes of one answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    pub(super) delay: Option<Duration>,
    pub(super) status: Option<StatusCode>,
    pub(super) hang: bool,
    pub(super) close: bool,
    close_after_head: bool,
    slow_body: Option<Duration>,
    big_body: Option<u64>,
}

impl Faults {
    /// These, and what every [`HEADER`] field asks for; of two of a kind the latter.
    ///
    /// # Errors
    /// The fault that is not one of ours.
    pub(super) fn with_headers(mut self, headers: &HeaderMap) -> Result<Self, String> {
        for field in headers.get_all(HEADER) {
            self.add_all(&String::from_utf8_lossy(field.as_bytes()))?;
        }
        Ok(self)
    }

    fn add_all(&mut self, faults: &str) -> Result<(), String> {
        faults
            .split(';')
            .map(str::trim)
            .filter(|fault| !fault.is_empty())
            .try_for_each(|fault| self.add(fault).ok_or_else(|| fault.to_owned()))
    }

    fn add(&mut self, fault: &str) -> Option<()> {
        match fault.split_once('=').unwrap_or((fault, "")) {
            ("delay", pause) => self.delay = Some(parse_pause(pause)?),
            ("status", status) => self.status = Some(parse_status(status)?),
            ("hang", "") => self.hang = true,
            ("close", "") => self.close = true,
            ("close-after-head", "") => self.close_after_head = true,
            ("slow-body", pause) => self.slow_body = Some(parse_pause(pause)?),
            ("big-body", size) => self.big_body = Some(parse_size(size).filter(|size| *size <= MAX_BIG_BODY)?),
            _ => return None,
        }
        Some(())
    }

    /// True when the body of the answer is not sent as it is.
    pub(super) fn touch_body(&self) -> bool {
        self.close_after_head || self.slow_body.is_some() || self.big_body.is_some()
    }

    /// The body to send instead of `body`, which is the whole body of the route.
    pub(super) fn body(&self, body: Bytes) -> Body {
        let content = self.big_body.map_or(FaultBody::Given(body), FaultBody::Filler);
        let length = content.remaining();
        Body::new(FaultyBody {
            content,
            piece: if self.slow_body.is_some() { length.div_ceil(SLOW_PIECES).max(1) } else { u64::MAX },
            pause: self.slow_body,
            pausing: None,
            breaks: self.close_after_head,
            left_at_close: if self.close_after_head { length.div_ceil(2) } else { 0 },
        })
    }
}

impl FromStr for Faults {
    type Err = String;

    /// Reads what a [`HEADER`] field may hold; the error is the fault that is not one of ours.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut faults = Self::default();
        faults.add_all(text).map(|()| faults)
    }
}

fn parse_pause(text: &str) -> Option<Duration> {
    parse_duration(text).filter(|pause| *pause <= MAX_PAUSE)
}

/// A final status: hyper sends no other.
fn parse_status(text: &str) -> Option<StatusCode> {
    StatusCode::from_bytes(text.as_bytes()).ok().filter(|status| !status.is_informational())
}

/// Reads `512`, `64KiB` or `5MiB`.
fn parse_size(text: &str) -> Option<u64> {
    let (digits, unit) = match text.strip_suffix("iB").map(|text| text.split_at_checked(text.len().checked_sub(1)?)) {
        None => (text, 1),
        Some(Some((digits, "K"))) => (digits, 1 << 10),
        Some(Some((digits, "M"))) => (digits, 1 << 20),
        Some(Some((digits, "G"))) => (digits, 1 << 30),
        Some(_) => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(unit)
}

/// What a body is made of.
enum FaultBody {
    Given(Bytes),
    /// That many times the letter x.
    Filler(u64),
}

impl FaultBody {
    fn remaining(&self) -> u64 {
        match self {
            Self::Given(bytes) => bytes.len() as u64,
            Self::Filler(left) => *left,
        }
    }

    /// Takes up to `most` bytes.
    fn take(&mut self, most: u64) -> Bytes {
        static FILLER: [u8; 64 << 10] = [b'x'; 64 << 10];
        let cap = |most: u64, held: usize| usize::try_from(most).map_or(held, |most| most.min(held));
        match self {
            Self::Given(bytes) => bytes.split_to(cap(most, bytes.len())),
            Self::Filler(left) => {
                let piece = &FILLER[..cap(most.min(*left), FILLER.len())];
                *left -= piece.len() as u64;
                Bytes::from_static(piece)
            }
        }
    }
}

/// A body that takes its time or breaks off. Its length is announced truthfully, so that a caller can tell.
struct FaultyBody {
    content: FaultBody,
    /// Most bytes at a time.
    piece: u64,
    pause: Option<Duration>,
    pausing: Option<Pin<Box<Sleep>>>,
    breaks: bool,
    /// What is still unsent when the body breaks off.
    left_at_close: u64,
}

impl HttpBody for FaultyBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        /// hyper writes out what it holds while the body makes it wait, and drops it when the body fails at once.
        const FLUSH: Duration = Duration::from_millis(20);
        if let Some(pausing) = &mut self.pausing {
            ready!(pausing.as_mut().poll(context));
            self.pausing = None;
        }
        let due = self.content.remaining() - self.left_at_close;
        if due == 0 {
            return Poll::Ready(self.breaks.then(|| Err(io::Error::other("the fault close-after-head"))));
        }
        let most = self.piece.min(due);
        let piece = self.content.take(most);
        let last = self.content.remaining() == self.left_at_close;
        let pause = if last && self.breaks { Some(FLUSH) } else { self.pause };
        self.pausing = pause.map(|pause| Box::pin(sleep(pause)));
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.content.remaining())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(field: &str) -> Result<Faults, String> {
        let mut headers = HeaderMap::new();
        headers.insert(HEADER, field.parse().unwrap());
        Faults::default().with_headers(&headers)
    }

    #[test]
    fn faults_are_read() {
        let read = faults("delay=250ms; status=503;slow-body=10ms ; big-body=5MiB").unwrap();
        assert_eq!(read.delay, Some(Duration::from_millis(250)));
        assert_eq!(read.status, Some(StatusCode::SERVICE_UNAVAILABLE));
        assert_eq!(read.slow_body, Some(Duration::from_millis(10)));
        assert_eq!(read.big_body, Some(5 << 20));
        assert!(faults("hang").unwrap().hang && faults("close").unwrap().close);
        assert_eq!(faults(" ; ").unwrap(), Faults::default());
    }

    #[test]
    fn what_a_request_asks_for_comes_on_top() {
        let mut headers = HeaderMap::new();
        headers.insert(HEADER, "status=503".parse().unwrap());
        let faults = "delay=1s; status=500".parse::<Faults>().unwrap().with_headers(&headers).unwrap();
        assert_eq!(
            (faults.delay, faults.status),
            (Some(Duration::from_secs(1)), Some(StatusCode::SERVICE_UNAVAILABLE))
        );
    }

    #[test]
    fn anything_else_is_named() {
        for bad in [
            "explode",
            "delay",
            "delay=soon",
            "delay=11m",
            "status=99",
            "status=100",
            "hang=1",
            "big-body=2GiB",
            "big-body=iB",
            "big-body=5XiB",
            "big-body=é",
        ] {
            assert_eq!(faults(&format!("close;{bad}")).unwrap_err(), bad);
        }
    }

    #[test]
    fn sizes() {
        for (text, size) in [("512", 512), ("64KiB", 65_536), ("5MiB", 5 << 20), ("1GiB", 1 << 30)] {
            assert_eq!(parse_size(text), Some(size), "{text}");
        }
        assert_eq!(parse_size("99999999999999999GiB"), None);
    }
}
