//! One HTTP/2 connection of a caller (RFC 9113).
//!
//! Each stream is written as the HTTP/1.1 request it means and takes the path of any other, with the same scanner, the
//! same rules and the same lane to 8sens: there is one reading of a request, and HTTP/2 has no policy of its own. What
//! is particular to HTTP/2 stays here: settings, the life of the connection, and frames that nobody needs.

mod fields;
mod frames;
pub mod front;
mod hpack;
mod layout;
mod request;
mod stand_in;
mod stream;

use self::frames::{Breach, Metered};
use self::front::Front;
use super::lent::{Lent, Loan, lend};
use super::listener::Listener;
use super::slots::{NoSlot, Slot};
use super::socket::Socket;
use crate::config::Settings;
use crate::domain::denial::{Denial, Reason};
use crate::domain::request::head::Origin;
use crate::telemetry::ConnectionOutcome;
use bytes::Bytes;
use h2::RecvStream;
use h2::server::SendResponse;
use http::Request;
use std::sync::Arc;
use std::time::Duration;
use stream::{StreamEnd, StreamLane};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

/// Streams that may be open on one connection. Each also takes a slot among all connections.
const MAX_STREAMS: u32 = 100;

/// Streams reset before they were looked at, and streams reset for a fault of the caller, after which the connection
/// ends with `ENHANCE_YOUR_CALM` (CVE-2023-44487, CVE-2025-8671).
const MAX_RESETS_BEFORE_ACCEPT: usize = 20;
const MAX_FAULTY_STREAMS: usize = 64;

/// Body bytes on their way for one stream, and for one connection.
const STREAM_WINDOW: u32 = 64 * 1024;
const CONNECTION_WINDOW: u32 = 512 * 1024;

/// Bytes of answers that wait in one stream for the caller.
const MAX_SEND_BUFFER: usize = 64 * 1024;

/// What HPACK counts for each field beside its name and value (RFC 7541 section 4.1). The scanner's own limits are to
/// be met first: they answer with a code and leave a record.
const FIELD_OVERHEAD: usize = 32;

/// How long a connection that is told to end may take to do so once it has no stream.
const GOODBYE: Duration = Duration::from_secs(2);

/// Serves one connection to its end, and closes it so that the last answers arrive. Who took nothing of them for too
/// long is let go at once, with what the system still holds.
pub async fn serve(
    listener: &Arc<Listener>,
    socket: Socket,
    origin: Origin,
    shutdown: watch::Receiver<bool>,
) -> ConnectionOutcome {
    let (lent, loan) = lend(socket.gathering());
    let outcome = serve_streams(listener, loan, &lent, origin, shutdown.clone()).await;
    if let Some(socket) = lent.returned() {
        match outcome {
            ConnectionOutcome::SlowReader => socket.reset(),
            _ => listener.close(socket, shutdown).await,
        }
    }
    outcome
}

/// The connection's handshake is the preface and the settings; the caller's TLS is done.
async fn serve_streams(
    listener: &Arc<Listener>,
    loan: Loan<Socket>,
    lent: &Lent<Socket>,
    origin: Origin,
    mut shutdown: watch::Receiver<bool>,
) -> ConnectionOutcome {
    let settings = listener.settings();
    let max_list = max_list(&settings);
    let (io, breach) = Metered::new(loan, Front::new(max_list));
    let opened = timeout(settings.connections.head_timeout, options(max_list).handshake::<_, Bytes>(io)).await;
    let mut connection = match opened {
        Ok(Ok(connection)) => connection,
        Ok(Err(error)) if error.is_io() => return ConnectionOutcome::Broken,
        Ok(Err(_)) => return cut_off(listener, origin, Reason::Http2Preface, ConnectionOutcome::Broken),
        Err(_) => return cut_off(listener, origin, Reason::Http2Silent, ConnectionOutcome::Silent),
    };
    let stop = shutdown.clone();
    let mut life = Life { origin, served: 0, ending: None, quiet_since: Instant::now() };
    let mut streams = JoinSet::new();
    let outcome = loop {
        let limits = listener.settings();
        tokio::select! {
            biased;
            code = breach.noticed(), if life.ending != Some(Ending::AtOnce) => {
                connection.abrupt_shutdown(code);
                life.end(Ending::AtOnce);
            }
            accepted = connection.accept() => match accepted {
                Some(Ok((request, respond))) => {
                    life.take(listener, &mut streams, request, respond, stop.clone());
                    if life.served >= limits.connections.max_requests && life.ending.is_none() {
                        connection.graceful_shutdown();
                        life.end(Ending::AfterStreams);
                    }
                }
                Some(Err(error)) => break life.outcome_of(listener, &error, &breach),
                None => break life.outcome(listener, &breach),
            },
            Some(ended) = streams.join_next(), if !streams.is_empty() => {
                life.quiet_since = Instant::now();
                if matches!(ended, Ok(StreamEnd::SlowReader)) && takes_nothing(lent, &limits) {
                    // Not one stream alone: nothing of any of them gets through.
                    break ConnectionOutcome::SlowReader;
                }
            }
            _ = shutdown.wait_for(|stop| *stop), if life.ending.is_none() => {
                connection.graceful_shutdown();
                life.end(Ending::AfterStreams);
            }
            () = sleep_until(life.next_look(lent, &limits)), if life.may_time_out(streams.is_empty()) => {
                if takes_nothing(lent, &limits) {
                    break ConnectionOutcome::SlowReader;
                }
                if Instant::now() < life.patience(&limits) {
                    continue;
                }
                if life.ending.is_some() {
                    break life.outcome(listener, &breach);
                }
                connection.graceful_shutdown();
                life.end(Ending::Idle);
            }
        }
    };
    // Writes run on without their caller.
    streams.detach_all();
    outcome
}

