//! The configuration as an admin meets it: the example file, the corpus of broken files, and what `check` says of them.

use proptest::prelude::*;
use sensgate::cli::Exit;
use sensgate::cli::Format;
use sensgate::cli::check::{self, CheckArgs};
use sensgate::config::shape::{
    ACME, CONSUMER_LOGIN, EXPIRED_WHEN, FAILED_WHEN, Form, Presence, ROUTE_LIMIT, TABLES, TLS, TableSpec,
};
use sensgate::config::{AccessLogTarget, Loaded, Report, Rule, Settings, Severity, load, parse};
use sensgate::domain::limit::Quota;
use sensgate::domain::limit::login_shield::LoginQuotas;
use sensgate::domain::request::Transport;
use sensgate::domain::rules::enforce::Enforce;
use sensgate::domain::rules::snapshot::{BudgetRules, SessionMode};
use sensgate::domain::session::SessionLimits;
use sensgate::domain::types::Wall;
use sensgate::text::Lang;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::Duration;
use tempfile::TempDir;
use toml_edit::{DocumentMut, Item, TableLike, Value};

const EXAMPLE: &str = include_str!("../../config/sensgate.example.toml");

/// A directory with the secret files that the corpus names.
fn secrets() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let long = "x".repeat(4097);
    for (name, mode, content) in [
        ("8sens-api-key", 0o600, "0123456789abcdefghijklmnopqrstuv\n"),
        ("admin-token", 0o600, "0123456789abcdef0123456789abcdef\r\n"),
        ("short", 0o600, "hunter2"),
        ("world", 0o604, "0123456789abcdefghijklmnopqrstuv\n"),
        ("group", 0o640, "0123456789abcdef0123456789abcdef\n"),
        ("empty", 0o600, "\n"),
        ("clientrest", 0o600, "mot de passe, été\n"),
        ("two-lines", 0o600, "mot\nde passe\n"),
        ("blanks", 0o600, "two words\n"),
        ("bearer", 0o600, "Bearer 8sens-upstream-KhT5wQz9RfLm2Vb8\n"),
        ("no-break", 0o600, "\u{a0}admin-token-8Jq2LmVb5RtXw9Yz\n"),
        ("long", 0o600, &long),
    ] {
        let path = directory.path().join(name);
        fs::write(&path, content).unwrap();
        set_mode(&path, mode);
    }
    for (certificate, key, ends) in [("fullchain.pem", "privkey.pem", 2099), ("expired.pem", "expired-key.pem", 2020)] {
        let mut params = rcgen::CertificateParams::new(["gate.example".to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(2019, 1, 1);
        params.not_after = rcgen::date_time_ymd(ends, 1, 1);
        let pair = rcgen::KeyPair::generate().unwrap();
        let path = directory.path().join(key);
        fs::write(directory.path().join(certificate), params.self_signed(&pair).unwrap().pem()).unwrap();
        fs::write(&path, pair.serialize_pem()).unwrap();
        set_mode(&path, 0o600);
    }
    fs::copy(directory.path().join("fullchain.pem"), directory.path().join("ca.pem")).unwrap();
    fs::create_dir(directory.path().join("folder")).unwrap();
    directory
}

/// The example with its listener's TLS, which stands there as a comment: from files, or by ACME.
static WITH_TLS: LazyLock<String> =
    LazyLock::new(|| uncommented(&["tls = { certificate", "[upstream.tls]", "ca = ", "name = \"8sens"]));
static WITH_ACME: LazyLock<String> = LazyLock::new(|| uncommented(&["tls = { acme"]));
static WITH_LOGIN: LazyLock<String> = LazyLock::new(|| uncommented(&["session = \"managed\"", "login = { user"]));

fn uncommented(lines: &[&str]) -> String {
    lines.iter().fold(EXAMPLE.to_owned(), |text, line| {
        let with = text.replace(&format!("\n# {line}"), &format!("\n{line}"));
        assert_ne!(with, text);
        with
    })
}

/// The example in the form that has such a table.
fn example_with(table: &TableSpec) -> &'static str {
    match table.path {
        path if path == ACME.path => &WITH_ACME,
        path if path == CONSUMER_LOGIN.path => &WITH_LOGIN,
        _ => &WITH_TLS,
    }
}

