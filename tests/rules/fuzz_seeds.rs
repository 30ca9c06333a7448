//! The properties that `make fuzz` looks for exceptions to, held by every seed and by mutations of them that are the
//! same on each run.

#[path = "../../fuzz/src/lib.rs"]
mod properties;

use properties::PROPERTIES;
use std::collections::BTreeSet;
use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

/// Mutations of all seeds of one property together.
const MUTATIONS: usize = 3_000;

/// Longest mutation in bytes.
const MAX_LEN: usize = 4_096;

/// Pieces that matter to some reader of HTTP, JSON, TOML or a log.
const PIECES: [&[u8]; 24] = [
    b"\r\n",
    b"\n",
    b"\r",
    b"\0",
    b" ",
    b"\t",
    b":",
    b",",
    b";",
    b"=",
    b"\"",
    b"\\",
    b"/",
    b"..",
    b"%2f",
    b"%00",
    b"%25",
    b"[",
    b"}",
    b"\xff",
    b"\xc3\xa9",
    b"0",
    b"99999999999999999999",
    b"hunter2",
];

fn folder(kind: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz").join(kind)
}

/// Every seed of a property, with its file.
fn seeds(name: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let mut paths: Vec<_> =
        fs::read_dir(folder("seeds").join(name)).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.into_iter().map(|path| (path.clone(), fs::read(&path).unwrap())).collect()
}

/// The same numbers on each run (SplitMix64).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % bound.max(1) as u64).unwrap()
    }

    fn span(&mut self, len: usize) -> std::ops::Range<usize> {
        let start = self.below(len + 1);
        start..(start + 1 + self.below(24)).min(len)
    }
}

fn mutate(bytes: &mut Vec<u8>, other: &[u8], numbers: &mut Numbers) {
    let at = numbers.below(bytes.len() + 1);
    match numbers.below(8) {
        0 if at < bytes.len() => bytes[at] ^= 1 << numbers.below(8),
        1 if at < bytes.len() => bytes[at] = u8::try_from(numbers.below(256)).unwrap(),
        2 => bytes.truncate(at),
        3 => drop(bytes.drain(numbers.span(bytes.len()))),
        4 => {
            let copied = bytes[numbers.span(bytes.len())].to_vec();
            bytes.splice(at..at, copied);
        }
        5 => {
            let taken = other[numbers.span(other.len())].iter().copied();
            bytes.splice(at..at, taken);
        }
        _ => {
            let piece = PIECES[numbers.below(PIECES.len())];
            bytes.splice(at..at, piece.iter().copied());
        }
    }
    bytes.truncate(MAX_LEN);
}

fn hold(name: &str) {
    let (_, property) = PROPERTIES.into_iter().find(|(known, _)| *known == name).unwrap();
    let held = |bytes: &[u8], what: &str| {
        assert!(catch_unwind(|| property(bytes)).is_ok(), "{what} breaks `{name}`:\n{}", bytes.escape_ascii());
    };
    let seeds = seeds(name);
    assert!(seeds.len() >= 15, "{name} has only {} seeds", seeds.len());
    for (path, seed) in &seeds {
        held(seed, &path.display().to_string());
    }
    let mut numbers = Numbers(7);
    for round in 0..MUTATIONS {
        let (path, seed) = &seeds[round % seeds.len()];
        let mut bytes = seed.clone();
        for _ in 0..=numbers.below(3) {
            let (_, other) = &seeds[numbers.below(seeds.len())];
            mutate(&mut bytes, other, &mut numbers);
        }
        held(&bytes, &format!("mutation {round}, of {},", path.display()));
    }
}

macro_rules! held {
    ($($name:ident)+) => {
        $(#[test] fn $name() { hold(stringify!($name)); })+

        /// A property without a test, a target or seeds is not looked after.
        #[test]
        fn every_property_has_all_its_parts() {
            let tests = BTreeSet::from([$(stringify!($name).to_owned(),)+]);
            let properties: BTreeSet<_> = PROPERTIES.iter().map(|(name, _)| (*name).to_owned()).collect();
            let stems = |kind: &str| -> BTreeSet<String> {
                let paths = fs::read_dir(folder(kind)).unwrap().map(|entry| entry.unwrap().path());
                paths.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect()
            };
            assert_eq!(tests, properties);
            assert_eq!(stems("fuzz_targets"), properties);
            assert_eq!(stems("seeds"), properties);
            assert!(stems("dictionaries").is_subset(&properties));
            let manifest = fs::read_to_string(folder("Cargo.toml")).unwrap();
            for name in properties {
                assert!(manifest.contains(&format!("name = \"{name}\"")), "{name} is no target");
            }
        }
    };
}

held!(answer chunked client_ip config credentials head http2 log_line login_answer path query session_log);
