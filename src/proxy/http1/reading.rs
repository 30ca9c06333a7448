//! Reading the next head of a connection and deciding on it.

use super::Connection;
use crate::config::Settings;
use crate::domain::denial::{Denial, Reason};
use crate::domain::exchange::{Exchange, Outcome, Step};
use crate::domain::request::Framing;
use crate::domain::request::chunked::ChunkScanner;
use crate::domain::request::head::{self, Fragment, Scan};
use crate::platform::clock;
use crate::proxy::caller_stream::CallerStream;
use crate::proxy::listener::fresh_id;
use crate::proxy::ticket::Ticket;
use crate::proxy::unread_body::Body;
use crate::telemetry::ConnectionOutcome;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::time::Instant;

/// What reading the next head came to.
pub(super) enum Next {
    /// A whole head is in the buffer and was decided on.
    Request(Asked),
    /// There is one more thing to say, and the connection ends with it.
    Last(Last),
    /// Closed, idle for too long, or the gate is ending.
    End(ConnectionOutcome),
}

/// The last that is said on a connection.
pub(super) enum Last {
    /// Answered without any policy: a browser that has to come again by https, a certificate authority that looks for a
    /// token.
    Answered { exchange: Box<Exchange>, status: u16, bytes: Vec<u8> },
    /// A head that cannot be used.
    Refused { exchange: Box<Exchange>, denial: Denial, is_head: bool },
}

/// What came of waiting for the beginning of a head.
enum First {
    Came,
    /// The caller has closed, or the gate is ending.
    Over,
    Late,
}

/// A request, and what was decided on it.
pub(super) struct Asked {
    pub body: Body,
    pub is_head: bool,
    /// The caller wants the connection closed after it.
    pub closes: bool,
    pub exchange: Box<Exchange>,
    pub step: Step,
}

impl Connection<'_> {
    /// Waits for the next head, reads it and decides. `ending` is ready when the gate is ending.
    pub(super) async fn next(&mut self, caller: &mut CallerStream, ending: Pin<&mut impl Future<Output = ()>>) -> Next {
        let settings = self.shared().settings.load_full();
        let limits = &settings.connections;
        if caller.buffered().is_empty() {
            let patience = if self.served == 0 { limits.head_timeout } else { limits.keepalive_timeout };
            match self.first_bytes(caller, ending, patience).await {
                First::Came => {}
                First::Over => return Next::End(ConnectionOutcome::Closed),
                First::Late if self.served == 0 => {
                    self.record_silence(&settings);
                    return Next::End(ConnectionOutcome::Silent);
                }
                First::Late => return Next::End(ConnectionOutcome::Idle),
            }
        }
        let mut deadline = None;
        let mut may_skip = true;
        loop {
            if may_skip && caller.buffered().starts_with(b"\r\n") {
                // One empty line before a request is tolerated (RFC 9112 section 2.2).
                caller.discard(2);
                may_skip = false;
            }
            if let Some(next) = self.decide(caller) {
                return next;
            }
            let deadline = *deadline.get_or_insert_with(|| Instant::now() + limits.head_timeout);
            let more = poll_fn(|cx| match caller.poll_fill(cx) {
                Poll::Ready(read) => Poll::Ready(Some(read)),
                Poll::Pending => self.timer.poll(cx, deadline).map(|()| None),
            });
            match more.await {
                Some(Ok(read)) if read > 0 => {}
                Some(_) => {
                    self.record_break(&settings, caller.buffered());
                    return Next::End(ConnectionOutcome::Broken);
                }
                None => {
                    let denial = Denial::because(Reason::HeadTooSlow);
                    return self.refused(&settings, denial, head::fragment(caller.buffered()));
                }
            }
        }
    }

    /// Waits for the beginning of a head.
    async fn first_bytes(
        &mut self,
        caller: &mut CallerStream,
        mut ending: Pin<&mut impl Future<Output = ()>>,
        patience: Duration,
    ) -> First {
        let mut deadline = None;
        poll_fn(|cx| {
            if let Poll::Ready(read) = caller.poll_fill(cx) {
                return Poll::Ready(if matches!(read, Ok(read) if read > 0) { First::Came } else { First::Over });
            }
            if ending.as_mut().poll(cx).is_ready() {
                return Poll::Ready(First::Over);
            }
            let deadline = *deadline.get_or_insert_with(|| Instant::now() + patience);
            self.timer.poll(cx, deadline).map(|()| First::Late)
        })
        .await
    }

    /// Scans what is buffered, under the rules of this moment; `None` while the head is incomplete.
    fn decide(&self, caller: &mut CallerStream) -> Option<Next> {
        let settings = &*self.shared().settings.load();
        let snapshot = &settings.snapshot;
        let (buffered, lines) = caller.to_scan();
        match head::scan(buffered, snapshot.limits.head, &snapshot.fields, self.origin, lines) {
            Scan::Partial => None,
            Scan::Refused(denial, fragment) => Some(self.refused(settings, denial, fragment)),
            Scan::Complete(head_len, view) => {
                if let Some(answered) = self.without_policy(snapshot, &view) {
                    return Some(Next::Last(answered));
                }
                let closes = view.connection_options().any(|option| option.eq_ignore_ascii_case(b"close"));
                let (exchange, mut step) = Exchange::begin(
                    Arc::clone(snapshot),
                    Arc::clone(&self.shared().tables),
                    &view,
                    fresh_id(),
                    clock::now(),
                );
                if matches!(step, Step::Forward(_)) && is_bad_from_the_start(view.framing, &buffered[head_len..]) {
                    // 8sens need not hear of a request that cannot end well.
                    step = Step::Deny(Denial::because(Reason::BadChunk));
                }
                let body = Body { head_len, framing: view.framing, expects_continue: view.expect.count() > 0 };
                let (is_head, exchange) = (view.method == b"HEAD", Box::new(exchange));
                Some(Next::Request(Asked { body, is_head, closes, exchange, step }))
            }
        }
    }

    fn refused(&self, settings: &Settings, denial: Denial, fragment: Fragment<'_>) -> Next {
        let exchange = self.unreadable(settings, fragment, &denial);
        Next::Last(Last::Refused { exchange: Box::new(exchange), denial, is_head: fragment.method == b"HEAD" })
    }

    pub(super) fn unreadable(&self, settings: &Settings, fragment: Fragment<'_>, denial: &Denial) -> Exchange {
        self.listener.unreadable(settings, self.origin.peer, fragment, denial)
    }

    /// Records a connection that is closed without a word because it never said one. A status would answer a request
    /// that was never made (RFC 9110 section 15.5.9 lets a server close).
    fn record_silence(&self, settings: &Settings) {
        let denial = Denial::because(Reason::Silent);
        let exchange = self.unreadable(settings, Fragment::default(), &denial);
        Ticket::new(exchange, Arc::clone(&self.shared().telemetry)).finish(Outcome::CutOff(denial));
    }

    /// Records a connection that its caller ended within a head.
    fn record_break(&self, settings: &Settings, buffered: &[u8]) {
        let denial = Denial::because(Reason::EndedInHead);
        let exchange = self.unreadable(settings, head::fragment(buffered), &denial);
        Ticket::new(exchange, Arc::clone(&self.shared().telemetry)).finish(Outcome::CallerLeft { status: None });
    }
}

/// True when what has come of a chunked body is not well-formed already.
fn is_bad_from_the_start(framing: Framing, body: &[u8]) -> bool {
    framing == Framing::Chunked && ChunkScanner::default().follow(body).is_err()
}
