//! Lets 8sens misbehave in every way of the corpus, and watches what its caller and the next one get.

use crate::escape::{bytes, shown};
use crate::format::{EndKind, GateKind, UpstreamCase, values};
use crate::outcome::{Caller, Seen};
use crate::requests::own_answer;
use crate::site::Site;
use crate::support::witness::{Action, Script, ScriptEnd, Step};
use std::sync::Arc;
use std::time::Duration;

/// Between an answer and what comes late; long enough for the gate to have put the connection back.
const LATE: Duration = Duration::from_millis(100);

/// Behind each byte of what is dripped: a fraction of the silence that 8sens may keep.
const DRIP: Duration = Duration::from_millis(60);

/// Plays one case; the text says what went wrong.
pub async fn play(site: &mut Site, case: &UpstreamCase, number: usize) -> Result<(), String> {
    let address = site.gate(GateKind::Plain).address();
    let target = format!("/v1/odd-{number}");
    let mut placeholders = values();
    placeholders.insert("target", target.clone().into_bytes());
    let request = bytes(&case.request, &placeholders)?;
    let script = Arc::new(script(case));
    site.act(&target, Action::Script(Arc::clone(&script)));

    let connect = async || Caller::connect(address).await.map_err(|error| error.to_string());
    // A connection to 8sens is in the pool, so that the case meets a reused one.
    own_answer(&mut connect().await?, number).await.map_err(|why| format!("{}: before the case: {why}", case.name))?;
    let mut caller = connect().await?;
    caller.send(&request).await;
    let seen = caller.answer(request.starts_with(b"HEAD ")).await;
    if !case.late.is_empty() {
        // A request that is under way already cannot be told from one that 8sens answers.
        script.finished().await;
    }
    let ended = match &seen {
        Seen::Answer(answer) if answer.closes() => caller.rest().await.and_then(|rest| match rest.is_empty() {
            true => Ok(()),
            false => Err(format!("bytes after the answer: {}", shown(&rest))),
        }),
        Seen::Answer(_) => own_answer(&mut caller, number).await,
        Seen::Silent => Err("no answer".into()),
        _ => Ok(()),
    };
    drop(caller);
    let mut outcome = ended;
    for _ in 0..3 {
        if outcome.is_ok() {
            outcome = own_answer(&mut connect().await?, number).await;
        }
    }
    outcome.and_then(|()| judge(site, case, &target, &seen)).map_err(|why| {
        let answer = shown(&[case.answer.clone(), case.endless.clone(), case.late.clone()].concat());
        format!("{}: {why}\n  8sens sent\n      {answer}\n  the caller got\n      {seen}", case.name)
    })
}

pub fn script(case: &UpstreamCase) -> Script {
    let mut steps = Vec::new();
    if case.pause_before > 0 {
        steps.push(Step::Pause(Duration::from_millis(case.pause_before)));
    }
    steps.push(if case.bytewise { Step::Bytewise(case.answer.clone()) } else { Step::Send(case.answer.clone()) });
    steps.extend(case.dripped.iter().flat_map(|byte| [Step::Send(vec![*byte]), Step::Pause(DRIP)]));
    if !case.endless.is_empty() {
        steps.push(Step::Endless(case.endless.clone()));
    }
    if !case.late.is_empty() {
        steps.push(Step::Pause(LATE));
        steps.push(Step::Send(case.late.clone()));
    }
    let end = match case.end {
        EndKind::Keep => ScriptEnd::Keep,
        EndKind::Close => ScriptEnd::Close,
        EndKind::Reset => ScriptEnd::Reset,
        EndKind::Hang => ScriptEnd::Hang,
    };
    Script::new(steps, end)
}

fn judge(site: &Site, case: &UpstreamCase, target: &str, seen: &Seen) -> Result<(), String> {
    let allowed = case.allowed(site.forwarder);
    if !allowed.iter().any(|expected| expected.admits(seen)) {
        return Err(format!("answer not among {allowed:?}"));
    }
    if let (Some(body), Seen::Answer(answer)) = (&case.body, seen)
        && *body != answer.body
    {
        return Err("another body".into());
    }
    let text = seen.to_string();
    if let Some(missing) = case.with.iter().find(|part| !text.contains(&shown(part))) {
        return Err(format!("{:?} did not come", shown(missing)));
    }
    if let Some(leaked) = case.without.iter().find(|part| text.contains(&shown(part))) {
        return Err(format!("{:?} came through", shown(leaked)));
    }
    let requests = site.witness.requests();
    let odd: Vec<_> = requests.iter().filter(|request| request.target() == target).collect();
    let most = if odd.iter().any(|request| request.method() != "GET") { 1 } else { 2 };
    if odd.is_empty() || odd.len() > most {
        return Err(format!("8sens saw the request {} times", odd.len()));
    }
    let used_again = |at: &&&crate::support::witness::SeenRequest| {
        requests.iter().any(|later| later.connection == at.connection && later.nth_on_connection > at.nth_on_connection)
    };
    if !case.reuse(site.forwarder) && odd.iter().find(used_again).is_some() {
        return Err("the connection to 8sens was used again".into());
    }
    Ok(())
}
