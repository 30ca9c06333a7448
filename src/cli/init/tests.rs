use super::answers::{Listener, Transport};
use super::file::{SCHEMA, edited, new_file};
use super::*;
use clap::Parser;
use std::fs;

#[derive(clap::Parser)]
struct CommandLine {
    #[command(flatten)]
    init: InitArgs,
}

const FIRST_DAY: Date = jiff::civil::date(2026, 6, 30);
const DAY: Date = jiff::civil::date(2027, 6, 30);

fn consumer(name: &str) -> NewConsumer {
    NewConsumer {
        name: name.to_owned(),
        key: "sgk_k1_x".into(),
        sha256: "a5".repeat(32),
        created: FIRST_DAY,
        expires: DAY,
    }
}

fn listener(address: &str, transport: Transport) -> Option<Listener> {
    Some(Listener { address: address.parse().unwrap(), transport })
}

fn everything(transport: Transport) -> Answers {
    Answers {
        upstream: Some("erp.example:8082".to_owned()),
        idle_timeout: Some("600s".to_owned()),
        upstream_key: None,
        token: Some(Token::At("bearer")),
        listener: listener(transport.default_address(), transport),
        consumers: vec![consumer("boutique-paris"), consumer("partenaire-lyon")],
    }
}

fn transports() -> [(&'static str, Transport); 5] {
    [
        ("loopback", Transport::Loopback),
        ("files", Transport::Files { certificate: "fullchain.pem".into(), key: "privkey.pem".into() }),
        (
            "acme",
            Transport::Acme {
                contact: "admin@example.org".into(),
                domains: vec!["erp.example.org".into()],
                directory: None,
            },
        ),
        ("lan", Transport::Lan),
        ("behind-proxy", Transport::BehindProxy(vec!["192.0.2.7".into()])),
    ]
}

fn snapshot(name: &str, text: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_snapshot_path("../../../tests/snapshots/init");
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, text));
}

#[test]
fn new_files_in_both_languages() {
    let unknown = Answers { token: Some(Token::Unknown), ..everything(Transport::Loopback) };
    for (lang, word) in [(Lang::En, "en"), (Lang::Fr, "fr")] {
        for (name, transport) in transports() {
            snapshot(&format!("init-{name}-{word}"), &new_file(&everything(transport), None, lang));
        }
        snapshot(&format!("init-unknown-{word}"), &new_file(&unknown, Some("/var/lib/sensgate"), lang));
    }
}

