//! The classes of what the gate refuses for its form: which other program reads such bytes otherwise than they stand
//! there.

use super::Comparison;
use super::fate::Fate;
use super::peers::Peer;
use sensgate::domain::denial::{DenyCode, Reason};
use std::collections::{BTreeMap, BTreeSet};

/// What the four did about the cases of one class.
#[derive(Default)]
pub struct Class {
    pub cases: usize,
    /// For each of the four: cases forwarded as they are, how it read others, and cases refused.
    as_it_stands: [usize; 4],
    otherwise: [Vec<String>; 4],
    refused: [usize; 4],
    /// Cases that all four forward as they are.
    pub alike: BTreeSet<String>,
}

impl Class {
    /// The numbers of one of the four: as it is, otherwise, refused.
    pub fn numbers(&self, peer: usize) -> String {
        format!("{} / {} / {}", self.as_it_stands[peer], self.otherwise[peer].len(), self.refused[peer])
    }

    /// Who reads at least one case otherwise, with the shortest example, and who takes some or all for no request;
    /// empty when nobody does either.
    pub fn measured(&self) -> String {
        let example = |(name, how): (&str, &Vec<String>)| {
            how.iter().min_by_key(|one| one.len()).map(|one| format!("{name} ({one})"))
        };
        let otherwise: Vec<_> = Peer::NAMES.into_iter().zip(&self.otherwise).filter_map(example).collect();
        let refusing = |all: bool| {
            let among = Peer::NAMES.into_iter().zip(self.refused);
            let names = among.filter(|(_, count)| *count > 0 && (*count == self.cases) == all).map(|(name, _)| name);
            match &names.collect::<Vec<_>>()[..] {
                [] => String::new(),
                names if all => format!("no request to {}", names.join(", ")),
                names => format!("in part no request to {}", names.join(", ")),
            }
        };
        let parts = [otherwise.join(", "), refusing(true), refusing(false)];
        parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("; ")
    }
}

/// True for the word of a reason, or of a code, that is about the form of a request. The others are about who calls and
/// what for, about sizes and time, or about 8sens: there is nothing to read otherwise.
pub fn is_about_form(word: &str) -> bool {
    let code = Reason::from_word(word).map(Reason::code).or_else(|| DenyCode::from_word(word));
    code.is_some_and(|code| {
        !matches!(
            code,
            DenyCode::MissingKey
                | DenyCode::UnknownKey
                | DenyCode::ForbiddenRoute
                | DenyCode::ForbiddenAddress
                | DenyCode::InsecureTransport
                | DenyCode::RequestTimeout
                | DenyCode::BodyTooLarge
                | DenyCode::UriTooLong
                | DenyCode::RateLimited
                | DenyCode::LoginThrottled
                | DenyCode::HeadersTooLarge
                | DenyCode::TooManyConnections
        ) && !code.is_about_a_session()
            && !matches!(code.status(), 500 | 502..=504)
    })
}

/// True for a form that is about a key or a token. The four know neither, so that they forward all of them alike.
pub fn is_about_credentials(word: &str) -> bool {
    let code = Reason::from_word(word).map(Reason::code);
    matches!(code, Some(DenyCode::AmbiguousKey | DenyCode::AmbiguousToken | DenyCode::KeyInUrl))
        || word.starts_with("key ")
        || word.starts_with("token ")
}

/// What was refused, by the words of its reason, or its code where that says it all.
pub fn of(comparisons: &[Comparison]) -> BTreeMap<String, Class> {
    let mut classes: BTreeMap<String, Class> = BTreeMap::new();
    for comparison in comparisons.iter().filter(|comparison| comparison.gate.is_refusal()) {
        let class = classes.entry(comparison.reason.clone().unwrap_or_else(|| comparison.word.clone())).or_default();
        class.cases += 1;
        let readings = comparison.readings();
        for (peer, reading) in readings.iter().enumerate() {
            match reading {
                Peered::AsItStands => class.as_it_stands[peer] += 1,
                Peered::Otherwise(how) => class.otherwise[peer].push(how.clone()),
                Peered::Refused => class.refused[peer] += 1,
            }
        }
        if readings.iter().all(|reading| matches!(reading, Peered::AsItStands)) {
            class.alike.insert(comparison.name.clone());
        }
    }
    classes
}

/// What one of the four made of a case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Peered {
    AsItStands,
    Otherwise(String),
    Refused,
}

impl Comparison {
    fn readings(&self) -> [Peered; 4] {
        let bodies: Vec<&[u8]> = self.peers.iter().filter_map(one_body).collect();
        let waiting = self.peers.iter().filter(|fate| matches!(fate, Fate::Waiting)).count();
        self.peers.each_ref().map(|fate| match fate {
            Fate::Forwarded(readings) => match (&readings[..], &self.stands) {
                ([reading], Some(stands)) => match reading.difference(stands) {
                    Some(how) => Peered::Otherwise(how),
                    None if bodies.iter().any(|body| *body != reading.body()) => {
                        Peered::Otherwise(format!("a body of {} bytes", reading.body().len()))
                    }
                    None => Peered::AsItStands,
                },
                ([_], None) => Peered::Otherwise("a request".to_owned()),
                (several, _) => Peered::Otherwise(format!("{} requests", several.len())),
            },
            Fate::Waiting if waiting < self.peers.len() => Peered::Otherwise("waits for more".to_owned()),
            Fate::Answered(status) if *status < 400 => Peered::Otherwise(format!("answers {status} itself")),
            Fate::Waiting | Fate::Answered(_) | Fate::Closed => Peered::Refused,
        })
    }
}

fn one_body(fate: &Fate) -> Option<&[u8]> {
    match fate {
        Fate::Forwarded(readings) => readings.first().map(super::reading::Reading::body),
        _ => None,
    }
}
