//! Paths that the guard has to know.

pub(super) const LIVENESS: &str = "/livez";
pub(super) const READINESS: &str = "/readyz";

/// The one path below which something can be changed.
pub(super) const SESSIONS_PATH: &str = "/api/sessions/";

/// Says whether the rest asks for a token; open, so that the page knows whether to ask for one.
pub(super) const ACCESS_PATH: &str = "/api/access";

/// True for what load balancers and orchestrators ask: it has no secret to keep, for it says one fixed word.
pub(super) fn is_open_to_all(path: &str) -> bool {
    path == LIVENESS || path == READINESS
}
