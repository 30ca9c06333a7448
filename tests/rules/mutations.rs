//! One wrong byte in a good configuration: it is refused, or it means the same, or a reload names what changed; and
//! never does anybody get more than is written.

use sensgate::config::changes::take_up;
use sensgate::config::{Settings, parse};
use sensgate::domain::limit::Quota;
use sensgate::domain::rules::consumer::Consumer;
use sensgate::domain::rules::enforce::Enforce;
use std::fs;
use std::path::Path;
use toml::{Table, Value};

const SOURCE: &str = include_str!("../config/valid/everything.toml");
const MUTATIONS: usize = 5_000;

/// What a byte becomes. Digits, quotes, comments and line ends are where meanings hide.
const REPLACEMENTS: &[u8] = b"0123456789abkst-_./*:,=#\"'[]{} \n\t\0\xff";

/// The same mutations on each run: every byte, again and again, each time in another way.
fn mutations() -> impl Iterator<Item = (usize, Vec<u8>)> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    (0..MUTATIONS).map(move |n| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let at = n % SOURCE.len();
        let mut bytes = SOURCE.as_bytes().to_vec();
        let other = REPLACEMENTS[usize::try_from(state >> 8).unwrap() % REPLACEMENTS.len()];
        match state % 8 {
            0 => drop(bytes.remove(at)),
            1 => bytes.insert(at, other),
            2 => bytes[at] ^= 1 << (state >> 40 & 7),
            _ => bytes[at] = other,
        }
        (at, bytes)
    })
}

/// Everything that a configuration means, without its secrets and without where it is in the file.
fn meaning(settings: &Settings) -> String {
    let Settings { snapshot, upstream, listeners, connections, log, admin, server, state_directory, .. } = settings;
    let consumers: Vec<&Consumer> = snapshot.consumers.iter().collect();
    let rules = (&snapshot.fields, &snapshot.trusted_proxies, &snapshot.session, &snapshot.login, &snapshot.budgets);
    let rules = (rules, &snapshot.limits, &snapshot.encoded_slash);
    let edges = (listeners, connections, log, admin, server, state_directory);
    format!("{consumers:#?}{rules:#?}{upstream:#?}{edges:#?}")
}

fn tables<'t>(table: &'t Table, name: &str) -> Vec<&'t Table> {
    let elements = table.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    elements.iter().filter_map(Value::as_table).collect()
}

fn strings(table: &Table, name: &str) -> Option<Vec<String>> {
    let list = table.get(name)?.as_array()?;
    Some(list.iter().map(|element| element.as_str().expect("a list of strings").to_owned()).collect())
}

/// Requests in a day, and at once, as they are written: `20/s, burst 40`.
fn written_rate(text: &str) -> (u64, u64) {
    let (rate, burst) = text.split_once(',').map_or((text, None), |(rate, burst)| (rate, Some(burst)));
    let (count, unit) = rate.trim().split_once('/').unwrap();
    let a_day = match unit.trim() {
        "s" => 86_400,
        "min" => 1_440,
        "h" => 24,
        "d" => 1,
        unit => panic!("{unit}"),
    };
    let count: u64 = count.trim().parse().unwrap();
    (count * a_day, burst.map_or(count, |burst| burst.trim().strip_prefix("burst").unwrap().trim().parse().unwrap()))
}

/// Whether a quota grants at most what is written. Nothing written is no limit.
fn at_most(quota: Option<&Quota>, written: Option<&Value>) -> bool {
    match (quota, written.map(|written| written_rate(written.as_str().unwrap()))) {
        (_, None) => true,
        (None, Some(_)) => false,
        (Some(quota), Some((a_day, at_once))) => {
            let granted = u64::from(quota.count()) * 86_400 / u64::from(quota.period().seconds());
            granted <= a_day && u64::from(quota.burst()) <= at_once
        }
    }
}

