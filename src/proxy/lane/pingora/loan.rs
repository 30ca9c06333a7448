//! The caller's stream on loan, as Pingora takes it for a connection.

use crate::proxy::caller_stream::CallerStream;
use crate::proxy::lent::Loan;
use async_trait::async_trait;
use pingora_core::protocols::raw_connect::ProxyDigest;
use pingora_core::protocols::{
    GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl, TimingDigest, UniqueID,
    UniqueIDType,
};
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use tokio::io::AsyncWrite;

#[async_trait]
impl Shutdown for Loan<CallerStream> {
    async fn shutdown(&mut self) {
        // Closing twice, or what is closed already, is no failure.
        let _ = poll_fn(|cx| Pin::new(&mut *self).poll_shutdown(cx)).await;
    }
}

impl UniqueID for Loan<CallerStream> {
    fn id(&self) -> UniqueIDType {
        // Only told apart, so the sign does not matter.
        self.look(|caller| caller.socket().id()) as UniqueIDType
    }
}

// What the gate knows of the connection it knows itself; Pingora is told nothing that it does not need.
impl Ssl for Loan<CallerStream> {}

impl Peek for Loan<CallerStream> {}

impl GetTimingDigest for Loan<CallerStream> {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        Vec::new()
    }
}

impl GetProxyDigest for Loan<CallerStream> {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        None
    }
}

impl GetSocketDigest for Loan<CallerStream> {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        None
    }
}
