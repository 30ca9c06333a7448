//! The `keys` commands on a real file, with and without a gate that runs on it.

use crate::gate::{Config, Gate, KEY, get, write_secret};
use crate::reload::told;
use crate::sessions::{eight_sens, log_in, refused, with_token};
use crate::support::witness::{Behaviour, Witness};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

fn keys(config: &Path, args: &str) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sensgate"));
    command.arg("keys").args(args.split(' ')).env("SENSGATE_CONFIG", config).stdin(Stdio::null());
    told(&command.output().unwrap())
}

fn with_stdin(config: &Path, args: &str, stdin: &str) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sensgate"));
    command.arg("keys").args(args.split(' ')).env("SENSGATE_CONFIG", config);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(stdin.as_bytes()).unwrap();
    told(&child.wait_with_output().unwrap())
}

fn request(key: &str) -> String {
    get("/").replace(KEY, key)
}

/// A folder with a configuration on which no gate runs.
fn folder(consumers: &str) -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    write_secret(&folder.path().join("8sens-api-key"), "a-key-of-8sens-that-is-long");
    let config = folder.path().join("sensgate.toml");
    let head = "# The gate of the test.\n[upstream]\naddress = \"127.0.0.1:8082\"\napi_key = { file = \
                \"8sens-api-key\" }\n\n\
                [[listener]]\naddress = \"127.0.0.1:8443\"\n\n";
    std::fs::write(&config, format!("{head}{consumers}")).unwrap();
    (folder, config)
}

const SHOP: &str = "# Paris\n[[consumer]]\nname = \"shop\"   # the shop\nkeys = [ { id = \"k1\", sha256 = \
                    \"1111111111111111111111111111111111111111111111111111111111111111\", created = 2020-01-02, \
                    expires = 2098-12-31 } ]\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_key_from_its_making_to_its_end() {
    let witness = Witness::start(eight_sens()).await;
    let gate = Gate::start(&Config::new(witness.addr()).with("session", "mode = \"guard\""));
    let config = gate.folder.path().join("sensgate.toml");
    let token = log_in(&gate, KEY).await;

    let (code, key, stderr) = keys(&config, "rotate boutique-paris --overlap 7d --lang en");
    assert_eq!(code, 0, "{stderr}");
    assert!(stderr.contains("The running gate has applied the change."), "{stderr}");
    let key = key.trim_end();
    assert!(key.starts_with("sgk_k2_"), "the key alone is data: {key}");
    let token2 = log_in(&gate, key).await;
    assert_eq!(gate.exchange(with_token(KEY, "/v1/a", &token)).await.status, 200, "the old one is still good");

    let (code, list, _) = keys(&config, "list --consumer boutique-paris --format json");
    assert_eq!(code, 0);
    let list: serde_json::Value = serde_json::from_str(&list).unwrap();
    assert_eq!((&list[0]["id"], &list[1]["id"], &list[1]["state"]), (&"k1".into(), &"k2".into(), &"active".into()));
    assert!(list[0]["expires"].as_str().unwrap() < "2099" && list[1]["created"].is_string(), "{list}");
    assert!(list[0]["last_used"].is_string() && list[1]["last_used"].is_string(), "{list}");
    let series = "sensgate_key_last_used_timestamp_seconds{consumer=\"boutique-paris\",key_id=\"k2\"}";
    assert!(gate.metric(series).await > 1.7e9);

    let (code, _, stderr) = keys(&config, "revoke boutique-paris k1 --lang fr");
    assert_eq!(code, 0, "{stderr}");
    assert!(stderr.contains("La clé k1 de boutique-paris est supprimée."), "{stderr}");
    assert_eq!(gate.exchange(request(KEY)).await.status, 401);
    assert_eq!(gate.exchange(with_token(key, "/v1/a", &token2)).await.status, 200);
    let stolen = gate.exchange(with_token(key, "/v1/a", &token)).await;
    let code = stolen.json()["code"].as_str().unwrap().to_owned();
    assert_eq!((stolen.status, code), refused("session_unknown"), "its sessions ended with it");
    let (code, _, stderr) = keys(&config, "revoke boutique-paris k2 --lang en");
    assert_eq!(code, 1);
    assert!(stderr.contains("k2 is the only key of boutique-paris"), "{stderr}");
}

