//! The way of 8sens's answer to the caller.

use super::answer_head::{self, AnswerRules};
use super::request_body::chunk;
use super::stream::UpstreamStream;
use crate::config::MinimumRate;
use crate::domain::answer::framing::Content;
use crate::domain::answer::head::{AnswerScanner, Head, Scan};
use crate::domain::exchange::Fault;
use crate::domain::request::Method;
use crate::domain::request::chunked::{ChunkScanner, InvalidChunk};
use crate::proxy::buffer::{ReadBuffer, SIZE, WriteBuffer};
use crate::proxy::caller_stream::CallerStream;
use crate::proxy::lane::upstream::Upstream;
use crate::proxy::lane::{Carriage, Passing};
use crate::proxy::pace::Pace;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::AsyncWrite;
use tokio::time::Instant;

/// An answer that is being read and passed on.
#[derive(Debug)]
pub(super) struct Receiving {
    scanner: AnswerScanner,
    content: Reading,
    /// How the caller is told where pieces end.
    is_chunked: bool,
    read: ReadBuffer<SIZE>,
    /// Data of chunks on its way from `read`.
    data: WriteBuffer,
    out: WriteBuffer,
    taken: usize,
    /// Written to the caller and not flushed.
    is_dirty: bool,
    pace: Pace,
    came: Came,
    moved_at: Option<Instant>,
    keeps_connection: bool,
    closes_caller: bool,
    /// What was wrong with the answer, for the application log.
    invalid: Option<&'static str>,
}

/// How much of an answer has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Came {
    Nothing,
    /// Some bytes, and no head that can be passed on.
    Something,
    /// A head, which is on its way to the caller.
    Head,
}

/// What is being read.
#[derive(Debug)]
enum Reading {
    Head,
    Length(u64),
    Chunked(ChunkScanner),
    UntilClose,
    Ended,
}

/// What an answer is passed on by, beside its bytes.
pub(super) struct Way<'w> {
    pub caller: &'w mut CallerStream,
    pub carriage: &'w mut Carriage,
    pub upstream: &'w Upstream,
    /// The last byte of the request was written.
    pub request_is_sent: bool,
    /// The whole body of the request has come.
    pub body_is_done: bool,
    pub body_read: u64,
    /// It could be sent from its beginning.
    pub body_can_restart: bool,
    pub gate_is_ending: bool,
}

/// Who has to do something before an answer goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WaitsFor {
    /// The whole answer was taken.
    Nobody,
    Caller,
    Upstream,
}

impl Receiving {
    /// The answer to a request with this method, whose body has to come at this pace while the gate waits for it.
    #[must_use]
    pub(super) fn new(method: Method, pace: MinimumRate) -> Self {
        Self {
            scanner: AnswerScanner::new(method),
            content: Reading::Head,
            is_chunked: false,
            read: ReadBuffer::default(),
            data: WriteBuffer::default(),
            out: WriteBuffer::default(),
            taken: 0,
            is_dirty: false,
            pace: Pace::new(pace),
            came: Came::Nothing,
            moved_at: None,
            keeps_connection: false,
            closes_caller: true,
            invalid: None,
        }
    }

    #[must_use]
    pub(super) const fn came(&self) -> Came {
        self.came
    }

    /// When 8sens said something last.
    #[must_use]
    pub(super) const fn moved_at(&self) -> Option<Instant> {
        self.moved_at
    }

    /// The answer has come to its end, and 8sens neither closes the connection nor has said anything behind it.
    #[must_use]
    pub(super) fn keeps_connection(&self) -> bool {
        self.keeps_connection && matches!(self.content, Reading::Ended) && self.read.filled().is_empty()
    }

    /// The caller was told that its connection ends with this answer.
    #[must_use]
    pub(super) const fn closes_caller(&self) -> bool {
        self.closes_caller
    }

