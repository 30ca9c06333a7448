//! Whether the gate wants new work, as load balancers and orchestrators ask.

use std::sync::atomic::{AtomicBool, Ordering};

/// Shared between the server, which sets it, and `/readyz`. A gate whose 8sens is down is still ready: it answers
/// callers with a proper refusal, which a load balancer in front would hide.
#[derive(Debug, Default)]
pub struct Readiness {
    listening: AtomicBool,
    draining: AtomicBool,
}

impl Readiness {
    /// States whether all listeners are bound.
    pub fn set_listening(&self, listening: bool) {
        self.listening.store(listening, Ordering::Release);
    }

    /// The gate ends: requests in flight go on, new ones should go elsewhere. There is no way back.
    pub fn start_draining(&self) {
        self.draining.store(true, Ordering::Release);
    }

    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.checks().iter().all(|(_, passed)| *passed)
    }

    /// Each check by name, and whether it passed.
    #[must_use]
    pub fn checks(&self) -> [(&'static str, bool); 2] {
        [
            ("listening", self.listening.load(Ordering::Acquire)),
            ("not_draining", !self.draining.load(Ordering::Acquire)),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_is_listening_and_not_draining() {
        let readiness = Readiness::default();
        assert!(!readiness.is_ready());
        readiness.set_listening(true);
        assert!(readiness.is_ready());
        readiness.start_draining();
        assert!(!readiness.is_ready());
        assert_eq!(readiness.checks(), [("listening", true), ("not_draining", false)]);
    }
}
