//! An exchange on its way through the edges, with the promise that it leaves exactly one record.

use crate::domain::exchange::{Exchange, Outcome};
use crate::domain::types::Now;
use crate::platform::clock;
use crate::telemetry::{InFlight, Telemetry};
use std::sync::Arc;

/// Carries an [`Exchange`] until it is finished. Dropped unfinished, by a panic or a lost task, it records `aborted`.
#[derive(Debug)]
pub struct Ticket {
    /// `None` only once [`Ticket::finish`] or `drop` took it.
    exchange: Option<Box<Exchange>>,
    telemetry: Arc<Telemetry>,
    _in_flight: InFlight,
}

impl Ticket {
    #[must_use]
    pub fn new(exchange: impl Into<Box<Exchange>>, telemetry: Arc<Telemetry>) -> Self {
        let in_flight = telemetry.metrics.request_in_flight();
        Self { exchange: Some(exchange.into()), telemetry, _in_flight: in_flight }
    }

    /// The clocks as they were read when it began.
    #[must_use]
    pub fn began(&self) -> Now {
        self.exchange.as_ref().map_or_else(clock::now, |exchange| exchange.began())
    }

    /// The exchange under way. `None` is unreachable between `new` and `finish`; callers need no second path for it.
    pub fn exchange(&mut self) -> Option<&mut Exchange> {
        self.exchange.as_deref_mut()
    }

    /// Ends the exchange and writes its record.
    pub fn finish(mut self, outcome: Outcome) {
        self.close(outcome);
    }

    fn close(&mut self, outcome: Outcome) {
        if let Some(exchange) = self.exchange.take() {
            let now = clock::later(exchange.began());
            self.telemetry.record(&exchange.finish(outcome, now), now.mono);
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.close(Outcome::Aborted { status: None });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{AccessLogTarget, LogSettings};
    use crate::domain::denial::{Denial, DenyCode};
    use crate::domain::request::head::Fragment;
    use crate::domain::tables::{NoJournal, Tables};
    use crate::domain::types::RequestId;
    use std::path::Path;
    use zeroize::Zeroizing;

    fn ticket(telemetry: &Arc<Telemetry>) -> Ticket {
        let source = include_str!("../../tests/config/valid/minimal.toml")
            .replace("file = \"8sens-api-key\"", "env = \"CARGO_PKG_NAME\"");

        let settings = crate::config::parse(&source, "minimal.toml", Path::new(".")).unwrap().settings;
        let id = RequestId::from_random([7; 16]);
        let now = clock::now();
        let tables = Tables::new(&Zeroizing::new([0; 32]), &settings.snapshot, Box::new(NoJournal), now);
        let denial = Denial::new(DenyCode::MissingKey);
        let peer = [127, 0, 0, 1].into();
        let exchange =
            Exchange::unreadable(settings.snapshot, Arc::new(tables), peer, Fragment::default(), &denial, id, now);
        Ticket::new(exchange, Arc::clone(telemetry))
    }

    fn counted(telemetry: &Telemetry) -> Vec<String> {
        let (_, text) = telemetry.metrics.render();
        let text = String::from_utf8(text).unwrap();
        text.lines().filter(|line| line.starts_with("sensgate_requests_total")).map(str::to_owned).collect()
    }

    #[test]
    fn every_end_leaves_one_record() {
        let log = LogSettings { access: AccessLogTarget::Off, ..LogSettings::default() };
        let telemetry = Arc::new(Telemetry::start(&log).unwrap());
        ticket(&telemetry).finish(Outcome::Denied(Denial::new(DenyCode::MissingKey)));
        assert_eq!(counted(&telemetry).len(), 1);
        assert!(counted(&telemetry)[0].contains("code=\"missing_key\"") && counted(&telemetry)[0].ends_with(" 1"));

        drop(ticket(&telemetry));
        let lost = std::thread::spawn({
            let ticket = ticket(&telemetry);
            move || {
                let _held = ticket;
                panic!("a task is lost");
            }
        });
        assert!(lost.join().is_err());
        let aborted: Vec<_> =
            counted(&telemetry).into_iter().filter(|line| line.contains("code=\"aborted\"")).collect();
        assert!(aborted.len() == 1 && aborted[0].ends_with(" 2"), "{aborted:?}");
    }
}
