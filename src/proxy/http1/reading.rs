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
use std::sync::Arc;
use tokio::time::{Instant, timeout, timeout_at};

/// What reading the next head came to.
pub(super) enum Next {
    /// A whole head is in the buffer and was decided on.
    Request(Asked),
    /// Answered without any policy: a browser that has to come again by https, a certificate authority that looks for a
    /// token.
    Answered { exchange: Box<Exchange>, status: u16, bytes: Vec<u8> },
    /// A head that cannot be used.
    Refused { exchange: Box<Exchange>, denial: Denial, is_head: bool },
    /// Closed, idle for too long, or the gate is ending.
    End(ConnectionOutcome),
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
    /// Waits for the next head, reads it and decides.
    pub(super) async fn next(&mut self, caller: &mut CallerStream) -> Next {
        let settings = self.shared().settings.load_full();
        let limits = &settings.connections;
        if caller.buffered().is_empty() {
            let patience = if self.served == 0 { limits.head_timeout } else { limits.keepalive_timeout };
            let first = tokio::select! {
                biased;
                read = timeout(patience, caller.fill()) => read,
                _ = self.shutdown.wait_for(|stop| *stop) => return Next::End(ConnectionOutcome::Closed),
            };
            match first {
                Ok(Ok(read)) if read > 0 => {}
                Ok(_) => return Next::End(ConnectionOutcome::Closed),
                Err(_) if self.served == 0 => {
                    self.record_silence(&settings);
                    return Next::End(ConnectionOutcome::Silent);
                }
                Err(_) => return Next::End(ConnectionOutcome::Idle),
            }
        }
        let deadline = Instant::now() + limits.head_timeout;
        let mut may_skip = true;
        loop {
            if may_skip && caller.buffered().starts_with(b"\r\n") {
                // One empty line before a request is tolerated (RFC 9112 section 2.2).
                caller.discard(2);
                may_skip = false;
            }
            if let Some(next) = self.decide(caller.buffered()) {
                return next;
            }
            match timeout_at(deadline, caller.fill()).await {
                Ok(Ok(read)) if read > 0 => {}
                Ok(_) => {
                    self.record_break(&settings, caller.buffered());
                    return Next::End(ConnectionOutcome::Broken);
                }
                Err(_) => {
                    let denial = Denial::because(Reason::HeadTooSlow);
                    return self.refused(&settings, denial, head::fragment(caller.buffered()));
                }
            }
        }
    }

    /// Scans what is buffered, under the rules of this moment; `None` while the head is incomplete.
    fn decide(&self, buffered: &[u8]) -> Option<Next> {
        let settings = &*self.shared().settings.load();
        let snapshot = &settings.snapshot;
        match head::scan(buffered, snapshot.limits.head, &snapshot.fields, self.origin) {
            Scan::Partial => None,
            Scan::Refused(denial, fragment) => Some(self.refused(settings, denial, fragment)),
            Scan::Complete(head_len, view) => {
                if let Some(answered) = self.without_policy(snapshot, &view) {
                    return Some(answered);
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
        Next::Refused { exchange: Box::new(exchange), denial, is_head: fragment.method == b"HEAD" }
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
