//! The control socket: what changes something, for whoever may enter the state directory.
//!
//! HTTP over a Unix socket of mode 0600, so that `curl --unix-socket` works as well as the commands of this program.
//! One file for each thing that can be asked.

mod keys;
mod reload;
pub(super) mod sessions;
pub mod status;

pub use keys::{Key, KeyState};
pub use reload::ReloadReport;
pub use sessions::{Ended, ManagedSession, ManagedState, Retried, Session, SessionOwner};
pub use status::Status;

use crate::admin::command::ReloadOrder;
use crate::proxy::shared::Shared;
use crate::state::StateError;
use crate::telemetry::audit_event::{Actor, AuditEvent, EndedSessions};
use axum::Router;
use axum::extract::connect_info::Connected;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// The name of the socket in the state directory.
pub const SOCKET: &str = "control.sock";

/// Starts to serve the socket. One that is left from a gate which was killed is replaced; the lock on the directory
/// says that it is.
///
/// # Errors
/// When the socket cannot be made, or not be closed to others.
#[cfg(unix)]
pub fn serve(
    directory: &std::path::Path,
    shared: Arc<Shared>,
    reloads: mpsc::Sender<ReloadOrder>,
) -> Result<JoinHandle<()>, StateError> {
    use std::os::unix::fs::PermissionsExt;
    let path = directory.join(SOCKET);
    let failed = |error| StateError::Io(path.clone(), error);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    let listener = tokio::net::UnixListener::bind(&path).map_err(failed)?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).map_err(failed)?;
    let router = router(shared, reloads).into_make_service_with_connect_info::<Caller>();
    Ok(tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, router).await {
            tracing::error!(%error, "the control socket ended");
        }
    }))
}

/// Who is at the other end of the socket.
#[derive(Clone, Copy, Debug)]
struct Caller {
    uid: Option<u32>,
}

#[cfg(unix)]
impl Connected<axum::serve::IncomingStream<'_, tokio::net::UnixListener>> for Caller {
    fn connect_info(stream: axum::serve::IncomingStream<'_, tokio::net::UnixListener>) -> Self {
        Self { uid: stream.io().peer_cred().ok().map(|peer| peer.uid()) }
    }
}

impl Caller {
    /// Writes down what this caller ended.
    fn ended(self, shared: &Shared, which: EndedSessions<'_>, ended: usize) {
        let by = Actor::Control { uid: self.uid };
        shared.telemetry.audit.tell(&AuditEvent::SessionsEnded { which, ended, by });
    }
}

fn router(shared: Arc<Shared>, reloads: mpsc::Sender<ReloadOrder>) -> Router {
    Router::new()
        .merge(sessions::router())
        .merge(status::router())
        .merge(keys::router())
        .merge(reload::router(reloads))
        .merge(super::refusals::routes())
        .with_state(shared)
}

/// The socket of a gate whose state directory is `directory`.
#[must_use]
pub fn socket_in(directory: &std::path::Path) -> PathBuf {
    directory.join(SOCKET)
}
