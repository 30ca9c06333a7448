//! TOML syntax errors as findings, in both languages.

use super::diagnostic::{Complaint, Rule};
use super::mask::sounds_secret;
use super::report::Problems;
use super::shape::{Form, TABLES};
use super::value::quoted;
use crate::text;
use crate::text::Text;
use std::ops::Range;
use toml::de::{DeTable, Error};

/// More errors than this are echoes of the first ones.
const MAX_ERRORS: usize = 10;

const DUPLICATE: &str = "duplicate key";

/// Parses the source. `None` when its syntax is broken; keys defined twice are reported and the first definition stays.
pub(super) fn parse<'s>(source: &'s str, problems: &Problems) -> Option<DeTable<'s>> {
    let (table, mut errors) = DeTable::parse_recoverable(source);
    let (duplicates, broken): (Vec<_>, Vec<_>) = errors.drain(..).partition(|error| error.message() == DUPLICATE);
    if broken.is_empty() {
        for error in duplicates.iter().take(MAX_ERRORS) {
            // The second value is in no table, so nobody else can tell whether it is a secret.
            mask_line(source, error.span().unwrap_or_default().start, problems);
            problems.error(error.span(), defined_twice(source, error));
        }
        return Some(table.into_inner());
    }
    // What a broken file means nobody knows, so every line of it that may hold a secret is hidden.
    let starts = source.split_inclusive('\n').scan(0, |at, line| Some(std::mem::replace(at, *at + line.len())));
    starts.for_each(|start| mask_line(source, start, problems));
    let mut seen_lines = Vec::new();
    for error in &broken {
        let span = visible(source, error.span().unwrap_or_default());
        let line = source[..source.floor_char_boundary(span.start)].matches('\n').count();
        // The parser goes on after an error; on the same line it only says the same again.
        if seen_lines.contains(&line) || seen_lines.len() == MAX_ERRORS {
            continue;
        }
        seen_lines.push(line);
        problems.error(span, broken_syntax(error));
    }
    None
}

fn defined_twice(source: &str, error: &Error) -> Complaint {
    let name = quoted(error.span().and_then(|span| source.get(span)).unwrap_or_default());
    Complaint::new(
        Rule::DuplicateKey,
        text! { en: "`{name}` is defined twice", fr: "`{name}` est défini deux fois" },
        text! { en: "defined again here", fr: "à nouveau défini ici" },
    )
    .hint(text! { en: "keep one of the two", fr: "gardez l'une des deux définitions" })
}

fn broken_syntax(error: &Error) -> Complaint {
    let (what, expected) = match error.message().split_once(", expected ") {
        Some((what, expected)) => (what, Some(expected)),
        None => (error.message(), None),
    };
    let what = translated(what);
    let (en, fr) = (&what.en, &what.fr);
    let message = text! { en: "this is not TOML: {en}", fr: "ce n'est pas du TOML : {fr}" };
    let label = match expected {
        // A long list of single characters helps nobody.
        Some(expected) if expected == "nothing" || expected.matches(", ").count() > 3 => {
            text! { en: "here", fr: "ici" }
        }
        None => text! { en: "here", fr: "ici" },
        Some(expected) => {
            let french: Vec<_> = expected.split(", ").map(expected_in_french).collect();
            let french = french.join(" ou ");
            let english = expected.replace(", ", " or ");
            text! { en: "expected {english}", fr: "attendu : {french}" }
        }
    };
    let complaint = Complaint::new(Rule::Syntax, message, label);
    match error.message() {
        m if m.starts_with("string values must be quoted") => complaint.hint(text! {
            en: "put the value between double quotes",
            fr: "mettez la valeur entre guillemets droits (\")"
        }),
        m if m.starts_with("unclosed") || m.starts_with("missing comma") => complaint.hint(text! {
            en: "look for a missing bracket, brace or comma just before",
            fr: "cherchez un crochet, une accolade ou une virgule manquante juste avant"
        }),
        m if m.starts_with("cannot extend value") => complaint.hint(text! {
            en: "a name is either a value or a table, not both",
            fr: "un nom désigne une valeur ou une table, pas les deux"
        }),
        m if m.starts_with("missing escaped value") => complaint.hint(text! {
            en: "in double quotes, `\\` is written `\\\\`; in single quotes it stands for itself",
            fr: "entre guillemets doubles, `\\` s'écrit `\\\\` ; entre guillemets simples, il s'écrit tel quel"
        }),
        m if m.contains(" string") => complaint.hint(text! {
            en: "a string ends with the quote that it starts with, on the same line",
            fr: "une chaîne se termine par le guillemet qui l'ouvre, sur la même ligne"
        }),
        m if m.starts_with("invalid") && !m.contains("key") && !m.contains("comment") => complaint.hint(text! {
            en: "if this is meant as text, put it between double quotes",
            fr: "s'il s'agit d'un texte, mettez-le entre guillemets droits (\")"
        }),
        _ => complaint,
    }
}

