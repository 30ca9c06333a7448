//! The clients, and how each one calls.

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::process::Command as Blocking;
use tokio::process::Command;

/// One client, and what is its own about it.
pub struct Client {
    pub name: &'static str,
    runtime: Runtime,
    script: &'static str,
    pub ways: &'static [Way],
    /// How its versions write `/v1/articles?filter={"ref":"A1|B2"}`.
    pub query: &'static [&'static str],
    /// How its versions write `/v1/articles?filter={"label":"É"}`.
    pub accent: &'static [&'static str],
    /// How many connections its calls take when each one that can be kept is.
    pub connections: RangeInclusive<u64>,
}

/// How a client reaches the gate.
#[derive(Clone, Copy)]
pub struct Way {
    pub label: &'static str,
    pub tls: bool,
    /// What the client asks for; without TLS, 2 is an upgrade that is offered.
    asks_for: &'static str,
    /// What the gate then speaks, as its log says it.
    pub spoken: &'static str,
    options: &'static str,
}

const PLAIN: Way = Way { label: "HTTP/1.1", tls: false, asks_for: "1.1", spoken: "1.1", options: "" };
const UPGRADE: Way = Way { label: "HTTP/1.1, h2c offered", asks_for: "2", ..PLAIN };
const CODINGS: Way = Way { label: "HTTP/1.1, TE", options: "--tr-encoding", ..PLAIN };
const TLS: Way = Way { label: "HTTP/1.1, TLS", tls: true, ..PLAIN };
const HTTP2: Way = Way { label: "HTTP/2, TLS", asks_for: "2", spoken: "2", ..TLS };

#[derive(Clone, Copy, PartialEq)]
enum Runtime {
    Shell,
    Php,
    Node,
    Python,
    Java,
    Perl,
}

/// As it is written in the source.
const RAW: &str = r#"/v1/articles?filter={"ref":"A1|B2"}"#;
const RAW_ACCENT: &str = r#"/v1/articles?filter={"label":"É"}"#;
/// The query of a URL of the WHATWG: quotation marks are encoded, braces and bars are not.
const WHATWG: &str = "/v1/articles?filter={%22ref%22:%22A1|B2%22}";
const WHATWG_ACCENT: &str = "/v1/articles?filter={%22label%22:%22%C3%89%22}";
/// Everything encoded that RFC 3986 does not allow, and the colon where it is a value of a form.
const ENCODED: &str = "/v1/articles?filter=%7B%22ref%22:%22A1%7CB2%22%7D";
const ENCODED_ACCENT: &str = "/v1/articles?filter=%7B%22label%22:%22%C3%89%22%7D";
const FORM: &str = "/v1/articles?filter=%7B%22ref%22%3A%22A1%7CB2%22%7D";
const FORM_ACCENT: &str = "/v1/articles?filter=%7B%22label%22%3A%22%C3%89%22%7D";

/// All but `php_streams` keep their connection.
pub const CLIENTS: &[Client] = &[
    Client {
        name: "curl",
        runtime: Runtime::Shell,
        script: "curl.sh",
        ways: &[PLAIN, UPGRADE, CODINGS, TLS, HTTP2],
        query: &[RAW],
        accent: &[RAW_ACCENT],
        connections: 2..=2,
    },
    Client {
        name: "php_curl",
        runtime: Runtime::Php,
        script: "php_curl.php",
        ways: &[PLAIN, UPGRADE, TLS, HTTP2],
        query: &[RAW],
        accent: &[RAW_ACCENT],
        connections: 1..=1,
    },
    Client {
        name: "php_streams",
        runtime: Runtime::Php,
        script: "php_streams.php",
        ways: &[PLAIN, TLS],
        query: &[RAW],
        accent: &[RAW_ACCENT],
        connections: 9..=9,
    },
    Client {
        name: "guzzle",
        runtime: Runtime::Php,
        script: "guzzle.php",
        ways: &[PLAIN, UPGRADE, TLS, HTTP2],
        query: &[ENCODED],
        accent: &[FORM_ACCENT],
        connections: 1..=1,
    },
    Client {
        name: "fetch",
        runtime: Runtime::Node,
        script: "fetch.mjs",
        ways: &[PLAIN, TLS],
        query: &[WHATWG],
        accent: &[WHATWG_ACCENT],
        // It drops the connection of a HEAD, and may open a second one before the first is free; so it does to any
        // server.
        connections: 1..=3,
    },
    Client {
        name: "axios",
        runtime: Runtime::Node,
        script: "axios.cjs",
        ways: &[PLAIN, TLS],
        query: &[WHATWG],
        accent: &[WHATWG_ACCENT],
        connections: 1..=1,
    },
    Client {
        name: "http_client",
        runtime: Runtime::Python,
        script: "http_client.py",
        ways: &[PLAIN, TLS],
        query: &[RAW],
        accent: &[FORM_ACCENT],
        connections: 1..=1,
    },
    Client {
        name: "requests",
        runtime: Runtime::Python,
        script: "python_requests.py",
        ways: &[PLAIN, TLS],
        query: &[ENCODED],
        accent: &[FORM_ACCENT],
        connections: 1..=1,
    },
    Client {
        name: "httpx",
        runtime: Runtime::Python,
        script: "python_httpx.py",
        ways: &[PLAIN, TLS, HTTP2],
        query: &[ENCODED, WHATWG],
        accent: &[ENCODED_ACCENT, FORM_ACCENT],
        connections: 1..=1,
    },
    Client {
        name: "aiohttp",
        runtime: Runtime::Python,
        script: "python_aiohttp.py",
        ways: &[PLAIN, TLS],
        query: &[ENCODED],
        accent: &[ENCODED_ACCENT],
        connections: 1..=1,
    },
    Client {
        name: "java_http_client",
        runtime: Runtime::Java,
        script: "JavaHttpClient.java",
        ways: &[PLAIN, UPGRADE, TLS, HTTP2],
        query: &[FORM],
        accent: &[FORM_ACCENT],
        connections: 1..=1,
    },
    Client {
        name: "lwp",
        runtime: Runtime::Perl,
        script: "lwp.pl",
        ways: &[PLAIN, TLS],
        query: &[ENCODED],
        accent: &[ENCODED_ACCENT],
        connections: 1..=1,
    },
];

