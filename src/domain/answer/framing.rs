//! Whether an answer has content, where that ends, and which framing fields may say so (RFC 9112 section 6.3, RFC 9110
//! section 8.6).

use crate::domain::request::Method;

/// What the lines of one answer say of its end, taken one after the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FramingLines {
    coding: Coding,
    length: Length,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Coding {
    #[default]
    None,
    Chunked,
    Other,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Length {
    #[default]
    None,
    One(u64),
    Several,
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
    /// 8sens announced content that this answer cannot have. It may still be on its way, so the connection is not to be
    /// used again.
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

impl FramingLines {
    /// Takes one field line; those that say nothing of the end are passed over.
    pub fn push(&mut self, name: &[u8], value: &[u8]) {
        if name.eq_ignore_ascii_case(b"content-length") {
            for element in value.split(|b| *b == b',') {
                self.length = self.length.and(digits(element.trim_ascii()));
            }
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            let is_chunked = self.coding == Coding::None && value.trim_ascii().eq_ignore_ascii_case(b"chunked");
            self.coding = if is_chunked { Coding::Chunked } else { Coding::Other };
        }
    }

    /// Settles where an answer of this final status to a request with this method ends. `is_http11` says that 8sens
    /// answered in HTTP/1.1; an older version knows no transfer coding.
    ///
    /// # Errors
    /// When two programs could see its end in different places.
    pub fn settle(self, method: Method, status: u16, is_http11: bool) -> Result<AnswerFraming, FramingFault> {
        let has_coding = self.coding != Coding::None;
        // A coding overrides the length (RFC 9112 section 6.3), which then says nothing.
        let length = if has_coding { None } else { self.length.number()? };
        let one_coding = match self.coding {
            Coding::None => Ok(()),
            Coding::Chunked if is_http11 => Ok(()),
            Coding::Chunked | Coding::Other => Err(FramingFault::Coding),
        };
        let bare = |length_field, announced_too_much| {
            Ok(AnswerFraming { content: Content::None, length_field, announced_too_much })
        };
        match status {
            204 => bare(None, has_coding || length.is_some_and(|length| length > 0)),
            // The length is that of the answer which is not sent.
            _ if status == 304 || method == Method::Head => bare(length, has_coding),
            205 => {
                one_coding?;
                Ok(AnswerFraming { content: Content::Dropped, length_field: Some(0), announced_too_much: false })
            }
            _ => {
                one_coding?;
                let content = match length {
                    _ if has_coding => Content::Chunked,
                    Some(length) => Content::Length(length),
                    None => Content::UntilClose,
                };
                Ok(AnswerFraming { content, length_field: length, announced_too_much: false })
            }
        }
    }
}

impl Length {
    /// All lines and all elements of their lists have to agree.
    fn and(self, element: Option<u64>) -> Self {
        match (self, element) {
            (Self::None, Some(length)) => Self::One(length),
            (Self::One(known), Some(length)) if known == length => self,
            _ => Self::Several,
        }
    }

    const fn number(self) -> Result<Option<u64>, FramingFault> {
        match self {
            Self::None => Ok(None),
            Self::One(length) => Ok(Some(length)),
            Self::Several => Err(FramingFault::Length),
        }
    }
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
        lines(codings, lengths).settle(method, status, true)
    }

    fn lines(codings: &[&str], lengths: &[&str]) -> FramingLines {
        let mut lines = FramingLines::default();
        codings.iter().for_each(|value| lines.push(b"Transfer-Encoding", value.as_bytes()));
        lengths.iter().for_each(|value| lines.push(b"content-length", value.as_bytes()));
        lines.push(b"content-type", b"text/plain");
        lines
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
        let head = |method, codings: &[&str]| lines(codings, &[]).settle(method, 200, false);
        assert_eq!(head(Method::Get, &["chunked"]), Err(FramingFault::Coding));
        assert_eq!(head(Method::Get, &[]).map(|framing| framing.content), Ok(Content::UntilClose));
        assert!(head(Method::Head, &["chunked"]).is_ok_and(|framing| framing.announced_too_much));
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
