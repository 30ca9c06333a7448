//! The requests of the corpus that HTTP/2 can say, said in HTTP/2: the same answers, and the same requests at 8sens.

use crate::escape::shown;
use crate::format::RequestCase;
use crate::requests::{only_own, same};
use crate::site::Site;
use crate::support::http2::{END_STREAM, FrameClient, Outcome, literal};
use crate::{play_all, wanted};

/// At least this many cases are played.
const CASES: usize = 2500;

/// Streams on one connection: it bears a bounded number of faults.
const STREAMS: u32 = 30;

/// Fields of a connection, which HTTP/2 does not have.
const OF_A_CONNECTION: [&str; 7] =
    ["connection", "transfer-encoding", "upgrade", "keep-alive", "proxy-connection", "te", "expect"];

#[test]
fn every_request_that_http_2_can_say() {
    let (cases, _) = crate::format::requests();
    let all = cases.len();
    let mut cases: Vec<_> = cases.into_iter().filter_map(|case| Some((said(&case)?, case))).collect();
    assert!(cases.len() >= CASES, "{} of {all}", cases.len());
    cases.retain(|(_, case)| wanted(&case.name));
    cases.sort_by_key(|(_, case)| case.gate);
    play_all(cases, async |site, (said, case), _| play(site, &said, &case).await);
}

/// One request as HTTP/2 says it.
#[derive(Clone)]
struct Said {
    block: Vec<u8>,
    body: Vec<u8>,
    is_head: bool,
}

/// `None` when a case is about something that HTTP/2 does not have: line ends, versions, codings, pipelines.
fn said(case: &RequestCase) -> Option<Said> {
    let [sent] = &case.send[..] else { return None };
    if case.finish || case.bytewise || case.partial || !case.then.is_empty() {
        return None;
    }
    let line_len = sent.windows(2).position(|end| end == b"\r\n")?;
    let [method, target, b"HTTP/1.1"] = sent[..line_len].split(|byte| *byte == b' ').collect::<Vec<_>>()[..] else {
        return None;
    };
    let mut headers = [httparse::EMPTY_HEADER; 128];
    let parsed = httparse::parse_headers(&sent[line_len + 2..], &mut headers);
    let Ok(httparse::Status::Complete((len, headers))) = parsed else { return None };
    let (head, body) = sent.split_at(line_len + 2 + len);
    let has_odd_ends =
        head.strip_suffix(b"\r\n")?.split(|b| *b == b'\n').any(|line| !line.is_empty() && !line.ends_with(b"\r"));
    if has_odd_ends || !(target.starts_with(b"/") || target == b"*") {
        return None;
    }
    let lower = |name: &str| name.to_ascii_lowercase();
    if headers.iter().any(|field| OF_A_CONNECTION.contains(&lower(field.name).as_str())) {
        return None;
    }
    let values = |name: &str| -> Vec<&[u8]> {
        let of_name = headers.iter().filter(|field| lower(field.name) == name);
        of_name.map(|field| field.value.trim_ascii()).collect()
    };
    let [host] = values("host")[..] else { return None };
    let length = values("content-length").first().map(|value| String::from_utf8_lossy(value).into_owned());
    if body.len() != length.map_or(Some(0), |length| length.parse().ok())? {
        return None;
    }
    let names: Vec<String> = headers.iter().map(|field| lower(field.name)).collect();
    let mut lines: Vec<(&[u8], &[u8])> =
        vec![(b":method", method), (b":scheme", b"https"), (b":authority", host), (b":path", target)];
    let rest = names.iter().zip(headers.iter()).filter(|(name, _)| *name != "host");
    lines.extend(rest.map(|(name, field)| (name.as_bytes(), field.value.trim_ascii())));
    Some(Said { block: literal(&lines), body: body.to_vec(), is_head: method == b"HEAD" })
}

async fn play(site: &mut Site, said: &Said, case: &RequestCase) -> Result<(), String> {
    let before = site.mark();
    let outcome = ask(site, said, case).await.map_err(|error| format!("{}: {error}", case.name))?;
    let (requests, bytes) = site.since(&before);
    let judged = judge(site, said, case, &outcome, &requests, &bytes);
    judged.map_err(|why| {
        let sent = shown(&case.send[0]);
        format!(
            "{}: {why}\n  means\n      {sent}\n  came to\n      {outcome:?}\n  8sens saw\n      {}",
            case.name,
            shown(&bytes)
        )
    })
}

/// Sends the request as one more stream of the site's connection, or of a new one.
async fn ask(site: &mut Site, said: &Said, case: &RequestCase) -> std::io::Result<Outcome> {
    let (mut client, stream) = match site.http2.take() {
        Some((kind, client, stream)) if kind == case.gate && stream < STREAMS * 2 => (client, stream),
        _ => {
            let (address, connector) = site.tls_gate(case.gate);
            (FrameClient::connect(address, &connector, &[]).await?, 1)
        }
    };
    let ends = if said.body.is_empty() { END_STREAM } else { 0 };
    client.head(stream, ends, &said.block).await?;
    client.body(stream, &said.body).await?;
    let outcome = client.outcome(stream).await;
    if matches!(outcome, Outcome::Answer(_) | Outcome::Reset(_)) {
        site.http2 = Some((case.gate, client, stream + 2));
    }
    Ok(outcome)
}

fn judge(
    site: &Site,
    said: &Said,
    case: &RequestCase,
    outcome: &Outcome,
    requests: &[crate::support::witness::SeenRequest],
    bytes: &[u8],
) -> Result<(), String> {
    let is_right = match outcome {
        Outcome::Answer(answer) if said.is_head => case.allowed.iter().any(|one| one.admits_status(answer.status)),
        Outcome::Answer(answer) => {
            let code = answer.code();
            case.allowed.iter().any(|one| one.admits_answer(answer.status, code.as_deref()))
        }
        Outcome::Reset(_) | Outcome::GoAway(_) | Outcome::Closed => false,
    };
    if !is_right {
        return Err(format!("answer not among {:?}", case.allowed));
    }
    if requests.len() != case.sees.len() {
        return Err(format!("8sens saw {} requests in place of {}", requests.len(), case.sees.len()));
    }
    for (seen, expected) in requests.iter().zip(&case.sees) {
        site.standard_fields(seen, case.gate, "https", expected)?;
        same(seen, expected)?;
    }
    if case.sees.is_empty() && !bytes.is_empty() && !only_own(bytes) {
        Err("bytes reached 8sens".into())
    } else {
        Ok(())
    }
}
