//! Asks a running gate over its control socket.

use super::Exit;
use crate::admin::control::socket_in;
use crate::config;
use crate::text;
use crate::text::Lang;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a running gate may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Largest answer that is read.
const MAX_ANSWER: usize = 16 << 20;

/// Which gate is meant.
#[derive(clap::Args, Clone, Debug)]
pub struct GateArgs {
    #[arg(long, env = "SENSGATE_CONFIG", value_name = "FILE", required_unless_present = "state")]
    pub config: Option<PathBuf>,
    #[arg(long, value_name = "DIR")]
    pub state: Option<PathBuf>,
}

/// An answer, or why there is none.
pub(super) enum Answer<T> {
    Is(T),
    /// The gate answered with another status.
    Status(StatusCode),
    /// It was said why; the command ends like this.
    Failed(Exit),
}

/// Sends one request and reads its JSON answer. Failures are told to the operator.
pub(super) fn ask<T: DeserializeOwned>(gate: &GateArgs, method: Method, path: &str, lang: Lang) -> Answer<T> {
    let directory = match directory(gate, lang) {
        Ok(directory) => directory,
        Err(exit) => return Answer::Failed(exit),
    };
    let socket = socket_in(&directory);
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return Answer::Failed(unreachable(&socket, &error.to_string(), lang)),
    };
    let answer = runtime.block_on(async { tokio::time::timeout(PATIENCE, exchange(&socket, method, path)).await });
    match answer {
        Ok(Ok((StatusCode::OK, body))) => match serde_json::from_slice(&body) {
            Ok(value) => Answer::Is(value),
            Err(error) => Answer::Failed(unreachable(&socket, &error.to_string(), lang)),
        },
        Ok(Ok((status, _))) => Answer::Status(status),
        Ok(Err(error)) => Answer::Failed(unreachable(&socket, &error, lang)),
        Err(_) => Answer::Failed(unreachable(&socket, "timed out", lang)),
    }
}

/// The state directory, told or taken from the configuration.
fn directory(gate: &GateArgs, lang: Lang) -> Result<PathBuf, Exit> {
    if let Some(state) = &gate.state {
        return Ok(state.clone());
    }
    let config = gate.config.clone().unwrap_or_default();
    match config::load(&config) {
        Ok(loaded) => Ok(loaded.settings.state_directory),
        Err(report) => {
            eprint!("{}", report.render(lang, super::stderr_has_colour()));
            Err(Exit::Config)
        }
    }
}

fn unreachable(socket: &Path, why: &str, lang: Lang) -> Exit {
    let socket = socket.display();
    super::talk(
        &text! {
            en: "error: no gate answers on {socket}: {why}",
            fr: "erreur : aucune porte ne répond sur {socket} : {why}",
        },
        lang,
    );
    Exit::Unavailable
}

#[cfg(unix)]
async fn exchange(socket: &Path, method: Method, path: &str) -> Result<(StatusCode, Bytes), String> {
    let stream = tokio::net::UnixStream::connect(socket).await.map_err(|error| error.to_string())?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
    let driver = tokio::spawn(connection);
    let request = Request::builder().method(method).uri(path).header("host", "localhost").body(Empty::<Bytes>::new());
    let answer =
        sender.send_request(request.map_err(|error| error.to_string())?).await.map_err(|error| error.to_string())?;
    let status = answer.status();
    let body = Limited::new(answer.into_body(), MAX_ANSWER).collect().await.map_err(|error| error.to_string())?;
    driver.abort();
    Ok((status, body.to_bytes()))
}
