//! How single values are written: durations, sizes, names, digests.

use super::diagnostic::{Complaint, Rule};
use crate::domain::limit::{Quota, QuotaError};
use crate::domain::rules::consumer::KeyDigest;
use crate::text;
use std::time::Duration;

pub(super) type Parsed<T> = Result<T, Complaint>;

/// Longest piece of the file that a message repeats, in characters.
const MAX_QUOTED: usize = 60;

/// A piece of the file as a message may repeat it.
pub(super) fn quoted(text: &str) -> String {
    let mut short = String::new();
    for c in text.chars().take(MAX_QUOTED) {
        if c.is_control() { short.extend(c.escape_debug()) } else { short.push(c) }
    }
    if text.chars().nth(MAX_QUOTED).is_some() {
        short.push('…');
    }
    short
}

/// The candidate that a person most likely meant.
pub(super) fn nearest(word: &str, candidates: impl Iterator<Item = &'static str>) -> Option<&'static str> {
    if word.chars().nth(MAX_QUOTED).is_some() {
        return None;
    }
    let word = word.to_lowercase().replace('-', "_");
    let distance = |name: &str| strsim::damerau_levenshtein(&word, &name.replace('-', "_"));
    let (near, distance) = candidates.map(|name| (name, distance(name))).min_by_key(|(_, distance)| *distance)?;
    let longer = near.len() >= 4 && word.starts_with(near);
    (longer || distance <= near.chars().count() / 3).then_some(near)
}

const DURATION_UNITS: [(&str, u64); 5] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

/// `"900s"`, `"250ms"`, `"5m"`, `"2h"`, `"7d"`: one whole number and one unit.
pub(super) fn duration(text: &str) -> Parsed<Duration> {
    let (number, unit) = split_unit(text);
    let scale = DURATION_UNITS.iter().find(|(name, _)| *name == unit).map(|(_, scale)| *scale);
    let millis = number.zip(scale).and_then(|(number, scale)| number.checked_mul(scale));
    millis.map(Duration::from_millis).ok_or_else(|| {
        let shown = quoted(text);
        let complaint = Complaint::new(
            Rule::InvalidDuration,
            text! { en: "\"{shown}\" is not a duration", fr: "\"{shown}\" n'est pas une durée" },
            text! { en: "expected a number and a unit", fr: "un nombre suivi d'une unité est attendu" },
        );
        complaint.hint(match (number, unit) {
            (Some(number), "") => text! { en: "write \"{number}s\"", fr: "écrivez \"{number}s\"" },
            _ => text! {
                en: "write one whole number and one unit, such as \"250ms\", \"30s\", \"5m\", \"2h\" or \"7d\"",
                fr: "écrivez un seul nombre entier et une seule unité, par exemple \"250ms\", \"30s\", \"5m\", \"2h\" \
                     ou \"7d\""
            },
        })
    })
}

/// `"1KiB/s"`: a size in each second.
pub(super) fn byte_rate(text: &str) -> Parsed<u64> {
    text.strip_suffix("/s").and_then(|size_text| size(size_text).ok()).ok_or_else(|| {
        let shown = quoted(text);
        let complaint = Complaint::new(
            Rule::InvalidSize,
            text! { en: "\"{shown}\" is not a rate of bytes", fr: "\"{shown}\" n'est pas un débit" },
            text! { en: "expected a size and \"/s\"", fr: "une taille suivie de \"/s\" est attendue" },
        );
        complaint.hint(match size(text) {
            Ok(_) => text! { en: "write \"{shown}/s\"", fr: "écrivez \"{shown}/s\"" },
            Err(_) => text! {
                en: "write a size a second, such as \"500B/s\" or \"1KiB/s\"",
                fr: "écrivez une taille par seconde, par exemple \"500B/s\" ou \"1KiB/s\""
            },
        })
    })
}

/// A rate of bytes as it would be written.
pub(super) fn show_byte_rate(rate: u64) -> String {
    format!("{}/s", show_size(rate))
}

const SIZE_UNITS: [(&str, u64); 4] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

/// `"64KiB"`, `"1MiB"`, `"512B"`: one whole number and one binary unit.
pub(super) fn size(text: &str) -> Parsed<u64> {
    let (number, unit) = split_unit(text);
    let scale = SIZE_UNITS.iter().find(|(name, _)| *name == unit).map(|(_, scale)| *scale);
    number.zip(scale).and_then(|(number, scale)| number.checked_mul(scale)).ok_or_else(|| {
        let shown = quoted(text);
        let complaint = Complaint::new(
            Rule::InvalidSize,
            text! { en: "\"{shown}\" is not a size", fr: "\"{shown}\" n'est pas une taille" },
            text! { en: "expected a number and a unit", fr: "un nombre suivi d'une unité est attendu" },
        );
        let meant = match unit.to_ascii_lowercase().as_str() {
            "" | "b" | "o" => Some("B"),
            "k" | "kb" | "kib" | "ko" | "kio" => Some("KiB"),
            "m" | "mb" | "mib" | "mo" | "mio" => Some("MiB"),
            "g" | "gb" | "gib" | "go" | "gio" => Some("GiB"),
            _ => None,
        };
        complaint.hint(match (number, meant) {
            (Some(number), Some(unit)) => {
                text! {
                    en: "write \"{number}{unit}\"; units are binary: B, KiB, MiB, GiB",
                    fr: "écrivez \"{number}{unit}\" ; les unités sont binaires : B, KiB, MiB, GiB"
                }
            }
            _ => text! {
                en: "write one whole number and one unit, such as \"512B\", \"64KiB\" or \"10MiB\"",
                fr: "écrivez un nombre entier et une unité, par exemple \"512B\", \"64KiB\" ou \"10MiB\""
            },
        })
    })
}

/// `"20/s, burst 40"`: a count per unit of time, and how many may come at once.
pub(super) fn quota(text: &str) -> Parsed<Quota> {
    Quota::parse(text).map_err(|error| {
        let shown = quoted(text);
        let (count, burst) = (Quota::MAX_COUNT, Quota::MAX_BURST);
        let meant = meant_quota(text);
        // A blank or a missing comma, and neither the number nor the unit.
        let form = error == QuotaError::Count || (text.contains("burst") && !text.contains(','));
        let error = if form && meant.is_some() { QuotaError::Shape } else { error };
        let label = match error {
            QuotaError::Shape => text! {
                en: "the form is COUNT/UNIT or COUNT/UNIT, burst COUNT",
                fr: "la forme est NOMBRE/UNITÉ ou NOMBRE/UNITÉ, burst NOMBRE"
            },
            QuotaError::Count => text! { en: "the count is not a whole number", fr: "le nombre n'est pas entier" },
            QuotaError::CountOutOfRange => {
                text! {
                    en: "the count must be between 1 and {count}",
                    fr: "le nombre doit être compris entre 1 et {count}"
                }
            }
            QuotaError::Unit => text! { en: "the units are s, min, h and d", fr: "les unités sont s, min, h et d" },
            QuotaError::Burst => text! {
                en: "the burst is not a whole number",
                fr: "la rafale n'est pas un nombre entier"
            },
            QuotaError::BurstOutOfRange => {
                text! {
                    en: "the burst must be between 1 and {burst}",
                    fr: "la rafale doit être comprise entre 1 et {burst}"
                }
            }
            QuotaError::RefillTooLong => {
                text! { en: "the burst would never come back", fr: "la rafale ne reviendrait jamais" }
            }
        };
        let complaint = Complaint::new(
            Rule::InvalidQuota,
            text! { en: "\"{shown}\" is not a rate", fr: "\"{shown}\" n'est pas un débit" },
            label,
        );
        complaint.hint(match meant {
            Some(meant) => text! { en: "write \"{meant}\"", fr: "écrivez \"{meant}\"" },
            None if error == QuotaError::RefillTooLong => text! {
                en: "write a smaller burst or a higher rate",
                fr: "écrivez une rafale plus petite ou un débit plus élevé"
            },
            None => text! {
                en: "write a rate such as \"20/s\", \"600/min\" or \"20/s, burst 40\"",
                fr: "écrivez un débit, par exemple \"20/s\", \"600/min\" ou \"20/s, burst 40\""
            },
        })
    })
}

/// A quota that was written with other blanks, another word for its unit, or without its comma.
fn meant_quota(text: &str) -> Option<Quota> {
    let (rate, burst) = match text.split_once("burst") {
        Some((rate, burst)) => (rate.trim_end().trim_end_matches(','), Some(burst.trim_matches([' ', '=', ':']))),
        None => (text, None),
    };
    let (count, unit) = rate.split_once('/').unwrap_or((rate, "s"));
    let unit = match unit.trim().to_lowercase().as_str() {
        "s" | "sec" | "second" | "seconds" | "seconde" => "s",
        "m" | "mn" | "min" | "minute" | "minutes" => "min",
        "h" | "hour" | "hours" | "heure" => "h",
        "d" | "j" | "day" | "days" | "jour" => "d",
        _ => return None,
    };
    let count = count.trim();
    Quota::parse(&burst.map_or_else(|| format!("{count}/{unit}"), |burst| format!("{count}/{unit}, burst {burst}")))
        .ok()
}

fn split_unit(text: &str) -> (Option<u64>, &str) {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    (number.parse().ok(), unit.trim_start())
}

/// A duration as it would be written, in its largest whole unit.
pub(crate) fn show_duration(duration: Duration) -> String {
    let millis = duration.as_millis();
    match millis {
        m if m > 0 && m % 86_400_000 == 0 => format!("{}d", m / 86_400_000),
        m if m > 0 && m % 3_600_000 == 0 => format!("{}h", m / 3_600_000),
        m if m > 0 && m % 60_000 == 0 => format!("{}m", m / 60_000),
        m if m % 1_000 == 0 => format!("{}s", m / 1_000),
        m => format!("{m}ms"),
    }
}

/// A size as it would be written, in its largest whole unit.
pub(crate) fn show_size(bytes: u64) -> String {
    let (unit, scale) =
        SIZE_UNITS.into_iter().find(|(_, scale)| bytes >= *scale && bytes.is_multiple_of(*scale)).unwrap_or(("B", 1));
    format!("{}{unit}", bytes / scale)
}

/// Names of consumers and credentials: `[a-z0-9][a-z0-9_-]{0,62}`.
pub(super) fn name(text: &str) -> Parsed<String> {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '-');
    if (1..=63).contains(&text.len()) && text.chars().all(inner) && !text.starts_with(['_', '-']) {
        return Ok(text.to_owned());
    }
    let shown = quoted(text);
    let lower = text.to_lowercase();
    let tame: String = lower.chars().take(63).map(unaccented).map(|c| if inner(c) { c } else { '-' }).collect();
    let tame = tame.trim_matches(['_', '-']);
    let complaint = Complaint::new(
        Rule::InvalidName,
        text! { en: "\"{shown}\" cannot be a name", fr: "\"{shown}\" ne peut pas servir de nom" },
        text! {
            en: "1 to 63 of a-z, 0-9, `_` and `-`, the first a letter or digit",
            fr: "1 à 63 caractères parmi a-z, 0-9, `_` et `-`, le premier étant une lettre ou un chiffre"
        },
    );
    Err(match tame {
        "" => complaint,
        tame => complaint.hint(text! { en: "write \"{tame}\"", fr: "écrivez \"{tame}\"" }),
    })
}

