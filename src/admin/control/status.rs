//! `/status`: everything that `status` shows and `doctor` asks a running gate.

use crate::config::{ListenerSettings, Settings};
use crate::domain::rules::consumer::{Consumer, Credential};
use crate::domain::rules::enforce::Enforce;
use crate::domain::rules::snapshot::SessionMode;
use crate::domain::types::{Now, Wall};
use crate::platform::clock;
use crate::proxy::shared::Shared;
use crate::telemetry::{LATELY, Readings, catalogue};
use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// What a gate says of itself.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Status {
    pub version: String,
    pub revision: String,
    /// `observe` or `guard`.
    pub mode: String,
    pub uptime_seconds: u64,
    /// The wall clock at the start: RFC 3339, UTC.
    pub started: Option<String>,
    /// The wall clock of the gate: RFC 3339, UTC.
    pub time: String,
    pub idle_timeout_seconds: u64,
    pub upstream: UpstreamStatus,
    pub sessions: usize,
    pub sessions_max: usize,
    pub connections: usize,
    pub connections_max: usize,
    pub in_flight: u64,
    /// Since the gate started.
    pub requests: u64,
    pub refusals: u64,
    /// In the last minute, of which the second under way is left out.
    pub last_minute: LastMinute,
    pub access_log_lines_dropped: u64,
    pub state_write_failures: u64,
    pub last_reload: Option<Reload>,
    pub consumers: Vec<ConsumerStatus>,
    pub listeners: Vec<ListenerStatus>,
    pub certificates: Vec<CertificateStatus>,
    /// Where tokens that were live ones of their own consumer stood, by the words of `session.token_from`.
    pub token_places: Vec<TokenPlaceCount>,
    /// Since the gate started, by kind; those that never came are left out.
    pub alarms: Vec<AlarmCount>,
    pub would_refuse: Vec<WouldRefuse>,
    /// A whole idle window has passed without a session that `guard` would have refused.
    pub guard_is_safe: bool,
}

/// 8sens as the gate sees it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct UpstreamStatus {
    /// As configured.
    pub address: String,
    /// Whether it could be reached when it was last tried; `None` until that is known.
    pub up: Option<bool>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LastMinute {
    pub requests: u64,
    pub refusals: u64,
}

