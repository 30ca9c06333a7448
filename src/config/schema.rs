//! The JSON Schema (draft 2020-12) of the configuration file, from the registry of keys: for editors, and for whoever
//! writes the file with a program. It holds one key at a time; what spans two keys, and what is in other files, is
//! for `check`.

use super::reference::bounds;
use super::shape::{Form, KeySpec, Presence, ROOT, TABLES, TableSpec};
use super::spec::ValueKind;
use crate::text::Lang;
use serde_json::{Map, Value, json};

/// The schema, with descriptions in one language.
#[must_use]
pub fn json_schema(lang: Lang) -> Value {
    let tables = TABLES.iter().filter(|spec| spec.form != Form::Root);
    let definitions: Map<String, Value> = tables.map(|spec| (spec.path.to_owned(), table(spec, lang))).collect();
    let mut root = table(&ROOT, lang);
    root["$schema"] = "https://json-schema.org/draft/2020-12/schema".into();
    root["title"] = "sensgate".into();
    root["$defs"] = definitions.into();
    root
}

fn table(spec: &TableSpec, lang: Lang) -> Value {
    let properties: Map<String, Value> =
        spec.keys.iter().map(|key| (key.name.to_owned(), property(key, lang))).collect();
    let required: Vec<_> =
        spec.keys.iter().filter(|key| key.presence == Presence::Required).map(|key| key.name).collect();
    let mut schema = json!({
        "type": "object",
        "description": spec.about.in_lang(lang),
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    });
    if !spec.any_of.is_empty() {
        schema["anyOf"] = spec.any_of.iter().map(|name| json!({ "required": [name] })).collect();
    }
    schema
}

fn property(key: &KeySpec, lang: Lang) -> Value {
    let mut schema = of_kind(&key.kind);
    let about = key.about.in_lang(lang);
    schema["description"] = match bounds(&key.kind, lang) {
        Some(bounds) => format!("{about} ({bounds})").into(),
        None => about.into(),
    };
    if let Presence::Default(default) = key.presence
        && let Some(default) = json(default)
    {
        schema["default"] = default;
    }
    schema
}

fn of_kind(kind: &ValueKind) -> Value {
    let reference = |spec: &TableSpec| json!({ "$ref": format!("#/$defs/{}", spec.path) });
    let list = |items: Value| json!({ "type": "array", "items": items });
    match kind {
        ValueKind::Bool => json!({ "type": "boolean" }),
        ValueKind::Integer { least, most } => json!({ "type": "integer", "minimum": least, "maximum": most }),
        ValueKind::Duration { .. } => json!({ "type": "string", "pattern": "^[0-9]+ *(ms|s|m|h|d)$" }),
        ValueKind::Size { .. } => json!({ "type": "string", "pattern": "^[0-9]+ *(B|KiB|MiB|GiB)$" }),
        ValueKind::ByteRate { .. } => json!({ "type": "string", "pattern": "^[0-9]+ *(B|KiB|MiB|GiB)/s$" }),
        ValueKind::Quota => json!({ "type": "string", "pattern": "^[0-9]+/(s|min|h|d)(, *burst +[0-9]+)?$" }),
        // As tools show a day of TOML to a validator.
        ValueKind::Date => json!({ "type": "string", "format": "date" }),
        ValueKind::Choice(words) => json!({ "enum": words }),
        ValueKind::Text(syntax) => {
            let mut schema = json!({ "type": "string", "examples": [syntax.example] });
            if let Some(pattern) = syntax.pattern {
                schema["pattern"] = pattern.into();
            }
            schema
        }
        ValueKind::List(inner) => list(of_kind(inner)),
        ValueKind::Table(spec) => reference(spec),
        ValueKind::Tables(spec) => list(reference(spec)),
        ValueKind::TableOrTables(spec) => json!({ "anyOf": [reference(spec), list(reference(spec))] }),
    }
}

/// A default as JSON.
fn json(default: &str) -> Option<Value> {
    let mut table: toml::Table = format!("it = {default}").parse().ok()?;
    serde_json::to_value(table.remove("it")?).ok()
}
