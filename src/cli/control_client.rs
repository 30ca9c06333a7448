//! Asks a running gate over its control socket.

use super::Exit;
use crate::admin::control::socket_in;
use crate::cli::help;
use crate::config::{self, Report};
use crate::text;
use crate::text::Lang;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a running gate may take to answer: a little longer than it waits itself for a reload.
const PATIENCE: Duration = Duration::from_secs(35);

/// Largest answer that is read.
const MAX_ANSWER: usize = 16 << 20;

/// Which gate is meant.
#[derive(clap::Args, Clone, Debug)]
pub(super) struct GateArgs {
    #[arg(long, env = "SENSGATE_CONFIG", value_name = "FILE", required_unless_present = "state", help = help::config())]
    pub config: Option<PathBuf>,
    #[arg(long, value_name = "DIR", help = help::state())]
    pub state: Option<PathBuf>,
}

/// An answer, or why there is none.
pub(super) enum ControlAnswer<T> {
    Is(T),
    /// The gate answered with another status.
    Status(StatusCode),
    /// It was said why; the command ends like this.
    Failed(Exit),
}

/// Why a gate did not answer.
#[derive(Debug)]
pub(super) enum Silence {
    /// The configuration that names its state directory is not valid.
    Config(Box<Report>),
    /// Nothing answers on its socket.
    Unreachable { socket: PathBuf, error: io::Error },
}

impl Silence {
    /// True when no gate runs there, and not only is it out of reach.
    pub(super) fn is_absence(&self) -> bool {
        use io::ErrorKind::{ConnectionRefused, NotFound};
        matches!(self, Self::Unreachable { error, .. } if matches!(error.kind(), NotFound | ConnectionRefused))
    }

    /// Tells the operator, and says how the command ends.
    pub(super) fn tell(&self, lang: Lang) -> Exit {
        match self {
            Self::Config(report) => {
                eprint!("{}", report.render(lang, super::stderr_has_colour()));
                Exit::Config
            }
            Self::Unreachable { socket, error } => {
                let socket = socket.display();
                super::talk(
                    &text! {
                        en: "error: no gate answers on {socket}: {error}",
                        fr: "erreur : aucune passerelle ne répond sur {socket} : {error}",
                    },
                    lang,
                );
                Exit::Unavailable
            }
        }
    }
}

/// Sends one request and reads its JSON answer. Failures are told to the operator.
pub(super) fn ask<T: DeserializeOwned>(gate: &GateArgs, method: Method, path: &str, lang: Lang) -> ControlAnswer<T> {
    match gate.socket().and_then(|socket| ask_at(&socket, method, path)) {
        Ok(Ok(value)) => ControlAnswer::Is(value),
        Ok(Err(status)) => ControlAnswer::Status(status),
        Err(silence) => ControlAnswer::Failed(silence.tell(lang)),
    }
}

/// The same without a word: the answer, or another status than 200.
pub(super) fn ask_at<T: DeserializeOwned>(
    socket: &Path,
    method: Method,
    path: &str,
) -> Result<Result<T, StatusCode>, Silence> {
    match send_at(socket, method, path)? {
        (StatusCode::OK, body) => read(socket, &body).map(Ok),
        (status, _) => Ok(Err(status)),
    }
}

/// The answer as it came, whatever its status.
pub(super) fn send_at(socket: &Path, method: Method, path: &str) -> Result<(StatusCode, Bytes), Silence> {
    let failed = |error| Silence::Unreachable { socket: socket.to_owned(), error };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    let answer = runtime.block_on(async { tokio::time::timeout(PATIENCE, exchange(socket, method, path)).await });
    answer.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())).map_err(failed)
}

/// An answer that is no JSON of this kind is not one of a gate.
pub(super) fn read<T: DeserializeOwned>(socket: &Path, body: &[u8]) -> Result<T, Silence> {
    let failed = |error| Silence::Unreachable { socket: socket.to_owned(), error };
    serde_json::from_slice(body).map_err(|error| failed(error.into()))
}

impl GateArgs {
    /// The control socket of the gate that is meant.
    pub(super) fn socket(&self) -> Result<PathBuf, Silence> {
        if let Some(state) = &self.state {
            return Ok(socket_in(state));
        }
        let config = self.config.clone().unwrap_or_default();
        match config::load(&config) {
            Ok(loaded) => Ok(socket_in(&loaded.settings.state_directory)),
            Err(report) => Err(Silence::Config(Box::new(report))),
        }
    }
}

#[cfg(unix)]
async fn exchange(socket: &Path, method: Method, path: &str) -> io::Result<(StatusCode, Bytes)> {
    let stream = tokio::net::UnixStream::connect(socket).await?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    let driver = tokio::spawn(connection);
    let request = Request::builder().method(method).uri(path).header("host", "localhost").body(Empty::<Bytes>::new());
    let answer = sender.send_request(request.map_err(io::Error::other)?).await.map_err(io::Error::other)?;
    let status = answer.status();
    let body = Limited::new(answer.into_body(), MAX_ANSWER).collect().await.map_err(io::Error::other)?;
    driver.abort();
    Ok((status, body.to_bytes()))
}
