//! Who can own a session: the names of the configuration, and the numbers that stand for them while the process runs.
//!
//! State is keyed by name, so a reload keeps it. A number is never given out twice: a consumer that leaves and comes
//! back is somebody else, and whatever still holds the old number (a request in flight, an entry on a token) no longer
//! means anybody.

use super::idle_queue::IdleQueue;
use ahash::AHashMap;
use parking_lot::{Mutex, RwLock};
use std::collections::{BTreeMap, HashMap};
use std::num::NonZeroU16;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

/// A consumer in this process, from one configuration to the next as long as its name stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConsumerId(u32);

impl ConsumerId {
    /// The plain number, for the unit tests of this module tree.
    #[cfg(test)]
    pub(super) const fn number(self) -> u32 {
        self.0
    }
}

/// A consumer and the credential it showed. Asked for once per request, when the credential has been checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CallerId {
    consumer: ConsumerId,
    /// Never zero, which leaves room for the layout of [`super::owners::Owners`].
    credential: NonZeroU16,
}

impl CallerId {
    #[must_use]
    pub const fn consumer(self) -> ConsumerId {
        self.consumer
    }

    #[cfg(test)]
    pub(super) const fn for_test(consumer: u32) -> Self {
        Self { consumer: ConsumerId(consumer), credential: NonZeroU16::MIN }
    }
}

/// Somebody whose sessions ended because the configuration no longer names them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Departed {
    pub consumer: Arc<str>,
    /// `None` when the whole consumer left.
    pub credential: Option<Arc<str>>,
    /// Entries that were given up.
    pub sessions: usize,
}

/// What the table keeps per consumer.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) id: ConsumerId,
    pub(super) name: Arc<str>,
    /// Entries on tokens. Raised before an entry is taken and lowered after it was given up, so never too low.
    pub(super) entries: AtomicUsize,
    /// Holds an item for every entry. Whoever adds an entry has it locked.
    pub(super) queue: Mutex<IdleQueue>,
}

#[derive(Debug)]
struct Admitted {
    member: Arc<Member>,
    credentials: Vec<(Arc<str>, NonZeroU16)>,
    next_credential: Option<NonZeroU16>,
}

impl Admitted {
    fn credential(&self, id: &str) -> Option<NonZeroU16> {
        self.credentials.iter().find(|(known, _)| **known == *id).map(|(_, number)| *number)
    }

    /// False when no number is left for a new credential.
    fn add_credential(&mut self, id: &str) -> bool {
        if self.credential(id).is_some() {
            return true;
        }
        let Some(number) = self.next_credential else { return false };
        // Most consumers have one key.
        self.credentials.reserve_exact(1);
        self.credentials.push((id.into(), number));
        self.next_credential = number.checked_add(1);
        true
    }
}

#[derive(Debug, Default)]
struct Names {
    by_id: BTreeMap<ConsumerId, Admitted>,
    by_name: AHashMap<Arc<str>, ConsumerId>,
}

/// The consumers and credentials that the configuration names. Its lock is the innermost: nothing else is locked while
/// it is held.
#[derive(Debug, Default)]
pub(super) struct Callers {
    names: RwLock<Names>,
    next_id: AtomicU32,
}

impl Callers {
    /// The caller, if both names are admitted. Allocates nothing.
    pub(super) fn find(&self, consumer: &str, credential: &str) -> Option<CallerId> {
        let names = self.names.read();
        let id = *names.by_name.get(consumer)?;
        let credential = names.by_id.get(&id)?.credential(credential)?;
        Some(CallerId { consumer: id, credential })
    }

    /// The member behind a name.
    pub(super) fn named(&self, consumer: &str) -> Option<Arc<Member>> {
        let names = self.names.read();
        let id = names.by_name.get(consumer)?;
        names.by_id.get(id).map(|admitted| Arc::clone(&admitted.member))
    }

    /// The member behind a number, unless it left.
    pub(super) fn member(&self, id: ConsumerId) -> Option<Arc<Member>> {
        self.names.read().by_id.get(&id).map(|admitted| Arc::clone(&admitted.member))
    }

    /// True while the consumer and the credential are both named by the configuration.
    pub(super) fn admits(&self, caller: CallerId) -> bool {
        self.describe(caller).is_some()
    }

    /// The names of a caller's consumer and credential, unless either left.
    pub(super) fn describe(&self, caller: CallerId) -> Option<(Arc<str>, Arc<str>)> {
        let names = self.names.read();
        let admitted = names.by_id.get(&caller.consumer)?;
        let (credential, _) = admitted.credentials.iter().find(|(_, number)| *number == caller.credential)?;
        Some((Arc::clone(&admitted.member.name), Arc::clone(credential)))
    }

    /// All members, in the order of their numbers.
    pub(super) fn all(&self) -> Vec<Arc<Member>> {
        self.names.read().by_id.values().map(|admitted| Arc::clone(&admitted.member)).collect()
    }