/// Panics where the configuration grants what the file, read by somebody else, does not say.
fn assert_no_more_than_written(settings: &Settings, written: &Table) {
    let consumers = tables(written, "consumer");
    assert!(settings.snapshot.consumers.len() <= consumers.len());
    assert!(settings.listeners.len() <= tables(written, "listener").len());
    let permitted = written.get("upstream").and_then(Value::as_table).and_then(|table| strings(table, "encoded_slash"));
    let rules = settings.snapshot.encoded_slash.iter().map(|rule| rule.as_str().to_owned());
    assert_eq!(rules.collect::<Vec<_>>(), permitted.unwrap_or_default());
    for consumer in settings.snapshot.consumers.iter() {
        let named = |table: &&&Table| table["name"].as_str() == Some(&*consumer.name);
        let table = consumers.iter().find(named).expect("a consumer that is written");
        assert_no_more_keys(consumer, table);
        let texts = |rules: &[sensgate::domain::rules::route::RouteRule]| -> Vec<String> {
            rules.iter().map(|rule| rule.as_str().to_owned()).collect()
        };
        assert_eq!(consumer.allow.as_deref().map(texts), strings(table, "allow"));
        assert_eq!(texts(&consumer.deny), strings(table, "deny").unwrap_or_default());
        assert_eq!(consumer.allow_from.as_ref().map(Vec::len), strings(table, "allow_from").map(|list| list.len()));
        assert!(at_most(consumer.rate_limit.as_ref(), table.get("rate_limit")), "{consumer:?}");
        let limits = tables(table, "route_limits");
        assert_eq!(consumer.route_limits.len(), limits.len());
        for ((rule, quota), limit) in consumer.route_limits.iter().zip(limits) {
            assert_eq!(Some(rule.as_str()), limit["route"].as_str());
            assert!(at_most(Some(quota), limit.get("rate_limit")), "{consumer:?}");
        }
        let inherited = written.get("limits").and_then(|limits| limits.get("enforce"));
        let enforce = table.get("enforce").or(inherited).and_then(Value::as_str).unwrap_or("on");
        assert_eq!(consumer.enforce == Enforce::On, enforce == "on", "{consumer:?}");
    }
    let session = written.get("session").and_then(Value::as_table).cloned().unwrap_or_default();
    let public: Vec<&str> = settings.snapshot.session.public.iter().map(|rule| rule.as_str()).collect();
    assert_eq!(public, strings(&session, "public").unwrap_or_default());
    let limits = written.get("limits").and_then(Value::as_table).cloned().unwrap_or_default();
    let budgets = &settings.snapshot.budgets;
    for (budget, name) in [
        (budgets.address, "address_budget"),
        (budgets.failed_credentials, "failed_credentials"),
        (budgets.failed_tokens, "failed_tokens"),
        (budgets.logins.name, "failed_logins_per_name"),
        (budgets.logins.address, "failed_logins_per_address"),
        (budgets.logins.key, "failed_logins_per_key"),
        (budgets.logins.total, "failed_logins"),
        (budgets.logins.known, "failed_logins_of_known"),
    ] {
        assert!(at_most(Some(&budget), limits.get(name)), "{name}");
    }
}

fn assert_no_more_keys(consumer: &Consumer, written: &Table) {
    let keys = tables(written, "keys");
    assert!(consumer.credentials.len() <= keys.len());
    for credential in &consumer.credentials {
        let key = keys.iter().find(|key| key["id"].as_str() == Some(&*credential.id)).expect("a key that is written");
        if let Some(digits) = key.get("sha256") {
            let digest: String = credential.digest.iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(Some(digest.as_str()), digits.as_str());
        } else {
            assert_eq!(key["upstream_key"].as_bool(), Some(true));
        }
        assert_eq!(credential.enabled, key.get("enabled").and_then(Value::as_bool).unwrap_or(true));
        assert_eq!(credential.expires.is_some(), key.contains_key("expires"));
        if let (Some(end), Some(day)) = (credential.expires, key.get("expires")) {
            let day: jiff::civil::Date = day.to_string().parse().unwrap();
            let next = day.tomorrow().unwrap().to_zoned_datetime(jiff::tz::TimeZone::UTC).unwrap();
            assert_eq!(end.0, next.timestamp().as_millisecond());
        }
    }
}

#[test]
fn one_wrong_byte_is_refused_or_means_the_same_or_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("admin-token");
    fs::write(&token, "0123456789abcdef0123456789abcdef").unwrap();
    #[cfg(unix)]
    fs::set_permissions(&token, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let read = |source: &str, base: &Path| parse(source, "sensgate.toml", base).map(|loaded| loaded.settings);
    let good = read(SOURCE, folder.path()).unwrap();
    let meant = meaning(&good);
    assert_no_more_than_written(&good, &SOURCE.parse().unwrap());

    let (mut refused, mut same, mut named) = (0, 0, 0);
    for (at, bytes) in mutations() {
        let Ok(text) = String::from_utf8(bytes) else {
            refused += 1;
            continue;
        };
        let Ok(settings) = read(&text, folder.path()) else {
            refused += 1;
            continue;
        };
        let line = SOURCE[..SOURCE.floor_char_boundary(at)].matches('\n').count() + 1;
        assert_no_more_than_written(&settings, &text.parse().unwrap());
        let differs = meaning(&settings) != meant;
        let (_, changes) = take_up(&good, settings);
        assert_eq!(differs, !changes.is_empty(), "byte {at}, line {line}: {changes:?}");
        if differs {
            named += 1;
        } else {
            same += 1;
        }
    }
    assert_eq!(refused + same + named, MUTATIONS);
    assert!(refused > 1_000 && same > 10 && named > 100, "{refused} refused, {same} same, {named} named");
}
