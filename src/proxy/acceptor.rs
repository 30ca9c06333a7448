//! The accept loop of one listener.
//!
//! Pingora's own loop sleeps a second when descriptors run out and knows no cap; this one takes a slot for each
//! connection before it does anything for it, and is back as soon as there is something to accept with.

use super::dispatch;
use super::listener::Listener;
use crate::platform;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// How long no connection is accepted after the system had nothing left to accept one with. Callers wait in the backlog
/// meanwhile.
const EXHAUSTION_PAUSE: Duration = Duration::from_millis(100);

/// Accepts until `stopped` turns true, then closes the listening socket. Connections go on by themselves.
pub async fn accept(listener: Arc<Listener>, socket: TcpListener, mut stopped: watch::Receiver<bool>) {
    let stop = stopped.clone();
    loop {
        let accepted = tokio::select! {
            biased;
            _ = stopped.wait_for(|stop| *stop) => break,
            accepted = socket.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => start(&listener, stream, peer, &stop),
            Err(error) => rest(&listener, &error).await,
        }
    }
    drop(socket);
    listener.close_lane().await;
}

fn start(listener: &Arc<Listener>, stream: TcpStream, peer: SocketAddr, stop: &watch::Receiver<bool>) {
    let admitted = listener.admit(peer.ip());
    let (listener, stop) = (Arc::clone(listener), stop.clone());
    tokio::spawn(async move { dispatch::carry(&listener, stream, peer, admitted, stop).await });
}

/// A connection that was gone before it was accepted is nobody's loss; running out of descriptors is.
async fn rest(listener: &Listener, error: &io::Error) {
    if platform::is_exhaustion(error) {
        listener.accept_failed(error);
        tokio::time::sleep(EXHAUSTION_PAUSE).await;
    }
}