pub fn named(name: &str) -> &'static Client {
    CLIENTS.iter().find(|client| client.name == name).unwrap_or_else(|| panic!("no client {name}"))
}

impl Client {
    /// Makes in `folder` what the client needs beside its script: `ca.pem` is there already.
    pub fn prepare(&self, folder: &Path) {
        if self.runtime == Runtime::Java {
            compile(folder, &self.script());
        }
    }

    /// Its script, told what to do and how.
    pub fn command(&self, folder: &Path, way: Way, part: &str) -> Command {
        let mut command = self.runtime.command(folder, &self.script());
        command.env("CLIENT_HTTP", way.asks_for).env("CLIENT_OPTIONS", way.options).arg(part);
        command
    }

    fn script(&self) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/scripts").join(self.script)
    }
}

/// A program in `folder` made of an example in that language.
pub fn example(folder: &Path, language: &str, code: &str) -> Command {
    let (runtime, name) = match language {
        "sh" => (Runtime::Shell, "example.sh"),
        "php" => (Runtime::Php, "example.php"),
        "javascript" if code.contains("require(") => (Runtime::Node, "example.cjs"),
        "javascript" => (Runtime::Node, "example.mjs"),
        "python" => (Runtime::Python, "example.py"),
        "perl" => (Runtime::Perl, "example.pl"),
        "java" => (Runtime::Java, "Shop.java"),
        other => panic!("nothing runs {other}"),
    };
    let file = folder.join(name);
    std::fs::write(&file, code).unwrap();
    if runtime == Runtime::Java {
        compile(folder, &file);
    }
    runtime.command(folder, &file)
}

impl Runtime {
    /// That file, with the authority in `folder` as the one that is trusted.
    fn command(self, folder: &Path, file: &Path) -> Command {
        let authority = folder.join("ca.pem");
        let told = |name: &str| format!("{name}={}", authority.display());
        let mut command;
        match self {
            Self::Shell => command = Command::new("sh"),
            Self::Php => {
                command = Command::new("php");
                command.args(["-d", &told("openssl.cafile"), "-d", &told("curl.cainfo")]);
            }
            Self::Node => command = Command::new("node"),
            // The modules are Debian's, and so is the Python that finds them.
            Self::Python => command = Command::new("/usr/bin/python3"),
            Self::Perl => command = Command::new("perl"),
            Self::Java => {
                command = Command::new("java");
                command.arg(format!("-Djavax.net.ssl.trustStore={}", folder.join("ca.p12").display()));
                command.arg("-Djavax.net.ssl.trustStorePassword=changeit").arg("-cp").arg(folder);
            }
        }
        match self {
            Self::Java => command.arg(file.file_stem().unwrap()),
            _ => command.arg(file),
        };
        for name in TRUST {
            command.env(name, &authority);
        }
        // Where Debian has the packages of Node.
        command.env("NODE_PATH", "/usr/share/nodejs").env("LC_ALL", "C.UTF-8");
        command
    }
}

/// What the libraries read the trusted authority from, as docs/callers.md says.
const TRUST: [&str; 5] =
    ["CURL_CA_BUNDLE", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS", "PERL_LWP_SSL_CA_FILE"];

/// Compiles into `folder`, and makes of `ca.pem` the store that Java reads.
fn compile(folder: &Path, file: &Path) {
    run(Blocking::new("javac").arg("-d").arg(folder).arg(file));
    run(Blocking::new("keytool")
        .args(["-importcert", "-noprompt", "-alias", "ca", "-storepass", "changeit", "-file"])
        .arg(folder.join("ca.pem"))
        .arg("-keystore")
        .arg(folder.join("ca.p12")));
}

fn run(command: &mut Blocking) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