const WRITTEN: &str = "\
# ours
[upstream]
address = \"127.0.0.1:8082\" # the old machine
api_key = { file = \"8sens-api-key\" }

[[listener]] # outside
address = \"127.0.0.1:8080\"

[[consumer]]
name = \"a\" # first
keys = [{ id = \"k1\", sha256 = \"b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5\", expires = \
                 2099-06-30 }]
# the end
";

#[test]
fn edits_keep_comments_and_order() {
    let answers = everything(Transport::BehindProxy(vec!["192.0.2.7".into()]));
    let text = edited(WRITTEN, &answers, 0).unwrap();
    snapshot("init-edited", &text);
    // Once more changes nothing but the keys of consumers, which are there.
    let again = Answers { consumers: Vec::new(), ..everything(Transport::BehindProxy(vec!["192.0.2.7".into()])) };
    assert_eq!(edited(&text, &again, 0).unwrap(), text);
    let back = Answers { listener: listener("127.0.0.1:8080", Transport::Loopback), ..Answers::default() };
    assert!(!edited(&text, &back, 0).unwrap().contains("plaintext"));
}

#[test]
fn edits_that_need_a_person_say_so() {
    let named = |name: &str| Answers { consumers: vec![consumer(name)], ..Answers::default() };
    assert!(edited(WRITTEN, &named("a"), 0).unwrap_err().in_lang(Lang::Fr).contains("existe déjà"));
    assert!(edited("consumer = [{ name = \"b\" }]", &named("a"), 0).is_err());
    let listen = || Answers { listener: listener("127.0.0.1:1", Transport::Loopback), ..Answers::default() };
    assert!(edited("", &listen(), 0).is_err() && edited(WRITTEN, &listen(), 1).is_err());
    assert!(edited("[upstream", &named("a"), 0).is_err());
}

/// Runs `init` without a terminal in a folder of its own.
fn init(folder: &Path, flags: &str) -> Exit {
    let config = folder.join("sensgate.toml");
    let line = format!("init --yes --config {} {flags}", config.display());
    let line = CommandLine::try_parse_from(line.split_whitespace()).unwrap();
    run(&line.init, Lang::Fr)
}

#[test]
fn a_new_configuration_is_valid_and_private() {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key");
    fs::write(&key, "ZghY887665YhGH-ZghY887665YhGH\n").unwrap();
    let flags = format!(
        "--upstream 127.0.0.1:9 --upstream-key-file {} --consumer boutique --listen 127.0.0.1:0",
        key.display()
    );
    assert_eq!(init(folder.path(), &flags), Exit::Ok);
    let config = folder.path().join("sensgate.toml");
    let loaded = crate::config::load(&config).unwrap();
    assert_eq!(loaded.warnings.diagnostics().len(), 0, "{}", loaded.warnings.render(Lang::En, false));
    assert_eq!(fs::read_to_string(folder.path().join("8sens-api-key")).unwrap(), fs::read_to_string(&key).unwrap());
    let schema: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(folder.path().join(SCHEMA)).unwrap()).unwrap();
    assert_eq!(schema["title"], "sensgate");
    if cfg!(unix) {
        for (name, mode) in [("sensgate.toml", 0o640), ("8sens-api-key", 0o600), (SCHEMA, 0o644)] {
            assert_eq!(crate::platform::file_mode(&folder.path().join(name)).unwrap(), Some(mode), "{name}");
        }
    }
    let before = fs::read_to_string(&config).unwrap();
    assert_eq!(init(folder.path(), "--consumer partenaire"), Exit::Ok);
    let after = fs::read_to_string(&config).unwrap();
    assert!(after.starts_with(before.trim_end()) && after.contains("\"partenaire\""), "{after}");
    assert_eq!(init(folder.path(), "--consumer partenaire"), Exit::Usage);
    assert_eq!(init(folder.path(), "--behind-proxy 0.0.0.0/0"), Exit::Config, "check has the last word");
    assert_eq!(fs::read_to_string(&config).unwrap(), after);
}

#[test]
fn nothing_is_left_behind_by_a_run_that_fails() {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key");
    assert_eq!(init(folder.path(), "--consumer boutique"), Exit::Usage, "no key");
    fs::write(&key, "two words").unwrap();
    assert_eq!(init(folder.path(), &format!("--upstream-key-file {}", key.display())), Exit::Usage);
    fs::write(&key, "ZghY887665YhGH").unwrap();
    let file = key.display();
    let broken =
        format!("--upstream-key-file {file} --tls-certificate none.pem --tls-key none.pem --listen 127.0.0.1:0");
    assert_eq!(init(folder.path(), &broken), Exit::Config);
    assert_eq!(
        init(folder.path(), &format!("--upstream-key-file {file} --listen 0.0.0.0:8080")),
        Exit::Usage,
        "in clear"
    );
    let left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["key"]);
}

#[test]
fn what_is_there_is_never_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let (key, other) = (folder.path().join("8sens-api-key"), folder.path().join("other"));
    fs::write(&other, "ZghY887665YhGH").unwrap();
    fs::write(&key, "the-key-that-was-there-before").unwrap();
    crate::platform::set_mode(&key, 0o600).unwrap();
    let flags = format!("--upstream-key-file {} --consumer boutique", other.display());
    assert_eq!(init(folder.path(), &flags), Exit::Usage);
    assert_eq!(init(folder.path(), "--consumer boutique"), Exit::Ok, "the key that is there is used");
    assert_eq!(fs::read_to_string(&key).unwrap(), "the-key-that-was-there-before");
    // A second run replaces it when it is told to.
    assert_eq!(init(folder.path(), &format!("--upstream-key-file {}", other.display())), Exit::Ok);
    assert_eq!(fs::read_to_string(&key).unwrap(), "ZghY887665YhGH\n");
}

#[test]
fn an_edit_that_somebody_else_made_meanwhile_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("sensgate.toml");
    fs::write(folder.path().join("8sens-api-key"), "the-key-that-was-there-before").unwrap();
    crate::platform::set_mode(&folder.path().join("8sens-api-key"), 0o600).unwrap();
    fs::write(&config, format!("{WRITTEN}# theirs\n")).unwrap();
    crate::platform::set_mode(&config, 0o600).unwrap();
    let refused = write::replace(&config, WRITTEN, WRITTEN, None, Lang::En).unwrap_err();
    assert!(matches!(refused, write::Refused::Changed(_)), "{refused:?}");
    assert!(refused.end(Lang::Fr).1.contains("relancez"));
    assert!(fs::read_to_string(&config).unwrap().ends_with("# theirs\n"));
    // The mode is the admin's.
    assert_eq!(init(folder.path(), "--consumer partenaire"), Exit::Ok);
    assert_eq!(crate::platform::file_mode(&config).unwrap(), cfg!(unix).then_some(0o600));
}
