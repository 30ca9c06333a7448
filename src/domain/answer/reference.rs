//! References in an answer that name 8sens itself, such as a `Location` (RFC 9110 sections 8.7 and 10.2.2).
//!
//! 8sens knows itself by an address that is nobody's business outside, and a caller that follows a redirect there goes
//! round the gate and shows its key to whoever listens. A reference to 8sens becomes a relative one, which leads back
//! to the gate; where that cannot be said in one way, the field is left out. References to anybody else stay as they
//! came.

use super::own_name::{Host, Itself};

/// The fields that name where else to go. `Alt-Svc` never goes on at all.
pub const FIELDS: [&str; 4] = ["Location", "Content-Location", "Link", "Refresh"];

/// What becomes of one reference.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Rewritten {
    /// It does not name 8sens.
    AsReceived,
    /// Path, query and fragment.
    Relative(Vec<u8>),
    /// It names 8sens in a way that programs read differently, or what is left could name somebody else.
    Dropped,
}

/// What takes the place of all lines of one of [`FIELDS`]; `None` when they stay as they are.
#[must_use]
pub fn rewrite(name: &str, lines: &[&[u8]], itself: &Itself<'_>) -> Option<Vec<Vec<u8>>> {
    let rewritten: Vec<Option<Vec<u8>>> = match name {
        "Link" => lines.iter().map(|line| link(line, itself)).collect(),
        "Refresh" => lines.iter().map(|line| refresh(line, itself)).collect(),
        _ => one_reference(lines, itself),
    };
    let unchanged =
        rewritten.len() == lines.len() && rewritten.iter().zip(lines).all(|(new, old)| new.as_deref() == Some(*old));
    (!unchanged).then(|| rewritten.into_iter().flatten().collect())
}

/// A field that holds one reference. Lines that lead to different places have two readings, and none is kept.
fn one_reference(lines: &[&[u8]], itself: &Itself<'_>) -> Vec<Option<Vec<u8>>> {
    let mut rewritten = lines.iter().map(|line| replaced(line, itself));
    let Some(first) = rewritten.next() else { return Vec::new() };
    if rewritten.all(|other| other == first) { vec![first] } else { vec![None] }
}

/// `Link` (RFC 8288 section 3): each target is between angle brackets.
fn link(line: &[u8], itself: &Itself<'_>) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(line.len());
    let mut rest = line;
    let mut quoted = false;
    while let Some((byte, after)) = rest.split_first() {
        out.push(*byte);
        rest = after;
        match byte {
            b'"' => quoted = !quoted,
            b'\\' if quoted => {
                let (escaped, after) = rest.split_at(rest.len().min(1));
                out.extend_from_slice(escaped);
                rest = after;
            }
            b'<' if !quoted => {
                let end = rest.iter().position(|b| *b == b'>').unwrap_or(rest.len());
                out.extend(replaced(&rest[..end], itself)?);
                rest = &rest[end..];
            }
            _ => {}
        }
    }
    Some(out)
}

/// `Refresh`: a delay, then the target behind `url=`, as browsers read it.
fn refresh(line: &[u8], itself: &Itself<'_>) -> Option<Vec<u8>> {
    let Some(delay) = line.iter().position(|b| matches!(b, b';' | b',')) else { return Some(line.to_vec()) };
    let target = line[delay + 1..].trim_ascii_start();
    let unnamed = match target.get(..3) {
        Some(name) if name.eq_ignore_ascii_case(b"url") => target[3..].trim_ascii_start().strip_prefix(b"="),
        _ => None,
    };
    let target = unnamed.unwrap_or(target).trim_ascii_start();
    let quote = target.first().filter(|b| matches!(b, b'"' | b'\''));
    let target = quote.map_or(target, |quote| target[1..].split(|b| b == quote).next().unwrap_or_default());
    match rewritten(target, itself) {
        Rewritten::AsReceived => Some(line.to_vec()),
        Rewritten::Relative(relative) => Some([&line[..delay], b"; url=", &relative].concat()),
        Rewritten::Dropped => None,
    }
}

/// The reference as it goes on, if it does.
fn replaced(reference: &[u8], itself: &Itself<'_>) -> Option<Vec<u8>> {
    match rewritten(reference, itself) {
        Rewritten::AsReceived => Some(reference.to_vec()),
        Rewritten::Relative(relative) => Some(relative),
        Rewritten::Dropped => None,
    }
}

