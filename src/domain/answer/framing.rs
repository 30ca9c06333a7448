//! Whether an answer has content, where that ends, and which framing fields may say so (RFC 9112 section 6.3, RFC 9110 section 8.6).

use crate::domain::request::Method;

/// What is known of an answer's framing before it goes on.
#[derive(Clone, Copy, Debug)]
pub struct AnswerHead<'a> {
    /// The method of the request that is answered.
    pub method: Method,
    /// A final status: interim answers never go on.
    pub status: u16,
    /// Whether 8sens answered in HTTP/1.1; an older version knows no transfer coding.
    pub is_http11: bool,
    /// Every `Transfer-Encoding` line.
    pub codings: &'a [&'a [u8]],
    /// Every `Content-Length` line.
    pub lengths: &'a [&'a [u8]],
}

/// What an answer brings beside its head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// Nothing, whatever the fields say: by its status, or because a HEAD is answered.
    None,
    /// 205: what 8sens sends is read to its end and not passed on (RFC 9110 section 15.3.6).
    Dropped,
    /// So many bytes.
    Length(u64),
    Chunked,
    /// All that comes until 8sens closes.
    UntilClose,
}

/// How an answer goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnswerFraming {
    pub content: Content,
    /// The one `Content-Length` that the caller is told, if it is told any.
    pub length_field: Option<u64>,
    /// 8sens announced content that this answer cannot have. It may still be on its way, so the connection is not to be used again.
    pub announced_too_much: bool,
}

/// Why an answer has more than one reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FramingFault {
    /// A coding that is not `chunked` alone, or any in an answer of HTTP/1.0.
    Coding,
    /// Lengths that differ, or one that is none.
    Length,
}

impl FramingFault {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Coding => "transfer coding of the answer is not chunked",
            Self::Length => "length of the answer is not one number",
        }
    }
}

/// Settles where an answer ends.
///
/// # Errors
/// When two programs could see its end in different places.
pub fn settle(head: AnswerHead<'_>) -> Result<AnswerFraming, FramingFault> {
    // A coding overrides the length (RFC 9112 section 6.3), which then says nothing.
    let length = if head.codings.is_empty() { one_length(head.lengths)? } else { None };
    let has_coding = !head.codings.is_empty();
    let bare = |length_field, announced_too_much| {
        Ok(AnswerFraming { content: Content::None, length_field, announced_too_much })
    };
    match head.status {
        204 => bare(None, has_coding || length.is_some_and(|length| length > 0)),
        // The length is that of the answer which is not sent.
        _ if head.status == 304 || head.method == Method::Head => bare(length, has_coding),
        205 => {
            check_coding(&head)?;
            Ok(AnswerFraming { content: Content::Dropped, length_field: Some(0), announced_too_much: false })
        }
        _ => {
            check_coding(&head)?;
            let content = match length {
                _ if has_coding => Content::Chunked,
                Some(length) => Content::Length(length),
                None => Content::UntilClose,
            };
            Ok(AnswerFraming { content, length_field: length, announced_too_much: false })
        }
    }
}

fn check_coding(head: &AnswerHead<'_>) -> Result<(), FramingFault> {
    match head.codings {
        [] => Ok(()),
        [coding] if head.is_http11 && coding.trim_ascii().eq_ignore_ascii_case(b"chunked") => Ok(()),
        _ => Err(FramingFault::Coding),
    }
}

/// The number that all lines and all elements of their lists agree on.
fn one_length(lines: &[&[u8]]) -> Result<Option<u64>, FramingFault> {
    let mut found = None;
    for element in lines.iter().flat_map(|line| line.split(|b| *b == b',')) {
        let length = digits(element.trim_ascii()).ok_or(FramingFault::Length)?;
        if found.is_some_and(|known| known != length) {
            return Err(FramingFault::Length);
        }
        found = Some(length);
    }
    Ok(found)
}

