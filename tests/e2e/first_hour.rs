//! The first hour of an admin, in French, on a terminal: from nothing to a protected 8sens, with every screen.

use expectrl::session::OsSession;
use expectrl::{ControlCode, Eof, Expect, Session};
use sensgate::sandbox::{Sandbox, SandboxSettings};
use std::fs;
use std::net::SocketAddr;
use std::num::NonZero;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::time::Duration;
use tempfile::TempDir;

const DEADLINE: Duration = Duration::from_secs(60);
/// The example's upstream key.
const UPSTREAM_KEY: &str = "ZghY887665YhGH";
const DOWN: &str = "\x1b[B";
const ENTER: &str = "\r";

/// A sandbox on a free port for as long as the test lives.
fn sandbox() -> SocketAddr {
    let (tell, told) = std::sync::mpsc::sync_channel(1);
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            tell.send(listener.local_addr().unwrap()).unwrap();
            let sandbox = Sandbox::new(SandboxSettings::example()).unwrap();
            sandbox.serve(listener, std::future::pending()).await;
        });
    });
    told.recv_timeout(DEADLINE).unwrap()
}

/// One command on a terminal of its own.
struct Screen {
    session: OsSession,
    shown: Mutex<Vec<u8>>,
}

impl Screen {
    const ROWS: u16 = 120;
    const COLUMNS: u16 = 160;

    fn open(folder: &Path, program: &str, arguments: &[&str]) -> Self {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .current_dir(folder)
            .env("NO_COLOR", "1")
            .env("TERM", "xterm")
            .env_remove("SENSGATE_CONFIG");
        let mut session = Session::spawn(command).unwrap();
        session.set_expect_timeout(Some(DEADLINE));
        session.get_process_mut().set_window_size(Self::COLUMNS, Self::ROWS).unwrap();
        Self { session, shown: Mutex::default() }
    }

    /// Waits until this is shown.
    fn sees(&mut self, text: &str) -> &mut Self {
        match self.session.expect(text) {
            Ok(found) => self.shown.lock().unwrap().extend_from_slice(found.as_bytes()),
            Err(error) => panic!("{error} while waiting for {text:?} after:\n{}", self.contents()),
        }
        self
    }

    fn types(&mut self, keys: &str) -> &mut Self {
        self.session.send(keys).unwrap();
        self
    }

    /// Everything until the command ends.
    fn ends(mut self) -> String {
        match self.session.expect(Eof) {
            Ok(rest) => self.shown.lock().unwrap().extend_from_slice(rest.as_bytes()),
            Err(error) => panic!("{error} while waiting for the end after:\n{}", self.contents()),
        }
        self.contents()
    }

    /// What a person sees, without what was overwritten.
    fn contents(&self) -> String {
        let mut terminal =
            vt100::Parser::new(NonZero::new(Self::ROWS).unwrap(), NonZero::new(Self::COLUMNS).unwrap(), 0);
        terminal.process(&self.shown.lock().unwrap());
        let contents = terminal.screen().contents();
        let lines: Vec<_> = contents.lines().map(str::trim_end).collect();
        lines.join("\n").trim_end().to_owned()
    }
}

/// A folder in which `sensgate` is what an admin types.
struct Place {
    folder: TempDir,
}

impl Place {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn sensgate(&self, arguments: &[&str]) -> Screen {
        let arguments: Vec<_> = arguments.iter().copied().chain(["--lang", "fr"]).collect();
        Screen::open(self.path(), env!("CARGO_BIN_EXE_sensgate"), &arguments)
    }