fn rewritten(reference: &[u8], itself: &Itself<'_>) -> Rewritten {
    // Browsers read a reference without its tabs.
    let plain = reference.trim_ascii();
    let bytes: Vec<u8> = plain.iter().copied().filter(|b| *b != b'\t').collect();
    if names_host_bare(&bytes, itself) {
        return Rewritten::Dropped;
    }
    let Some(authority) = Authority::of(&bytes) else { return Rewritten::AsReceived };
    match authority.naming(itself) {
        Naming::Another => Rewritten::AsReceived,
        Naming::Itself if authority.is_usual && bytes.len() == plain.len() => relative(authority.rest),
        Naming::Itself | Naming::ItselfOrAnother => Rewritten::Dropped,
    }
}

/// A reference that begins with what is left of an absolute one behind its authority.
fn relative(rest: &[u8]) -> Rewritten {
    let is_path = rest.first() == Some(&b'/');
    let relative = if is_path { rest.to_vec() } else { [b"/", rest].concat() };
    // Two slashes begin another authority, and a backslash is a slash to browsers.
    let is_safe = !relative.starts_with(b"//") && relative.iter().all(|b| *b > b' ' && !matches!(b, b'\\' | 0x7f));
    if is_safe { Rewritten::Relative(relative) } else { Rewritten::Dropped }
}

/// `192.168.1.10:8082/v1`, which somebody meant as a URL: a path to the standard, an address to some programs and to
/// whoever reads it.
fn names_host_bare(reference: &[u8], itself: &Itself<'_>) -> bool {
    let segment = reference.split(|b| matches!(b, b'/' | b'\\' | b'?' | b'#')).next().unwrap_or_default();
    let Ok(segment) = std::str::from_utf8(segment) else { return false };
    let (host, port) = split_port(segment);
    let has_port = port.is_some_and(|port| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()));
    let is_address = host.starts_with('[') || host.parse::<std::net::IpAddr>().is_ok();
    (has_port || is_address)
        && Host::parse(host).is_some_and(|host| itself.is(&host, port.and_then(|port| port.parse().ok())))
}

/// Where a reference leads when somebody finds an authority in it.
struct Authority<'a> {
    text: &'a [u8],
    /// Path, query and fragment.
    rest: &'a [u8],
    default_port: Option<u16>,
    /// Every program finds it in the same place, and would use HTTP.
    is_usual: bool,
}

/// Whom an authority names.
enum Naming {
    Itself,
    /// One program would read 8sens in it, and another somebody else or nothing.
    ItselfOrAnother,
    Another,
}

impl<'a> Authority<'a> {
    /// Finds what any program takes for an authority: browsers read `\` as `/` and need neither of the two slashes
    /// behind `http:`.
    fn of(reference: &'a [u8]) -> Option<Self> {
        let (scheme, after) = split_scheme(reference);
        let slashes = after.iter().take_while(|b| matches!(b, b'/' | b'\\')).count();
        let scheme = scheme.map(<[u8]>::to_ascii_lowercase);
        let default_port = match scheme.as_deref() {
            Some(b"http" | b"ws") => Some(80),
            Some(b"https" | b"wss") => Some(443),
            Some(b"ftp") => Some(21),
            _ => None,
        };
        if default_port.is_none() && slashes < 2 {
            return None;
        }
        let is_usual =
            after.starts_with(b"//") && slashes == 2 && matches!(scheme.as_deref(), None | Some(b"http" | b"https"));
        let after = &after[slashes..];
        let end = after.iter().position(|b| matches!(b, b'/' | b'\\' | b'?' | b'#')).unwrap_or(after.len());
        let (text, rest) = after.split_at(end);
        Some(Self { text, rest, default_port, is_usual })
    }

    fn naming(&self, itself: &Itself<'_>) -> Naming {
        let pieces: Vec<&[u8]> = self.text.split(|b| *b == b'@').collect();
        let names = |piece: &[u8]| {
            let decoded: Vec<u8> = percent_encoding::percent_decode(piece).collect();
            let text = String::from_utf8_lossy(&decoded);
            let (host, port) = split_port(&text);
            let number = port.map_or(self.default_port, |port| port.parse().ok().or(self.default_port));
            let is_usual = decoded == piece && port.is_none_or(|port| port.bytes().all(|b| b.is_ascii_digit()));
            Host::parse(host).is_some_and(|host| itself.is(&host, number)).then_some(is_usual)
        };
        let (last, before) = pieces.split_last().map_or((&b""[..], &[][..]), |(last, before)| (*last, before));
        match (names(last), before.len()) {
            (Some(true), 0 | 1) => Naming::Itself,
            (Some(_), _) => Naming::ItselfOrAnother,
            (None, 0 | 1) => Naming::Another,
            // Which `@` ends the user is read differently.
            (None, _) if before.iter().any(|piece| names(piece).is_some()) => Naming::ItselfOrAnother,
            (None, _) => Naming::Another,
        }
    }
}

