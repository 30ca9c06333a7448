//! What would have been refused, for the admin who wants to know whether guarding is safe yet.

use crate::domain::denial::DenyCode;
use crate::domain::exchange::Record;
use crate::domain::session::unfamiliar::Issued;
use crate::domain::types::Mono;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;

/// How often one kind of refusal was not carried out, and when last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WouldRefuseCount {
    pub consumer: Arc<str>,
    pub code: DenyCode,
    pub issued: Option<Issued>,
    pub count: u64,
    pub last: Mono,
}

type LedgerKey = (Arc<str>, DenyCode, Option<Issued>);

/// Counts by consumer, code and origin: bounded by the configuration and closed sets.
#[derive(Debug, Default)]
pub struct WouldRefuseLedger(Mutex<HashMap<LedgerKey, (u64, Mono)>>);

impl WouldRefuseLedger {
    pub(super) fn take_down(&self, record: &Record) {
        let (Some(would), Some(consumer)) = (record.would_refuse, &record.consumer) else { return };
        let mut counts = self.0.lock();
        let entry = counts.entry((Arc::clone(consumer), would.code, would.issued)).or_insert((0, Mono(0)));
        *entry = (entry.0 + 1, crate::platform::clock::now().mono);
    }

    /// Every kind so far, by consumer and code.
    #[must_use]
    pub fn counts(&self) -> Vec<WouldRefuseCount> {
        let counts = self.0.lock();
        let mut all: Vec<_> = counts
            .iter()
            .map(|((consumer, code, issued), (count, last))| WouldRefuseCount {
                consumer: Arc::clone(consumer),
                code: *code,
                issued: *issued,
                count: *count,
                last: *last,
            })
            .collect();
        all.sort_by(|a, b| (&a.consumer, a.code.as_str()).cmp(&(&b.consumer, b.code.as_str())));
        all
    }
}
