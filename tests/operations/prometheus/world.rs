//! Four gates, one sandbox and those who call: everything that an alert is about goes wrong at one of them, nothing at
//! the sound one.

use crate::gate::{Config, Gate, KEY, PARTNER_KEY, UPSTREAM_KEY, consumer, write_secret};
use crate::support::http::{RawClient, Response};
use crate::support::port;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use secrecy::SecretString;
use sensgate::sandbox::{Sandbox, SandboxSettings};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Interval, MissedTickBehavior};

pub const ADMIN_TOKEN: &str = "admin-token-of-the-tests-0123456789abcdef";

/// Whose board is looked at: sends a bit of everything, in shadow, with keys that expire soon.
pub const WATCHED: &str = "boutique-essai";
const WATCHED_KEY: &str = "sgk_essai_Hs8Kd3Lf6Wq1Zx9Cv4Bn";
/// Sends more than it may.
const GREEDY_KEY: &str = "sgk_comparateur_Yt5Re2Wq8Ui3Op";
/// Sends a wrong password.
const FORGETFUL_KEY: &str = "sgk_etourdi_Mn7Bv4Cx1Za6Sd9Fg";

/// Asks for what takes 8sens long.
const PATIENT_KEY: &str = "sgk_patient_Qa2Ws3Ed4Rf5Tg6Yh7Uj";

/// Often enough for every rate, seldom enough for a slow machine.
const PACE: Duration = Duration::from_millis(250);
/// Enough for more than one in a hundred.
const PATIENT: usize = 8;
/// Longer than the five seconds that `SensgateSlow` is about.
const SLOW: &str = "x-sandbox-fault: delay=6s\r\n";

pub struct World {
    /// Everything but 8sens is wrong with it.
    pub faulty: Gate,
    /// Its 8sens is away.
    pub cut_off: Gate,
    /// Nothing is wrong with it.
    pub sound: Gate,
    /// Is going to end without a word.
    pub doomed: Gate,
    callers: JoinSet<()>,
}

impl World {
    pub async fn start() -> Self {
        let mut callers = JoinSet::new();
        let sandbox = start_sandbox(&mut callers).await;
        let folder = || {
            let folder = tempfile::tempdir().unwrap();
            write_secret(&folder.path().join("admin-token"), ADMIN_TOKEN);
            folder
        };
        let (for_faulty, plain) = (folder(), |upstream| configuration(upstream).text());
        for (name, days) in [("soon", 10), ("sooner", 2)] {
            make_certificate(for_faulty.path(), name, days);
        }
        let mut world = Self {
            faulty: Gate::start_command(
                for_faulty,
                &faulty_configuration(sandbox).text(),
                with_small_files(),
                |command| command,
            ),
            cut_off: Gate::start_text(folder(), &plain(port::closed()), |command| command),
            sound: Gate::start_text(folder(), &plain(sandbox), |command| command),
            doomed: Gate::start_text(folder(), &plain(port::closed()), |command| command),
            callers,
        };
        world.call();
        world.refuse_a_reload();
        world
    }

    pub fn admin_addresses(&self) -> [SocketAddr; 4] {
        [&self.faulty, &self.cut_off, &self.sound, &self.doomed].map(|gate| gate.admin)
    }

    /// Starts everybody who calls; they stop with the world.
    fn call(&mut self) {
        let (faulty, sound, cut_off) = (self.faulty.address(), self.sound.address(), self.cut_off.address());
        self.callers.spawn(misbehave(faulty));
        for _ in 0..PATIENT {
            self.callers.spawn(wait_long(faulty));
        }
        self.callers.spawn(behave(sound));
        self.callers.spawn(async move {
            let mut pace = pace();
            loop {
                pace.tick().await;
                ask(cut_off, &login(KEY, "clientrest", "")).await;
            }
        });
    }

    fn refuse_a_reload(&mut self) {
        let path = self.faulty.folder.path().join("sensgate.toml");
        let broken = std::fs::read_to_string(&path).unwrap() + "\n[limits]\nno_such_key = 1\n";
        std::fs::write(path, broken).unwrap();
        self.faulty.signal("HUP");
    }
}

/// The gate with files of at most 4 KiB: after a few session records and access log lines, writes fail as on a full
/// disk.
fn with_small_files() -> Command {
    let mut shell = Command::new("sh");
    let limited = "trap '' XFSZ; ulimit -f 8; exec \"$0\" \"$@\"";
    shell.args(["-c", limited, env!("CARGO_BIN_EXE_sensgate")]);
    shell
}

fn configuration(upstream: SocketAddr) -> Config {
    Config::new(upstream).with("session", "mode = \"guard\"").with("admin", "token = { file = \"admin-token\" }")
}

