//! The HTTP/1.1 request that a stream means (RFC 9113 sections 8.2 and 8.3).
//!
//! Only the form changes: what is wrong with a request is for the scanner and the rules to say, as for any other. The HTTP/2 library has
//! refused what could not be written down in another form: control bytes, upper-case names, fields of a connection.

use crate::domain::denial::{Denial, Reason};
use crate::domain::request::head::is_same_host;
use http::header::{CONTENT_LENGTH, COOKIE, HOST, TE, TRANSFER_ENCODING};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, Uri};

/// Writes the head of a stream as that of an HTTP/1.1 request. `ended` says that no body follows.
///
/// # Errors
/// For a CONNECT, and for two hosts that differ.
pub fn http1(parts: Parts, ended: bool) -> Result<Request<()>, Denial> {
    let Parts { method, uri, mut headers, .. } = parts;
    if method == Method::CONNECT {
        return Err(Denial::because(Reason::Connect));
    }
    settle_host(&uri, &mut headers)?;
    join_cookies(&mut headers);
    // Says what the caller takes of this connection alone; trailers are not passed on.
    headers.remove(TE);
    if !ended && !headers.contains_key(CONTENT_LENGTH) {
        headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
    let target = uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    let mut request =
        Request::builder().method(method).uri(target).body(()).map_err(|_| malformed(Reason::Http2Target))?;
    *request.headers_mut() = headers;
    Ok(request)
}

/// The authority is the host. A Host field beside it has to name the same one; without an authority it stands alone.
fn settle_host(uri: &Uri, headers: &mut HeaderMap) -> Result<(), Denial> {
    let Some(authority) = uri.authority() else { return Ok(()) };
    let default_port = if uri.scheme_str() == Some("http") { 80 } else { 443 };
    let same = |host: &HeaderValue| is_same_host(authority.as_str().as_bytes(), host.as_bytes(), default_port);
    if !headers.get_all(HOST).iter().all(same) {
        return Err(malformed(Reason::AuthorityNotHost));
    }
    let value = HeaderValue::from_str(authority.as_str()).map_err(|_| malformed(Reason::Http2Authority))?;
    if !headers.contains_key(HOST) {
        headers.insert(HOST, value);
    }
    Ok(())
}

/// Cookies may come in pieces, and go on as one field (RFC 9113 section 8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    let pieces: Vec<&[u8]> = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if pieces.len() < 2 {
        return;
    }
    // Made of valid values, so always one itself.
    if let Ok(joined) = HeaderValue::from_bytes(&pieces.join(&b"; "[..])) {
        headers.insert(COOKIE, joined);
    }
}

const fn malformed(reason: Reason) -> Denial {
    Denial::because(reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(uri: &str, fields: &[(&str, &str)], ended: bool) -> Result<String, &'static str> {
        let mut builder = Request::builder().method("POST").uri(uri);
        for (name, value) in fields {
            builder = builder.header(*name, *value);
        }
        let (parts, ()) = builder.body(()).unwrap().into_parts();
        let request = http1(parts, ended).map_err(|denial| denial.reason_word())?;
        let field = |(name, value): (&http::HeaderName, &HeaderValue)| format!("\n{name}: {}", value.to_str().unwrap());
        let mut fields: Vec<_> = request.headers().iter().map(field).collect();
        fields.sort();
        Ok(format!("{} {}{}", request.method(), request.uri(), fields.concat()))
    }

    #[test]
    fn a_stream_as_a_request() {
        let fields = [("te", "trailers"), ("cookie", "a=1"), ("api_key", "k"), ("cookie", "b=2"), ("api_key", "l")];
        assert_eq!(
            written("https://gate.example:8443/v1/a?b=c", &fields, false).unwrap(),
            "POST /v1/a?b=c\napi_key: k\napi_key: l\ncookie: a=1; b=2\nhost: gate.example:8443\ntransfer-encoding: chunked"
        );
        assert_eq!(
            written("https://gate.example", &[("content-length", "3")], false).unwrap(),
            "POST /\ncontent-length: 3\nhost: gate.example"
        );
        assert_eq!(written("/v1/a", &[], true).unwrap(), "POST /v1/a", "the scanner misses the host");
    }

    #[test]
    fn two_hosts_are_one() {
        assert_eq!(written("https://a.example/", &[("host", "A.example")], true).unwrap(), "POST /\nhost: A.example");
        assert_eq!(
            written("https://a.example:443/", &[("host", "a.example:")], true).unwrap(),
            "POST /\nhost: a.example:"
        );
        assert!(written("https://a.example/", &[("host", "b.example")], true).is_err());
        assert!(written("https://a.example/", &[("host", "a.example:80")], true).is_err());
        assert!(written("https://a.example/", &[("host", "a.example"), ("host", "b.example")], true).is_err());
    }
}