fn digits(text: &[u8]) -> Option<u64> {
    let all_digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    all_digits.then(|| std::str::from_utf8(text).ok()?.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn settled(method: Method, status: u16, codings: &[&str], lengths: &[&str]) -> Result<AnswerFraming, FramingFault> {
        let codings: Vec<&[u8]> = codings.iter().map(|text| text.as_bytes()).collect();
        let lengths: Vec<&[u8]> = lengths.iter().map(|text| text.as_bytes()).collect();
        settle(AnswerHead { method, status, is_http11: true, codings: &codings, lengths: &lengths })
    }

    #[test]
    fn an_answer_without_content_keeps_no_framing_but_a_length_it_may_have() {
        let get = |status, codings: &[&str], lengths: &[&str]| settled(Method::Get, status, codings, lengths);
        let head = |codings: &[&str], lengths: &[&str]| settled(Method::Head, 200, codings, lengths);
        for (found, length, too_much) in [
            (get(204, &[], &[]), None, false),
            (get(204, &[], &["0"]), None, false),
            (get(204, &[], &["5"]), None, true),
            (get(204, &["chunked"], &[]), None, true),
            (get(204, &["chunked"], &["5"]), None, true),
            (settled(Method::Head, 204, &[], &["5"]), None, true),
            (get(304, &[], &["5"]), Some(5), false),
            (get(304, &["chunked"], &[]), None, true),
            (get(304, &["gzip, chunked"], &["5"]), None, true),
            (head(&[], &["5"]), Some(5), false),
            (head(&[], &["5, 5", "5"]), Some(5), false),
            (head(&["chunked"], &[]), None, true),
            (head(&[], &[]), None, false),
        ] {
            let expected = AnswerFraming { content: Content::None, length_field: length, announced_too_much: too_much };
            assert_eq!(found, Ok(expected));
        }
    }

    #[test]
    fn what_comes_with_a_205_is_not_passed_on() {
        let dropped = Ok(AnswerFraming { content: Content::Dropped, length_field: Some(0), announced_too_much: false });
        assert_eq!(settled(Method::Get, 205, &[], &[]), dropped);
        assert_eq!(settled(Method::Get, 205, &[], &["5"]), dropped);
        assert_eq!(settled(Method::Get, 205, &["chunked"], &[]), dropped);
        assert_eq!(settled(Method::Get, 205, &["gzip"], &[]), Err(FramingFault::Coding));
    }

    #[test]
    fn an_answer_with_content_keeps_one_framing() {
        let content = |codings: &[&str], lengths: &[&str]| {
            settled(Method::Get, 200, codings, lengths).map(|framing| (framing.content, framing.length_field))
        };
        assert_eq!(content(&[], &[]), Ok((Content::UntilClose, None)));
        assert_eq!(content(&[], &["5"]), Ok((Content::Length(5), Some(5))));
        assert_eq!(content(&[], &["5, 5"]), Ok((Content::Length(5), Some(5))));
        assert_eq!(content(&[], &["5", "05"]), Ok((Content::Length(5), Some(5))));
        assert_eq!(content(&["Chunked"], &[]), Ok((Content::Chunked, None)));
        assert_eq!(content(&["chunked"], &["3"]), Ok((Content::Chunked, None)));
        for coding in ["xchunked", "gzip, chunked", "chunked, chunked", "identity", ""] {
            assert_eq!(content(&[coding], &[]), Err(FramingFault::Coding), "{coding}");
        }
        assert_eq!(content(&["chunked", "chunked"], &[]), Err(FramingFault::Coding));
        for length in ["", "+5", "-5", "five", "5 5", "5, 6", "0x5", "18446744073709551621"] {
            assert_eq!(content(&[], &[length]), Err(FramingFault::Length), "{length}");
            assert_eq!(settled(Method::Head, 200, &[], &[length]), Err(FramingFault::Length), "{length}");
        }
    }

    #[test]
    fn http_1_0_has_no_coding() {
        let head = |method, codings| AnswerHead { method, status: 200, is_http11: false, codings, lengths: &[] };
        assert_eq!(settle(head(Method::Get, &[b"chunked"])), Err(FramingFault::Coding));
        assert_eq!(settle(head(Method::Get, &[])).map(|framing| framing.content), Ok(Content::UntilClose));
        assert!(settle(head(Method::Head, &[b"chunked"])).is_ok_and(|framing| framing.announced_too_much));
    }

    proptest! {
        #[test]
        fn no_answer_has_content_and_may_not(
            status in prop_oneof![Just(204u16), Just(205), Just(304), 200u16..600],
            is_head: bool,
            codings in proptest::collection::vec("chunked|gzip|[ -~]{0,6}", 0..2),
            lengths in proptest::collection::vec("[0-9]{0,3}|[ -~]{0,4}", 0..3),
        ) {
            let method = if is_head { Method::Head } else { Method::Get };
            let codings: Vec<&str> = codings.iter().map(String::as_str).collect();
            let lengths: Vec<&str> = lengths.iter().map(String::as_str).collect();
            if let Ok(framing) = settled(method, status, &codings, &lengths) {
                let has_none = is_head || matches!(status, 204 | 304);
                prop_assert_eq!(framing.content == Content::None, has_none);
                prop_assert!(status != 204 || framing.length_field.is_none());
            }
        }
    }
}
