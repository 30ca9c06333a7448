//! The rules for fields, applied to Pingora's types. No rule is decided here.

use super::target;
use crate::config::Settings;
use crate::domain::answer::fields::AnswerEdits;
use crate::domain::answer::framing::{AnswerFraming, Content, FramingLines};
use crate::domain::answer::own_name::Itself;
use crate::domain::answer::reference;
use crate::domain::exchange::{ForwardPlan, Target};
use crate::domain::request::Method;
use crate::proxy::reply::Problem;
use http::header::{self, HeaderName, HeaderValue};
use pingora_error::{Error, ErrorType, Result};
use pingora_http::{RequestHeader, ResponseHeader};

/// Makes of the caller's request what 8sens receives: the plan, and the upstream key.
///
/// # Errors
/// When Pingora takes a field or target that it should not; none that the plan holds.
pub(super) fn edit_request(request: &mut RequestHeader, plan: &ForwardPlan, settings: &Settings) -> Result<()> {
    let table = &settings.snapshot.fields;
    let unwanted: Vec<HeaderName> = request
        .headers
        .iter()
        .filter(|(name, value)| {
            let name = name.as_str().as_bytes();
            !plan.fields.keeps(name, table.role(name), value.as_bytes())
        })
        .map(|(name, _)| name.clone())
        .collect();
    for name in &unwanted {
        request.remove_header(name);
    }
    if let Target::Rewritten(target) = &plan.target
        && target::is_written(target)
    {
        request.set_raw_path(target)?;
    }
    let upstream = &settings.upstream;
    request.insert_header(header::HOST, upstream.host_field.clone())?;
    let mut written = Ok(());
    let mut write = |name, value: &[u8]| {
        let added = request.append_header(name, value).map(drop);
        written = std::mem::replace(&mut written, Ok(())).and(added);
    };
    plan.fields.add(&mut write);
    plan.fields.add_token(&mut write);
    written?;
    request.insert_header("api_key", upstream.api_key.clone())
}

/// Leaves one reading of where 8sens's answer ends. Pingora takes any coding that mentions chunked for it and passes
/// its name on, passes repeated lengths and the framing of answers without content on, and answers in 8sens's version.
///
/// # Errors
/// When there is more than one reading.
pub(super) fn settle_framing(method: Method, response: &mut ResponseHeader) -> Result<AnswerFraming> {
    let mut lines = FramingLines::default();
    for (name, value) in &response.headers {
        lines.push(name.as_str().as_bytes(), value.as_bytes());
    }
    let is_http11 = response.version == http::Version::HTTP_11;
    let framing = lines.settle(method, response.status.as_u16(), is_http11);
    let framing = framing.map_err(|fault| invalid_answer(fault.as_str()))?;
    if framing.content != Content::Chunked {
        response.remove_header(&header::TRANSFER_ENCODING);
    }
    match framing.length_field {
        Some(length) => response.insert_header(header::CONTENT_LENGTH, length)?,
        None => drop(response.remove_header(&header::CONTENT_LENGTH)),
    }
    response.set_version(http::Version::HTTP_11);
    Ok(framing)
}

/// Makes of 8sens's answer what the caller receives. `Date` and `Connection` are for Pingora to write over.
///
/// # Errors
/// When Pingora takes no field that the rules give it; there is none.
pub(super) fn edit_answer(response: &mut ResponseHeader, edits: &AnswerEdits<'_>) -> Result<()> {
    let connection: Vec<&[u8]> =
        response.headers.get_all(header::CONNECTION).iter().map(HeaderValue::as_bytes).collect();
    let passes = |name: &HeaderName| {
        name == header::CONNECTION || edits.passes(name.as_str().as_bytes(), connection.iter().copied())
    };
    let unwanted: Vec<HeaderName> = response.headers.keys().filter(|name| !passes(name)).cloned().collect();
    for name in &unwanted {
        response.remove_header(name);
    }
    let mut written = Ok(());
    edits.add(|name, value| {
        let added = response.insert_header(name, value);
        written = std::mem::replace(&mut written, Ok(())).and(added);
    });
    written
}

/// True when an answer says where else to go.
#[must_use]
pub(super) fn has_references(response: &ResponseHeader) -> bool {
    reference::FIELDS.iter().any(|name| response.headers.contains_key(*name))
}

/// Leads references to 8sens back to the gate.
///
/// # Errors
/// When Pingora takes no field that is written; there is none.
pub(super) fn settle_references(response: &mut ResponseHeader, itself: &Itself<'_>) -> Result<()> {
    for name in reference::FIELDS {
        let lines: Vec<&[u8]> = response.headers.get_all(name).iter().map(HeaderValue::as_bytes).collect();
        let Some(rewritten) = reference::rewrite(name, &lines, itself) else { continue };
        response.remove_header(name);
        for line in rewritten {
            response.append_header(name, line)?;
        }
    }
    Ok(())
}

/// An answer that cannot be passed on; its connection is not used again.
#[must_use]
pub(super) fn invalid_answer(why: &'static str) -> Box<Error> {
    Error::explain(ErrorType::InvalidHTTPHeader, why).into_up()
}

/// The head of a refusal.
///
/// # Errors
/// When Pingora takes no field of it; there is none.
pub(super) fn problem_head(problem: &Problem) -> Result<ResponseHeader> {
    let mut head = ResponseHeader::build(problem.status, Some(problem.fields.len() + 3))?;
    for (name, value) in &problem.fields {
        head.insert_header(*name, value)?;
    }
    head.insert_header(header::CONTENT_LENGTH, problem.body.len())?;
    Ok(head)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settled(method: Method, status: u16, fields: &[(&'static str, &str)]) -> Option<String> {
        let mut response = ResponseHeader::build(status, None).unwrap();
        response.set_version(http::Version::HTTP_11);
        for (name, value) in fields {
            response.append_header(*name, *value).unwrap();
        }
        settle_framing(method, &mut response).ok()?;
        let field = |(name, value): (&HeaderName, &HeaderValue)| format!("{name}: {}", value.to_str().unwrap());
        Some(response.headers.iter().map(field).collect::<Vec<_>>().join("; "))
    }

    #[test]
    fn an_answer_keeps_one_framing() {
        let twice = [("content-length", "5"), ("content-length", "5, 5")];
        let chunked = [("transfer-encoding", "Chunked")];
        let both = [("transfer-encoding", "chunked"), ("content-length", "5")];
        assert_eq!(settled(Method::Get, 200, &twice).as_deref(), Some("content-length: 5"));
        assert_eq!(settled(Method::Get, 200, &chunked).as_deref(), Some("transfer-encoding: Chunked"));
        assert_eq!(settled(Method::Get, 204, &both).as_deref(), Some(""));
        assert_eq!(settled(Method::Get, 205, &both).as_deref(), Some("content-length: 0"));
        assert_eq!(settled(Method::Get, 304, &twice).as_deref(), Some("content-length: 5"));
        assert_eq!(settled(Method::Head, 200, &twice).as_deref(), Some("content-length: 5"));
        assert_eq!(settled(Method::Head, 200, &chunked).as_deref(), Some(""));
        assert_eq!(settled(Method::Get, 200, &[("transfer-encoding", "gzip, chunked")]), None);
    }
}
