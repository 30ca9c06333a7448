//! The sandbox in the place of 8sens, which can go away and come back at the same address.

use crate::gate::UPSTREAM_KEY;
use sensgate::sandbox::{Sandbox, SandboxSettings};
use std::net::SocketAddr;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

pub struct EightSens {
    pub sandbox: Sandbox,
    pub address: SocketAddr,
    serving: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
}

impl EightSens {
    pub async fn start(change: impl FnOnce(&mut SandboxSettings)) -> Self {
        let mut settings = SandboxSettings { api_key: UPSTREAM_KEY.into(), ..SandboxSettings::example() };
        change(&mut settings);
        let sandbox = Sandbox::new(settings).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut eight_sens = Self { sandbox, address, serving: None };
        eight_sens.serve(listener);
        eight_sens
    }

    /// Closes its port and its connections. What it knows stays.
    pub async fn go_away(&mut self) {
        let (stop, serving) = self.serving.take().expect("it is there");
        drop(stop);
        serving.await.unwrap();
    }

    pub async fn come_back(&mut self) {
        let listener = TcpListener::bind(self.address).await.unwrap();
        self.serve(listener);
    }

    fn serve(&mut self, listener: TcpListener) {
        let (stop, stopped) = oneshot::channel::<()>();
        let sandbox = self.sandbox.clone();
        let serving = tokio::spawn(async move { sandbox.serve(listener, async { drop(stopped.await) }).await });
        self.serving = Some((stop, serving));
    }
}
