//! Every block of configuration in a guide is read by the gate: whole, or laid over a whole one.

use super::{blocks, merged, pages, write_certificate};
use crate::gate::{UPSTREAM_KEY, write_secret};
use crate::source;
use std::process::Command;

const BASE: &str = r#"
[upstream]
address = "127.0.0.1:8082"
api_key = { file = "8sens-api-key" }

[[listener]]
address = "127.0.0.1:8443"

[[consumer]]
name = "boutique-paris"
keys = [{ id = "k1", sha256 = "a5c0e0d2f25cba0ce3b25f4c0fbe5f2d40fdbb02fde9fc9eb8e4a3b2b2a2c4f1" }]
"#;

#[test]
fn every_block_is_accepted() {
    let folder = tempfile::tempdir().unwrap();
    write_certificate(folder.path());
    write_secret(&folder.path().join("8sens-api-key"), UPSTREAM_KEY);
    write_secret(&folder.path().join("sensgate-admin-token"), "Zq8vT1mW4yB7nK0pR3sX6dF9hJ2cL5gA");
    write_secret(&folder.path().join("boutique-paris.password"), "mot de passe");
    let (mut whole, mut fragments) = (0, 0);
    for document in documents() {
        let text = std::fs::read_to_string(&document).unwrap();
        for block in blocks(&text, "toml") {
            let complete = block.starts_with("# complete\n");
            *(if complete { &mut whole } else { &mut fragments }) += 1;
            let config = if complete { block } else { merged(BASE, &block) };
            let config = config.replace("/run/secrets/", &format!("{}/", folder.path().display()));
            let file = folder.path().join("sensgate.toml");
            std::fs::write(&file, &config).unwrap();
            let output = Command::new(env!("CARGO_BIN_EXE_sensgate"))
                .args(["check", "--lang", "en", "--config"])
                .arg(&file)
                .output()
                .unwrap();
            assert!(output.status.success(), "{}:\n{config}\n{}", document.display(), crate::said(&output));
        }
    }
    assert!(whole >= 3 && fragments >= 18, "{whole} whole, {fragments} fragments");
}

fn documents() -> Vec<std::path::PathBuf> {
    let documents = pages(&["docs/guides", "docs/fr/guides", "deploy"]);
    assert!(documents.len() >= 15, "{documents:?}");
    documents
}

/// The French guides show the same commands and the same configuration; only what is said differs.
#[test]
fn the_french_guides_show_the_same() {
    let shown = |text: &str| -> Vec<String> {
        let (mut fenced, mut shown) = (false, Vec::new());
        for line in text.lines() {
            if line.starts_with("```") {
                fenced = !fenced;
            } else if fenced || line.starts_with("    ") {
                // Comments are sentences.
                shown.push(line.split(" # ").next().unwrap().trim_end().to_owned());
            }
        }
        shown
    };
    let read = |folder: &str, name: &str| std::fs::read_to_string(source(folder).join(name)).unwrap();
    for entry in std::fs::read_dir(source("docs/guides")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if name.ends_with(".md") {
            assert_eq!(shown(&read("docs/fr/guides", &name)), shown(&read("docs/guides", &name)), "{name}");
        }
    }
}
