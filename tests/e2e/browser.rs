//! A real Chromium without a screen, driven through chromedriver.

use crate::gate::{DEADLINE, wait_until};
use fantoccini::wd::{Capabilities, WebDriverCompatibleCommand};
use fantoccini::{Client, ClientBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// axe-core, as published.
const AXE: &str = include_str!("../vendor/axe/axe.min.js");

/// Set, pages are written to `docs/images/` while they are tested: `make screenshots`.
const SCREENSHOTS: &str = "SENSGATE_SCREENSHOTS";

/// True when pages are to be written to `docs/images/`.
pub fn pictures_are_wanted() -> bool {
    std::env::var_os(SCREENSHOTS).is_some()
}

/// What the visitor has before them.
#[derive(Clone, Copy)]
pub struct Visitor {
    pub language: &'static str,
    pub width: u32,
    pub height: u32,
    pub dark: bool,
}

/// One browser with an empty profile and one window.
pub struct Browser {
    /// `None` only while it is dropped.
    client: Option<Client>,
    driver: Child,
    _profile: tempfile::TempDir,
}

/// A command that is Chromium's own, beside the ones of WebDriver.
#[derive(Debug)]
struct Own {
    path: &'static str,
    body: Value,
}

impl WebDriverCompatibleCommand for Own {
    fn endpoint(&self, base: &url::Url, session: Option<&str>) -> Result<url::Url, url::ParseError> {
        base.join(&format!("session/{}/{}", session.unwrap_or_default(), self.path))
    }

    fn method_and_body(&self, _: &url::Url) -> (http::Method, Option<String>) {
        (http::Method::POST, Some(self.body.to_string()))
    }
}

impl Browser {
    pub async fn start(visitor: Visitor) -> Self {
        let profile = tempfile::tempdir().unwrap();
        let mut driver = Command::new("chromedriver")
            .args(["--port=0", "--log-level=SEVERE"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver; `make test` installs it");
        let port = port_of(&mut driver);
        let builder = ClientBuilder::new(HttpConnector::new())
            .capabilities(capabilities(profile.path(), visitor))
            .connect(&format!("http://127.0.0.1:{port}"))
            .await;
        let client = match builder {
            Ok(client) => client,
            Err(error) => {
                let _ = driver.kill();
                let _ = driver.wait();
                panic!("no browser: {error}");
            }
        };
        let browser = Self { client: Some(client), driver, _profile: profile };
        browser.appear(visitor).await;
        browser
    }

    /// Makes the window one of this size and these colours.
    pub async fn appear(&self, visitor: Visitor) {
        let Visitor { width, height, dark, .. } = visitor;
        let narrow = width < 600;
        let metrics = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": narrow });
        self.devtools("Emulation.setDeviceMetricsOverride", metrics).await;
        let scheme = if dark { "dark" } else { "light" };
        let media = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.devtools("Emulation.setEmulatedMedia", media).await;
    }

    fn client(&self) -> &Client {
        self.client.as_ref().unwrap()
    }

    pub async fn goto(&self, url: &str) {
        self.client().goto(url).await.unwrap();
    }

    /// Evaluates the body of a function in the page.
    pub async fn eval(&self, script: &str) -> Value {
        self.client().execute(script, Vec::new()).await.unwrap_or_else(|error| panic!("{script}: {error}"))
    }

    /// Waits until an expression is true, at most `deadline`; returns how long that took.
    pub async fn wait_within(&self, expression: &str, deadline: Duration) -> Duration {
        let began = Instant::now();
        while self.eval(&format!("return Boolean({expression})")).await != true {
            assert!(began.elapsed() < deadline, "never true: {expression}; the page: {}", self.text().await);
        }
        began.elapsed()
    }

    pub async fn wait(&self, expression: &str) {
        self.wait_within(expression, DEADLINE).await;
    }

    pub async fn text(&self) -> String {
        self.eval("return document.body.innerText").await.as_str().unwrap().to_owned()
    }

    /// Types into whatever has the focus, as a keyboard does.
    pub async fn keys(&self, keys: &str) {
        self.client().active_element().await.unwrap().send_keys(keys).await.unwrap();
    }

    /// Presses Tab until what has the focus fits the selector, as somebody without a mouse does.
    pub async fn tab_to(&self, selector: &str) {
        for _ in 0..60 {
            if self.eval(&format!("return document.activeElement.matches({selector:?})")).await == true {
                return;
            }
            self.keys("\u{E004}").await;
        }
        panic!("{selector} cannot be reached by Tab");
    }

    /// What the browser complained about since it was last asked.
    pub async fn complaints(&self) -> Vec<String> {
        let log = self.own("se/log", json!({ "type": "browser" })).await;
        log.as_array().unwrap().iter().map(|entry| entry["message"].as_str().unwrap().to_owned()).collect()
    }

    /// What axe-core finds wrong with the page as it is.
    pub async fn violations(&self) -> Vec<String> {
        let script = format!(
            "{AXE}; return axe.run(document, {{ resultTypes: ['violations'] }}).then(found => found.violations)"
        );
        let found = self.client().execute(&script, Vec::new()).await.unwrap();
        let told = |violation: &Value| {
            let nodes = violation["nodes"].as_array().unwrap().iter();
            let nodes: Vec<_> = nodes.map(|node| format!("{} {}", node["html"], node["failureSummary"])).collect();
            format!("{}: {}: {}", violation["id"], violation["help"], nodes.join(" · "))
        };
        found.as_array().unwrap().iter().map(told).collect()
    }

    /// Writes the whole page to `docs/images/`, when that is asked for.
    pub async fn picture(&self, name: &str) {
        self.take_picture(name, true).await;
    }

    /// The same for what is in the window.
    pub async fn picture_of_the_window(&self, name: &str) {
        self.take_picture(name, false).await;
    }

    async fn take_picture(&self, name: &str, whole: bool) {
        if !pictures_are_wanted() {
            return;
        }
        let kind = json!({ "format": "webp", "quality": 88, "captureBeyondViewport": whole });
        let picture = self.devtools("Page.captureScreenshot", kind).await;
        let bytes = data_encoding::BASE64.decode(picture["data"].as_str().unwrap().as_bytes()).unwrap();
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/images");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(format!("{name}.webp")), bytes).unwrap();
    }

    async fn devtools(&self, command: &str, params: Value) -> Value {
        self.own("goog/cdp/execute", json!({ "cmd": command, "params": params })).await
    }

    async fn own(&self, path: &'static str, body: Value) -> Value {
        self.client().issue_cmd(Own { path, body }).await.unwrap_or_else(|error| panic!("{path}: {error}"))
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let client = self.client.take().unwrap();
        let close = tokio::time::timeout(Duration::from_secs(10), client.close());
        // Closed through its driver, the browser ends with all its processes.
        let _ = tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(close));
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

fn capabilities(profile: &Path, visitor: Visitor) -> Capabilities {
    let Visitor { language, width, height, .. } = visitor;
    let options = json!({
        "binary": "/usr/bin/chromium",
        "args": [
            "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync",
            "--disable-dev-shm-usage", "--hide-scrollbars", format!("--user-data-dir={}", profile.display()),
            format!("--lang={language}"), format!("--window-size={width},{height}"),
        ],
        "prefs": { "intl.accept_languages": language },
    });
    let Value::Object(capabilities) = json!({
        "browserName": "chrome",
        "goog:chromeOptions": options,
        "goog:loggingPrefs": { "browser": "ALL" },
    }) else {
        unreachable!()
    };
    capabilities
}

/// Waits for the line that says where chromedriver listens.
fn port_of(driver: &mut Child) -> u16 {
    let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines().map_while(Result::ok);
    let started = lines.find(|line| line.contains("was started successfully on port"));
    // Nobody reads what else it says; its pipe must not fill.
    std::thread::spawn(move || lines.for_each(drop));
    let started = wait_until(|| started.clone()).expect("chromedriver starts");
    started.trim_end_matches('.').rsplit(' ').next().unwrap().parse().unwrap()
}
