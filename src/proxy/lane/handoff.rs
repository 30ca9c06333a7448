//! What a lane is given beside the caller's connection, and what it gives back.

use crate::config::Settings;
use crate::domain::exchange::ForwardPlan;
use crate::domain::request::Framing;
use crate::proxy::caller_stream::CallerStream;
use crate::proxy::ticket::Ticket;
use http::HeaderValue;
use std::sync::Arc;

/// A decided request. Its head is the first `head_len` bytes that the caller's stream has buffered, as it came: the
/// lane takes its lines from the stream, as the scan has found them, and never reads them by another grammar. What was
/// read of the body follows it. The caller was told to go on where it waited for that.
#[derive(Debug)]
pub struct Handoff {
    pub ticket: Ticket,
    pub plan: Box<ForwardPlan>,
    /// Those of this moment. The rules that decided are the exchange's own.
    pub settings: Arc<Settings>,
    /// `Strict-Transport-Security` for the answer.
    pub hsts: Option<HeaderValue>,
    pub head_len: usize,
    /// How the body of the request is framed.
    pub framing: Framing,
    /// The connection is to be closed after this request.
    pub last: bool,
}

/// The caller's connection after its request.
#[derive(Debug)]
pub enum Carried {
    /// It may carry another request.
    Reusable(Box<CallerStream>),
    /// Everything was said on it; it is to be closed so that the answer arrives.
    ToClose(Box<CallerStream>),
    /// It could not be had back.
    Lost,
}
