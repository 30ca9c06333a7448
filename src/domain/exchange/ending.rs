//! The judge of how a request ended that a lane has carried.

use super::fault::Fault;
use super::record::Outcome;
use crate::domain::denial::Denial;

/// What was seen of a request by the time its lane is done with it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ending {
    /// The refusal that was written in place of an answer.
    pub refused: Option<Denial>,
    /// What broke off the exchange, if anything did.
    pub fault: Option<Fault>,
    /// The status of 8sens's final answer.
    pub status: Option<u16>,
    /// The whole answer went to a caller that was there.
    pub is_complete: bool,
    /// The caller closed or lost its connection.
    pub caller_left: bool,
}

impl Ending {
    /// What the record says. Who leaves with the whole answer has left nothing but the rest of its own request.
    #[must_use]
    pub fn outcome(self) -> Outcome {
        let status = self.status;
        match (self.refused, status, self.fault) {
            (Some(denial), ..) => Outcome::Denied(denial),
            (None, Some(status), _) if self.is_complete => Outcome::Answered { status },
            _ if self.caller_left => Outcome::CallerLeft { status },
            (None, Some(status), None) => Outcome::Answered { status },
            (None, _, Some(fault)) if fault.is_of_caller() => Outcome::CallerLeft { status },
            _ => Outcome::Aborted { status },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::denial::Reason;

    #[test]
    fn how_a_carried_request_ended() {
        let status = Some(200);
        let answered = Ending { status, is_complete: true, ..Ending::default() };
        let broken = Ending { fault: Some(Fault::AnswerNotValid), status, ..Ending::default() };
        let refused = Denial::because(Reason::UpstreamSilent);
        for (ending, expected) in [
            (answered.clone(), Outcome::Answered { status: 200 }),
            (Ending { caller_left: true, ..answered.clone() }, Outcome::Answered { status: 200 }),
            (Ending { is_complete: false, ..answered.clone() }, Outcome::Answered { status: 200 }),
            (Ending { is_complete: false, caller_left: true, ..answered }, Outcome::CallerLeft { status }),
            (broken.clone(), Outcome::Aborted { status }),
            (Ending { caller_left: true, ..broken.clone() }, Outcome::CallerLeft { status }),
            (Ending { fault: Some(Fault::BadChunk), ..broken.clone() }, Outcome::CallerLeft { status }),
            (Ending { refused: Some(refused.clone()), ..broken }, Outcome::Denied(refused)),
            (Ending { fault: Some(Fault::CallerLeft), ..Ending::default() }, Outcome::CallerLeft { status: None }),
            (Ending { fault: Some(Fault::CutOff), ..Ending::default() }, Outcome::Aborted { status: None }),
            (Ending::default(), Outcome::Aborted { status: None }),
        ] {
            assert_eq!(ending.clone().outcome(), expected, "{ending:?}");
        }
    }
}