/// The scheme (RFC 3986 section 3.1), and what comes behind its colon.
fn split_scheme(reference: &[u8]) -> (Option<&[u8]>, &[u8]) {
    let end = reference.iter().position(|b| !(b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.')));
    match end {
        Some(end) if end > 0 && reference[end] == b':' && reference[0].is_ascii_alphabetic() => {
            (Some(&reference[..end]), &reference[end + 1..])
        }
        _ => (None, reference),
    }
}

/// Host and port; the port without its colon.
fn split_port(text: &str) -> (&str, Option<&str>) {
    let bracket = if text.starts_with('[') { text.find(']').unwrap_or(0) } else { 0 };
    match text[bracket..].find(':') {
        Some(colon) => (&text[..bracket + colon], Some(&text[bracket + colon + 1..])),
        None => (text, None),
    }
}

#[cfg(test)]
mod tests {
    use super::super::own_name::Alias;
    use super::*;
    use proptest::prelude::*;
    use std::net::IpAddr;

    /// Lines in place of `lines`, as text.
    fn after(name: &str, lines: &[&str]) -> Vec<String> {
        let also_known_as = [Alias { host: Host::parse("srv-erp").unwrap(), port: None }];
        let addresses: [IpAddr; 2] = ["192.168.1.10".parse().unwrap(), "fd00::10".parse().unwrap()];
        let itself = Itself { host: "8sens.lan", also_known_as: &also_known_as, addresses: &addresses };
        let bytes: Vec<&[u8]> = lines.iter().map(|line| line.as_bytes()).collect();
        match rewrite(name, &bytes, &itself) {
            None => lines.iter().map(|line| (*line).to_owned()).collect(),
            Some(lines) => lines.into_iter().map(|line| String::from_utf8(line).unwrap()).collect(),
        }
    }

    fn location(value: &str) -> Option<String> {
        let mut lines = after("Location", &[value]);
        assert!(lines.len() < 2);
        lines.pop()
    }

    #[test]
    fn what_names_8sens_becomes_relative() {
        for (value, relative) in [
            ("http://192.168.1.10:8082/v1/b", "/v1/b"),
            ("http://192.168.1.10:8082/v1/b?c=d#e", "/v1/b?c=d#e"),
            ("HTTP://8SENS.lan./v1", "/v1"),
            ("https://8sens.lan/v1", "/v1"),
            ("http://8sens.lan:/v1", "/v1"),
            ("http://srv-erp:9999/v1", "/v1"),
            ("http://localhost:8082/v1", "/v1"),
            ("http://[::1]:8082/v1", "/v1"),
            ("http://[fd00:0::10]/v1", "/v1"),
            ("http://[::ffff:192.168.1.10]:8082/v1", "/v1"),
            ("http://0xc0.0xa8.1.10/v1", "/v1"),
            ("//192.168.1.10:8082/v1", "/v1"),
            ("http://user:word@192.168.1.10:8082/v1", "/v1"),
            ("http://192.168.1.10:8082", "/"),
            ("http://192.168.1.10:8082?a=b", "/?a=b"),
            ("http://192.168.1.10:8082#top", "/#top"),
            (" http://192.168.1.10/v1 ", "/v1"),
            ("http://192.168.1.10/v1/../x//y", "/v1/../x//y"),
        ] {
            assert_eq!(location(value).as_deref(), Some(relative), "{value}");
            assert_eq!(after("Content-Location", &[value]), [relative], "{value}");
        }
    }

    #[test]
    fn what_stays_unclear_is_dropped() {
        for value in [
            "http://192.168.1.10:8082//evil.example/",
            "http://192.168.1.10:8082/\\evil.example/",
            "http://192.168.1.10:8082/a\\b",
            "http://192.168.1.10:8082\\v1",
            "http:\\\\192.168.1.10\\v1",
            "\\\\192.168.1.10\\v1",
            "/\\192.168.1.10/v1",
            "///192.168.1.10/v1",
            "http:192.168.1.10/v1",
            "http:/192.168.1.10/v1",
            "http:///192.168.1.10/v1",
            "http://192.168.1.10:80x/v1",
            "http://%31%39%32.168.1.10/v1",
            "http://192.168.1.10@a@other.example/v1",
            "http://192.168.1.10:8082/a b",
            "http://192.168.1.10/a, http://192.168.1.10/b",
            "ht\ttp://192.168.1.10/v1",
            "http://192.168.1.10/\tv1",
            "ftp://192.168.1.10/v1",
            "ws://8sens.lan/v1",
            "192.168.1.10:8082/v1",
            "192.168.1.10/v1",
            "8sens.lan:8082/v1",
            "localhost:8082",
        ] {
            assert_eq!(location(value), None, "{value}");
        }
    }

    #[test]
    fn the_rest_stays_as_it_came() {
        for value in [
            "",
            "/v1/b",
            "b",
            "?a=b",
            "#top",
            "8sens.lan/v1",
            "0",
            "/a\\b",
            "https://gate.example/v1/b",
            "https://192.168.1.11/v1",
            "https://pay.example/?back=http://192.168.1.10/",
            "//cdn.example/x",
            "http://192.168.1.10@other.example/",
            "mailto:admin@8sens.lan",
            "http://other.example//a\\b",
            "urn:8sens:1",
            "file:///C:/8sens",
        ] {
            assert_eq!(location(value).as_deref(), Some(value));
        }
    }

    #[test]
    fn several_lines_have_to_lead_to_one_place() {
        let own = "http://192.168.1.10/v1";
        assert_eq!(after("Location", &[own, "http://8sens.lan/v1", "/v1"]), ["/v1"]);
        assert_eq!(after("Location", &[own, "http://192.168.1.10/v2"]), [""; 0]);
        assert_eq!(after("Location", &["/a", "/b"]), [""; 0]);
        assert_eq!(after("Location", &["https://a.example/", "https://a.example/"]), ["https://a.example/"]);
    }

    #[test]
    fn links_and_refreshes_as_well() {
        for (name, value, expected) in [
            ("Link", "<http://192.168.1.10:8082/v1?p=2>; rel=\"next\"", "</v1?p=2>; rel=\"next\""),
            ("Link", "<http://8sens.lan/a>; rel=prev, <https://o.example/b>", "</a>; rel=prev, <https://o.example/b>"),
            (
                "Link",
                "</a>; title=\"<http://8sens.lan/>\\\"<\"; rel=next",
                "</a>; title=\"<http://8sens.lan/>\\\"<\"; rel=next",
            ),
            ("Refresh", "5; url=http://192.168.1.10/v1", "5; url=/v1"),
            ("Refresh", "0;URL='http://192.168.1.10/v1'", "0; url=/v1"),
            ("Refresh", "0, http://192.168.1.10/v1", "0; url=/v1"),
            ("Refresh", "5", "5"),
            ("Refresh", "5; url=/v1", "5; url=/v1"),
            ("Refresh", "5; url=https://other.example/", "5; url=https://other.example/"),
        ] {
            assert_eq!(after(name, &[value]), [expected], "{name}: {value}");
        }
        assert_eq!(after("Link", &["<http://8sens.lan//x>; rel=next", "<b>; rel=prev"]), ["<b>; rel=prev"]);
        assert_eq!(after("Refresh", &["5; url=http:\\\\8sens.lan\\"]), [""; 0]);
    }

    proptest! {
        /// Whoever follows it as browsers do never comes to 8sens, and what was rewritten stays at the gate.
        #[test]
        fn no_reference_leads_to_8sens(
            scheme in "(http:|https:|HTTP:|ftp:|)",
            slashes in "[/\\\\]{0,3}",
            user in "([a-z]{0,3}@){0,2}|192\\.168\\.1\\.10@",
            host in "192\\.168\\.1\\.10|8sens\\.lan\\.?|8Sens%2Elan|\\[fd00::10\\]|srv-erp|localhost|127\\.1|\
                     other\\.example",
            port in "(:[0-9]{0,4})?",
            rest in "[/\\\\?#a@:. %\t]{0,8}",
        ) {
            let value = [scheme, slashes, user, host, port, rest].concat();
            let base = url::Url::parse("https://gate.example/a/b").unwrap();
            let Some(kept) = location(&value) else { return Ok(()) };
            let Ok(target) = base.join(&kept) else { return Ok(()) };
            let host = target.host_str().unwrap_or_default();
            let is_known = host == "gate.example" || host == "other.example";
            prop_assert!(is_known || kept == value, "{:?} to {:?}", value, kept);
            let own = ["192.168.1.10", "8sens.lan", "[fd00::10]", "srv-erp", "localhost", "127.0.0.1"];
            let is_own = own.contains(&host.trim_end_matches('.'));
            prop_assert!(!is_own, "{:?} to {:?}", value, kept);
            if kept != value {
                prop_assert!(kept.starts_with('/') && !kept.starts_with("//"));
                prop_assert!(kept.bytes().all(|b| b > b' ' && b != b'\\'));
                prop_assert_eq!(host, "gate.example");
            }
        }

        #[test]
        fn any_bytes_are_read(name in "Location|Link|Refresh", line in proptest::collection::vec(any::<u8>(), 0..40)) {
            let itself = Itself { host: "8sens.lan", also_known_as: &[], addresses: &[] };
            let _ = rewrite(&name, &[&line], &itself);
        }
    }
}
