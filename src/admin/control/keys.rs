//! `/keys`: every key by id, its state, and when it was last accepted. Never a key or its digest.

use crate::domain::rules::consumer::Credential;
use crate::domain::types::Wall;
use crate::platform::clock;
use crate::proxy::shared::Shared;
use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// One key as an operator sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key {
    pub consumer: String,
    pub id: String,
    pub created: Option<Date>,
    /// The last day on which it is valid, UTC.
    pub expires: Option<Date>,
    pub state: KeyState,
    /// It is the upstream key itself.
    pub upstream_key: bool,
    /// When it was last accepted, to the second.
    pub last_used: Option<Timestamp>,
}

/// Whether a key is accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyState {
    Active,
    Expired,
    Disabled,
}

impl Key {
    /// What the configuration says of a key, and when it was last accepted.
    #[must_use]
    pub fn of(consumer: &str, credential: &Credential, last_used: Option<Wall>, now: Wall) -> Self {
        let state = match (credential.enabled, credential.expires) {
            (false, _) => KeyState::Disabled,
            (true, Some(end)) if now >= end => KeyState::Expired,
            (true, _) => KeyState::Active,
        };
        Self {
            consumer: consumer.to_owned(),
            id: credential.id.to_string(),
            created: credential.created.and_then(day),
            // What is kept is the first instant after it.
            expires: credential.expires.and_then(day).and_then(|day| day.checked_sub(1.day()).ok()),
            state,
            upstream_key: credential.is_upstream_key,
            last_used: last_used.and_then(|at| Timestamp::from_second(at.0.div_euclid(1000)).ok()),
        }
    }
}

fn day(at: Wall) -> Option<Date> {
    Some(TimeZone::UTC.to_datetime(Timestamp::from_millisecond(at.0).ok()?).date())
}

pub(super) fn router() -> Router<Arc<Shared>> {
    Router::new().route("/keys", get(keys))
}

async fn keys(State(shared): State<Arc<Shared>>) -> Json<Vec<Key>> {
    let settings = shared.settings.load_full();
    let now = clock::now().wall;
    let of = |name: &str, key: &Credential| Key::of(name, key, shared.tables.key_uses.last(name, &key.id), now);
    let consumers = settings.snapshot.consumers.iter();
    let keys = consumers.flat_map(|consumer| consumer.credentials.iter().map(|key| of(&consumer.name, key)));
    Json(keys.collect())
}