#[cfg(unix)]
fn set_mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[cfg(not(unix))]
fn set_mode(_: &Path, _: u32) {}

fn corpus(directory: &str) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config").join(directory))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap().to_str().unwrap().to_owned()
}

/// Both languages, without colour, as a snapshot shows them.
fn in_both_languages(report: &Report) -> String {
    format!("{}\n{}\n{}", report.render(Lang::En, false), "─".repeat(60), report.render(Lang::Fr, false))
}

fn rules(report: &Report) -> BTreeSet<Rule> {
    report.diagnostics().iter().map(|finding| finding.rule).collect()
}

fn snapshot(name: &str, shown: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_snapshot_path("../snapshots/config");
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, shown));
}

/// The settings in a form that can be compared: the index of credentials has no order of its own. Where no state
/// directory is written, it depends on the environment, which is the same for all that one process compares.
fn dump(settings: &Settings) -> String {
    let consumers: Vec<_> = settings.snapshot.consumers.iter().collect();
    let snapshot = &settings.snapshot;
    format!(
        "{consumers:#?}\n{:#?}\n{:#?}\n{:#?}\n{:#?}\n{:#?}\n{:#?}\n{:#?}\n{:#?}\n{:#?}\n{:#?}\n{:#?}\n{:#?}",
        snapshot.fields,
        snapshot.trusted_proxies,
        snapshot.session,
        snapshot.budgets,
        snapshot.limits,
        settings.upstream,
        settings.listeners,
        settings.connections,
        settings.log,
        settings.admin,
        settings.server,
        settings.state_directory
    )
}

fn load_example(source: &str, secrets: &TempDir) -> Result<Loaded, Report> {
    let path = secrets.path().join("sensgate.toml");
    fs::write(&path, source).unwrap();
    load(&path)
}

#[test]
fn the_example_loads_without_a_warning() {
    let loaded =
        load_example(EXAMPLE, &secrets()).unwrap_or_else(|report| panic!("{}", report.render(Lang::En, false)));
    // The day of its key may have passed.
    let found: Vec<_> =
        loaded.warnings.diagnostics().iter().filter(|finding| finding.rule != Rule::KeyExpired).collect();
    assert!(found.is_empty(), "{found:#?}");
    assert_eq!(loaded.settings.snapshot.consumers.len(), 1);
}

/// Every place in the document where a table of that shape stands.
fn places<'d>(document: &'d mut DocumentMut, table: &TableSpec) -> Vec<&'d mut dyn TableLike> {
    let mut found: Vec<&'d mut dyn TableLike> = vec![document.as_table_mut()];
    for name in table.path.split('.').filter(|name| !name.is_empty()) {
        found = found
            .into_iter()
            .filter_map(|parent| parent.get_mut(name))
            .flat_map(|item| -> Vec<&mut dyn TableLike> {
                match item {
                    Item::ArrayOfTables(tables) => tables.iter_mut().map(|table| table as &mut dyn TableLike).collect(),
                    Item::Value(Value::Array(elements)) => elements
                        .iter_mut()
                        .filter_map(Value::as_inline_table_mut)
                        .map(|table| table as &mut dyn TableLike)
                        .collect(),
                    item => item.as_table_like_mut().into_iter().collect(),
                }
            })
            .collect();
    }
    found
}

fn without(table: &TableSpec, key: &str) -> Option<String> {
    let mut document: DocumentMut = example_with(table).parse().unwrap();
    let mut removed = false;
    for place in places(&mut document, table) {
        removed |= place.remove(key).is_some();
    }
    removed.then(|| document.to_string())
}

#[test]
fn leaving_out_a_key_with_a_default_changes_nothing() {
    let secrets = secrets();
    let mut compared = 0;
    for table in TABLES {
        let whole = dump(&load_example(example_with(table), &secrets).unwrap().settings);
        for key in table.keys.iter().filter(|key| matches!(key.presence, Presence::Default(_))) {
            let place = format!("{}.{}", table.path, key.name);
            let shorter = without(table, key.name).unwrap_or_else(|| panic!("{place} is not in the example"));
            let loaded = load_example(&shorter, &secrets).unwrap_or_else(|report| panic!("{place}: {report:#?}"));
            assert_eq!(dump(&loaded.settings), whole, "{place}");
            compared += 1;
        }
    }
    assert!(compared > 45, "{compared}");
}

