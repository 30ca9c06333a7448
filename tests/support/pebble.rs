//! Pebble, a small real ACME server, with a name server of its own (Debian's package `pebble`). Killed on drop.

use super::http::RawClient;
use super::tls::{Made, make, shake, trusting};
use rustls::pki_types::{CertificateDer, pem::PemObject};
use std::fs::File;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const DEADLINE: Duration = Duration::from_secs(20);

pub struct Pebble {
    server: Child,
    names: Child,
    folder: tempfile::TempDir,
    /// Its own certificate, which vouches for itself.
    pub made: Made,
    pub address: SocketAddr,
    management: SocketAddr,
    names_management: SocketAddr,
}

/// How Pebble behaves; the default never refuses a nonce and never remembers that a name was validated.
pub struct Behaviour {
    /// Out of a hundred good nonces.
    pub refused_nonces: u8,
    /// Seconds that a certificate is valid.
    pub lifetime: u32,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self { refused_nonces: 0, lifetime: 90 * 86_400 }
    }
}

/// A port of 127.0.0.1 that is free.
pub fn free_port() -> u16 {
    super::port::free().port()
}

impl Pebble {
    /// Starts a server that validates on this port, and a name server for which every name is 127.0.0.1.
    pub async fn start(http_port: u16, behaviour: Behaviour) -> Self {
        let local = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let (address, management) = (local(free_port()), local(free_port()));
        let (dns, names_management) = (local(free_port()), local(free_port()));
        let (folder, made) = (tempfile::tempdir().unwrap(), make(&["127.0.0.1"]));
        made.write(folder.path(), "pebble");
        let file = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        let config = serde_json::json!({ "pebble": {
            "listenAddress": address.to_string(),
            "managementListenAddress": management.to_string(),
            "certificate": file("pebble-chain.pem"),
            "privateKey": file("pebble-key.pem"),
            "httpPort": http_port,
            "tlsPort": free_port(),
            "certificateValidityPeriod": behaviour.lifetime,
        }});
        std::fs::write(folder.path().join("pebble.json"), config.to_string()).unwrap();
        let log = |name: &str| Stdio::from(File::create(folder.path().join(name)).unwrap());
        let names = Command::new("pebble-challtestsrv")
            .args(["-dns01", &dns.to_string(), "-management", &names_management.to_string()])
            .args(["-http01", "", "-https01", "", "-tlsalpn01", "", "-defaultIPv6", ""])
            .stdout(log("names.log"))
            .stderr(Stdio::null())
            .spawn()
            .expect("pebble-challtestsrv is in Debian's package pebble");
        let server = Command::new("pebble")
            .args(["-config", &file("pebble.json"), "-dnsserver", &dns.to_string()])
            .env("PEBBLE_VA_NOSLEEP", "1")
            .env("PEBBLE_AUTHZREUSE", "0")
            .env("PEBBLE_WFE_NONCEREJECT", behaviour.refused_nonces.to_string())
            .stdout(log("pebble.log"))
            .stderr(Stdio::null())
            .spawn()
            .expect("pebble is in Debian's package pebble");
        let pebble = Self { server, names, folder, made, address, management, names_management };
        for address in [address, management, names_management] {
            let end = Instant::now() + DEADLINE;
            while tokio::net::TcpStream::connect(address).await.is_err() {
                assert!(Instant::now() < end, "{address}: {}", pebble.log());
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
        pebble
    }

    pub fn directory(&self) -> String {
        format!("https://{}/dir", self.address)
    }

    /// The root of what it issues.
    pub async fn root(&self) -> CertificateDer<'static> {
        let stream = shake(self.management, &trusting(&self.made.der), "127.0.0.1").await.unwrap();
        let request = format!("GET /roots/0 HTTP/1.1\r\nHost: {}\r\n\r\n", self.management);
        let answer = RawClient::over(stream).exchange(request).await.unwrap();
        CertificateDer::from_pem_slice(&answer.body).unwrap()
    }

    /// Where a name leads from now on.
    pub async fn lead(&self, name: &str, address: &str) {
        let body = serde_json::json!({ "host": format!("{name}."), "addresses": [address] }).to_string();
        for path in ["/clear-a", "/add-a"] {
            let request = format!(
                "POST {path} HTTP/1.1\r\nHost: {}\r\nContent-Length: {}\r\n\r\n{body}",
                self.names_management,
                body.len()
            );
            let answer = RawClient::connect(self.names_management).await.unwrap().exchange(request).await.unwrap();
            assert_eq!(answer.status, 200);
        }
    }

    /// How many orders it was asked for.
    pub fn orders(&self) -> usize {
        self.log().matches("POST /order-plz").count()
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.file("pebble.log")).unwrap()
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

impl Drop for Pebble {
    fn drop(&mut self) {
        for child in [&mut self.server, &mut self.names] {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