/// The letter below an accent that French has.
fn unaccented(c: char) -> char {
    match c {
        'à' | 'â' | 'ä' => 'a',
        'ç' => 'c',
        'é' | 'è' | 'ê' | 'ë' => 'e',
        'î' | 'ï' => 'i',
        'ô' | 'ö' => 'o',
        'ù' | 'û' | 'ü' => 'u',
        other => other,
    }
}

/// 64 lower-case hexadecimal digits. The message repeats nothing: what is there may be the key itself.
pub(super) fn digest(text: &str) -> Parsed<KeyDigest> {
    let hex = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
    if text.len() == 64 && text.bytes().all(hex) {
        let mut digest = KeyDigest::default();
        for (byte, pair) in digest.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            let digit = |b: u8| if b.is_ascii_digit() { b - b'0' } else { b - b'a' + 10 };
            *byte = digit(pair[0]) << 4 | digit(pair[1]);
        }
        return Ok(digest);
    }
    let complaint = Complaint::new(
        Rule::InvalidDigest,
        text! { en: "`sha256` is not a SHA-256 digest", fr: "`sha256` n'est pas une empreinte SHA-256" },
        text! {
            en: "expected 64 lower-case hexadecimal digits",
            fr: "64 chiffres hexadécimaux en minuscules sont attendus"
        },
    );
    Err(if is_upper_digest(text) {
        complaint.hint(text! { en: "write it in lower case", fr: "écrivez-la en minuscules" })
    } else {
        complaint.hint(text! {
            en: "the digest of a key is the output of `printf %s KEY | sha256sum`; the key itself is never here",
            fr: "l'empreinte d'une clé est donnée par `printf %s CLÉ | sha256sum` ; la clé elle-même ne figure jamais \
                 ici"
        })
    })
}