    fn snapshot(&self, name: &str, screen: &str) {
        let mut settings = insta::Settings::clone_current();
        settings.set_prepend_module_to_snapshot(false);
        settings.set_snapshot_path("../snapshots/first_hour");
        settings.set_omit_expression(true);
        for (pattern, shown) in [
            (r"sgk_\w+", "[clé]"),
            (r"\b[0-9a-f]{64}\b", "[empreinte]"),
            (r"\b[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9:.]+Z)?", "[date]"),
            (r"127\.0\.0\.1:[1-9][0-9]*", "127.0.0.1:[port]"),
            (r"\b[0-9a-f]{32}\b", "[requête]"),
            (r#"("access_token": ?)"[^"]*""#, "$1\"[jeton]\""),
            (r"\b[0-9]+(\.[0-9]+)? ?(ms|µs)\b", "[durée]"),
            (r"dans [0-9]+ jours", "dans [nombre] jours"),
            (r"depuis [0-9]+ s\b", "depuis [durée]"),
            (r"version [0-9]+[.][0-9]+[.][0-9]+", "version [version]"),
            // What the machine under test answers on its outer address is its own affair.
            (r"(?m)^.* le port [0-9]+ répond en local .*\n", ""),
            (r"en ordre : [0-9]+", "en ordre : [nombre]"),
        ] {
            settings.add_filter(pattern, shown);
        }
        let folder = self.path().display().to_string();
        settings.add_filter(&folder, "[dossier]");
        settings.bind(|| insta::assert_snapshot!(name, screen));
    }
}

/// The port behind this on a screen.
fn address_after(screen: &str, word: &str) -> String {
    let rest = screen.split(word).nth(1).unwrap_or_else(|| panic!("{word}: {screen}"));
    rest.split_whitespace().next().unwrap().to_owned()
}

/// `init` from its first question to its last.
fn initialise(place: &Place, upstream: SocketAddr) -> String {
    let mut init = place.sensgate(&["init", "--listen", "127.0.0.1:0"]);
    init.sees("Où écoute 8sens").types(&format!("{upstream}{ENTER}"));
    init.sees("répond en HTTP");
    init.sees("API Key de cet écran").types(&format!("{UPSTREAM_KEY}{ENTER}"));
    init.sees("en secondes ?").types(ENTER);
    init.sees("Où voyage le jeton").sees("access_token=").types(&format!("{DOWN}{ENTER}"));
    init.sees("Nom du consommateur").types(&format!("Boutique Paris{ENTER}"));
    init.sees("boutique-paris").types(&"\x7f".repeat(14)).types(&format!("boutique-paris{ENTER}"));
    init.sees("Un autre consommateur ?").types(ENTER);
    init.sees("Écrire sensgate.toml").types(&format!("oui{ENTER}"));
    init.ends()
}

/// The vendor's own request, at the gate.
fn login(place: &Place, gate: &str, key: &str) -> String {
    let url = format!("http://{gate}/v1/login/user");
    let key = format!("api_key: {key}");
    Screen::open(
        place.path(),
        "curl",
        &[
            "--silent",
            "-X",
            "POST",
            "--header",
            "Content-Type: application/x-www-form-urlencoded",
            "--header",
            "Accept: application/json",
            "--header",
            &key,
            "-d",
            "login=CLIENTREST&password=clientrest",
            &url,
        ],
    )
    .ends()
}

#[test]
fn from_nothing_to_a_protected_8sens() {
    let place = Place::new();
    let screen = initialise(&place, sandbox());
    assert!(!screen.contains(UPSTREAM_KEY), "{screen}");
    let key = screen.split_whitespace().find(|word| word.starts_with("sgk_")).unwrap().to_owned();
    place.snapshot("01-init", &screen);
    place.snapshot("02-fichier", &fs::read_to_string(place.path().join("sensgate.toml")).unwrap());
    for (file, mode) in [("sensgate.toml", 0o640), ("8sens-api-key", 0o600)] {
        let metadata = fs::metadata(place.path().join(file)).unwrap();
        assert_eq!(metadata.permissions().mode() & 0o777, mode, "{file}");
    }
    // The admin pages' usual port may be taken by another test.
    let config = place.path().join("sensgate.toml");
    let text = fs::read_to_string(&config)
        .unwrap()
        .replace("[[listener]]", "[admin]\naddress = \"127.0.0.1:0\"\n\n[[listener]]");
    fs::write(&config, text).unwrap();

    place.snapshot("03-check", &place.sensgate(&["check", "--config", "sensgate.toml"]).ends());

    place.snapshot("04-doctor", &place.sensgate(&["doctor", "--config", "sensgate.toml"]).ends());

    let mut gate = place.sensgate(&["run", "--config", "sensgate.toml"]);
    gate.sees("pages d'administration sur").sees("\n");
    let address = address_after(&gate.contents(), "à l'écoute sur ");
    place.snapshot("05-run", gate.contents().split("{\"").next().unwrap().trim_end());

    let answer = login(&place, &address, &key);
    for field in ["access_token", "paramRacineCliID", "paramRacinePecID", "g8CliCode"] {
        assert!(answer.contains(field), "{answer}");
    }
    place.snapshot("06-curl", &answer);
    let refused = login(&place, &address, "sgk_k1_wrong");
    place.snapshot("07-curl-mauvaise-cle", &refused);
    let id = refused.split("\"request_id\":\"").nth(1).unwrap().split('"').next().unwrap().to_owned();

    place.snapshot("08-explain", &place.sensgate(&["explain", &id, "--config", "sensgate.toml"]).ends());

    let mut again = place.sensgate(&["init"]);
    again.sees("Que faut-il changer").sees("rien de plus").types(ENTER);
    again.sees("Nom du consommateur").types(&format!("partenaire-lyon{ENTER}"));
    again.sees("Que faut-il changer").sees("rien de plus").types(&DOWN.repeat(5)).types(ENTER);
    again.sees("Écrire cela ?").types(ENTER);
    place.snapshot("09-init-encore", &again.ends());
    place.snapshot("10-check", &place.sensgate(&["check", "--config", "sensgate.toml"]).ends());

    place.snapshot("11-reload", &place.sensgate(&["reload", "--config", "sensgate.toml"]).ends());
    place.snapshot(
        "12-keys-rotate",
        &place.sensgate(&["keys", "rotate", "boutique-paris", "--overlap", "7d", "--config", "sensgate.toml"]).ends(),
    );
    // For a week both are good: the shop changes when it likes.
    assert!(login(&place, &address, &key).contains("access_token"));
    let mut doctor = place.sensgate(&["doctor", "--config", "sensgate.toml", "--login", "CLIENTREST"]);
    doctor.sees("mot de passe de CLIENTREST").types(&format!("clientrest{ENTER}"));
    let screen = doctor.ends();
    assert!(!screen.contains("clientrest"), "{screen}");
    place.snapshot("13-doctor", &screen);

    gate.types("\x03");
    gate.ends();
}

#[test]
fn ctrl_c_leaves_nothing_behind() {
    let place = Place::new();
    let upstream = sandbox();
    let mut init = place.sensgate(&["init", "--listen", "127.0.0.1:0", "--upstream", &upstream.to_string()]);
    init.sees("API Key de cet écran").types(&format!("{UPSTREAM_KEY}{ENTER}"));
    init.sees("en secondes ?");
    init.session.send(ControlCode::EndOfText).unwrap();
    let screen = init.ends();
    assert!(screen.contains("Abandon : rien n'a été écrit."), "{screen}");
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0);
    // Nothing of the key was echoed, nor is it in a file.
    assert!(!screen.contains(UPSTREAM_KEY), "{screen}");
}

/// Without an answer, going on is the operator's choice.
#[test]
fn a_server_that_does_not_answer_is_told() {
    let place = Place::new();
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut init = place.sensgate(&["init"]);
    init.sees("Où écoute 8sens").types(&format!("http://{closed}{ENTER}"));
    init.sees("n'est pas de la forme").types(&"\x7f".repeat(40)).types(&format!("{closed}{ENTER}"));
    init.sees("rien n'écoute sur").sees("Continuer quand même ?").types(&format!("n{ENTER}"));
    init.sees("Où écoute 8sens").types("\x1b");
    let screen = init.ends();
    place.snapshot("sans-reponse", &screen);
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0);
}
