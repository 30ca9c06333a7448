//! Sends every request of the corpus, each on a connection of its own, and watches what reaches 8sens.

use crate::escape::shown;
use crate::format::RequestCase;
use crate::outcome::{Answer, Caller, Expected, Seen};
use crate::site::Site;
use crate::support::wire::fields;
use crate::support::witness::SeenRequest;

/// Plays one case; the text says what went wrong.
pub async fn play(site: &mut Site, case: &RequestCase, number: usize) -> Result<(), String> {
    let address = site.gate(case.gate).address();
    let before = site.mark();
    let mut caller = Caller::connect(address).await.map_err(|error| error.to_string())?;
    let answers = converse(&mut caller, case, number).await;
    let last = answers.last();
    let ended = match last {
        Some(Seen::Answer(answer)) if answer.closes() => after_the_close(&mut caller).await,
        Some(Seen::Answer(_)) => after_the_answer(&mut caller, case, number).await,
        Some(Seen::Silent) => Err("no answer".into()),
        _ => Ok(()),
    };
    drop(caller);
    if case.partial {
        barrier(site, case, number).await?;
    }
    let (requests, bytes) = site.since(&before);
    let outcome = ended.and_then(|()| judge(site, case, &answers, &requests, &bytes));
    outcome.map_err(|why| {
        let sent = case.send.iter().map(|piece| shown(piece)).collect::<Vec<_>>().join("\n      --\n      ");
        let got = answers.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n      --\n      ");
        format!(
            "{}: {why}\n  sent\n      {sent}\n  answered\n      {got}\n  8sens saw\n      {}",
            case.name,
            shown(&bytes)
        )
    })
}

/// A request without a key: on the wire behind a case it must be answered 401 or not at all, and never forwarded.
pub fn canary(number: usize) -> Vec<u8> {
    format!("GET /canary-{number} HTTP/1.1\r\nHost: gate\r\n\r\n").into_bytes()
}

/// What a broken-off request left on its way to 8sens comes before a later write, which takes a connection of its own.
async fn barrier(site: &mut Site, case: &RequestCase, number: usize) -> Result<(), String> {
    let mut caller = Caller::connect(site.gate(case.gate).address()).await.map_err(|error| error.to_string())?;
    caller.send(crate::gate::post(&format!("/v1/own-{number}"), "").as_bytes()).await;
    match caller.answer(false).await {
        Seen::Answer(Answer { status: 200, .. }) => Ok(()),
        other => Err(format!("{}: the request after it got {other}", case.name)),
    }
}

async fn converse(caller: &mut Caller, case: &RequestCase, number: usize) -> Vec<Seen> {
    let mut answers = Vec::new();
    for (at, piece) in case.send.iter().enumerate() {
        if at > 0 {
            match caller.any_answer(false).await {
                Seen::Answer(interim) if interim.status < 200 => {}
                // No leave to go on: what came is the answer.
                seen => {
                    answers.push(seen);
                    return answers;
                }
            }
        }
        let mut bytes = piece.clone();
        if case.canary && at + 1 == case.send.len() {
            bytes.extend(canary(number));
        }
        if case.bytewise {
            caller.send_bytewise(&bytes).await;
        } else {
            caller.send(&bytes).await;
        }
    }
    if case.finish {
        caller.finish().await;
    }
    let to_head = case.send[0].starts_with(b"HEAD ") || case.allowed.iter().any(|expected| expected.to_head);
    answers.push(caller.answer(to_head).await);
    for expected in &case.then {
        if !matches!(answers.last(), Some(Seen::Answer(answer)) if !answer.closes()) {
            break;
        }
        answers.push(caller.answer(expected.to_head).await);
    }
    answers
}

/// The last answer said that the connection ends: it does, in order, and nothing else comes.
async fn after_the_close(caller: &mut Caller) -> Result<(), String> {
    match caller.rest().await {
        Ok(rest) if rest.is_empty() => Ok(()),
        Ok(rest) => Err(format!("bytes after the last answer: {}", shown(&rest))),
        Err(error) => Err(format!("no orderly end after the last answer: {error}")),
    }
}

