//! A Prometheus of the test's own, on a free port and with a folder of its own.

use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// How long it may take to listen.
const START: Duration = Duration::from_secs(30);

/// A running Prometheus. Killed on drop.
pub struct Prometheus {
    child: Child,
    address: String,
    /// Held for its files.
    _folder: tempfile::TempDir,
}

/// One alert that is pending or firing.
#[derive(Clone, Debug)]
pub struct Alert {
    pub labels: Value,
    pub annotations: Value,
    pub firing: bool,
}

impl Prometheus {
    /// Starts on the `prometheus.yml` of a folder.
    pub fn start(folder: tempfile::TempDir) -> Self {
        Self::start_command(folder, Command::new("prometheus"))
    }

    pub fn start_command(folder: tempfile::TempDir, mut command: Command) -> Self {
        let mut child = command
            .arg(format!("--config.file={}", folder.path().join("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
            .args(["--web.listen-address=127.0.0.1:0", "--log.level=info"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("Debian's package prometheus is installed by `make deps test`");
        let (found, address) = mpsc::sync_channel(1);
        let lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        // Reads on to the end: a full pipe would stop Prometheus.
        std::thread::spawn(move || {
            let mut address = String::new();
            for line in lines {
                if let Some((_, listening)) = line.split_once("msg=\"Listening on\" address=") {
                    listening.trim().clone_into(&mut address);
                } else if line.contains("Server is ready to receive web requests") {
                    let _ = found.send(address.clone());
                } else if line.contains("level=error") {
                    eprintln!("{line}");
                }
            }
        });
        let address = address.recv_timeout(START);
        let mut started = Self { child, address: String::new(), _folder: folder };
        started.address = address.expect("Prometheus gets ready");
        started
    }

    /// The values that an instant query finds, or what Prometheus says is wrong with it.
    pub fn query(&self, expression: &str) -> Result<Vec<f64>, String> {
        let data = self.ask("query", &[("query", expression)])?;
        let series = data["result"].as_array().cloned().unwrap_or_default();
        Ok(series.iter().map(|one| one["value"][1].as_str().unwrap().parse().unwrap()).collect())
    }

    /// Alerts that are pending or firing.
    pub fn alerts(&self) -> Vec<Alert> {
        let data = self.ask("alerts", &[]).unwrap();
        let alert = |one: &Value| Alert {
            labels: one["labels"].clone(),
            annotations: one["annotations"].clone(),
            firing: one["state"] == "firing",
        };
        data["alerts"].as_array().unwrap().iter().map(alert).collect()
    }

    /// Every rule that was read: recording and alerting.
    pub fn rules(&self) -> Vec<Value> {
        let data = self.ask("rules", &[]).unwrap();
        let groups = data["groups"].as_array().unwrap().iter();
        groups.flat_map(|group| group["rules"].as_array().unwrap().clone()).collect()
    }

    fn ask(&self, what: &str, parameters: &[(&str, &str)]) -> Result<Value, String> {
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .timeout_global(Some(Duration::from_secs(20)))
            .http_status_as_error(false)
            .build()
            .into();
        let request = agent.get(format!("http://{}/api/v1/{what}", self.address));
        let request = parameters.iter().fold(request, |request, (name, value)| request.query(*name, *value));
        let text = request.call().and_then(|mut answer| answer.body_mut().read_to_string());
        let answer: Value = serde_json::from_str(&text.map_err(|error| error.to_string())?).unwrap();
        if answer["status"] == "success" { Ok(answer["data"].clone()) } else { Err(answer["error"].to_string()) }
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
