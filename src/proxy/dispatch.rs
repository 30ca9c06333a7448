//! What becomes of an accepted connection: it is opened, and served in the protocol that it speaks, or turned away.

use super::caller_stream::CallerStream;
use super::http1::Connection;
use super::http2;
use super::listener::{Admitted, Listener};
use super::slots::NoSlot;
use super::socket::{self, Socket};
use crate::config::Settings;
use crate::domain::denial::{Denial, Reason};
use crate::domain::request::head::Origin;
use crate::domain::types::HttpVersion;
use crate::telemetry::ConnectionOutcome;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;

/// Carries one connection to its end. What is not needed while it is idle is held apart: this is what each idle
/// connection takes.
pub(super) async fn carry(
    listener: &Arc<Listener>,
    stream: TcpStream,
    peer: SocketAddr,
    admitted: Result<Admitted, NoSlot>,
    shutdown: watch::Receiver<bool>,
) {
    let settings = listener.shared.settings.load_full();
    socket::tune(&stream, settings.connections.answer.grace);
    let outcome = match admitted {
        Ok(mut admitted) => open_and_serve(listener, stream, peer, &mut admitted, &settings, shutdown).await,
        Err(none) => Box::pin(turn_away(listener, stream, peer, none, &settings, shutdown)).await,
    };
    listener.shared.telemetry.metrics.connection_outcome(outcome);
}

async fn open_and_serve(
    listener: &Arc<Listener>,
    stream: TcpStream,
    peer: SocketAddr,
    admitted: &mut Admitted,
    settings: &Settings,
    shutdown: watch::Receiver<bool>,
) -> ConnectionOutcome {
    let limits = &settings.connections;
    let opened = timeout(limits.handshake_timeout, Box::pin(listener.opening.open(stream, peer))).await;
    let (socket, transport) = match opened {
        Ok(Ok(opened)) => opened,
        Ok(Err(denial)) => return listener.cut_off(peer.ip(), denial, ConnectionOutcome::Unopened),
        Err(_) => {
            let denial = Denial::because(Reason::NotOpenedInTime);
            return listener.cut_off(peer.ip(), denial, ConnectionOutcome::Unopened);
        }
    };
    let stated = socket.peer();
    let version = if socket.speaks_http2() { HttpVersion::Http2 } else { HttpVersion::Http11 };
    let origin = Origin { peer: stated.ip(), transport, version };
    if stated.ip() != peer.ip()
        && !settings.snapshot.trusted_proxies.contains(stated.ip())
        && let Err(none) = admitted.slot.move_to(stated.ip(), limits.max_per_address)
    {
        if socket.speaks_http2() {
            return listener.cut_off(stated.ip(), none.denial(), none.outcome());
        }
        let caller = Box::new(CallerStream::new(socket, limits));
        return Box::pin(Connection::new(listener, origin, shutdown).turn_away(caller, none)).await;
    }
    if socket.speaks_http2() {
        return Box::pin(http2::serve(listener, socket, origin, shutdown)).await;
    }
    let caller = Box::new(CallerStream::new(socket, limits));
    Connection::new(listener, origin, shutdown).serve(caller).await
}

/// Answers a connection for which there is no slot. One that would have to be opened first is closed without a word:
/// opening it is what there is no room for.
async fn turn_away(
    listener: &Arc<Listener>,
    stream: TcpStream,
    peer: SocketAddr,
    none: NoSlot,
    settings: &Settings,
    shutdown: watch::Receiver<bool>,
) -> ConnectionOutcome {
    let Some(transport) = listener.opening.without_ado(peer.ip()) else {
        return listener.cut_off(peer.ip(), none.denial(), none.outcome());
    };
    let caller = Box::new(CallerStream::new(Socket::plain(stream, peer), &settings.connections));
    let origin = Origin { peer: peer.ip(), transport, version: HttpVersion::Http11 };
    Connection::new(listener, origin, shutdown).turn_away(caller, none).await
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes of what a function of five arguments returns.
    fn size_of_returned<A, B, C, D, E, F>(_: fn(A, B, C, D, E) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn an_idle_connection_is_small() {
        let (future, stream) = (size_of_returned(carry), size_of::<CallerStream>());
        assert!(future <= 1536 && stream <= 512, "{future} and {stream} bytes");
    }
}