/// An error at the very end points at the last thing that is there.
fn visible(source: &str, span: Range<usize>) -> Range<usize> {
    let end = source.trim_end().len();
    if span.start >= source.len() && end > 0 { source.floor_char_boundary(end - 1)..end } else { span }
}

/// The parser's sentences. A new one is shown in English until it is listed here.
const DESCRIPTIONS: &[(&str, &str)] = &[
    ("`_` may only go between digits", "`_` ne se place qu'entre deux chiffres"),
    ("cannot recurse further; max recursion depth met", "imbrication trop profonde"),
    ("recursion limit", "imbrication trop profonde"),
    ("carriage return must be followed by newline", "retour chariot sans saut de ligne"),
    ("extra `=`", "`=` en trop"),
    ("extra assignment between key-value pairs", "`=` en trop"),
    ("extra comma in array", "virgule en trop dans une liste"),
    ("extra comma in inline table", "virgule en trop dans une table en ligne"),
    ("integers with a radix cannot be signed", "un entier préfixé ne peut pas être signé"),
    ("invalid comment character", "caractère interdit dans un commentaire"),
    ("invalid inline table element", "élément de table en ligne incorrect"),
    ("invalid key-value pair", "une ligne doit être de la forme `clé = valeur`"),
    ("invalid unquoted key", "nom de clé incorrect sans guillemets"),
    ("invalid value", "valeur incorrecte"),
    ("key with no value", "clé sans valeur"),
    ("keys cannot be multi-line basic strings", "un nom de clé ne peut pas tenir sur plusieurs lignes"),
    ("keys cannot be multi-line literal strings", "un nom de clé ne peut pas tenir sur plusieurs lignes"),
    ("missing array opening", "crochet ouvrant manquant"),
    ("missing assignment between key-value pairs", "`=` manquant"),
    ("missing comma between array elements", "virgule manquante entre deux éléments"),
    ("missing comma between key-value pairs", "virgule manquante entre deux clés"),
    ("missing comment start", "`#` manquant au début du commentaire"),
    ("missing escaped value", "séquence d'échappement incomplète"),
    ("missing inline table opening", "accolade ouvrante manquante"),
    ("missing key for inline table element", "nom de clé manquant"),
    ("missing opening quote", "guillemet ouvrant manquant"),
    ("missing table open", "crochet ouvrant manquant"),
    ("missing value for key", "valeur manquante"),
    ("missing value", "valeur manquante"),
    ("radix must be lowercase", "le préfixe d'un entier s'écrit en minuscules"),
    ("redundant integer number prefix", "préfixe d'entier en trop"),
    ("redundant numeric sign", "signe en trop"),
    ("string values must be quoted", "un texte se met entre guillemets"),
    ("too few unicode value digits", "code Unicode incomplet"),
    ("unclosed array table", "en-tête de table non fermé"),
    ("unclosed array", "liste non fermée"),
    ("unclosed inline table", "table en ligne non fermée"),
    ("unclosed table", "en-tête de table non fermé"),
    ("unexpected `=` in array", "`=` inattendu dans une liste"),
    ("unexpected content between comment and newline", "texte inattendu après un commentaire"),
    ("unexpected content", "texte inattendu"),
    ("unexpected key or value", "texte inattendu après une valeur"),
    ("unexpected leading zero", "zéro inutile en tête de nombre"),
    ("unexpected sign", "signe inattendu"),
    ("unquoted keys cannot be empty", "nom de clé vide"),
    ("invalid string", "chaîne incorrecte"),
    ("invalid literal string", "chaîne incorrecte"),
    ("invalid multi-line literal string", "chaîne sur plusieurs lignes incorrecte"),
    ("invalid basic string", "chaîne incorrecte"),
    ("invalid multi-line basic string", "chaîne sur plusieurs lignes incorrecte"),
    ("invalid boolean", "booléen incorrect"),
    ("invalid date-time", "date incorrecte"),
    ("invalid float", "nombre décimal incorrect"),
    ("invalid integer number", "nombre entier incorrect"),
    ("invalid hexadecimal number", "nombre hexadécimal incorrect"),
    ("invalid octal number", "nombre octal incorrect"),
    ("invalid binary number", "nombre binaire incorrect"),
];

