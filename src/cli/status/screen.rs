//! The status as a person reads it.

use super::health::{self, Level};
use crate::admin::control::Status;
use crate::admin::control::status::{ConsumerStatus, KeyStatus, LAST_MINUTE_SECONDS};
use crate::text;
use crate::text::{Lang, Text};

/// How a screen is drawn.
#[derive(Clone, Copy, Debug)]
pub(super) struct Style {
    pub lang: Lang,
    pub colour: bool,
    pub warn_days: u32,
}

/// All lines of the status, without their ends.
pub(super) fn lines(status: &Status, style: Style) -> Vec<String> {
    let say = |text: Text| text.in_lang(style.lang).to_owned();
    let mut lines = vec![say(head(status)), String::new()];
    lines.push(say(upstream(status)));
    lines.push(say(traffic(status)));
    lines.push(say(in_use(status)));
    if !status.consumers.is_empty() {
        lines.push(String::new());
        lines.extend(consumers(status, style));
    }
    for certificate in &status.certificates {
        let (name, listener, expires) = (&certificate.name, &certificate.listener, day(&certificate.expires));
        lines.push(say(text! {
            en: "certificate  {name} on {listener}, until {expires}",
            fr: "certificat   {name} sur {listener}, jusqu'au {expires}"
        }));
    }
    let problems = health::problems(status, style.warn_days);
    if !problems.is_empty() {
        lines.push(String::new());
    }
    for (level, text) in &problems {
        let word = match level {
            Level::Critical => text! { en: "critical", fr: "critique" },
            _ => text! { en: "warning", fr: "attention" },
        };
        let word = painted(word.in_lang(style.lang), if *level == Level::Critical { "31" } else { "33" }, style.colour);
        lines.push(format!("{word}  {}", text.in_lang(style.lang)));
    }
    lines
}

/// The status on one line: for a log, or a pipe that watches.
pub(super) fn one_line(status: &Status) -> Text {
    let Status { mode, sessions, connections, requests, refusals, time, .. } = status;
    let (upstream_en, upstream_fr) = match status.upstream.up {
        Some(true) => ("8sens up", "8sens joignable"),
        Some(false) => ("8sens down", "8sens injoignable"),
        None => ("8sens not tried yet", "8sens pas encore essayé"),
    };
    text! {
        en: "{time} {upstream_en}, mode {mode}, {sessions} sessions, {connections} connections, {requests} requests, \
             {refusals} refused",
        fr: "{time} {upstream_fr}, mode {mode}, {sessions} sessions, {connections} connexions, {requests} requêtes, \
             {refusals} refusées",
    }
}

fn head(status: &Status) -> Text {
    let (version, mode, up) = (&status.version, &status.mode, duration(status.uptime_seconds));
    text! {
        en: "sensgate {version}, mode {mode}, up {up}",
        fr: "sensgate {version}, mode {mode}, en service depuis {up}",
    }
}

fn upstream(status: &Status) -> Text {
    let address = &status.upstream.address;
    match status.upstream.up {
        Some(true) => text! { en: "8sens        {address} answers", fr: "8sens        {address} répond" },
        Some(false) => {
            text! { en: "8sens        {address} does not answer", fr: "8sens        {address} ne répond pas" }
        }
        None => text! { en: "8sens        {address} not tried yet", fr: "8sens        {address} pas encore essayé" },
    }
}

fn traffic(status: &Status) -> Text {
    let Status { requests, refusals, .. } = status;
    let (rate, refused) = (per_second(status.last_minute.requests), per_second(status.last_minute.refusals));
    text! {
        en: "requests     {requests}, {refusals} of them refused; in the last minute {rate}/s, {refused}/s refused",
        fr: "requêtes     {requests}, dont {refusals} refusées ; la dernière minute {rate}/s, {refused}/s refusées",
    }
}

fn in_use(status: &Status) -> Text {
    let Status { sessions, sessions_max, connections, connections_max, in_flight, .. } = status;
    text! {
        en: "in use       {sessions} of {sessions_max} sessions, {connections} of {connections_max} connections, \
             {in_flight} requests under way",
        fr: "en usage     {sessions} sessions sur {sessions_max}, {connections} connexions sur {connections_max}, \
             {in_flight} requêtes en cours",
    }
}

/// A table with one line for each consumer, as wide as its names.
fn consumers(status: &Status, style: Style) -> Vec<String> {
    let titles = [
        text! { en: "consumer", fr: "consommateur" },
        text! { en: "sessions", fr: "sessions" },
        text! { en: "quota left", fr: "quota restant" },
        text! { en: "keys", fr: "clés" },
    ];
    let mut rows = vec![titles.map(|title| title.in_lang(style.lang).to_owned())];
    rows.extend(status.consumers.iter().map(|consumer| row(consumer, style.lang)));
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let (a, b, c) = (width(0), width(1), width(2));
    rows.iter()
        .map(|[name, sessions, quota, keys]| format!("{name:<a$}  {sessions:>b$}  {quota:<c$}  {keys}"))
        .collect()
}

fn row(consumer: &ConsumerStatus, lang: Lang) -> [String; 4] {
    let quota = consumer
        .quota
        .as_ref()
        .map_or_else(|| "-".to_owned(), |quota| format!("{}/{} ({})", quota.remaining, quota.burst, quota.rate_limit));
    let keys: Vec<_> = consumer.keys.iter().map(|each| key(each, lang)).collect();
    [consumer.name.clone(), consumer.sessions.to_string(), quota, keys.join(", ")]
}

fn key(key: &KeyStatus, lang: Lang) -> String {
    let id = &key.id;
    let text = match &key.expires {
        _ if !key.enabled => text! { en: "{id} (off)", fr: "{id} (désactivée)" },
        None => text! { en: "{id} (for ever)", fr: "{id} (sans fin)" },
        Some(_) if key.expires_in_seconds.is_some_and(|left| left <= 0) => {
            text! { en: "{id} (expired)", fr: "{id} (expirée)" }
        }
        Some(end) => {
            let end = day(end);
            text! { en: "{id} (before {end})", fr: "{id} (avant le {end})" }
        }
    };
    text.in_lang(lang).to_owned()
}

/// The day of an instant in RFC 3339.
fn day(instant: &str) -> &str {
    instant.split('T').next().unwrap_or(instant)
}

/// With one decimal, from a count of the last minute.
fn per_second(count: u64) -> String {
    let tenths = (count * 10 + LAST_MINUTE_SECONDS / 2) / LAST_MINUTE_SECONDS;
    format!("{}.{}", tenths / 10, tenths % 10)
}

/// `3d 4h`, `4h 12m`, `12m 5s`, `5s`: the two largest units.
fn duration(seconds: u64) -> String {
    let (d, h, m, s) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    match (d, h, m) {
        (0, 0, 0) => format!("{s}s"),
        (0, 0, _) => format!("{m}m {s}s"),
        (0, ..) => format!("{h}h {m}m"),
        _ => format!("{d}d {h}h"),
    }
}

fn painted(text: &str, colour: &str, on: bool) -> String {
    if on { format!("\x1b[{colour}m{text}\x1b[0m") } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_rates() {
        for (seconds, shown) in [(5, "5s"), (65, "1m 5s"), (3700, "1h 1m"), (90_000, "1d 1h")] {
            assert_eq!(duration(seconds), shown);
        }
        assert_eq!(per_second(0), "0.0");
        assert_eq!(per_second(60), "1.0");
        assert_eq!(per_second(3), "0.1");
    }
}