fn is_upper_digest(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations() {
        for (text, millis) in
            [("900s", 900_000), ("250ms", 250), ("5m", 300_000), ("2h", 7_200_000), ("7d", 604_800_000)]
        {
            assert_eq!(duration(text).unwrap(), Duration::from_millis(millis), "{text}");
        }
        for bad in
            ["", "5", "s", "5 minutes", "1h30m", "-1s", "1.5s", "99999999999999999999s", "999999999999999999d", "5S"]
        {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn rates_of_bytes() {
        for (text, rate) in [("500B/s", 500), ("1KiB/s", 1024)] {
            assert_eq!(byte_rate(text).unwrap(), rate, "{text}");
            assert_eq!(show_byte_rate(rate), text);
        }
        for bad in ["", "500", "1KiB", "/s", "1KiB/min", "1kb/s", "1KiB/s/s"] {
            assert!(byte_rate(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn sizes() {
        for (text, bytes) in [("512B", 512), ("64KiB", 65_536), ("1MiB", 1 << 20), ("1GiB", 1 << 30)] {
            assert_eq!(size(text).unwrap(), bytes, "{text}");
            assert_eq!(show_size(bytes), text);
        }
        for bad in ["", "64", "64KB", "64kib", "64 K", "1TiB", "99999999999999999999B", "99999999999999GiB"] {
            assert!(size(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn quotas_that_were_meant() {
        for (text, meant) in [
            ("20", Some("20/s")),
            ("20/minute", Some("20/min")),
            ("20 / s", Some("20/s")),
            ("20/s burst 40", Some("20/s, burst 40")),
            ("20/j,burst=40", Some("20/d, burst 40")),
            ("0/s", None),
            ("20/week", None),
            ("many/s", None),
            ("20/s, 40", None),
        ] {
            assert!(quota(text).is_err(), "{text}");
            assert_eq!(meant_quota(text).map(|quota| quota.to_string()).as_deref(), meant, "{text}");
        }
    }

    #[test]
    fn names() {
        for good in ["a", "0", "boutique-paris", "k_1", &"a".repeat(63)] {
            assert!(name(good).is_ok(), "{good}");
        }
        for bad in ["", "-", "-a", "_a", "A", "a b", "é", "a.b", &"a".repeat(64)] {
            assert!(name(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn digests() {
        let key = crate::domain::rules::consumer::digest(b"key");
        let hex = data_encoding::HEXLOWER.encode(&key);
        assert_eq!(digest(&hex).unwrap(), key);
        for bad in ["", &hex[1..], &hex.to_uppercase(), &"g".repeat(64)] {
            assert!(digest(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn suggestions() {
        let keys = || ["read_timeout", "write_timeout", "pool_size"].into_iter();
        assert_eq!(nearest("read_timout", keys()), Some("read_timeout"));
        assert_eq!(nearest("Read-Timeout", keys()), Some("read_timeout"));
        assert_eq!(nearest("banana", keys()), None);
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_back(millis in 1..u64::from(u32::MAX), bytes in 1..1_u64 << 40) {
            let time = Duration::from_millis(millis);
            prop_assert_eq!(duration(&show_duration(time)).unwrap(), time);
            prop_assert_eq!(size(&show_size(bytes)).unwrap(), bytes);
        }

        #[test]
        fn no_text_makes_a_parser_panic(text in "\\PC{0,20}|[0-9a-fx.:/\\[\\]]{0,20}") {
            let _ = (duration(&text), size(&text), quota(&text), name(&text), digest(&text), quoted(&text));
            let _ = nearest(&text, ["a", "token"].into_iter());
        }
    }
}