/// The registry says what the reader takes; the example says so to people.
#[test]
fn the_example_shows_the_defaults_of_the_registry() {
    let value = |text: &str| format!("it = {text}").parse::<toml::Table>().unwrap();
    let mut compared = 0;
    for table in TABLES.iter().filter(|table| table.form != Form::Root) {
        for key in table.keys {
            let Presence::Default(default) = key.presence else { continue };
            let mut document: DocumentMut = example_with(table).parse().unwrap();
            for place in places(&mut document, table) {
                let shown = place.get(key.name).and_then(Item::as_value).unwrap_or_else(|| panic!("{}", key.name));
                assert_eq!(value(&shown.to_string()), value(default), "{}.{}", table.path, key.name);
                compared += 1;
            }
        }
    }
    assert!(compared > 45, "{compared}");
}

#[test]
fn leaving_out_a_required_key_is_an_error() {
    let secrets = secrets();
    for table in TABLES {
        for key in table.keys.iter().filter(|key| key.presence == Presence::Required) {
            let place = format!("{}.{}", table.path, key.name);
            let shorter = without(table, key.name).unwrap_or_else(|| panic!("{place} is not in the example"));
            let report = load_example(&shorter, &secrets).err().unwrap_or_else(|| panic!("{place} is not required"));
            let errors = report.diagnostics().iter().filter(|finding| finding.severity == Severity::Error);
            let broken: BTreeSet<Rule> = errors.map(|finding| finding.rule).collect();
            assert_eq!(broken, BTreeSet::from([Rule::MissingKey]), "{place}");
        }
    }
}

/// A registered key that nobody reads would be accepted with any value.
#[test]
fn every_key_is_read() {
    let secrets = secrets();
    for table in TABLES.iter().filter(|table| table.path != "secret") {
        for key in table.keys {
            let mut document: DocumentMut = example_with(table).parse().unwrap();
            let places = places(&mut document, table);
            assert!(!places.is_empty(), "{} is not in the example", table.path);
            for place in places {
                place.insert(key.name, toml_edit::value(1.5));
            }
            assert!(load_example(&document.to_string(), &secrets).is_err(), "{}.{} = 1.5", table.path, key.name);
        }
    }
    for key in ["file", "env", "credential"] {
        let source = EXAMPLE.replace("{ file = \"8sens-api-key\" }  #", &format!("{{ {key} = 1.5 }} #"));
        assert_ne!(source, EXAMPLE);
        let report = load_example(&source, &secrets).unwrap_err();
        assert!(rules(&report).contains(&Rule::WrongType), "{key}: {report:#?}");
    }
}

/// The line of the example that shows an element of such a list, and its neighbour with what is rarely written.
fn inline_tables(path: &str) -> Option<String> {
    let (table, key) = path.rsplit_once('.')?;
    let section = [format!("\n[{table}]\n"), format!("\n[[{table}]]\n")];
    let section = section.iter().find_map(|head| EXAMPLE.split_once(head))?.1;
    let mut lines = section.lines().skip_while(|line| !line.starts_with(&format!("{key} = [")));
    Some(lines.by_ref().take(2).collect::<Vec<_>>().join("\n"))
}

#[test]
fn every_key_of_a_list_of_inline_tables_stands_in_the_example() {
    for table in [&EXPIRED_WHEN, &FAILED_WHEN, &ROUTE_LIMIT] {
        let lines = inline_tables(table.path).unwrap_or_else(|| panic!("{} is not in the example", table.path));
        let (_, comment) = lines.split_once('#').unwrap();
        let says_required = comment.lines().next().unwrap().contains("required");
        for key in table.keys {
            let name = key.name;
            let written = [format!("{{ {name} = "), format!(", {name} = ")].iter().any(|text| lines.contains(text));
            assert!(written, "{}.{name}", table.path);
            let marked = says_required && comment.contains(&format!("`{name}`"));
            assert_eq!(marked, key.presence == Presence::Required, "{}.{name}: {comment}", table.path);
        }
    }
}

