//! The JSON that quotes and orders have in common. Every field is our assumption.

use super::super::database::catalogue::article;
use super::super::database::document::{Document, Line, MAX_LINES, MAX_QUANTITY, MAX_REFERENCE};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

pub(super) const QUOTE: &str = "DE";
pub(super) const ORDER: &str = "CO";

/// One line as a caller sends it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LineBody {
    article: String,
    quantite: u32,
}

/// The lines of a document, priced from the catalogue.
///
/// # Errors
/// What is wrong with them.
pub(super) fn lines(bodies: &[LineBody]) -> Result<Vec<Line>, String> {
    if bodies.is_empty() || bodies.len() > MAX_LINES {
        return Err(format!("lignes : de 1 à {MAX_LINES}"));
    }
    bodies
        .iter()
        .enumerate()
        .map(|(index, body)| {
            let article = article(&body.article).ok_or_else(|| format!("lignes[{index}].article : inconnu"))?;
            if !(1..=MAX_QUANTITY).contains(&body.quantite) {
                return Err(format!("lignes[{index}].quantite : de 1 à {MAX_QUANTITY}"));
            }
            Ok(Line { article, quantity: body.quantite })
        })
        .collect()
}

/// The query of a list.
#[derive(Deserialize)]
pub(super) struct Wanted {
    /// Only what was made under this reference.
    pub reference: Option<String>,
}

/// Takes a reference that is not empty and not too long.
///
/// # Errors
/// The message to answer with.
pub(super) fn reference(text: &str) -> Result<String, String> {
    let fits = !text.is_empty() && text.len() <= MAX_REFERENCE;
    fits.then(|| text.to_owned()).ok_or_else(|| format!("reference : de 1 à {MAX_REFERENCE} octets"))
}

/// Reads `2026-01-31` and nothing else.
///
/// # Errors
/// The message to answer with.
pub(super) fn date(text: &str) -> Result<Date, String> {
    let date = text.parse::<Date>().ok().filter(|date| date.to_string() == text);
    date.ok_or_else(|| "date : AAAA-MM-JJ attendu".to_owned())
}

/// The day of today, UTC.
pub(super) fn today() -> Date {
    TimeZone::UTC.to_datetime(Timestamp::now()).date()
}

#[derive(Serialize)]
pub(super) struct DocumentView {
    date: String,
    client: u64,
    /// What the shop calls it.
    reference: Option<String>,
    lignes: Vec<LineView>,
    total_ht_centimes: u64,
    total_tva_centimes: u64,
    total_ttc_centimes: u64,
}

#[derive(Serialize)]
struct LineView {
    article: &'static str,
    libelle: &'static str,
    quantite: u32,
    prix_ht_centimes: u64,
    taux_tva_points_de_base: u64,
    montant_ht_centimes: u64,
}

impl DocumentView {
    pub(super) fn of(document: &Document) -> Self {
        let (total, vat) = (document.total(), document.vat());
        Self {
            date: document.date.to_string(),
            client: document.client,
            reference: document.reference.clone(),
            lignes: document.lines.iter().map(LineView::of).collect(),
            total_ht_centimes: total,
            total_tva_centimes: vat,
            total_ttc_centimes: total + vat,
        }
    }
}

impl LineView {
    fn of(line: &Line) -> Self {
        Self {
            article: line.article.code,
            libelle: line.article.libelle,
            quantite: line.quantity,
            prix_ht_centimes: line.article.price,
            taux_tva_points_de_base: line.article.vat_rate,
            montant_ht_centimes: line.amount(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_have_one_spelling() {
        assert_eq!(date("2026-01-31"), Ok(Date::constant(2026, 1, 31)));
        for other in ["", "2026-1-31", "20260131", "2026-02-30", "2026-01-31T10:00:00", "31/01/2026", " 2026-01-31"] {
            assert!(date(other).is_err(), "{other}");
        }
    }
}