/// How the configuration was last applied, at the start or since.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Reload {
    /// False when the file was refused: the configuration of before is still in force.
    pub successful: bool,
    /// Something of the file only a restart applies.
    pub restart_needed: bool,
    /// RFC 3339, UTC: when a configuration last came into force.
    pub in_force_since: Option<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ConsumerStatus {
    pub name: String,
    /// `on`, `shadow` or `off`.
    pub enforce: String,
    pub sessions: usize,
    pub quota: Option<QuotaStatus>,
    pub keys: Vec<KeyStatus>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct QuotaStatus {
    /// As it would be written.
    pub rate_limit: String,
    /// Requests that would pass if they came now.
    pub remaining: u32,
    /// Most that can come at once.
    pub burst: u32,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct KeyStatus {
    pub id: String,
    pub enabled: bool,
    /// The first instant at which it is no longer valid: RFC 3339, UTC. `None` never expires.
    pub expires: Option<String>,
    pub expires_in_seconds: Option<i64>,
    /// When it was last accepted: RFC 3339, UTC.
    pub last_used: Option<String>,
    /// It is the key of 8sens itself.
    pub is_upstream_key: bool,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ListenerStatus {
    /// As configured.
    pub address: String,
    pub tls: bool,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CertificateStatus {
    pub listener: String,
    pub name: String,
    /// RFC 3339, UTC.
    pub expires: String,
    pub expires_in_seconds: i64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TokenPlaceCount {
    pub place: String,
    pub requests: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AlarmCount {
    pub alarm: String,
    pub count: u64,
}

/// Requests that were forwarded and would be refused.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct WouldRefuse {
    pub consumer: String,
    pub code: String,
    /// `before_start` or `elsewhere`, for tokens that were never handed out here.
    pub issued: Option<String>,
    pub count: u64,
    pub last_seconds_ago: u64,
}

pub(super) fn router() -> Router<Arc<Shared>> {
    Router::new().route("/status", get(status))
}

async fn status(State(shared): State<Arc<Shared>>) -> Json<Status> {
    Json(take(&shared, clock::now()))
}

/// The status at one moment.
#[must_use]
pub fn take(shared: &Shared, now: Now) -> Status {
    let settings = shared.settings.load_full();
    let rules = &settings.snapshot.session;
    let idle = rules.limits.idle_timeout;
    let uptime = now.mono.since(shared.started);
    let readings = shared.telemetry.metrics.readings();
    let (in_all, lately) = (shared.telemetry.activity.in_all(), shared.telemetry.activity.lately(now.mono));
    let counts = shared.telemetry.would_refuse.counts();
    let quiet =
        counts.iter().filter(|count| count.code.is_about_a_session()).all(|count| now.mono.since(count.last) > idle);
    Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        revision: revision(&readings),
        mode: mode(rules.mode).to_owned(),
        uptime_seconds: uptime.as_secs(),
        started: readings.gauge(catalogue::start_time().name).map(|seconds| rfc3339(Wall(millis(seconds)))),
        time: rfc3339(now.wall),
        idle_timeout_seconds: idle.as_secs(),
        upstream: UpstreamStatus {
            address: format!("{}:{}", settings.upstream.host, settings.upstream.port),
            up: readings.gauge(catalogue::upstream_up().name).map(|up| up > 0.0),
        },
        sessions: shared.tables.sessions.len(),
        sessions_max: rules.limits.total,
        connections: shared.slots.open(),
        connections_max: shared.connections_max(settings.connections.max),
        in_flight: whole(readings.gauge(catalogue::requests_in_flight().name)),
        requests: in_all.requests,
        refusals: in_all.refusals,
        last_minute: LastMinute { requests: lately.requests, refusals: lately.refusals },
        access_log_lines_dropped: readings.count(catalogue::access_log_lines_dropped().name),
        state_write_failures: readings.count(catalogue::state_write_failures().name),
        last_reload: last_reload(&readings),
        consumers: consumers(shared, &settings, now),
        listeners: settings.listeners.iter().map(listener).collect(),
        certificates: certificates(&readings, now.wall),
        token_places: token_places(shared),
        alarms: alarms(&readings),
        guard_is_safe: rules.mode == SessionMode::Observe && quiet && uptime > idle,
        would_refuse: counts
            .iter()
            .map(|count| WouldRefuse {
                consumer: count.consumer.to_string(),
                code: count.code.as_str().to_owned(),
                issued: count.issued.map(|issued| issued.as_str().to_owned()),
                count: count.count,
                last_seconds_ago: now.mono.since(count.last).as_secs(),
            })
            .collect(),
    }
}

const fn mode(mode: SessionMode) -> &'static str {
    match mode {
        SessionMode::Observe => "observe",
        SessionMode::Guard => "guard",
        SessionMode::Managed => "managed",
    }
}

fn listener(listener: &ListenerSettings) -> ListenerStatus {
    ListenerStatus { address: listener.address.to_string(), tls: listener.tls.is_some() }
}

fn consumers(shared: &Shared, settings: &Settings, now: Now) -> Vec<ConsumerStatus> {
    let quota = |consumer: &Consumer| {
        let quota = consumer.rate_limit?;
        let left = shared.tables.limiter.consumer_bucket(&consumer.name).remaining(&quota, now.mono);
        Some(QuotaStatus { rate_limit: quota.to_string(), remaining: left.requests, burst: quota.burst() })
    };
    let key = |consumer: &Consumer, credential: &Credential| KeyStatus {
        last_used: shared.tables.key_uses.last(&consumer.name, &credential.id).map(rfc3339),
        id: credential.id.to_string(),
        enabled: credential.enabled,
        expires: credential.expires.map(rfc3339),
        expires_in_seconds: credential.expires.map(|end| (end.0 - now.wall.0).div_euclid(1000)),
        is_upstream_key: credential.is_upstream_key,
    };
    let all = settings.snapshot.consumers.iter().map(|consumer| ConsumerStatus {
        name: consumer.name.to_string(),
        enforce: match consumer.enforce {
            Enforce::On => "on",
            Enforce::Shadow => "shadow",
            Enforce::Off => "off",
        }
        .to_owned(),
        sessions: shared.tables.sessions.consumer_len(&consumer.name),
        quota: quota(consumer),
        keys: consumer.credentials.iter().map(|credential| key(consumer, credential)).collect(),
    });
    all.collect()
}

/// What the listeners serve now, renewed certificates included.
fn certificates(readings: &Readings, now: Wall) -> Vec<CertificateStatus> {
    let found = readings.gauges(catalogue::certificate_expiry().name).into_iter().map(|(labels, seconds)| {
        let expires = Wall(millis(seconds));
        CertificateStatus {
            listener: label(&labels, "listener"),
            name: label(&labels, "name"),
            expires: rfc3339(expires),
            expires_in_seconds: (expires.0 - now.0).div_euclid(1000),
        }
    });
    found.collect()
}

fn token_places(shared: &Shared) -> Vec<TokenPlaceCount> {
    let places = shared.telemetry.activity.token_places().into_iter().filter(|(_, requests)| *requests > 0);
    places.map(|(place, requests)| TokenPlaceCount { place: place.as_str().to_owned(), requests }).collect()
}

fn alarms(readings: &Readings) -> Vec<AlarmCount> {
    let counted = readings.counts(catalogue::alarms().name).into_iter().filter(|(_, count)| *count > 0);
    counted.map(|(labels, count)| AlarmCount { alarm: label(&labels, "alarm"), count }).collect()
}

fn last_reload(readings: &Readings) -> Option<Reload> {
    let successful = readings.gauge(catalogue::config_reloaded().name)? > 0.0;
    let seconds = readings.gauge(catalogue::config_reload_time().name);
    let restart_needed = readings.gauge(catalogue::config_restart_needed().name).is_some_and(|needed| needed > 0.0);
    Some(Reload { successful, restart_needed, in_force_since: seconds.map(|seconds| rfc3339(Wall(millis(seconds)))) })
}

fn revision(readings: &Readings) -> String {
    let found = readings.gauges(catalogue::build_info().name);
    found.first().map(|(labels, _)| label(labels, "revision")).unwrap_or_default()
}

fn label(labels: &[(String, String)], name: &str) -> String {
    labels.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone()).unwrap_or_default()
}

#[expect(clippy::cast_possible_truncation, reason = "seconds of a date, far from the bounds")]
fn millis(seconds: f64) -> i64 {
    (seconds as i64).saturating_mul(1000)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a gauge that counts")]
fn whole(value: Option<f64>) -> u64 {
    value.unwrap_or_default() as u64
}

/// To the second; a date beyond the years of the format is the last one of it.
fn rfc3339(wall: Wall) -> String {
    Timestamp::from_second(wall.0.div_euclid(1000)).unwrap_or(Timestamp::MAX).to_string()
}

/// How long "the last minute" is, for whoever divides by it.
pub const LAST_MINUTE_SECONDS: u64 = LATELY;