#[test]
fn every_key_stands_in_the_example() {
    // Those that another test looks for, and the one that is a value in a line of its own.
    let lists_of_inline_tables =
        [EXPIRED_WHEN.path, FAILED_WHEN.path, ROUTE_LIMIT.path, TLS.path, ACME.path, CONSUMER_LOGIN.path];
    for table in TABLES.iter().filter(|table| !lists_of_inline_tables.contains(&table.path)) {
        // The lines of the table; keys without a value to show stand there as a comment.
        let mut lines: Vec<&str> = Vec::new();
        let mut inside = table.form == Form::Root;
        for line in EXAMPLE.lines() {
            let line = line.trim_start_matches("# ");
            if line.starts_with('[') {
                inside = line.trim_matches(['[', ']']) == table.path;
                if table.form == Form::Root {
                    lines.push(line.trim_matches(['[', ']']));
                }
            } else if inside || table.path == "secret" {
                lines.push(line.trim_start().trim_start_matches("{ "));
            }
        }
        for key in table.keys {
            let stands = |line: &&str| {
                let rest = line.strip_prefix(key.name).map(str::trim_start);
                rest.is_some_and(|rest| rest.starts_with('=') || (table.form == Form::Root && rest.is_empty()))
            };
            // `keys` of a consumer and `tls` of the upstream are tables of their own in the example.
            let heads =
                [format!("\n[[{}.{}]]\n", table.path, key.name), format!("\n# [{}.{}]\n", table.path, key.name)];
            let as_table = heads.iter().any(|head| EXAMPLE.contains(head));
            assert!(lines.iter().any(stands) || as_table, "{}.{}", table.path, key.name);
            if key.presence == Presence::Required && key.name != "keys" && table.form != Form::Root {
                let line = lines.iter().find(|line| stands(line)).unwrap();
                assert!(line.contains("# required"), "{}.{}: {line}", table.path, key.name);
            }
        }
    }
}

#[test]
fn invalid_files_say_why() {
    let secrets = secrets();
    let files = corpus("invalid");
    assert!(files.len() >= 80, "{}", files.len());
    let mut seen = BTreeSet::new();
    for path in files {
        let name = file_name(&path);
        let shown = format!("tests/config/invalid/{name}");
        let result = match fs::read_to_string(&path) {
            Ok(source) => parse(&source, &shown, secrets.path()),
            Err(_) => load(Path::new(&shown)),
        };
        let report = result.err().unwrap_or_else(|| panic!("{name} is valid"));
        assert!(report.errors() > 0, "{name}");
        seen.extend(rules(&report));
        let both = in_both_languages(&report);
        assert!(!both.contains("hunter2"), "{name} shows a secret: {both}");
        assert!(!report.to_json(Lang::En).to_string().contains("hunter2"), "{name}");
        snapshot(&format!("invalid-{}", name.trim_end_matches(".toml")), &both);
    }
    for path in corpus("valid") {
        let source = fs::read_to_string(path).unwrap();
        seen.extend(rules(&parse(&source, "valid", secrets.path()).unwrap().warnings));
    }
    let unseen: Vec<_> = Rule::ALL.iter().filter(|rule| !seen.contains(rule)).collect();
    assert!(unseen.is_empty(), "no file breaks {unseen:?}");
}

#[test]
fn valid_files_load() {
    let secrets = secrets();
    let files = corpus("valid");
    assert!(!files.is_empty());
    for path in files {
        let name = file_name(&path);
        let source = fs::read_to_string(&path).unwrap();
        let loaded = parse(&source, &format!("tests/config/valid/{name}"), secrets.path())
            .unwrap_or_else(|report| panic!("{}", report.render(Lang::En, false)));
        assert_eq!(loaded.warnings.errors(), 0);
        snapshot(&format!("valid-{}", name.trim_end_matches(".toml")), &in_both_languages(&loaded.warnings));
    }
}

