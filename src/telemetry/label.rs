//! The labels of all metrics: what their values are, and what those of closed sets mean.

use crate::domain::denial::DenyCode;
use crate::domain::exchange::{Alarm, EndCode};
use crate::domain::session::LoginOutcome;
use crate::domain::session::managed::Cause;
use crate::domain::session::unfamiliar::Issued;
use crate::telemetry::{ConnectionOutcome, ReloadResult};

/// One label.
#[derive(Clone, Copy, Debug)]
pub struct Label {
    pub name: &'static str,
    pub meaning: &'static str,
    /// Every value with its meaning, when the set is closed; none when values come from the configuration or from the
    /// build.
    pub values: fn() -> Vec<(&'static str, &'static str)>,
}

macro_rules! labels {
    ($($ident:ident = $name:literal $meaning:literal $values:expr;)+) => {
        $(pub const $ident: Label = Label { name: $name, meaning: $meaning, values: $values };)+
    };
}

labels! {
    CONSUMER = "consumer" "Name of the consumer in the configuration; `-` for a request that shows no key of one." open;
    ROUTE = "route" "The `allow` rule that let the request through, as written in the configuration; `other` when \
                     there is none." open;
    KEY_ID = "key_id" "`id` of the key in the configuration." open;
    LISTENER = "listener" "Address of the listener in the configuration." open;
    NAME = "name" "First name in the certificate." open;
    STATUS_CLASS = "status_class" "Class of the status that the caller was sent." status_classes;
    CODE = "code" "How the request ended: `ok`, or why it was refused or cut." codes;
    WOULD_CODE = "code" "Why the request would have been refused." denials;
    ISSUED = "issued" "Where a token comes from that the gate does not know; `-` when it is not about that." origins;
    OUTCOME = "outcome" "What became of the connection." outcomes;
    REUSED = "reused" "Whether the connection had carried a request before."
        || vec![("false", "A new one."), ("true", "From the pool.")];
    ALARM = "alarm" "What happened." alarms;
    LOGIN_RESULT = "result" "What became of the login." login_results;
    CAUSE = "cause" "Why the login was needed." causes;
    RELOAD_RESULT = "result" "What came of it." reload_results;
    ORDER_RESULT = "result" "What came of the attempt." order_results;
    VERSION = "version" "Version of the gate." open;
    REVISION = "revision" "Source revision, `unknown` when the builder did not state it." open;
    RUSTC = "rustc" "Version of the compiler." open;
}

const fn open() -> Vec<(&'static str, &'static str)> {
    Vec::new()
}

/// Every value of a closed set, with its meaning.
fn values<T: Copy>(
    all: &[T],
    word: impl Fn(T) -> &'static str,
    meaning: impl Fn(T) -> &'static str,
) -> Vec<(&'static str, &'static str)> {
    all.iter().map(|value| (word(*value), meaning(*value))).collect()
}

fn reload_results() -> Vec<(&'static str, &'static str)> {
    let meaning = |result| match result {
        ReloadResult::Applied => "Something had changed and was applied.",
        ReloadResult::Unchanged => "Nothing had changed.",
        ReloadResult::Refused => "The file is not valid: the old configuration runs on.",
    };
    values(ReloadResult::ALL, ReloadResult::as_str, meaning)
}

fn status_classes() -> Vec<(&'static str, &'static str)> {
    vec![
        ("1xx", "Informational."),
        ("2xx", "Success."),
        ("3xx", "Redirection."),
        ("4xx", "The caller's error, or a refusal."),
        ("5xx", "8sens or the gate could not."),
        ("other", "A status of none of these classes."),
        ("-", "None was sent: the connection was closed or lost."),
    ]
}

fn denials() -> Vec<(&'static str, &'static str)> {
    DenyCode::ALL.iter().map(|code| (code.as_str(), code.detail())).collect()
}

