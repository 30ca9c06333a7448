//! Faults of the file, of this machine and of the way to 8sens.

use super::site::{Site, chmod, sandbox};
use crate::support::port;
use crate::support::tls::Made;
use std::process::Command;

#[tokio::test(flavor = "multi_thread")]
async fn a_site_that_is_in_order() {
    let site = Site::new(sandbox(|_| {}).await);
    let diagnosis = site.doctor(&[]);
    diagnosis.expect_health();
    diagnosis.expect("http", "ok", "HTTP answers");
    diagnosis.expect("upstream_key", "ok", "from a random one");
    diagnosis.expect("clock_of_8sens", "ok", "agree");
    diagnosis.expect("gate", "info", "no gate runs");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_configuration_and_its_secrets() {
    let upstream = sandbox(|_| {}).await;
    let broken = Site::new(upstream).with("[admin]", "[admim]");
    let diagnosis = broken.doctor(&[]);
    diagnosis.expect("configuration", "error", "unknown table or key `admim`");
    assert_eq!(diagnosis.code, 78);

    let open = Site::new(upstream);
    chmod(&open.path("8sens-api-key"), 0o644);
    let diagnosis = open.doctor(&[]);
    diagnosis.expect("configuration", "error", "everyone on this machine can use this secret file");
    assert_eq!(diagnosis.code, 78);

    let writable = Site::new(upstream);
    writable.doctor(&[]);
    let path = writable.path("sensgate.toml");
    chmod(&path, 0o666);
    let diagnosis = super::site::doctor(Command::new(env!("CARGO_BIN_EXE_sensgate")), &path, &[], "");
    diagnosis.expect("configuration_mode", "error", "its mode is 0666");
    assert_eq!(diagnosis.code, 69);
}

/// The day so many days from now, as the configuration writes it.
fn day(from_now: i64) -> String {
    let now = jiff::Timestamp::now().as_second();
    let then = jiff::Timestamp::from_second(now + from_now * 86_400).unwrap().to_string();
    then[..10].to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_near_their_end_and_the_old_shared_one() {
    let upstream = sandbox(|_| {}).await;
    let site = || Site::new(upstream);
    site().with("2099-12-31", &day(3)).doctor(&[]).expect("keys", "warning", "boutique-paris/k1 expires in ");
    site().with("2099-12-31", &day(-3)).doctor(&[]).expect("keys", "warning", "boutique-paris/k1 has expired");
    let near = site().with("2099-12-31", &day(3)).doctor(&["--warn-days", "1"]);
    near.expect("keys", "ok", "within 1 days");
    let legacy = site().with("keys = [ ", "keys = [ { id = \"legacy\", upstream_key = true, expires = 2099-12-31 }, ");
    let diagnosis = legacy.doctor(&[]);
    diagnosis.expect("legacy_key", "warning", "boutique-paris/legacy");
    assert_eq!(diagnosis.code, 1);
}

/// A certificate between two days from now.
fn certificate(from: i64, until: i64) -> Made {
    let mut params = rcgen::CertificateParams::new(vec!["shop.example".to_owned()]).unwrap();
    let date = |days| {
        let date: jiff::civil::Date = day(days).parse().unwrap();
        rcgen::date_time_ymd(date.year().into(), date.month().try_into().unwrap(), date.day().try_into().unwrap())
    };
    (params.not_before, params.not_after) = (date(from), date(until));
    let key = rcgen::KeyPair::generate().unwrap();
    let made = params.self_signed(&key).unwrap();
    Made { chain: made.pem(), key: key.serialize_pem(), der: made.der().clone() }
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_near_their_end() {
    let upstream = sandbox(|_| {}).await;
    let diagnosis = |from, until| {
        let tls = "address = \"127.0.0.1:0\"\ntls = { certificate = \"shop-chain.pem\", key = \"shop-key.pem\" }";
        let site = Site::new(upstream).with("address = \"127.0.0.1:0\"", tls);
        certificate(from, until).write(site.folder.path(), "shop");
        site.doctor(&[])
    };
    diagnosis(-30, 300).expect("certificates", "ok", "shop.example expires in ");
    diagnosis(-30, 5).expect("certificates", "warning", "shop.example expires in ");
    let expired = diagnosis(-30, -2);
    expired.expect("certificates", "error", "shop.example has expired");
    assert_eq!(expired.code, 69);
    diagnosis(3, 30).expect("certificates", "error", "shop.example is not valid yet");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_wrong() {
    let site = Site::new(sandbox(|_| {}).await);
    let under = |offset: &str| {
        let mut faketime = Command::new("faketime");
        faketime.args(["-f", offset, env!("CARGO_BIN_EXE_sensgate")]);
        site.doctor_under(faketime, &[], "")
    };
    let diagnosis = under("@1999-12-31 12:00:00");
    diagnosis.expect("clock", "error", "takes today for 1999-12-31");
    diagnosis.expect("clock_of_8sens", "warning", "off ours");
    under("+3600s").expect("clock_of_8sens", "warning", "8sens's clock is -3");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_state_directory() {
    let upstream = sandbox(|_| {}).await;
    let file = Site::new(upstream);
    std::fs::write(file.path("state"), "").unwrap();
    file.doctor(&[]).expect("state_directory", "error", "is no directory");

    let open = Site::new(upstream);
    std::fs::create_dir(open.path("state")).unwrap();
    chmod(&open.path("state"), 0o755);
    open.doctor(&[]).expect("state_directory", "warning", "its mode is 0755");

    chmod(&open.path("state"), 0o700);
    open.doctor(&[]).expect("state_directory", "ok", "is private");
    let lock = std::fs::File::create(open.path("state/lock")).unwrap();
    lock.lock().unwrap();
    open.doctor(&[]).expect("state_directory", "error", "a process holds");
}

/// A disk of 1 MiB, mounted for the doctor alone, where the system lets a user do that.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_under_the_state() {
    if !Command::new("unshare").args(["-Urm", "true"]).status().is_ok_and(|status| status.success()) {
        eprintln!("left out: this system has no user namespaces");
        return;
    }
    let site = Site::new(sandbox(|_| {}).await);
    std::fs::create_dir(site.path("state")).unwrap();
    chmod(&site.path("state"), 0o700);
    let mut small = Command::new("unshare");
    let script = "mount -t tmpfs -o size=1m,mode=0700 none \"$1\" && shift && exec \"$@\"";
    small.args(["-Urm", "sh", "-c", script, "sh"]).arg(site.path("state")).arg(env!("CARGO_BIN_EXE_sensgate"));
    site.doctor_under(small, &[], "").expect("state_space", "warning", "1 MiB free, 64 are wanted");
}

#[tokio::test(flavor = "multi_thread")]
async fn listeners_that_cannot_be_bound() {
    let upstream = sandbox(|_| {}).await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let diagnosis = Site::new(upstream).with("127.0.0.1:0", &address).doctor(&[]);
    diagnosis.expect("listeners", "error", &format!("{address} is in use"));
    assert_eq!(diagnosis.code, 69);
    drop(taken);
    Site::new(upstream).with("127.0.0.1:0", &address).doctor(&[]).expect("listeners", "ok", "is free");
    let nowhere = "198.51.100.7:8443\"\nplaintext = \"lan";
    Site::new(upstream).with("127.0.0.1:0", nowhere).doctor(&[]).expect(
        "listeners",
        "error",
        "no address of this machine",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_way_to_8sens() {
    let closed = Site::new(port::closed()).doctor(&[]);
    closed.expect("port", "error", "nothing listens");
    assert_eq!((closed.of("http").len(), closed.code), (0, 69));

    let unknown = Site::new("8sens.invalid:8082").doctor(&[]);
    unknown.expect("name", "error", "8sens.invalid cannot be resolved");

    let address = sandbox(|_| {}).await;
    let named = Site::new(format!("localhost:{}", address.port())).doctor(&[]);
    named.expect("name", "ok", "localhost is");

    let no_http = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let site = Site::new(no_http.local_addr().unwrap());
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = no_http.accept() {
            let _ = std::io::Write::write_all(&mut stream, b"SSH-2.0-OpenSSH_9.2\r\n");
        }
    });
    site.doctor(&[]).expect("http", "error", "does not answer HTTP");
}

/// Names lead to several addresses, and 8sens listens at one of them.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn a_name_with_several_addresses() {
    let folder = tempfile::tempdir().unwrap();
    let Some(hosts) = crate::support::hosts::Hosts::new(folder.path(), "127.0.0.1 8sens.lan\n::1 8sens.lan\n") else {
        return;
    };
    let address = sandbox(|_| {}).await;
    let site = Site::new(format!("8sens.lan:{}", address.port()));
    let diagnosis = site.doctor_under(hosts.sensgate(), &["--login", "CLIENTREST"], "clientrest\n");
    diagnosis.expect_health();
    diagnosis.expect("name", "ok", "8sens.lan is ::1, 127.0.0.1");
    diagnosis.expect("port", "ok", &format!("{address} takes connections, and so the gate uses it"));
    diagnosis.expect("port", "ok", &format!("[::1]:{} (Connection refused", address.port()));
    diagnosis.expect("http", "ok", "HTTP answers");
    diagnosis.expect("login", "ok", "can log in");

    let closed = port::closed();
    let site = Site::new(format!("8sens.lan:{}", closed.port()));
    let diagnosis = site.doctor_under(hosts.sensgate(), &[], "");
    diagnosis.expect("port", "error", &format!("nothing listens on [::1]:{}, {closed}", closed.port()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_key_of_8sens() {
    let other =
        |settings: &mut sensgate::sandbox::SandboxSettings| settings.api_key = "the-key-of-somebody-else".into();
    let diagnosis = Site::new(sandbox(other).await).doctor(&[]);
    diagnosis.expect("upstream_key", "warning", "exactly as a random one (401)");
    let ok_with_error = sandbox(|settings| {
        other(settings);
        settings.wrong_key_answer = sensgate::sandbox::WrongKeyAnswer::OkWithError;
    });
    Site::new(ok_with_error.await).doctor(&[]).expect("upstream_key", "warning", "exactly as a random one (200)");
    let witness = crate::support::witness::Witness::start(crate::support::witness::Behaviour::answer());
    Site::new(witness.await.addr()).doctor(&[]).expect("upstream_key", "info", "cannot be told without a login");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_of_8sens_that_others_reach() {
    let everywhere = sandbox(|settings| settings.bind = [0, 0, 0, 0].into()).await;
    let diagnosis = Site::new(format!("127.0.0.1:{}", everywhere.port())).doctor(&[]);
    let outer = std::net::UdpSocket::bind("0.0.0.0:0").unwrap();
    // A machine without a way out has no other address on which anybody could call.
    if outer.connect("198.51.100.1:9").is_ok() && !outer.local_addr().unwrap().ip().is_loopback() {
        diagnosis.expect("exposure", "warning", "not only to this machine");
        let remote = format!("{}:{}", outer.local_addr().unwrap().ip(), everywhere.port());
        Site::new(remote).doctor(&[]).expect("exposure", "info", "who else reaches");
    }
    Site::new(sandbox(|_| {}).await).doctor(&[]).expect("exposure", "ok", "answers on loopback");
}

/// What a person sees, in both languages.
#[test]
fn the_report_in_both_languages() {
    let upstream = port::closed();
    let legacy = "keys = [ { id = \"legacy\", upstream_key = true, expires = 2099-12-31 }, ";
    let site = Site::new(upstream).with("keys = [ ", legacy).with("[admin]", "[session]\nmode = \"observe\"\n[admin]");
    site.doctor(&[]);
    for lang in ["en", "fr"] {
        let output = Command::new(env!("CARGO_BIN_EXE_sensgate"))
            .args(["doctor", "--lang", lang, "--config"])
            .arg(site.path("sensgate.toml"))
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let text = text.replace(&site.folder.path().display().to_string(), "<folder>");
        insta::assert_snapshot!(format!("report-{lang}"), text.replace(&upstream.to_string(), "<8sens>"));
    }
}