#[test]
fn values_arrive_where_they_belong() {
    let secrets = secrets();
    let source = include_str!("../config/valid/everything.toml");
    let settings = parse(source, "f", secrets.path()).unwrap().settings;
    assert_eq!((settings.upstream.host.as_str(), settings.upstream.port), ("fe80::1", 8082));
    let transports: Vec<_> = settings.listeners.iter().map(|listener| listener.transport).collect();
    assert_eq!(transports, [Transport::Trusted, Transport::Lan, Transport::BehindProxy]);
    assert_eq!(settings.log.access, AccessLogTarget::File(secrets.path().join("logs/access.log")));
    let session = &settings.snapshot.session;
    assert_eq!(session.mode, SessionMode::Observe);
    assert!(session.is_public(b"GET", b"/v1/version") && !session.is_public(b"GET", b"/v1/articles"));
    let hour = Duration::from_secs(3600);
    let limits = SessionLimits { idle_timeout: hour, margin: hour / 10, linger: hour, per_consumer: 500, total: 1_000 };
    assert_eq!(session.limits, limits);
    assert!(session.expired_when.matches(403, b"") && !session.expired_when.matches(401, b""));
    assert!(session.expired_when.matches(200, "jeton expiré".as_bytes()) && !session.expired_when.matches(200, b"ok"));
    let login = &settings.snapshot.login;
    assert_eq!(&*login.user_field, "utilisateur");
    assert!(login.failed_when.matches(200, b"mot de passe") && login.failed_when.matches(500, b""));
    assert!(!login.failed_when.matches(200, b"ok"));
    let quota = |text| Quota::parse(text).unwrap();
    let budgets = BudgetRules {
        address: quota("300/min, burst 50"),
        failed_credentials: quota("5/h"),
        failed_tokens: quota("1/d"),
        logins: LoginQuotas {
            name: quota("1/h"),
            address: quota("2/h"),
            key: quota("3/h"),
            total: quota("4/h"),
            known: quota("5/h"),
        },
        enforce: Enforce::Shadow,
        rate_limit_on_answers: false,
    };
    assert_eq!(settings.snapshot.budgets, budgets);
    assert_eq!(settings.state_directory, secrets.path().join("sessions"));
    let consumers: Vec<_> = settings.snapshot.consumers.iter().collect();
    assert_eq!(consumers[0].rate_limit, Some(quota("20/s, burst 40")));
    let [devis, all] = &consumers[0].route_limits[..] else { panic!("{:?}", consumers[0].route_limits) };
    assert!(devis.0.matches(b"POST", b"/v1/devis/3") && devis.1 == quota("2/s"));
    assert!(all.0.matches(b"GET", b"/v1/articles") && all.1 == quota("600/min"));
    assert_eq!((consumers[0].enforce, consumers[1].enforce), (Enforce::On, Enforce::Shadow));
    assert_eq!((consumers[1].rate_limit, consumers[1].route_limits.len()), (None, 0));
    // Valid through 2099-06-30: the first instant of July is too late.
    assert_eq!(consumers[0].credentials[0].expires, Some(Wall(4_086_547_200_000)));
    assert!(!consumers[0].credentials[1].enabled);
    assert_eq!(
        consumers[1].credentials[0].digest,
        sensgate::domain::rules::consumer::digest(env!("CARGO_PKG_NAME").as_bytes())
    );
    assert!(!dump(&settings).contains("0123456789abcdef0123456789abcdef"), "secrets are redacted");
}

/// A short idle time must not make the default margin a mistake.
#[test]
fn the_default_margin_follows_a_short_idle_time() {
    let secrets = secrets();
    for (idle, margin) in [("30s", 3), ("300s", 30), ("7d", 30)] {
        let source = EXAMPLE
            .replace("idle_timeout = \"900s\"", &format!("idle_timeout = \"{idle}\""))
            .replace("\nmargin = \"30s\"", "\n#");
        let settings = load_example(&source, &secrets).unwrap().settings;
        assert_eq!(settings.snapshot.session.limits.margin, Duration::from_secs(margin), "{idle}");
    }
}

#[test]
fn a_file_that_is_not_there_is_a_finding() {
    let report = load(Path::new("tests/config/nowhere.toml")).unwrap_err();
    snapshot("missing-file", &in_both_languages(&report));
}

#[test]
fn json_has_every_finding() {
    let secrets = secrets();
    let source = include_str!("../config/invalid/several.toml");
    let report = parse(source, "several.toml", secrets.path()).unwrap_err();
    let json = report.to_json(Lang::Fr);
    assert_eq!(json.as_array().unwrap().len(), report.diagnostics().len());
    snapshot("json", &format!("{json:#}"));
}