fn codes() -> Vec<(&'static str, &'static str)> {
    let ends = [
        (EndCode::Ok, "8sens answered and the caller got the whole answer, whatever its status."),
        (EndCode::CallerLeft, "The caller was gone before the answer was complete."),
        (EndCode::Aborted, "Cut off: 8sens broke an answer it had begun, or the gate stopped."),
    ];
    ends.iter().map(|(end, meaning)| (end.as_str(), *meaning)).chain(denials()).collect()
}

fn origins() -> Vec<(&'static str, &'static str)> {
    let meaning = |issued| match issued {
        Issued::BeforeStart => {
            "In use since the first idle window of this process: probably issued before the gate stood there."
        }
        Issued::Elsewhere => "First seen later: a login that did not pass the gate.",
    };
    let known = [Issued::BeforeStart, Issued::Elsewhere].map(|issued| (issued.as_str(), meaning(issued)));
    known.into_iter().chain([("-", "The refusal would have been about something else.")]).collect()
}

fn outcomes() -> Vec<(&'static str, &'static str)> {
    let meaning = |outcome| match outcome {
        ConnectionOutcome::Closed => "Closed by either side after a whole request, or before the first byte of one.",
        ConnectionOutcome::Idle => "Idle for too long between two requests.",
        ConnectionOutcome::Silent => "Nothing came in time for a first request.",
        ConnectionOutcome::Broken => "Ended in the middle of a request head.",
        ConnectionOutcome::Unopened => "Its TLS handshake or its PROXY header failed, or took too long.",
        ConnectionOutcome::SlowHead => "A request head was not complete in time.",
        ConnectionOutcome::SlowBody => "A request body came too slowly.",
        ConnectionOutcome::SlowReader => "An answer was taken too slowly.",
        ConnectionOutcome::Flooded => "It sent frames of HTTP/2 that no request needs.",
        ConnectionOutcome::Refused => "All connections were in use.",
        ConnectionOutcome::RefusedHost => "The caller's address had all connections that one address may have.",
    };
    values(ConnectionOutcome::ALL, ConnectionOutcome::as_str, meaning)
}

fn alarms() -> Vec<(&'static str, &'static str)> {
    let meaning = |alarm| match alarm {
        Alarm::TokenOfAnother => "A consumer showed a token that was issued to another one.",
        Alarm::TokenShared => "8sens handed one token to several consumers.",
        Alarm::LoginsRefused => "Answers say \"expired\" while logins are refused: the upstream key is probably wrong.",
        Alarm::MassExpiry => "Many sessions ended at once: a wrong upstream key, or 8sens was restarted.",
        Alarm::LoginNotUnderstood => "A login was answered with success, but with no token that can be read.",
        Alarm::SessionsFull => "A session could not be kept because the table is full.",
        Alarm::KeyInClear => "A key came over a transport where others can read it: it has to be replaced.",
        Alarm::LoginRefused => "8sens refuses a login of the gate's own: it hardly tries any more.",
        Alarm::ExpiryDoubted => "An answer says \"expired\" of a session that was just begun, again.",
    };
    values(Alarm::ALL, Alarm::as_str, meaning)
}

fn causes() -> Vec<(&'static str, &'static str)> {
    let meaning = |cause| match cause {
        Cause::Absent => "There was no session.",
        Cause::Idle => "Less than the margin of the idle window was left.",
        Cause::Expired => "8sens answered that the token had expired.",
    };
    values(Cause::ALL, Cause::as_str, meaning)
}

fn login_results() -> Vec<(&'static str, &'static str)> {
    let meaning = |result| match result {
        LoginOutcome::Accepted => "8sens gave a token.",
        LoginOutcome::Refused => {
            "Answered with a 4xx status: wrong login or password, no seat left, or a wrong upstream key."
        }
        LoginOutcome::NotUnderstood => "Answered with success, but with no token that can be read.",
        LoginOutcome::Failed => "Not answered, or answered with another status.",
        LoginOutcome::Throttled => "Not sent: too many before it had failed.",
    };
    values(LoginOutcome::ALL, LoginOutcome::as_str, meaning)
}

fn order_results() -> Vec<(&'static str, &'static str)> {
    vec![("issued", "There is a new certificate."), ("failed", "There is none; it is tried again.")]
}
