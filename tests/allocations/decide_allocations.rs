//! `policy::decide` allocates nothing, whatever it decides: a refused stranger costs no memory.

#[path = "../support/decision.rs"]
mod decision;

use decision::{MIDDLE, NOW, key, tables, thousand_consumers, token};
use sensgate::domain::denial::DenyCode;
use sensgate::domain::policy;
use sensgate::domain::request::client_ip::ClientIp;
use sensgate::domain::request::{Framing, RequestView, Transport};
use sensgate::domain::rules::snapshot::Snapshot;
use sensgate::domain::tables::Tables;
use sensgate::domain::types::HttpVersion;
use std::net::{IpAddr, Ipv4Addr};

/// One request to decide on.
struct Case<'a> {
    method: &'a str,
    target: &'a str,
    client: Ipv4Addr,
    fields: &'a [(&'a str, &'a str)],
    framing: Framing,
}

const PLAIN: Case<'_> =
    Case { method: "GET", target: "/v1/articles", client: Ipv4Addr::LOCALHOST, fields: &[], framing: Framing::None };

/// Decides, counting what the thread allocates meanwhile. Nothing but `decide` runs while the counter does.
fn decided(snapshot: &Snapshot, tables: &Tables, case: &Case<'_>) -> (Result<String, DenyCode>, u64) {
    let peer = IpAddr::V4(case.client);
    let mut view =
        RequestView::new(case.method.as_bytes(), case.target.as_bytes(), HttpVersion::Http11, peer, Transport::Trusted);
    view.framing = case.framing;
    for (name, value) in case.fields {
        view.push_field(&snapshot.fields, name.as_bytes(), value.as_bytes());
    }
    let client = ClientIp { address: peer, unreadable: false };
    let mut decision = None;
    let counted = allocation_counter::measure(|| decision = Some(policy::decide(snapshot, tables, &view, client, NOW)));
    let decision = decision.unwrap();
    let outcome = decision.map(|admission| admission.caller.consumer().name.as_ref().to_owned());
    (outcome.map_err(|refusal| refusal.denial.code), counted.count_total)
}

#[test]
fn the_counter_counts() {
    let counted = allocation_counter::measure(|| drop(std::hint::black_box(vec![1_u8; 32])));
    assert_eq!(counted.count_total, 1);
}

#[test]
fn an_admitted_request_allocates_nothing() {
    let snapshot = thousand_consumers();
    let tables = tables(&snapshot, 1_000);
    let good = key(MIDDLE);
    let token = token(7);
    let fields = [("host", "gate"), ("api_key", &*good), ("access_token", &*token), ("accept", "*/*")];
    let name = format!("consumer-{MIDDLE}");
    for case in [
        Case { fields: &fields, ..PLAIN },
        Case { fields: &fields, target: "/v1/articles?page=2&size=%2050", ..PLAIN },
        Case { fields: &fields, target: "/v1/articles?filter={%22ref%22:\"A|1\"}&q=%zz&%C3%A9%u00e9=1", ..PLAIN },
        Case { fields: &fields, method: "POST", target: "/v1/devis/7", framing: Framing::Length(512), ..PLAIN },
        Case { fields: &fields[..2], method: "POST", target: "/v1/login/user", framing: Framing::Chunked, ..PLAIN },
    ] {
        let seen = decided(&snapshot, &tables, &case);
        assert_eq!(seen, (Ok(name.clone()), 0), "{} {}", case.method, case.target);
    }
}

#[test]
fn a_refused_request_allocates_nothing() {
    let snapshot = thousand_consumers();
    let tables = tables(&snapshot, 1_000);
    let (good, disabled, expired, unknown) = (key(MIDDLE), key(0), key(1), key(5000));
    let with = |key| [("host", "gate"), ("api_key", key)];
    let twice = [("api_key", &*good), ("x-api-key", &*good)];
    let two_tokens = [("api_key", &*good), ("access_token", "a"), ("token", "b")];
    let unknown_token = [("api_key", &*good), ("access_token", "made-up")];
    let cookie = [("api_key", &*good), ("cookie", "a=1; api_key=x")];
    for (code, case) in [
        (DenyCode::MissingKey, PLAIN),
        (DenyCode::UnknownKey, Case { fields: &with(&unknown), ..PLAIN }),
        (DenyCode::UnknownKey, Case { fields: &with(&disabled), ..PLAIN }),
        (DenyCode::UnknownKey, Case { fields: &with(&expired), ..PLAIN }),
        (DenyCode::MalformedRequest, Case { fields: &with("not visible"), ..PLAIN }),
        (DenyCode::AmbiguousKey, Case { fields: &twice, ..PLAIN }),
        (DenyCode::KeyInUrl, Case { target: "/v1/articles?api%5Fkey=x", ..PLAIN }),
        (DenyCode::KeyInUrl, Case { fields: &cookie, ..PLAIN }),
        (DenyCode::ForbiddenAddress, Case { fields: &with(&good), client: Ipv4Addr::new(192, 0, 2, 1), ..PLAIN }),
        (DenyCode::ForbiddenRoute, Case { fields: &with(&good), target: "/v1/secrets", ..PLAIN }),
        (DenyCode::ForbiddenRoute, Case { fields: &with(&good), target: "/V1/%C5%BFECRET.", ..PLAIN }),
        (DenyCode::ForbiddenRoute, Case { fields: &with(&good), method: "POST", target: "/V1/Login/User", ..PLAIN }),
        (DenyCode::KeyInUrl, Case { target: "/v1/articles?%2561p%u0069_key=x", ..PLAIN }),
        (DenyCode::MalformedRequest, Case { fields: &with(&good), target: "/v1/articles/REF%2F12", ..PLAIN }),
        (DenyCode::AmbiguousToken, Case { fields: &two_tokens, ..PLAIN }),
        (DenyCode::SessionMissing, Case { fields: &with(&good), ..PLAIN }),
        (DenyCode::SessionUnknown, Case { fields: &unknown_token, ..PLAIN }),
        (DenyCode::MethodNotAllowed, Case { fields: &with(&good), method: "TRACE", ..PLAIN }),
        (DenyCode::BodyTooLarge, Case { fields: &with(&good), framing: Framing::Length(u64::MAX), ..PLAIN }),
    ] {
        assert_eq!(decided(&snapshot, &tables, &case), (Err(code), 0), "{} {}", case.method, case.target);
    }
}
