//! What the system lets this process do, and what others may learn from it.

/// Keeps secrets in memory out of files: no core dump is written, and no other process of the same user may read this
/// one's memory. What the system refuses is left as it is; the answer says whether everything held.
#[cfg(unix)]
#[must_use]
pub fn forbid_dumps() -> bool {
    use rustix::process::{Resource, Rlimit, setrlimit};
    let no_core = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) }).is_ok();
    no_core && forbid_reading()
}

#[cfg(target_os = "linux")]
fn forbid_reading() -> bool {
    use rustix::process::{DumpableBehavior, set_dumpable_behavior};
    set_dumpable_behavior(DumpableBehavior::NotDumpable).is_ok()
}

#[cfg(all(unix, not(target_os = "linux")))]
fn forbid_reading() -> bool {
    true
}

/// Windows writes no dump unless it is set up to.
#[cfg(not(unix))]
#[must_use]
pub fn forbid_dumps() -> bool {
    true
}

/// Raises the number of descriptors this process may open to `wanted`, or as near as the system allows. Never lowers
/// it. Returns how many it may open now; `None` where there is no such limit.
#[cfg(unix)]
#[must_use]
pub fn raise_descriptor_limit(wanted: u64) -> Option<u64> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let current = limit.current?;
    let reachable = limit.maximum.map_or(wanted, |maximum| wanted.min(maximum));
    if reachable <= current {
        return Some(current);
    }
    let raised = setrlimit(Resource::Nofile, Rlimit { current: Some(reachable), maximum: limit.maximum });
    Some(if raised.is_ok() { reachable } else { current })
}

/// Raises the number of descriptors this process may open.
#[cfg(not(unix))]
#[must_use]
pub fn raise_descriptor_limit(_wanted: u64) -> Option<u64> {
    None
}

/// True when a socket could not be had because the process, or the system, has no more of something.
#[must_use]
pub fn is_exhaustion(error: &std::io::Error) -> bool {
    #[cfg(unix)]
    {
        use rustix::io::Errno;
        let exhaustion = [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM];
        Errno::from_io_error(error).is_some_and(|errno| exhaustion.contains(&errno))
    }
    #[cfg(not(unix))]
    {
        // WSAEMFILE and WSAENOBUFS.
        matches!(error.raw_os_error(), Some(10024 | 10055))
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn memory_is_not_for_others() {
        assert!(forbid_dumps());
        #[cfg(target_os = "linux")]
        assert_eq!(rustix::process::dumpable_behavior(), Ok(rustix::process::DumpableBehavior::NotDumpable));
        assert_eq!(rustix::process::getrlimit(rustix::process::Resource::Core).maximum, Some(0));
    }

    #[test]
    fn the_limit_is_never_lowered() {
        let now = raise_descriptor_limit(0).unwrap();
        assert!(now > 0);
        assert_eq!(raise_descriptor_limit(1), Some(now));
        assert!(raise_descriptor_limit(u64::MAX).unwrap() >= now);
    }

    #[test]
    fn no_more_descriptors_is_exhaustion() {
        let error = |errno: rustix::io::Errno| std::io::Error::from_raw_os_error(errno.raw_os_error());
        assert!(is_exhaustion(&error(rustix::io::Errno::MFILE)));
        assert!(!is_exhaustion(&error(rustix::io::Errno::CONNABORTED)));
        assert!(!is_exhaustion(&std::io::Error::other("no number")));
    }
}
