//! The latest refusals, for whoever asks why: in memory, the oldest gives way.

use super::log_line;
use crate::domain::denial::{DenyCode, Reason};
use crate::domain::exchange::{EndCode, Record};
use crate::domain::types::{RequestId, Wall};
use crate::explain::{Refusal, printable};
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;

/// How many are kept. One takes at most about 1.4 KiB (path, method and request id are cut or refused by then; the rest
/// are names of the configuration), so all of them take at most 1.5 MiB.
pub const RECENT_REFUSALS: usize = 1024;

/// Requests that were refused or would have been, the latest last.
#[derive(Debug, Default)]
pub struct RecentRefusals(Mutex<VecDeque<Kept>>);

/// What is kept of a record: as it came, so that taking it down under an attack costs little.
#[derive(Clone, Debug)]
struct Kept {
    wall: Wall,
    request_id: RequestId,
    code: DenyCode,
    enforced: bool,
    reason: Option<Reason>,
    consumer: Option<Arc<str>>,
    key_id: Option<Arc<str>>,
    client_ip: IpAddr,
    method: Box<[u8]>,
    path: Box<[u8]>,
    route: Option<Arc<str>>,
}

impl RecentRefusals {
    pub(super) fn take_down(&self, record: &Record) {
        let (code, enforced, reason) = match (record.code, record.would_refuse) {
            (EndCode::Denied(code), _) => (code, true, record.reason),
            (_, Some(would)) => (would.code, false, would.reason),
            _ => return,
        };
        let kept = Kept {
            wall: record.wall,
            request_id: record.request_id.clone(),
            code,
            enforced,
            reason,
            consumer: record.consumer.clone(),
            key_id: record.key_id.clone(),
            client_ip: record.client_ip,
            method: record.method.clone(),
            path: record.path.clone(),
            route: record.route.clone(),
        };
        let mut all = self.0.lock();
        if all.len() == RECENT_REFUSALS {
            all.pop_front();
        }
        all.push_back(kept);
    }

    /// At most `limit` of them, the latest first.
    #[must_use]
    pub fn latest(&self, limit: usize) -> Vec<Refusal> {
        let found: Vec<Kept> = self.0.lock().iter().rev().take(limit).cloned().collect();
        found.iter().map(shown).collect()
    }

    /// The latest with this request id. Callers may choose ids, so there can be several.
    #[must_use]
    pub fn find(&self, request_id: &str) -> Option<Refusal> {
        let found = self.0.lock().iter().rev().find(|kept| kept.request_id.as_str() == request_id).cloned();
        found.as_ref().map(shown)
    }
}

fn shown(kept: &Kept) -> Refusal {
    let mut time = Vec::new();
    log_line::time(&mut time, kept.wall);
    Refusal {
        time: String::from_utf8_lossy(&time).into_owned(),
        request_id: kept.request_id.as_str().to_owned(),
        code: kept.code,
        enforced: kept.enforced,
        reason: kept.reason.map_or("", Reason::as_str).to_owned(),
        consumer: kept.consumer.as_deref().map(str::to_owned),
        key_id: kept.key_id.as_deref().map(str::to_owned),
        client_ip: kept.client_ip.to_string(),
        method: printable(&kept.method),
        path: printable(&kept.path),
        route: kept.route.as_deref().map(str::to_owned),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::policy::WouldRefuse;
    use crate::telemetry::fixture;

    fn refused(id: &str) -> Record {
        Record {
            request_id: RequestId::from_caller(id.as_bytes()).unwrap(),
            code: EndCode::Denied(DenyCode::ForbiddenRoute),
            reason: Some(crate::domain::denial::Reason::NoAllowRule),
            ..fixture::answered()
        }
    }

    #[test]
    fn the_latest_come_first_and_the_oldest_gives_way() {
        let ring = RecentRefusals::default();
        for number in 0..RECENT_REFUSALS + 2 {
            ring.take_down(&refused(&format!("r{number}")));
        }
        let latest: Vec<_> = ring.latest(2).into_iter().map(|refusal| refusal.request_id).collect();
        assert_eq!(latest, ["r1025", "r1024"]);
        assert_eq!(ring.latest(usize::MAX).len(), RECENT_REFUSALS);
        assert!(ring.find("r1").is_none());
        let oldest = ring.find("r2").unwrap();
        assert_eq!(
            (oldest.code, oldest.enforced, oldest.time.as_str()),
            (DenyCode::ForbiddenRoute, true, "2026-09-21T14:13:20.123Z")
        );
    }

    #[test]
    fn what_was_only_observed_is_kept_and_good_requests_are_not() {
        let ring = RecentRefusals::default();
        ring.take_down(&fixture::answered());
        assert!(ring.latest(9).is_empty());
        let would_refuse = Some(WouldRefuse {
            code: DenyCode::SessionUnknown,
            reason: Some(crate::domain::denial::Reason::TokenForeign),
            issued: None,
        });
        ring.take_down(&Record { would_refuse, path: (*b"/\x1b").into(), ..fixture::answered() });
        let kept = ring.latest(9).remove(0);
        assert_eq!((kept.code, kept.enforced, kept.path.as_str()), (DenyCode::SessionUnknown, false, "/\\x1b"));
    }
}
