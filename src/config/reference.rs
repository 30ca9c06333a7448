//! `docs/configuration.md` in both languages, from the registry of keys.

use super::bounds::{MAX_CONSUMER_BYTES, MAX_CONSUMER_FILES, MAX_FILE};
use super::shape::{Form, KeySpec, Presence, ROOT, TABLES, TableSpec};
use super::spec::ValueKind;
use super::value::{show_byte_rate, show_duration, show_size};
use crate::text;
use crate::text::Lang;
use std::fmt::{Display, Write as _};
use std::time::Duration;

/// Every table and key of the file, as a page.
#[must_use]
pub fn markdown(lang: Lang) -> String {
    let mut page = introduction(lang);
    page.push_str(&top(lang));
    for spec in TABLES.iter().filter(|spec| spec.form != Form::Root) {
        // Writing to a String cannot fail.
        let _ = write!(page, "\n## {}\n\n{}", heading(spec), spec.about.in_lang(lang));
        if !spec.any_of.is_empty() {
            let names = spec.any_of.join("`, `");
            let one = text! { en: " One of `{names}` must be there.", fr: " Il en faut une parmi `{names}`." };
            page.push_str(one.in_lang(lang));
        }
        page.push_str("\n\n");
        rows(&mut page, spec.keys.iter(), lang);
    }
    page
}

/// What a key may hold, within which bounds.
pub(super) fn bounds(kind: &ValueKind, lang: Lang) -> Option<String> {
    let between = |least: &dyn Display, most: &dyn Display| {
        text! { en: "{least} to {most}", fr: "de {least} à {most}" }.in_lang(lang).to_owned()
    };
    match kind {
        ValueKind::Integer { least, most } => Some(between(least, most)),
        ValueKind::Duration { most: Duration::MAX, .. } => None,
        ValueKind::Duration { least, most } => Some(between(&show_duration(*least), &show_duration(*most))),
        ValueKind::Size { least, most } => Some(between(&show_size(*least), &show_size(*most))),
        ValueKind::ByteRate { least, most } => Some(between(&show_byte_rate(*least), &show_byte_rate(*most))),
        _ => None,
    }
}

fn introduction(lang: Lang) -> String {
    let page = text! {
        en: "\
# Configuration

<!-- Written by `make reference` from src/config/shape.rs. -->

One TOML file, which `sensgate run --config FILE` reads and `sensgate check --config FILE` checks, with all mistakes at once.
[config/sensgate.example.toml](../config/sensgate.example.toml) shows every key at its default. `sensgate schema` prints a JSON Schema of the
file; an editor that knows TOML takes it from a first line `#:schema ./sensgate.schema.json` and then completes and explains keys.

- Durations are `\"250ms\"`, `\"30s\"`, `\"5m\"`, `\"2h\"`, `\"7d\"`. Sizes are `\"512B\"`, `\"64KiB\"`, `\"10MiB\"`; rates of bytes are sizes with `/s`.
- Rates are `\"20/s\"`, `\"600/min\"`, `\"1000/h\"`, `\"5000/d\"`. Without `, burst 40`, the whole count may come at once.
- A route rule is a method, one space and a path: `\"GET /v1/*\"`. A trailing `*` is any rest, an inner one a segment, the method `*` any method;
  GET implies HEAD.
- A secret is never in the file, only where it is: see `secret` below.
- A key that is not below is refused, and so is a secret file that everyone on the machine can read.
",
        fr: "\
# Configuration

<!-- Écrit par `make reference` à partir de src/config/shape.rs. -->

Un seul fichier TOML, que `sensgate run --config FICHIER` lit et que `sensgate check --config FICHIER` vérifie en montrant toutes les erreurs à la
fois. [config/sensgate.example.toml](../../config/sensgate.example.toml) montre chaque clé à sa valeur par défaut. `sensgate schema` affiche un
schéma JSON du fichier ; un éditeur qui connaît TOML le prend d'une première ligne `#:schema ./sensgate.schema.json`, puis complète et
explique les clés.

- Les durées s'écrivent `\"250ms\"`, `\"30s\"`, `\"5m\"`, `\"2h\"`, `\"7d\"`. Les tailles `\"512B\"`, `\"64KiB\"`, `\"10MiB\"` ; un débit d'octets est une taille suivie de `/s`.
- Les débits s'écrivent `\"20/s\"`, `\"600/min\"`, `\"1000/h\"`, `\"5000/d\"`. Sans `, burst 40`, le nombre entier peut venir d'un coup.
- Une règle de route est une méthode, une espace et un chemin : `\"GET /v1/*\"`. Un `*` final vaut tout reste, un `*` intérieur un segment, la
  méthode `*` toute méthode ; GET vaut aussi pour HEAD.
- Un secret ne figure jamais dans le fichier, seulement l'endroit où il est : voyez `secret` plus bas.
- Une clé qui n'est pas ci-dessous est refusée, de même qu'un fichier secret que tous les utilisateurs de la machine peuvent lire.
",
    };
    page.in_lang(lang).to_owned()
}