/// True when the caller has taken nothing of what is being sent for as long as it may.
fn takes_nothing(lent: &Lent<Socket>, settings: &Settings) -> bool {
    lent.look(Socket::stalled_for) >= settings.connections.answer.grace
}

/// The largest list of fields of a head. The scanner's own limits are met first: they tell more.
fn max_list(settings: &Settings) -> usize {
    let head = settings.snapshot.limits.head;
    head.bytes.saturating_add(head.fields.saturating_mul(FIELD_OVERHEAD)).saturating_add(1024)
}

/// Pingora's own bounds, those that it leaves open, and the size of a list of fields.
fn options(max_list: usize) -> h2::server::Builder {
    let mut options = pingora_core::protocols::http::v2::server::default_h2_options();
    let list = max_list.saturating_add(stand_in::OVERHEAD);
    options
        .max_header_list_size(u32::try_from(list).unwrap_or(u32::MAX))
        .max_concurrent_streams(MAX_STREAMS)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buffer_size(MAX_SEND_BUFFER)
        .max_pending_accept_reset_streams(MAX_RESETS_BEFORE_ACCEPT)
        .max_local_error_reset_streams(Some(MAX_FAULTY_STREAMS));
    options
}

/// How a connection is ending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// The caller was told, and what is open is served.
    AfterStreams,
    /// The same, because nothing was asked for too long.
    Idle,
    /// Nothing is served any more.
    AtOnce,
}

/// How far a connection has come.
struct Life {
    origin: Origin,
    served: u32,
    ending: Option<Ending>,
    /// Since when no stream was open, or since when the connection is ending.
    quiet_since: Instant,
}

impl Life {
    fn end(&mut self, ending: Ending) {
        self.ending = Some(ending);
        self.quiet_since = Instant::now();
    }

    /// Open streams have deadlines of their own; a connection without any has this one, whatever else it sends.
    fn may_time_out(&self, no_streams: bool) -> bool {
        no_streams || self.ending == Some(Ending::AtOnce)
    }

    fn patience(&self, settings: &Settings) -> Instant {
        let limits = &settings.connections;
        let patience = match (self.ending, self.served) {
            (Some(_), _) => GOODBYE,
            (None, 0) => limits.head_timeout,
            (None, _) => limits.keepalive_timeout,
        };
        self.quiet_since + patience
    }

    /// When to look whether the connection has to end: it is idle by then, or takes nothing of what it asked for.
    fn next_look(&self, lent: &Lent<Socket>, settings: &Settings) -> Instant {
        let stalled_for = lent.look(Socket::stalled_for);
        let until_slow = settings.connections.answer.grace.saturating_sub(stalled_for);
        let patience = self.patience(settings);
        if stalled_for.is_zero() { patience } else { patience.min(Instant::now() + until_slow) }
    }

    /// Starts one stream, or refuses it when there is no slot. Its siblings notice nothing.
    fn take(
        &mut self,
        listener: &Arc<Listener>,
        streams: &mut JoinSet<StreamEnd>,
        request: Request<RecvStream>,
        respond: SendResponse<Bytes>,
        shutdown: watch::Receiver<bool>,
    ) {
        self.served += 1;
        let slot: Result<Slot, NoSlot> = listener.slot_for(self.origin.peer);
        let lane = StreamLane { listener: Arc::clone(listener), origin: self.origin, shutdown };
        streams.spawn(async move { lane.serve(request, respond, slot).await });
    }

    fn outcome(&self, listener: &Listener, breach: &Breach) -> ConnectionOutcome {
        match self.ending {
            _ if let Some(code) = breach.code() => self.broken(listener, code),
            Some(Ending::Idle) => ConnectionOutcome::Idle,
            None if self.served == 0 => ConnectionOutcome::Broken,
            _ => ConnectionOutcome::Closed,
        }
    }

    /// The end that the HTTP/2 library found: a connection that is gone, or a caller that broke the rules.
    fn outcome_of(&self, listener: &Listener, error: &h2::Error, breach: &Breach) -> ConnectionOutcome {
        match error.reason() {
            Some(code) if !error.is_io() && !error.is_remote() && breach.code().is_none() => {
                self.broken(listener, code)
            }
            _ => self.outcome(listener, breach),
        }
    }

    /// The end for a fault of the caller, who is told the same code.
    fn broken(&self, listener: &Listener, code: h2::Reason) -> ConnectionOutcome {
        let (reason, outcome) = match code {
            h2::Reason::ENHANCE_YOUR_CALM => (Reason::Http2Flood, ConnectionOutcome::Flooded),
            _ => (Reason::Http2Broken, ConnectionOutcome::Broken),
        };
        cut_off(listener, self.origin, reason, outcome)
    }
}

/// Records a connection that ends by a fault of the caller. The caller reads the reason in its GOAWAY.
fn cut_off(listener: &Listener, origin: Origin, reason: Reason, outcome: ConnectionOutcome) -> ConnectionOutcome {
    listener.cut_off(origin.peer, Denial::because(reason), outcome)
}