/// The connection stays: the canary gets its own refusal, and the next request its own answer.
async fn after_the_answer(caller: &mut Caller, case: &RequestCase, number: usize) -> Result<(), String> {
    if case.finish {
        return Ok(());
    }
    if case.canary {
        match caller.answer(false).await {
            Seen::Answer(answer) if answer.status == 401 && answer.code().as_deref() == Some("missing_key") => {}
            other => return Err(format!("the canary got {other}")),
        }
    }
    own_answer(caller, number).await
}

/// A well-formed request gets the answer to itself.
pub async fn own_answer(caller: &mut Caller, number: usize) -> Result<(), String> {
    let target = format!("/v1/own-{number}");
    caller.send(crate::gate::get(&target).as_bytes()).await;
    match caller.answer(false).await {
        Seen::Answer(Answer { status: 200, body, .. }) if body == target.as_bytes() => Ok(()),
        other => Err(format!("the next request got {other}")),
    }
}

fn judge(
    site: &Site,
    case: &RequestCase,
    answers: &[Seen],
    requests: &[SeenRequest],
    bytes: &[u8],
) -> Result<(), String> {
    let first_is_right = answers.first().is_some_and(|seen| case.allowed.iter().any(|expected| expected.admits(seen)));
    if !first_is_right {
        return Err(format!("answer not among {:?}", case.allowed));
    }
    let following: Vec<&Seen> = answers.iter().skip(1).collect();
    if following.len() != case.then.len()
        || !case.then.iter().zip(&following).all(|(expected, seen): (&Expected, _)| expected.admits(seen))
    {
        return Err(format!("following answers are not {:?}", case.then));
    }
    if bytes.windows(8).any(|window| window == b"/canary-") {
        return Err("the canary reached 8sens".into());
    }
    let requests: Vec<_> = requests.iter().filter(|seen| !seen.target().starts_with("/v1/own-")).collect();
    if requests.len() != case.sees.len() {
        return Err(format!("8sens saw {} requests in place of {}", requests.len(), case.sees.len()));
    }
    for (seen, expected) in requests.iter().zip(&case.sees) {
        site.standard_fields(seen, case.gate, "http", expected)?;
        same(seen, expected)?;
    }
    let nothing_expected = case.sees.is_empty() && !case.partial;
    if nothing_expected && !bytes.is_empty() && !only_own(bytes) { Err("bytes reached 8sens".into()) } else { Ok(()) }
}

/// True when 8sens was sent nothing but one request of [`own_answer`].
pub fn only_own(bytes: &[u8]) -> bool {
    bytes.starts_with(b"GET /v1/own-") && bytes.windows(4).position(|w| w == b"\r\n\r\n") == Some(bytes.len() - 4)
}

/// Compares line, fields and body; fields in any order, and without those that the gate always sets unless they are
/// written down.
pub fn same(seen: &SeenRequest, expected: &[u8]) -> Result<(), String> {
    let end = expected.windows(4).position(|four| four == b"\r\n\r\n");
    let (head, body) = end.map_or((expected, &b""[..]), |end| (&expected[..end], &expected[end + 4..]));
    let head = &*String::from_utf8_lossy(head);
    let line = |head: &str| head.split("\r\n").next().unwrap_or_default().to_owned();
    if line(&seen.head) != line(head) {
        return Err(format!("8sens saw the line {:?}", line(&seen.head)));
    }
    let wanted = sorted(fields(&format!("{head}\r\n\r\n")));
    let listed = |name: &str| wanted.iter().any(|(known, _)| known == name);
    let mut got = sorted(fields(&seen.head));
    got.retain(|(name, _)| listed(name) || !crate::site::STANDARD_FIELDS.contains(&name.as_str()));
    if got != wanted {
        return Err(format!("8sens saw the fields {got:?} in place of {wanted:?}"));
    }
    if seen.body != body {
        return Err(format!("8sens saw the body {:?}", shown(&seen.body)));
    }
    Ok(())
}

fn sorted(fields: Vec<(String, String)>) -> Vec<(String, String)> {
    let mut fields: Vec<_> = fields.into_iter().map(|(name, value)| (name.to_lowercase(), value)).collect();
    fields.sort();
    fields
}
