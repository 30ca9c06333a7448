//! The forwarded target on its way through Pingora, whose parser does not take every target that may go on.
//!
//! What Pingora would refuse or escape, and what is not forwarded as it was received, it never sees: it reads a
//! stand-in, and the target that was decided on goes into the request that 8sens receives.

use crate::domain::exchange::{ForwardPlan, Target};
use crate::domain::request::head;
use crate::proxy::caller_stream::CallerStream;

/// What Pingora reads, and may write, instead.
const STAND_IN: &[u8] = b"/";

/// Puts a request line into the buffered head that Pingora reads as it is there, and returns the length that the
/// head of `head_len` bytes then has. Where the target in it is the stand-in, the plan holds what 8sens receives.
#[must_use]
pub(super) fn put_line(caller: &mut CallerStream, head_len: usize, plan: &mut ForwardPlan) -> usize {
    let head = &caller.buffered()[..head_len];
    let target = for_pingora(head::fragment(head).target, plan);
    let Some((at, line)) = head::rewritten_line(head, plan.method.as_str().as_bytes(), target) else { return head_len };
    let new_len = head_len - at.len() + line.len();
    caller.replace(at, &line);
    new_len
}

/// The target that Pingora reads, given the one that was received.
fn for_pingora<'t>(received: &'t [u8], plan: &mut ForwardPlan) -> &'t [u8] {
    if plan.target == Target::AsReceived {
        if is_taken(received) {
            return received;
        }
        plan.target = Target::Rewritten(received.into());
    }
    STAND_IN
}

/// True when Pingora and the `http` crate take a target and write it as it is. Of what is not ASCII they read UTF-8
/// alone.
fn is_taken(target: &[u8]) -> bool {
    target.is_ascii() && is_written(target)
}

/// True when Pingora can write a target, be it ASCII or not. The `http` crate takes none of these in a query.
#[must_use]
pub(super) fn is_written(target: &[u8]) -> bool {
    !target.iter().any(|byte| matches!(byte, b'"' | b'<' | b'>'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::fixture::plan;
    use crate::domain::request::split_target;
    use pingora_http::RequestHeader;

    /// What Pingora reads, and what 8sens receives.
    fn settled(decided: &[u8], target: Target) -> (String, Vec<u8>) {
        let mut plan = plan(target);
        let read = String::from_utf8_lossy(for_pingora(decided, &mut plan)).into_owned();
        match plan.target {
            Target::AsReceived => (read, decided.to_vec()),
            Target::Rewritten(target) => (read, target.to_vec()),
        }
    }

    #[test]
    fn the_decided_target_goes_on() {
        assert_eq!(settled(b"/a?b", Target::AsReceived), ("/a?b".into(), b"/a?b".to_vec()));
        assert_eq!(settled(b"/a?\xe9", Target::AsReceived), ("/".into(), b"/a?\xe9".to_vec()));
        assert_eq!(settled(b"/a?\"", Target::AsReceived), ("/".into(), b"/a?\"".to_vec()));
        assert_eq!(settled(b"/%61", Target::Rewritten(b"/a"[..].into())), ("/".into(), b"/a".to_vec()));
    }

    #[test]
    fn what_pingora_reads_it_writes_as_it_is() {
        for target in [&b"/a?b={|}^`\\[]%'%zz&c=%"[..], b"/a%20b?", STAND_IN] {
            assert!(is_taken(target));
            let mut read = RequestHeader::build("GET", target, None).unwrap();
            assert_eq!(read.raw_path(), target);
            read.set_raw_path(b"/a?\xe9\xff{\xc3\xa9}").unwrap();
            assert_eq!(read.raw_path(), b"/a?\xe9\xff{\xc3\xa9}");
            assert_eq!(split_target(read.raw_path()).0, b"/a");
        }
        for byte in (0x21..=0xff).filter(|byte| ![b'#', 0x7f].contains(byte)) {
            let target = [b"/a?b", &[byte][..], b"c"].concat();
            let mut request = RequestHeader::build("GET", STAND_IN, None).unwrap();
            assert_eq!(request.set_raw_path(&target).is_ok(), is_written(&target), "{byte:#x}");
            assert!(!is_written(&target) || request.raw_path() == target, "{byte:#x}");
        }
    }
}