fn faulty_configuration(upstream: SocketAddr) -> Config {
    let mut expiring = consumer(WATCHED, WATCHED_KEY, "enforce = \"shadow\"\nrate_limit = \"1/min\"\n")
        .replace("2099-12-31", &day_in(10).to_string());
    // A second key, which expires even sooner.
    let other = consumer("", "sgk_essai_old", "").replace("2099-12-31", &day_in(2).to_string()).replace("k1", "k2");
    let (begin, end) = (other.find('{').unwrap(), other.rfind('}').unwrap());
    expiring = expiring.replace(" ]", &format!(", {} ]", &other[begin..=end]));
    configuration(upstream)
        .with("session", "per_consumer = 40")
        .with("session", "total = 400")
        .and(
            "[[listener]]\naddress = \"127.0.0.1:0\"\ntls = [ { certificate = \"soon.pem\", key = \"soon-key.pem\" }, ",
        )
        .and("{ certificate = \"sooner.pem\", key = \"sooner-key.pem\" } ]\n")
        .and(&expiring)
        .and(&consumer("comparateur", GREEDY_KEY, "rate_limit = \"1/min\"\n"))
        .and(&consumer("etourdi", FORGETFUL_KEY, ""))
        .and(&consumer("patient", PATIENT_KEY, ""))
}

fn day_in(days: i64) -> Date {
    TimeZone::UTC.to_datetime(Timestamp::now()).date().checked_add(days.days()).unwrap()
}

fn make_certificate(folder: &Path, name: &str, days: i64) {
    let end = day_in(days);
    let mut parameters = rcgen::CertificateParams::new(vec![format!("{name}.example")]).unwrap();
    let part = |number: i8| u8::try_from(number).unwrap();
    parameters.not_after = rcgen::date_time_ymd(end.year().into(), part(end.month()), part(end.day()));
    let key = rcgen::KeyPair::generate().unwrap();
    write_secret(&folder.join(format!("{name}.pem")), &parameters.self_signed(&key).unwrap().pem());
    write_secret(&folder.join(format!("{name}-key.pem")), &key.serialize_pem());
}

async fn start_sandbox(tasks: &mut JoinSet<()>) -> SocketAddr {
    let api_key = SecretString::from(UPSTREAM_KEY);
    let sandbox = Sandbox::new(SandboxSettings { api_key, faults: true, ..SandboxSettings::example() }).unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tasks.spawn(async move { sandbox.serve(listener, std::future::pending()).await });
    address
}

/// A request of its own connection; `None` when there was no answer. What comes of it is what the alerts are about.
async fn ask(gate: SocketAddr, request: &str) -> Option<Response> {
    RawClient::connect(gate).await.ok()?.with_deadline(Duration::from_secs(20)).exchange(request).await.ok()
}

fn get(key: &str, path: &str, token: &str, fields: &str) -> String {
    let token = if token.is_empty() { String::new() } else { format!("access_token: {token}\r\n") };
    format!("GET {path} HTTP/1.1\r\nHost: gate\r\napi_key: {key}\r\n{token}{fields}\r\n")
}

fn login(key: &str, password: &str, fields: &str) -> String {
    let form = format!("login=CLIENTREST&password={password}");
    format!(
        "POST /v1/login/user HTTP/1.1\r\nHost: gate\r\napi_key: {key}\r\nContent-Type: \
         application/x-www-form-urlencoded\r\n\
         Content-Length: {}\r\n{fields}\r\n{form}",
        form.len()
    )
}

async fn token(gate: SocketAddr, key: &str) -> String {
    let answer = ask(gate, &login(key, "clientrest", "")).await.expect("a login is answered");
    answer.json()["access_token"].as_str().unwrap_or_else(|| panic!("{}", answer.text())).to_owned()
}

async fn behave(gate: SocketAddr) {
    let token = token(gate, KEY).await;
    let mut pace = pace();
    loop {
        pace.tick().await;
        ask(gate, &get(KEY, "/v1/articles", &token, "")).await;
    }
}

/// Everything that should not be, again and again.
async fn misbehave(gate: SocketAddr) {
    let (shop, watched) = (token(gate, KEY).await, token(gate, WATCHED_KEY).await);
    let requests = [
        get(KEY, "/v1/articles", &shop, ""),
        get(WATCHED_KEY, "/v1/articles", &watched, ""),
        // A token of another, and one of nobody.
        get(WATCHED_KEY, "/v1/articles", &shop, ""),
        get(WATCHED_KEY, "/v1/articles", "made-up", ""),
        get("sgk_wrong", "/v1/articles", "", ""),
        get(PARTNER_KEY, "/v1/devis", "", ""),
        // The first one passes, all others are over the quota.
        login(GREEDY_KEY, "clientrest", ""),
        login(FORGETFUL_KEY, "forgotten", ""),
        // Longer than any login answer; of one who is known, or it would soon be throttled beside the one before.
        login(KEY, "clientrest", "x-sandbox-fault: big-body=100KiB\r\n"),
        // A caller that never keeps its token.
        login(KEY, "clientrest", ""),
        login(WATCHED_KEY, "clientrest", ""),
    ];
    let mut pace = pace();
    loop {
        pace.tick().await;
        for request in &requests {
            ask(gate, request).await;
        }
    }
}

/// Asks for what takes long, and waits for it.
async fn wait_long(gate: SocketAddr) {
    let mut pace = pace();
    loop {
        let token = token(gate, PATIENT_KEY).await;
        ask(gate, &get(PATIENT_KEY, "/v1/articles", &token, SLOW)).await;
        pace.tick().await;
    }
}

fn pace() -> Interval {
    let mut pace = tokio::time::interval(PACE);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    pace
}