    /// What was wrong with an answer that is not passed on.
    #[must_use]
    pub(super) const fn invalid(&self) -> Option<&'static str> {
        self.invalid
    }

    /// When 8sens will have been too slow with the content that is waited for; `None` while its head is.
    pub(super) fn too_slow_at(&mut self) -> Option<Instant> {
        (self.came == Came::Head).then(|| self.pace.waits_until())
    }

    /// Goes on until the whole answer was taken by the caller, or somebody is waited for.
    ///
    /// # Errors
    /// What broke it off. What was good of it may still have to be passed on: see [`Self::poll_pass_on`].
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut UpstreamStream,
        way: &mut Way<'_>,
    ) -> Result<WaitsFor, Fault> {
        loop {
            match self.poll_pass_on(cx, way.caller) {
                Poll::Ready(passed_on) => passed_on?,
                Poll::Pending => return Ok(WaitsFor::Caller),
            }
            if matches!(self.content, Reading::Ended) {
                return Ok(WaitsFor::Nobody);
            }
            match self.read.poll_fill(cx, stream) {
                Poll::Ready(Ok(0)) => self.end(way)?,
                Poll::Ready(Ok(read)) => {
                    self.moved_at = Some(way.carriage.read_clock());
                    self.pace.moved(read);
                    self.came = if self.came == Came::Nothing { Came::Something } else { self.came };
                    self.advance(way)?;
                }
                Poll::Ready(Err(_)) => return Err(self.closed()),
                Poll::Pending => return Ok(WaitsFor::Upstream),
            }
        }
    }

    /// Passes on what the caller has not taken yet.
    ///
    /// # Errors
    /// When the caller takes no more.
    pub(super) fn poll_pass_on(&mut self, cx: &mut Context<'_>, caller: &mut CallerStream) -> Poll<Result<(), Fault>> {
        let mut caller = Pin::new(caller);
        while self.taken < self.out.len() {
            match ready!(caller.as_mut().poll_write(cx, &self.out[self.taken..])) {
                Ok(taken) if taken > 0 => self.taken += taken,
                _ => return Poll::Ready(Err(Fault::CallerLeft)),
            }
            self.is_dirty = true;
        }
        if self.is_dirty {
            ready!(caller.poll_flush(cx)).map_err(|_| Fault::CallerLeft)?;
            self.is_dirty = false;
        }
        self.taken = 0;
        self.out.give_back();
        Poll::Ready(Ok(()))
    }

    /// Takes what has been read of head and content.
    fn advance(&mut self, way: &mut Way<'_>) -> Result<(), Fault> {
        while matches!(self.content, Reading::Head) {
            match self.scanner.scan(self.read.filled()) {
                Scan::Partial => return Ok(()),
                Scan::Interim(len) => self.read.consume(len),
                Scan::Complete(head) => self.begin(&head, way)?,
                Scan::Invalid(fault) => {
                    self.invalid = Some(fault.as_str());
                    return Err(Fault::AnswerNotParsed);
                }
            }
        }
        self.follow(way)
    }

    /// The head is there: it goes on.
    fn begin(&mut self, head: &Head, way: &mut Way<'_>) -> Result<(), Fault> {
        if way.body_can_restart && way.carriage.is_sent_again(head.status) {
            return Err(Fault::SessionOver);
        }
        let Way { carriage, upstream, request_is_sent, body_is_done, body_read, gate_is_ending, .. } = way;
        carriage.answer_head(head.status, head.framing);
        self.closes_caller = !*body_is_done || carriage.ends_with_this(*body_is_done, *body_read, *gate_is_ending);
        let rules = AnswerRules {
            edits: carriage.answer_edits(head.framing),
            upstream: &carriage.settings.upstream,
            addresses: &|| upstream.addresses(),
            now: carriage.now().wall,
            closes: self.closes_caller,
        };
        answer_head::write(self.out.take(), self.read.filled(), head, &rules);
        carriage.answer_head_sent();
        self.read.consume(head.len);
        self.came = Came::Head;
        // Who answers before it has the request may not read the rest of it.
        self.keeps_connection = head.keeps_connection && *request_is_sent;
        self.is_chunked = matches!(head.framing.content, Content::Chunked | Content::UntilClose);
        self.content = match head.framing.content {
            Content::Length(length) if length > 0 => Reading::Length(length),
            Content::Chunked => Reading::Chunked(ChunkScanner::default()),
            Content::UntilClose => Reading::UntilClose,
            Content::Length(_) | Content::None => Reading::Ended,
            Content::Dropped => {
                // Whatever comes is not worth reading to its end.
                self.keeps_connection = false;
                Reading::Ended
            }
        };
        if matches!(self.content, Reading::Ended) {
            return self.pass(way, PassedFrom::Nowhere, true);
        }
        Ok(())
    }

    /// Takes what has been read of the content.
    fn follow(&mut self, way: &mut Way<'_>) -> Result<(), Fault> {
        let filled = self.read.filled();
        match &mut self.content {
            Reading::Head | Reading::Ended => Ok(()),
            Reading::Length(left) => {
                let take = usize::try_from(*left).unwrap_or(usize::MAX).min(filled.len());
                *left -= take as u64;
                let is_last = *left == 0;
                if is_last {
                    self.content = Reading::Ended;
                }
                if take == 0 { Ok(()) } else { self.pass(way, PassedFrom::Read(take), is_last) }
            }
            Reading::UntilClose => {
                let take = filled.len();
                if take == 0 { Ok(()) } else { self.pass(way, PassedFrom::Read(take), false) }
            }
            Reading::Chunked(scanner) => {
                let data = self.data.take();
                let followed = scanner.decode(filled, |piece| data.extend_from_slice(piece));
                let is_last = scanner.is_done();
                if is_last {
                    self.content = Reading::Ended;
                }
                if is_last || !self.data.is_empty() {
                    self.pass(way, PassedFrom::Data, is_last)?;
                }
                self.data.give_back();
                let followed = followed.map_err(|InvalidChunk(why)| {
                    self.invalid = Some(why);
                    Fault::AnswerNotValid
                });
                self.read.consume(followed?);
                Ok(())
            }
        }
    }

    /// Passes a piece of the content on, or keeps it back, as the exchange says.
    fn pass(&mut self, way: &mut Way<'_>, from: PassedFrom, is_last: bool) -> Result<(), Fault> {
        let piece = match from {
            PassedFrom::Nowhere => &[][..],
            PassedFrom::Read(len) => &self.read.filled()[..len],
            PassedFrom::Data => &self.data,
        };
        let out = self.out.take();
        let mut write = |bytes: &[u8]| if self.is_chunked { chunk(out, bytes) } else { out.extend_from_slice(bytes) };
        match way.carriage.answer_chunk(piece, is_last)? {
            Passing::AsItIs => write(piece),
            Passing::Held(whole) => write(&whole),
            Passing::Nothing => {}
        }
        if is_last && self.is_chunked {
            self.out.extend_from_slice(b"0\r\n\r\n");
        }
        if let PassedFrom::Read(len) = from {
            self.read.consume(len);
        }
        Ok(())
    }

    /// 8sens has closed.
    fn end(&mut self, way: &mut Way<'_>) -> Result<(), Fault> {
        if !matches!(self.content, Reading::UntilClose) {
            return Err(self.closed());
        }
        self.content = Reading::Ended;
        self.pass(way, PassedFrom::Nowhere, true)
    }

    /// What a connection that ends now means. Whether it had served another request is for whoever knows to say.
    const fn closed(&self) -> Fault {
        match self.came {
            Came::Nothing => Fault::ClosedBeforeAnswer { reused: false },
            Came::Something | Came::Head => Fault::ClosedInAnswer,
        }
    }
}

/// Where a piece of the content is.
#[derive(Clone, Copy)]
enum PassedFrom {
    Nowhere,
    /// So many bytes that were read.
    Read(usize),
    /// The data of chunks.
    Data,
}
