//! The metrics that follow the configuration.

use crate::config::Settings;
use crate::proxy::shared::Shared;

/// Makes the metrics that follow the configuration.
pub(super) fn publish(shared: &Shared, settings: &Settings) {
    let (configured, max) = (settings.connections.max, shared.connections_max(settings.connections.max));
    if max < configured {
        tracing::warn!(configured, max, "fewer connections than configured: raise the limit of open files");
    }
    let metrics = &shared.telemetry.metrics;
    metrics.set_connections_max(max);
    let sessions = &settings.snapshot.session.limits;
    metrics.set_sessions_max(sessions.total, sessions.per_consumer);
}