#[test]
fn check_ends_as_the_gate_would() {
    let secrets = secrets();
    let file = |name: &str, source: &str| {
        let path = secrets.path().join(name);
        fs::write(&path, source).unwrap();
        path
    };
    let clean = file("clean.toml", include_str!("../config/valid/admin-off.toml"));
    let moving = file("moving.toml", include_str!("../config/valid/observe.toml"));
    let warnings = file("warnings.toml", include_str!("../config/valid/minimal.toml"));
    let invalid = file("invalid.toml", include_str!("../config/invalid/several.toml"));
    for (config, strict, exit) in [
        (&clean, true, Exit::Ok),
        // To observe is a step, not a mistake.
        (&moving, true, Exit::Ok),
        (&warnings, false, Exit::Ok),
        (&warnings, true, Exit::Config),
        (&invalid, false, Exit::Config),
        (&secrets.path().join("nowhere.toml"), false, Exit::Config),
    ] {
        for format in [Format::Text, Format::Json] {
            let args = CheckArgs { config: config.clone(), strict, format };
            assert_eq!(check::run(&args, Lang::En), exit, "{config:?} {strict}");
        }
    }
}

#[test]
fn colour_is_only_added_when_asked_for() {
    let report = parse("", "f", Path::new("")).unwrap_err();
    assert!(report.render(Lang::En, true).contains('\u{1b}'));
    assert!(!report.render(Lang::En, false).contains('\u{1b}'));
}

/// A configuration beside its secrets that takes consumers from `consumers.d/*.toml`, where these files are.
fn with_consumer_files(own: &str, files: &[(&str, &str)]) -> (TempDir, PathBuf) {
    let folder = secrets();
    let minimal = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config/valid/minimal.toml"));
    let config = folder.path().join("sensgate.toml");
    fs::write(&config, format!("consumers = \"consumers.d/*.toml\"\n{}\n{own}", minimal.unwrap())).unwrap();
    fs::create_dir(folder.path().join("consumers.d")).unwrap();
    for (name, text) in files {
        fs::write(folder.path().join("consumers.d").join(name), text).unwrap();
    }
    (folder, config)
}

fn a_consumer(name: &str, digit: char) -> String {
    let digest = digit.to_string().repeat(64);
    format!(
        "[[consumer]]\nname = \"{name}\"\nkeys = [{{ id = \"k1\", sha256 = \"{digest}\", expires = 2098-12-31 }}]\n"
    )
}

/// What is wrong with such a configuration, without the name of its folder.
fn complaints(own: &str, files: &[(&str, &str)]) -> String {
    let (folder, config) = with_consumer_files(own, files);
    let report = load(&config).unwrap_err();
    report.render(Lang::En, false).replace(&folder.path().display().to_string(), "DIR")
}

#[test]
fn consumers_of_other_files_follow_the_own_ones_in_the_order_of_the_names() {
    let files = [("b.toml", a_consumer("b", '2')), ("a.toml", a_consumer("a", '3')), (".c.toml", "broken".to_owned())];
    let files = files.each_ref().map(|(name, text)| (*name, text.as_str()));
    let (folder, config) = with_consumer_files(&a_consumer("own", '1'), &files);
    let loaded = load(&config).unwrap_or_else(|report| panic!("{}", report.render(Lang::En, false)));
    assert!(loaded.warnings.is_empty(), "{}", loaded.warnings.render(Lang::En, false));
    let names: Vec<_> = loaded.settings.snapshot.consumers.iter().map(|consumer| consumer.name.to_string()).collect();
    assert_eq!(names, ["own", "a", "b"]);
    let place = loaded.settings.positions.location("consumer.b.keys.k1").unwrap().to_string();
    assert_eq!(place, format!("{}:3", folder.path().join("consumers.d/b.toml").display()));
    let watched = ["consumers.d", "consumers.d/a.toml", "consumers.d/b.toml"].map(|name| folder.path().join(name));
    assert!(watched.iter().all(|path| loaded.warnings.files().contains(path)), "{:?}", loaded.warnings.files());
}

#[test]
fn a_name_or_a_key_in_two_files_is_refused_with_both_places() {
    let shown = complaints(&a_consumer("own", '1'), &[("a.toml", &a_consumer("own", '2'))]);
    assert!(shown.contains("there are two with the name \"own\""), "{shown}");
    assert!(shown.contains("DIR/consumers.d/a.toml:2:8") && shown.contains("DIR/sensgate.toml:10:8"), "{shown}");
    assert!(shown.contains("again here") && shown.contains("first here"), "{shown}");
    let shown = complaints("", &[("a.toml", &a_consumer("a", '1')), ("b.toml", &a_consumer("b", '1'))]);
    assert!(shown.contains("b/k1 and a/k1 are the same key"), "{shown}");
    assert!(shown.contains("DIR/consumers.d/b.toml:3:") && shown.contains("DIR/consumers.d/a.toml:3"), "{shown}");
}