fn translated(what: &str) -> Text {
    let french = DESCRIPTIONS.iter().find(|(english, _)| *english == what).map_or(what, |(_, french)| french);
    let french =
        if what.starts_with("cannot extend value") { "une valeur ne peut pas devenir une table" } else { french };
    text! { en: "{what}", fr: "{french}" }
}

fn expected_in_french(expected: &str) -> &str {
    match expected {
        "basic string" | "literal string" | "multi-line basic string" => "une chaîne entre guillemets",
        "characters" | "letters" | "printable characters" => "des caractères",
        "non-double-quote visible characters"
        | "non-single-quote characters"
        | "non-single-quote visible characters" => "des caractères visibles",
        "digits" | "numbers" => "des chiffres",
        "key" => "une clé",
        "value" => "une valeur",
        "newline" => "une fin de ligne",
        "unicode hexadecimal value" => "un code Unicode hexadécimal",
        literal => literal,
    }
}

/// Hides what may be a secret on a line that could not be understood: everything behind a name that sounds like one,
/// and everything on a line that does not define a known key, because it may be the rest of a string.
fn mask_line(source: &str, at: usize, problems: &Problems) {
    let at = source.floor_char_boundary(at);
    let start = source[..at].rfind('\n').map_or(0, |at| at + 1);
    let end = source[start..].find('\n').map_or(source.len(), |len| start + len);
    let line = &source[start..end];
    if line.trim_start().starts_with(['[', '#']) && !line.contains('=') {
        return;
    }
    let first_name = |equals: &usize| line[..*equals].split('.').next().unwrap_or_default().trim();
    let from = match line.find('=').filter(|equals| is_known_word(first_name(equals))) {
        Some(_) if !sounds_secret(line) => return,
        Some(equals) => equals,
        None => 0,
    };
    let plain = |c: char| !c.is_whitespace() && !matches!(c, '"' | '\'' | '{' | '}' | '[' | ']' | ',' | '=');
    let mut word_start = None;
    for (offset, c) in line[from..].char_indices().map(|(at, c)| (from + at, c)).chain([(line.len(), ' ')]) {
        match word_start {
            None if plain(c) => word_start = Some(offset),
            Some(begin) if !plain(c) => {
                if !is_known_word(&line[begin..offset]) {
                    problems.mask(start + begin..start + offset);
                }
                word_start = None;
            }
            _ => {}
        }
    }
}

/// True for names of this file and for `true` and `false`.
fn is_known_word(word: &str) -> bool {
    matches!(word, "true" | "false") || TABLES.iter().any(|table| table.form != Form::Root && table.has(word))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::Lang;

    fn shown(source: &str) -> String {
        let problems = Problems::default();
        assert!(parse(source, &problems).is_none(), "{source}");
        problems.into_report("f", source).render(Lang::Fr, false)
    }

    #[test]
    fn no_broken_line_shows_a_secret() {
        for source in [
            "api_key = \"hunter2",
            "api_key = hunter2",
            "apikey = { file = \"hunter2\"",
            "keys = [ { id = \"k1\" sha256 = \"hunter2\" } ]",
            "password == hunter2",
            "token = \"\"\"\nhunter2\n",
            "keys = [\n \"hunter2\n]",
            "api_key = \"\"\"\nhunter2==",
            "keys = [\n { id = \"k1\" sha256 = \"hunter2\" }\n]",
        ] {
            let shown = shown(source);
            assert!(!shown.contains("hunter2"), "{shown}");
        }
    }

    #[test]
    fn a_second_definition_does_not_show_a_secret() {
        for source in ["api_key = 1\napi_key = \"hunter2\"", "a = { token = 1, token = \"hunter2\" }"] {
            let problems = Problems::default();
            assert!(parse(source, &problems).is_some(), "{source}");
            let shown = problems.into_report("f", source).render(Lang::Fr, false);
            assert!(shown.contains("défini deux fois") && !shown.contains("hunter2"), "{shown}");
        }
    }

    #[test]
    fn harmless_lines_are_shown() {
        assert!(shown("address = 127.0.0.1:80").contains("127.0.0.1:80"));
        assert!(shown("[upstream").contains("[upstream"));
    }

    #[test]
    fn every_description_is_translated() {
        for source in ["a", "a = ", "a = [1 2]", "a = {b = 1", "a = x", "a = 1979-13-01", "[a", "a = 01", "a = \"\\q\""]
        {
            assert!(!shown(source).contains("expected"), "{}", shown(source));
        }
    }
}