#[tokio::test(flavor = "multi_thread")]
async fn last_uses_survive_a_restart() {
    let witness = Witness::start(Behaviour::answer()).await;
    let config = Config::new(witness.addr());
    let mut gate = Gate::start(&config);
    assert_eq!(gate.exchange(get("/")).await.status, 200);
    gate.wait_for_line("key used for the first time");
    gate.signal("TERM");
    gate.wait_for_exit();
    let gate = gate.restart(&config);
    let file = gate.folder.path().join("sensgate.toml");
    let (code, shown, _) = keys(&file, "show boutique-paris k1 --format json");
    assert_eq!(code, 0);
    assert!(serde_json::from_str::<serde_json::Value>(&shown).unwrap()["last_used"].is_string(), "{shown}");
    assert!(!gate.stderr_lines().iter().any(|line| line.contains("for the first time")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mistyped_key_is_told_apart_in_the_log_alone() {
    let witness = Witness::start(Behaviour::answer()).await;
    let gate = Gate::start(&Config::new(witness.addr()));
    let config = gate.folder.path().join("sensgate.toml");
    let (_, key, _) = keys(&config, "new --consumer partenaire-lyon");
    let key = key.trim_end();
    let (_, other, _) = told_of_new();
    let mut answers = Vec::new();
    for (shown, reason) in [
        (&key[..key.len() - 2], "mistyped or truncated key"),
        (other.as_str(), "well-formed key, but not known"),
        ("of-another-shape", "key not known"),
    ] {
        let answer = gate.exchange(request(shown).replace("GET / ", "GET /v1/open/x ")).await;
        let id = answer.json()["request_id"].as_str().unwrap().to_owned();
        gate.wait_for_record(|record| record["request_id"] == id.as_str() && record["reason"] == reason);
        let text = format!("{}{}", answer.head, answer.text()).replace(&id, "ID");
        answers
            .push(text.lines().filter(|line| !line.to_lowercase().starts_with("date:")).collect::<Vec<_>>().join("\n"));
    }
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:#?}");
}

/// A key that no gate has: made without a configuration.
fn told_of_new() -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sensgate"));
    command.args(["keys", "new", "--consumer", "nobody"]).env_remove("SENSGATE_CONFIG");
    let (code, stdout, stderr) = told(&command.output().unwrap());
    (code, stdout.lines().next().unwrap().to_owned(), stderr)
}

#[test]
fn screens_in_both_languages() {
    let (folder, config) = folder(SHOP);
    let mut screens = String::new();
    for args in [
        "list --lang en",
        "list --lang fr",
        "show shop k1 --lang en",
        "show shop k1 --lang fr",
        "show shop k9 --lang fr",
        "new --consumer other --lang en",
        "revoke shop k1 --lang fr",
        "revoke shop k1 --keep --lang en",
        "import shop --upstream-key --until 2098-06-30 --lang fr",
        "import shop --sha256 2222222222222222222222222222222222222222222222222222222222222222 --no-expiry --lang en",
        "list --lang fr",
        "rotate shop --lang fr",
    ] {
        let (code, stdout, stderr) = keys(&config, args);
        screens.push_str(&format!("$ sensgate keys {args}\n{stdout}{stderr}[{code}]\n\n"));
    }
    let today = jiff::tz::TimeZone::UTC.to_datetime(jiff::Timestamp::now()).date().to_string();
    let screens = screens.replace(&folder.path().display().to_string(), "/etc/sensgate").replace(&today, "<today>");
    insta::with_settings!({snapshot_path => "../snapshots/keys", prepend_module_to_snapshot => false}, {
        insta::assert_snapshot!("screens", screens);
        let edited = std::fs::read_to_string(&config).unwrap().replace(&today, "<today>");
        insta::assert_snapshot!("edited", edited);
    });
}

#[test]
fn a_key_is_imported_from_stdin_and_nothing_of_it_is_kept() {
    let (_folder, config) = folder(SHOP);
    let key = "the-key-that-the-shop-has-had-for-years";
    let (code, stdout, stderr) = with_stdin(&config, "import partner --create --lang en", &format!("{key}\r\n"));
    assert_eq!((code, stdout.as_str()), (0, ""), "{stderr}");
    let text = std::fs::read_to_string(&config).unwrap();
    let digest: String =
        sensgate::domain::rules::consumer::digest(key.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(text.contains("name = \"partner\"") && text.contains(&digest) && !text.contains(key), "{text}");
    for refused in ["", "two words", "a,b", &"x".repeat(257)] {
        let (code, _, stderr) = with_stdin(&config, "import shop --lang en", refused);
        assert_eq!(code, 2, "{refused:?}: {stderr}");
    }
    // A key that is on every list of guesses is refused by the check of the whole file.
    let (code, _, stderr) = with_stdin(&config, "import shop --lang fr", "changeme");
    assert_eq!(code, 78, "{stderr}");
    assert!(stderr.contains("rien n'a été écrit"), "{stderr}");
    assert_eq!(std::fs::read_to_string(&config).unwrap(), text);
}

#[test]
fn a_file_that_is_not_valid_or_held_is_left_alone() {
    let (_folder, config) = folder(&format!("{SHOP}alow = []\n"));
    let text = std::fs::read_to_string(&config).unwrap();
    let (code, stdout, stderr) = keys(&config, "new --consumer shop --lang en");
    assert_eq!((code, stdout.as_str()), (78, ""), "no key is shown: {stderr}");
    assert_eq!(std::fs::read_to_string(&config).unwrap(), text);

    let (_folder, config) = folder(SHOP);
    let held = std::fs::File::open(&config).unwrap();
    held.lock().unwrap();
    let (code, stdout, stderr) = keys(&config, "new --consumer shop --lang fr");
    assert_eq!((code, stdout.as_str()), (69, ""), "{stderr}");
    assert!(stderr.contains("en cours de modification"), "{stderr}");
    drop(held);
    assert_eq!(keys(&config, "new --consumer shop").0, 0);
}

#[test]
fn many_at_once_lose_no_key() {
    let (_folder, config) = folder(SHOP);
    let makers: Vec<_> = (0..6)
        .map(|_| {
            let config = config.clone();
            std::thread::spawn(move || keys(&config, "new --consumer shop --lang en"))
        })
        .collect();
    let made: std::collections::BTreeSet<String> = makers
        .into_iter()
        .map(|maker| {
            let (code, key, stderr) = maker.join().unwrap();
            assert_eq!(code, 0, "{stderr}");
            key
        })
        .collect();
    assert_eq!(made.len(), 6);
    let (_, list, _) = keys(&config, "list --format json");
    assert_eq!(serde_json::from_str::<Vec<serde_json::Value>>(&list).unwrap().len(), 7);
}

#[test]
fn a_consumer_is_edited_in_the_file_where_it_stands() {
    let (folder, config) = folder(SHOP);
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, format!("consumers = \"consumers.d/*.toml\"\n{text}")).unwrap();
    std::fs::create_dir(folder.path().join("consumers.d")).unwrap();
    let file = folder.path().join("consumers.d/partners.toml");
    std::fs::write(&file, SHOP.replace("shop", "partner").replace("1111", "2222")).unwrap();
    let texts = || [&config, &file].map(|path| std::fs::read_to_string(path).unwrap());

    let [own, beside] = texts();
    let (code, _, stderr) = keys(&config, "new --consumer partner --lang en");
    assert_eq!(code, 0, "{stderr}");
    assert_eq!(keys(&config, "revoke partner k1").0, 0);
    let [own_after, beside_after] = texts();
    assert_eq!(own_after, own);
    assert!(beside_after != beside && beside_after.starts_with("# Paris\n[[consumer]]\nname = \"partner\"   # the"));
    assert!(beside_after.contains("\"k2\"") && !beside_after.contains("\"k1\""), "{beside_after}");

    assert_eq!(keys(&config, "new --consumer shop").0, 0);
    assert_eq!(keys(&config, "new --consumer nouvelle --create").0, 0);
    let (code, _, stderr) = keys(&config, "new --consumer partner --create --lang en");
    assert_eq!(code, 1);
    assert!(stderr.contains("there is a consumer partner already"), "{stderr}");
    let [own_at_last, beside_at_last] = texts();
    assert!(own_at_last.contains("name = \"nouvelle\"") && own_at_last.contains("\"k2\""), "{own_at_last}");
    assert_eq!(beside_at_last, beside_after);
}

#[cfg(unix)]
#[test]
fn a_failed_write_leaves_the_file_and_says_so() {
    use std::os::unix::fs::PermissionsExt;
    let (folder, config) = folder(SHOP);
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o500)).unwrap();
    let (code, _, stderr) = keys(&config, "revoke shop k1 --keep --lang en");
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
    // For root no folder is closed.
    if code != 0 {
        assert_eq!(code, 77, "{stderr}");
        assert!(stderr.contains("nothing was written"), "{stderr}");
        assert_eq!(std::fs::read_to_string(&config).unwrap(), text);
    }
}