    /// Admits exactly these consumers and credentials. Returns the members that left and those that lost a credential,
    /// with the ids of what they lost; their entries are still there and have to be cleared.
    pub(super) fn set<'n, C>(&self, consumers: impl IntoIterator<Item = (&'n str, C)>) -> Vec<Loss>
    where
        C: IntoIterator<Item = &'n str>,
    {
        let wanted: HashMap<&str, Vec<&str>> =
            consumers.into_iter().map(|(name, credentials)| (name, credentials.into_iter().collect())).collect();
        let mut names = self.names.write();
        let mut losses = Vec::new();
        let gone: Vec<Arc<str>> = names.by_name.keys().filter(|name| !wanted.contains_key(&***name)).cloned().collect();
        losses.extend(gone.iter().filter_map(|name| names.forget(name)).map(Loss::Consumer));
        for (name, credentials) in wanted {
            if let Some(known) = names.admitted(name) {
                let (kept, lost) = std::mem::take(&mut known.credentials)
                    .into_iter()
                    .partition::<Vec<_>, _>(|(id, _)| credentials.contains(&&**id));
                known.credentials = kept;
                let member = &known.member;
                losses.extend(lost.into_iter().map(|(id, number)| {
                    let caller = CallerId { consumer: member.id, credential: number };
                    Loss::Credential(Arc::clone(member), caller, id)
                }));
                if credentials.iter().all(|id| known.add_credential(id)) {
                    continue;
                }
                // Out of numbers after 65,535 rotations: the consumer starts anew.
                losses.extend(names.forget(name).map(Loss::Consumer));
            }
            self.admit(&mut names, name, &credentials);
        }
        losses
    }

    /// Takes a consumer out.
    pub(super) fn forget(&self, consumer: &str) -> Option<Arc<Member>> {
        self.names.write().forget(consumer)
    }

    fn admit(&self, names: &mut Names, name: &str, credentials: &[&str]) {
        // After four thousand million admissions nobody new gets sessions; a number is never used twice.
        let Ok(number) = self.next_id.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_add(1)) else {
            return;
        };
        let id = ConsumerId(number);
        let name: Arc<str> = name.into();
        let member =
            Arc::new(Member { id, name: Arc::clone(&name), entries: AtomicUsize::new(0), queue: Mutex::default() });
        let mut admitted = Admitted { member, credentials: Vec::new(), next_credential: Some(NonZeroU16::MIN) };
        for credential in credentials {
            admitted.add_credential(credential);
        }
        names.by_name.insert(name, id);
        names.by_id.insert(id, admitted);
    }
}

impl Names {
    fn admitted(&mut self, name: &str) -> Option<&mut Admitted> {
        let id = self.by_name.get(name)?;
        self.by_id.get_mut(id)
    }

    fn forget(&mut self, name: &str) -> Option<Arc<Member>> {
        let id = self.by_name.remove(name)?;
        self.by_id.remove(&id).map(|admitted| admitted.member)
    }
}

/// Entries to clear after a change of the configuration.
#[derive(Debug)]
pub(super) enum Loss {
    Consumer(Arc<Member>),
    Credential(Arc<Member>, CallerId, Arc<str>),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_their_numbers_over_a_reload_and_never_share_them() {
        let callers = Callers::default();
        assert!(callers.set([("a", vec!["k1"]), ("b", vec!["k1"])]).is_empty());
        let a = callers.find("a", "k1").unwrap();
        let b = callers.find("b", "k1").unwrap();
        assert_ne!(a.consumer(), b.consumer());
        assert!(callers.set([("a", vec!["k1", "k2"]), ("b", vec!["k1"])]).is_empty());
        assert_eq!(callers.find("a", "k1"), Some(a));
        let losses = callers.set([("a", vec!["k2"])]);
        assert_eq!(losses.len(), 2, "{losses:?}");
        assert!(!callers.admits(a) && !callers.admits(b));
        assert!(callers.set([("a", vec!["k1"]), ("b", vec!["k1"])]).len() == 1);
        let again = callers.find("a", "k1").unwrap();
        assert_eq!(again.consumer(), a.consumer());
        assert_ne!(again, a, "a credential that comes back is another one");
        assert_ne!(callers.find("b", "k1").unwrap().consumer(), b.consumer());
    }

    #[test]
    fn a_consumer_out_of_credential_numbers_starts_anew() {
        let callers = Callers::default();
        callers.set([("a", vec!["k"])]);
        let first = callers.find("a", "k").unwrap();
        if let Some(admitted) = callers.names.write().admitted("a") {
            admitted.next_credential = None;
        }
        let losses = callers.set([("a", vec!["k", "l"])]);
        assert!(matches!(&losses[..], [Loss::Consumer(member)] if member.id == first.consumer()), "{losses:?}");
        assert_ne!(callers.find("a", "l").unwrap().consumer(), first.consumer());
    }
}
