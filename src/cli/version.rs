//! `version`: what this binary is.

use super::{Exit, Format};
use crate::cli::help::{self, both};
use crate::telemetry::build_info::{FEATURES, LIBRARIES, REVISION, RUSTC, TARGET, VERSION};
use crate::text;
use crate::text::Lang;
use serde_json::{Map, Value, json};

#[derive(clap::Args, Debug)]
#[command(about = both("Print the version", "Afficher la version"))]
pub(super) struct VersionArgs {
    #[arg(short, long, help = both(
        "With revision, compiler, target, features and linked libraries",
        "Avec la révision, le compilateur, la cible, les options et les bibliothèques liées"
    ))]
    verbose: bool,
    #[arg(long, value_enum, default_value_t, help = help::format())]
    format: Format,
}

pub(super) fn run(args: &VersionArgs, lang: Lang) -> Exit {
    super::data(&match (args.format, args.verbose) {
        (Format::Text, false) => format!("sensgate {VERSION}"),
        (Format::Text, true) => text(lang),
        (Format::Json, false) => format!("{:#}", json!({ "version": VERSION })),
        (Format::Json, true) => format!("{:#}", json()),
    });
    Exit::Ok
}

fn text(lang: Lang) -> String {
    let features = if FEATURES.is_empty() { "-" } else { FEATURES };
    let head = text! {
        en: "sensgate {VERSION}\nrevision: {REVISION}\nrustc: {RUSTC}\ntarget: {TARGET}\nfeatures: {features}",
        fr: "sensgate {VERSION}\nrévision : {REVISION}\nrustc : {RUSTC}\ncible : {TARGET}\noptions : {features}",
    };
    libraries().fold(head.in_lang(lang).to_owned(), |shown, (name, version)| format!("{shown}\n{name} {version}"))
}

fn json() -> Value {
    let libraries: Map<String, Value> = libraries().map(|(name, version)| (name.to_owned(), version.into())).collect();
    json!({
        "version": VERSION,
        "revision": REVISION,
        "rustc": RUSTC,
        "target": TARGET,
        "features": FEATURES.split(',').filter(|name| !name.is_empty()).collect::<Vec<_>>(),
        "libraries": libraries,
    })
}

/// Name and version of the libraries that matter most to whoever reads an advisory.
fn libraries() -> impl Iterator<Item = (&'static str, &'static str)> {
    LIBRARIES.split(',').filter_map(|library| library.split_once(' '))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_libraries_are_those_of_the_lock_file() {
        let lock: toml::Table = include_str!("../../Cargo.lock").parse().unwrap();
        for library in ["pingora-core", "pingora-proxy", "rustls", "h2"] {
            let version = libraries().find(|(name, _)| *name == library).unwrap().1;
            let locked = lock["package"].as_array().unwrap().iter().any(|package| {
                (package["name"].as_str(), package["version"].as_str()) == (Some(library), Some(version))
            });
            assert!(locked, "{library} {version}");
        }
    }

    #[test]
    fn verbose_says_the_same_in_text_and_json() {
        let (shown, json) = (text(Lang::En), json());
        for key in ["version", "revision", "rustc", "target"] {
            let value = json[key].as_str().unwrap();
            assert!(!value.is_empty() && shown.contains(value), "{key}: {shown}");
        }
        for (name, version) in json["libraries"].as_object().unwrap() {
            assert!(shown.contains(&format!("\n{name} {}", version.as_str().unwrap())), "{shown}");
        }
        assert_ne!(text(Lang::Fr), shown);
    }
}
