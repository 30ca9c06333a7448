//! What is made of the registry of keys: the schema, held to real files by a validator that others maintain, and the
//! pages of `docs/`, held to the code.

use jsonschema::Validator;
use sensgate::config::reference::markdown;
use sensgate::config::schema::json_schema;
use sensgate::config::shape::{Form, Presence, TABLES};
use sensgate::config::spec::ValueKind;
use sensgate::config::{Rule, parse};
use sensgate::text::Lang;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn validator() -> Validator {
    let schema = json_schema(Lang::En);
    assert!(jsonschema::draft202012::meta::is_valid(&schema));
    jsonschema::draft202012::options().should_validate_formats(true).build(&schema).unwrap()
}

/// A file as a validator sees it: days are strings.
fn as_json(source: &str) -> Option<Value> {
    fn convert(value: toml::Value) -> Value {
        match value {
            toml::Value::Datetime(moment) => moment.to_string().into(),
            toml::Value::Array(values) => values.into_iter().map(convert).collect(),
            toml::Value::Table(table) => table.into_iter().map(|(key, value)| (key, convert(value))).collect(),
            other => serde_json::to_value(other).unwrap(),
        }
    }
    Some(convert(toml::Value::Table(source.parse().ok()?)))
}

fn files(directory: &str) -> Vec<PathBuf> {
    let mut files: Vec<_> =
        fs::read_dir(Path::new(ROOT).join(directory)).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    files.sort();
    assert!(!files.is_empty(), "{directory}");
    files
}

#[test]
fn every_good_file_is_good_for_the_schema() {
    let validator = validator();
    let mut good = files("tests/config/valid");
    good.push(Path::new(ROOT).join("config/sensgate.example.toml"));
    for path in good {
        let file = as_json(&fs::read_to_string(&path).unwrap()).unwrap();
        let errors: Vec<_> =
            validator.iter_errors(&file).map(|error| format!("{}: {error}", error.instance_path())).collect();
        assert!(errors.is_empty(), "{}: {errors:#?}", path.display());
    }
}

#[test]
fn what_one_key_alone_gets_wrong_is_wrong_for_the_schema() {
    let validator = validator();
    let held = [
        Rule::UnknownKey,
        Rule::RenamedKey,
        Rule::MissingKey,
        Rule::InvalidChoice,
        Rule::InvalidDuration,
        Rule::InvalidSize,
        Rule::InvalidName,
        Rule::SecretInFile,
        Rule::NotAvailable,
        Rule::NotShadowable,
    ];
    let mut refused = 0;
    for path in files("tests/config/invalid") {
        let Some((source, file)) =
            fs::read_to_string(&path).ok().and_then(|source| Some((source.clone(), as_json(&source)?)))
        else {
            continue;
        };
        let report = parse(&source, "f", Path::new("")).unwrap_err();
        // Whether a key is missing may depend on another one, which no schema of ours says.
        let by_schema = report.diagnostics().iter().any(|finding| held.contains(&finding.rule));
        let by_two_keys = ["expired-when-success.toml", "tls-without-key.toml", "upstream-tls-host.toml"];
        let by_two_keys = by_two_keys.iter().any(|name| path.ends_with(name));
        if by_schema && !by_two_keys {
            assert!(!validator.is_valid(&file), "{}", path.display());
            refused += 1;
        }
    }
    assert!(refused > 25, "{refused}");
}

/// One unknown key in each table.
#[test]
fn unknown_keys_are_wrong_for_the_schema() {
    let validator = validator();
    let example = fs::read_to_string(Path::new(ROOT).join("config/sensgate.example.toml")).unwrap();
    let lines = ["tls = { certificate", "[upstream.tls]", "ca = ", "name = \"8sens"];
    let example = lines.iter().fold(example, |text, line| text.replace(&format!("\n# {line}"), &format!("\n{line}")));
    for table in TABLES {
        let mut file = as_json(&example).unwrap();
        let path = if table.path == "secret" { "upstream.api_key" } else { table.path };
        let mut places = vec![&mut file];
        for name in path.split('.').filter(|name| !name.is_empty()) {
            places = places
                .into_iter()
                .filter_map(|place| place.get_mut(name))
                .flat_map(|value| match value {
                    Value::Array(values) => values.iter_mut().collect(),
                    other => vec![other],
                })
                .collect();
        }
        let Some(place) = places.into_iter().next() else {
            // Stands in the example as a comment; its properties are closed like all others.
            assert!(table.form == Form::Inline, "{path} is not in the example");
            continue;
        };
        place["no_such_key"] = true.into();
        assert!(!validator.is_valid(&file), "{path}");
    }
}

/// The bounds of integers are those that the reader holds: it takes them from the same place.
#[test]
fn integers_beyond_their_bounds_are_wrong_for_the_schema() {
    let validator = validator();
    let mut tried = 0;
    for table in TABLES.iter().filter(|table| table.form == Form::Table) {
        for key in table.keys {
            let ValueKind::Integer { least, most } = key.kind else { continue };
            let head = "[upstream]\naddress = \"127.0.0.1:1\"\napi_key = { env = \"CARGO_PKG_NAME\" }\n";
            let head = if table.path == "upstream" { head.to_owned() } else { format!("{head}[{}]\n", table.path) };
            for (value, good) in
                [(Some(least), true), (least.checked_sub(1), false), (Some(most), true), (Some(most + 1), false)]
            {
                let Some(value) = value else { continue };
                let source = format!("{head}{} = {value}\n[[listener]]\naddress = \"127.0.0.1:0\"\n", key.name);
                assert_eq!(validator.is_valid(&as_json(&source).unwrap()), good, "{source}");
                tried += 1;
            }
        }
    }
    assert!(tried > 20, "{tried}");
}

#[test]
fn the_schema_speaks_both_languages_and_says_the_defaults() {
    let (english, french) = (json_schema(Lang::En), json_schema(Lang::Fr));
    for table in TABLES.iter().filter(|table| table.form != Form::Root) {
        for key in table.keys {
            let property = |schema: &Value| schema["$defs"][table.path]["properties"][key.name].clone();
            let (english, french) = (property(&english), property(&french));
            assert!(english["description"].is_string() && english["description"] != french["description"], "{english}");
            assert_eq!(english.get("default").is_some(), matches!(key.presence, Presence::Default(_)), "{english}");
        }
    }
}

/// `make reference` writes the pages.
#[test]
fn the_pages_say_what_the_registry_says() {
    for (path, lang) in [("docs/configuration.md", Lang::En), ("docs/fr/configuration.md", Lang::Fr)] {
        let path = Path::new(ROOT).join(path);
        let page = markdown(lang);
        if std::env::var_os("UPDATE_REFERENCE").is_some() {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, &page).unwrap();
        }
        assert!(fs::read_to_string(&path).unwrap_or_default() == page, "{} is old: make reference", path.display());
    }
}