#[test]
fn a_file_of_consumers_holds_nothing_else_and_shows_no_secret() {
    let shown = complaints("", &[("a.toml", "[upstream]\napi_key = \"hunter2\"\n")]);
    assert!(shown.contains("unknown table or key `upstream`") && shown.contains("consumers.d/a.toml:1:2"), "{shown}");
    let shown = complaints("", &[("a.toml", "[[consumer]]\nname = \"a\"\nkeys = [\"hunter2\"]\n")]);
    assert!(shown.contains("consumers.d/a.toml:3:") && !shown.contains("hunter2"), "{shown}");
    let shown = complaints("", &[("a.toml", "[[consumer]]\nname = \"a\"\nkeys = [ \"hunter2\n")]);
    assert!(shown.contains("this is not TOML") && !shown.contains("hunter2"), "{shown}");
}

#[test]
fn files_of_consumers_that_cannot_be_had_are_said_at_the_setting() {
    let too_large = " ".repeat(sensgate::config::MAX_FILE + 1);
    let shown = complaints("", &[("a.toml", &too_large)]);
    assert!(shown.contains("DIR/consumers.d/a.toml: it is larger than 4MiB"), "{shown}");
    assert!(shown.contains("DIR/sensgate.toml:1:13"), "{shown}");
    let numbers: Vec<String> = (0..=sensgate::config::MAX_CONSUMER_FILES).map(|n| format!("{n}.toml")).collect();
    let files: Vec<(&str, &str)> = numbers.iter().map(|name| (name.as_str(), "")).collect();
    assert!(complaints("", &files).contains("more than 1024 files hold consumers"));

    let (folder, config) = with_consumer_files("", &[]);
    fs::remove_dir(folder.path().join("consumers.d")).unwrap();
    assert!(load(&config).unwrap_err().render(Lang::En, false).contains("the file does not exist"));
    let text = fs::read_to_string(&config).unwrap();
    for pattern in ["consumers.d", "*/a.toml", "consumers.d/**", "consumers.d/[a]*"] {
        fs::write(&config, text.replace("consumers.d/*.toml", pattern)).unwrap();
        assert!(rules(&load(&config).unwrap_err()).contains(&Rule::InvalidPath), "{pattern}");
    }
}

/// Parses a text and shows everything found, in every way there is.
fn exercise(source: &str) {
    let (report, valid) = match parse(source, "fuzz.toml", Path::new("/nonexistent")) {
        Ok(loaded) => (loaded.warnings, true),
        Err(report) => (report, false),
    };
    assert_eq!(valid, report.errors() == 0);
    for lang in [Lang::En, Lang::Fr] {
        let _ = report.render(lang, true);
        let _ = report.to_json(lang);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn no_text_makes_it_panic(source in "(?s).{0,200}") {
        exercise(&source);
    }

    #[test]
    fn no_toml_like_text_makes_it_panic(
        source in "([a-z_.]{0,9}|\\[\\[?[a-z_.]{0,9}\\]?\\]?|[ \t\r\n={},#\"'\\\\é]|\"\"\"|[0-9:.-]{1,9}|\
                   upstream|listener|consumer|keys|api_key){0,60}"
    ) {
        exercise(&source);
    }

    #[test]
    fn no_mutation_of_the_example_makes_it_panic(
        edits in prop::collection::vec(
            (any::<prop::sample::Index>(), 0_usize..12, "(?s)[\\[\\]={}\",.\n\ra-z0-9é]{0,6}|.{0,3}"),
            1..6,
        )
    ) {
        let mut source = EXAMPLE.to_owned();
        for (at, len, text) in edits {
            let start = source.floor_char_boundary(at.index(source.len()));
            let end = source.floor_char_boundary((start + len).min(source.len())).max(start);
            source.replace_range(start..end, &text);
        }
        exercise(&source);
    }
}
