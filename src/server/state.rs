//! The state directory, opened before anything serves, and the sessions of the last run.

use crate::config::Settings;
use crate::domain::rules::snapshot::SessionMode;
use crate::domain::tables::Tables;
use crate::platform::clock;
use crate::state::{SessionLog, StateDirectory, StateError};
use crate::telemetry::Telemetry;
use std::sync::Arc;

/// Opens the state directory and brings the sessions back that still hold.
///
/// # Errors
/// When another gate runs on the directory, or it cannot be read or written.
pub(super) fn open(
    settings: &Settings,
    telemetry: &Arc<Telemetry>,
) -> Result<(Arc<Tables>, Arc<SessionLog>), StateError> {
    let now = clock::now();
    let directory = StateDirectory::open(&settings.state_directory)?;
    let secret = directory.secret()?;
    let upstream = format!("{}:{}", settings.upstream.host, settings.upstream.port);
    let (log, restored) = SessionLog::open(directory, &upstream, &settings.snapshot, now, Arc::clone(telemetry))?;
    let log = Arc::new(log);
    let tables = Arc::new(Tables::new(&secret, &settings.snapshot, Box::new(Arc::clone(&log)), now));
    tables.key_uses.restore(log.state().read_key_uses());
    let limits = &settings.snapshot.session.limits;
    let loaded = tables.sessions.load(&restored, now.mono, limits);
    let kept = log.state().read_managed_sessions(&secret, &upstream, now.wall);
    let managed = tables.accounts.restore(kept, limits, now.mono);
    if managed > 0 {
        tracing::info!(sessions = managed, "managed sessions restored");
    }
    log.compact(&tables, limits, now)?;
    if loaded > 0 {
        tracing::info!(sessions = loaded, "sessions restored");
    } else if settings.snapshot.session.mode == SessionMode::Guard && managed == 0 {
        tracing::warn!(
            "guarding with no session known: callers have to log in again, tokens of before this start are refused"
        );
    }
    Ok((tables, log))
}
