//! 8sens misbehaves while its caller speaks HTTP/2: the same answers, each in one stream.

use crate::escape::{bytes, shown};
use crate::format::{GateKind, UpstreamCase, values};
use crate::site::{Forwarder, Site};
use crate::support::http2::{Answer, END_STREAM, FrameClient, Outcome, literal};
use crate::support::witness::Action;
use crate::{play_all, upstream, wanted};
use std::sync::Arc;

/// At least this many cases are played.
const CASES: usize = 150;

/// Longest field of an answer that is put into one frame.
const LONGEST: usize = 8 << 10;

/// Streams on one connection: it bears a bounded number of faults.
const STREAMS: u32 = 30;

#[test]
fn every_misbehaviour_that_http_2_can_ask_for() {
    let mut cases: Vec<_> = crate::format::misbehaviours();
    // Nobody asks for another protocol here, and the client of the tests takes no head that is so long.
    let has_long_line = |case: &UpstreamCase| {
        case.answer.split(|b| *b == b'\n').any(|line| line.starts_with(b"X-A") && line.len() > LONGEST)
    };
    cases.retain(|case| !case.request.contains("Upgrade") && !has_long_line(case));
    assert!(cases.len() >= CASES, "{}", cases.len());
    cases.retain(|case| wanted(&case.name));
    play_all(cases, async |site, case, number| play(site, &case, number).await);
}

async fn play(site: &mut Site, case: &UpstreamCase, number: usize) -> Result<(), String> {
    let target = format!("/v1/odd-{number}");
    let script = Arc::new(upstream::script(case));
    site.act(&target, Action::Script(Arc::clone(&script)));
    let own = own_outcome(site, number).await;
    own.map_err(|why| format!("{}: before the case: {why}", case.name))?;
    let seen = ask(site, case, &target).await.map_err(|error| format!("{}: {error}", case.name))?;
    if !case.late.is_empty() {
        // A request that is under way already cannot be told from one that 8sens answers.
        script.finished().await;
    }
    let mut outcome = Ok(());
    for _ in 0..3 {
        if outcome.is_ok() {
            outcome = own_outcome(site, number).await;
        }
    }
    outcome.and_then(|()| judge(case, site.forwarder, &seen)).map_err(|why| {
        let answer = shown(&[case.answer.clone(), case.endless.clone(), case.late.clone()].concat());
        format!("{}: {why}\n  8sens sent\n      {answer}\n  the caller got\n      {seen:?}", case.name)
    })
}

/// A request of the case as a stream.
async fn ask(site: &mut Site, case: &UpstreamCase, target: &str) -> Result<Outcome, String> {
    let mut placeholders = values();
    placeholders.insert("target", target.as_bytes().to_vec());
    let request = bytes(&case.request, &placeholders)?;
    let mut fields = [httparse::EMPTY_HEADER; 32];
    let mut parsed = httparse::Request::new(&mut fields);
    let Ok(httparse::Status::Complete(len)) = parsed.parse(&request) else { return Err("request not read".into()) };
    let chunked = parsed.headers.iter().any(|field| field.name == "Transfer-Encoding");
    let body: &[u8] = if chunked { b"hello" } else { &request[len..] };
    let names: Vec<String> = parsed.headers.iter().map(|field| field.name.to_ascii_lowercase()).collect();
    let rest = names.iter().zip(parsed.headers.iter()).map(|(name, field)| (name.as_bytes(), field.value));
    let rest = rest.filter(|(name, _)| *name != b"host" && *name != b"transfer-encoding");
    stream(site, parsed.method.unwrap_or_default(), target, &rest.collect::<Vec<_>>(), body)
        .await
        .map_err(|error| error.to_string())
}

async fn stream(
    site: &mut Site,
    method: &str,
    target: &str,
    fields: &[(&[u8], &[u8])],
    body: &[u8],
) -> std::io::Result<Outcome> {
    let (mut client, number) = match site.http2.take() {
        Some((GateKind::Plain, client, number)) if number < STREAMS * 2 => (client, number),
        _ => {
            let (address, connector) = site.tls_gate(GateKind::Plain);
            (FrameClient::connect(address, &connector, &[]).await?, 1)
        }
    };
    let pseudo: [(&[u8], &[u8]); 4] = [
        (b":method", method.as_bytes()),
        (b":scheme", b"https"),
        (b":authority", b"gate.example"),
        (b":path", target.as_bytes()),
    ];
    let ends = if body.is_empty() { END_STREAM } else { 0 };
    client.head(number, ends, &literal(&[&pseudo[..], fields].concat())).await?;
    client.body(number, body).await?;
    let outcome = client.outcome(number).await;
    if matches!(outcome, Outcome::Answer(_) | Outcome::Reset(_)) {
        site.http2 = Some((GateKind::Plain, client, number + 2));
    }
    Ok(outcome)
}

/// A well-formed request gets the answer to itself.
async fn own_outcome(site: &mut Site, number: usize) -> Result<(), String> {
    let target = format!("/v1/own-{number}");
    let key = crate::gate::KEY.as_bytes();
    match stream(site, "GET", &target, &[(b"api_key", key)], b"").await {
        Ok(Outcome::Answer(Answer { status: 200, body, .. })) if body == target.as_bytes() => Ok(()),
        other => Err(format!("the next request got {other:?}")),
    }
}

fn judge(case: &UpstreamCase, forwarder: Forwarder, seen: &Outcome) -> Result<(), String> {
    let allowed = case.allowed(forwarder);
    let is_right = match seen {
        Outcome::Answer(answer) => {
            let code = answer.code();
            allowed.iter().any(|one| one.admits_answer(answer.status, code.as_deref()))
        }
        Outcome::Reset(_) => allowed.iter().any(|one| one.is_broken()),
        Outcome::GoAway(_) | Outcome::Closed => false,
    };
    if !is_right {
        return Err(format!("answer not among {allowed:?}"));
    }
    let Outcome::Answer(answer) = seen else { return Ok(()) };
    if case.body.as_ref().is_some_and(|body| *body != answer.body) {
        return Err("another body".into());
    }
    let lines = answer.fields.iter().map(|(name, value)| format!("{name}: {value}\r\n"));
    let text = lines.chain([String::from_utf8_lossy(&answer.body).into_owned()]).collect::<String>().to_lowercase();
    let holds = |part: &Vec<u8>| text.contains(&String::from_utf8_lossy(part).to_lowercase());
    if let Some(missing) = case.with.iter().find(|part| !holds(part)) {
        return Err(format!("{:?} did not come", shown(missing)));
    }
    match case.without.iter().find(|part| holds(part)) {
        Some(leaked) => Err(format!("{:?} came through", shown(leaked))),
        None => Ok(()),
    }
}
