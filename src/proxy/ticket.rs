//! An exchange on its way through the edges, with the promise that it leaves exactly one record.

use crate::clock;
use crate::exchange::{Exchange, Outcome};
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
    pub fn new(exchange: Exchange, telemetry: Arc<Telemetry>) -> Self {
        let in_flight = telemetry.metrics.request_in_flight();
        Self { exchange: Some(Box::new(exchange)), telemetry, _in_flight: in_flight }
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
            self.telemetry.record(&exchange.finish(outcome, clock::now()));
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.close(Outcome::Aborted { status: None });
    }
}