/// What is no table, and comes before the first one.
fn top(lang: Lang) -> String {
    let most = show_size(MAX_CONSUMER_BYTES as u64);
    let each = show_size(MAX_FILE as u64);
    let section = text! {
        en: "
## Before the first table

A file that `consumers` names holds `[[consumer]]` tables and nothing else, under the same rules: a name or a key that
is in two files is refused, with both places. Files are read in the order of their names, without those that begin
with a dot: at most {MAX_CONSUMER_FILES} of them, {each} each as the configuration itself, and {most} together.
`sensgate keys` edits the file that holds a consumer, and adds a new consumer to the configuration itself.

",
        fr: "
## Avant la première table

Un fichier que `consumers` désigne contient des tables `[[consumer]]` et rien d'autre, selon les mêmes règles : un nom
ou une clé qui figure dans deux fichiers est refusé, avec les deux endroits. Les fichiers sont lus dans l'ordre de leurs
noms, sans ceux qui commencent par un point : {MAX_CONSUMER_FILES} au plus, {each} chacun comme la configuration
elle-même, et {most} ensemble. `sensgate keys` modifie le fichier où figure un consommateur, et ajoute un nouveau
consommateur à la configuration elle-même.

",
    };
    let mut section = section.in_lang(lang).to_owned();
    let is_table =
        |kind: &ValueKind| matches!(kind, ValueKind::Table(_) | ValueKind::Tables(_) | ValueKind::TableOrTables(_));
    rows(&mut section, ROOT.keys.iter().filter(|key| !is_table(&key.kind)), lang);
    section
}

fn heading(spec: &TableSpec) -> String {
    let head = spec.head();
    if spec.form == Form::Inline { format!("`{head} = {{ … }}`") } else { format!("`{head}`") }
}

fn rows<'k>(page: &mut String, keys: impl Iterator<Item = &'k KeySpec>, lang: Lang) {
    let head = text! {
        en: "| key | value | default | what it is for |\n|---|---|---|---|\n",
        fr: "| clé | valeur | par défaut | à quoi elle sert |\n|---|---|---|---|\n",
    };
    page.push_str(head.in_lang(lang));
    for key in keys {
        let mut value = kind(&key.kind, lang);
        if let Some(bounds) = bounds(&key.kind, lang) {
            let _ = write!(value, ", {bounds}");
        }
        let _ = writeln!(
            page,
            "| `{}` | {value} | {} | {} |",
            key.name,
            default(key, lang).replace('|', "\\|"),
            key.about.in_lang(lang).replace('|', "\\|")
        );
    }
}

fn default(key: &KeySpec, lang: Lang) -> String {
    match key.presence {
        Presence::Required => text! { en: "**required**", fr: "**obligatoire**" }.in_lang(lang).to_owned(),
        Presence::Default(value) => format!("`{value}`"),
        Presence::Optional => "–".to_owned(),
    }
}

fn kind(kind: &ValueKind, lang: Lang) -> String {
    let said = match kind {
        ValueKind::Bool => return "`true`, `false`".to_owned(),
        ValueKind::Choice(words) => return format!("`\"{}\"`", words.join("\"`, `\"")),
        ValueKind::Text(syntax) => return syntax.name.in_lang(lang).to_owned(),
        ValueKind::Integer { .. } => text! { en: "integer", fr: "nombre entier" },
        ValueKind::Duration { .. } => text! { en: "duration", fr: "durée" },
        ValueKind::Size { .. } => text! { en: "size", fr: "taille" },
        ValueKind::ByteRate { .. } => text! { en: "rate of bytes", fr: "débit d'octets" },
        ValueKind::Quota => text! { en: "rate", fr: "débit" },
        ValueKind::Date => text! { en: "day, such as `2027-06-30`", fr: "jour, par exemple `2027-06-30`" },
        ValueKind::List(inner) => {
            let inner = self::kind(inner, lang);
            text! { en: "list of: {inner}", fr: "liste de : {inner}" }
        }
        ValueKind::Table(spec) => {
            let path = spec.path;
            text! { en: "`{path}`", fr: "`{path}`" }
        }
        ValueKind::Tables(spec) => {
            let path = spec.path;
            text! { en: "list of `{path}`", fr: "liste de `{path}`" }
        }
        ValueKind::TableOrTables(spec) => {
            let path = spec.path;
            text! { en: "`{path}`, or a list of such", fr: "`{path}`, ou une liste de telles tables" }
        }
    };
    said.in_lang(lang).to_owned()
}
