//! What is answered without any policy: a certificate authority that looks for a token, a browser that has to come
//! again by https.

use super::Connection;
use super::reading::Last;
use crate::acme;
use crate::domain::exchange::Exchange;
use crate::domain::policy::transport::exposes_a_secret;
use crate::domain::request::{RequestView, Transport};
use crate::domain::rules::snapshot::Snapshot;
use crate::platform::clock;
use crate::proxy::listener::fresh_id;
use crate::proxy::reply::{challenge_answer, http_date, redirect_to_https};
use std::sync::Arc;

impl Connection<'_> {
    /// The answer to what no policy is asked about.
    pub(super) fn without_policy(&self, snapshot: &Arc<Snapshot>, view: &RequestView<'_>) -> Option<Last> {
        if !matches!(view.method, b"GET" | b"HEAD") {
            return None;
        }
        let is_head = view.method == b"HEAD";
        let answered = |path, now| {
            let (snapshot, tables) = (Arc::clone(snapshot), Arc::clone(&self.shared().tables));
            Box::new(Exchange::answered_here(snapshot, tables, view, path, fresh_id(), now))
        };
        if let Some(token) = self.challenge(view) {
            let now = clock::now();
            // The token itself is in no log.
            let exchange = answered(acme::PREFIX.as_bytes(), now);
            let answer = self.shared().challenges.answer(token);
            let date = http_date(now.wall);
            let (status, bytes) = challenge_answer(answer.as_deref(), exchange.request_id(), &date, is_head);
            return Some(Last::Answered { exchange, status, bytes });
        }
        let (location, now) = (self.redirect(view)?, clock::now());
        let exchange = answered(view.path(), now);
        let bytes = redirect_to_https(&location, exchange.request_id(), &http_date(now.wall), is_head);
        Some(Last::Answered { exchange, status: 308, bytes })
    }

    /// The token that a certificate authority looks for, on whichever listener its way leads to: a proxy in front may
    /// have sent it on by https. A key in clear is for the policy to refuse and to report.
    fn challenge<'v>(&self, view: &'v RequestView<'_>) -> Option<&'v [u8]> {
        let key_in_clear = self.origin.transport == Transport::Cleartext && exposes_a_secret(view);
        self.shared().challenges.token_in(view.path()).filter(|_| !key_in_clear)
    }

    /// Where a request on a redirecting listener is sent: the same host and target by https. One that shows a key is
    /// refused instead, so that whoever sent it notices.
    fn redirect(&self, view: &RequestView<'_>) -> Option<String> {
        let port = self.listener.redirect.filter(|_| !exposes_a_secret(view) && !view.asks_for_https)?;
        if !view.normal_path().is_ok_and(|path| !path.has_encoded_slash()) {
            return None;
        }
        let host = std::str::from_utf8(view.host.first()?).ok()?;
        let name = match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
            _ => host,
        };
        let path = std::str::from_utf8(view.path()).ok()?;
        Some(if port == 443 { format!("https://{name}{path}") } else { format!("https://{name}:{port}{path}") })
    }
}
