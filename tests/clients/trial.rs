//! One client, one way: its calls through a gate of its own, and what is wrong with what came of them.

use crate::client::{Client, Way};
use crate::gate::{DEADLINE, Gate, UPSTREAM_KEY, wait_until};
use crate::site::{Said, Site};
use crate::support::witness::{Action, Behaviour, SeenRequest, Witness};
use std::time::Duration;

pub const TOKEN: &str = "t0k3n-of-the-witness";
pub const ARTICLE: &str = r#"{"ref":"A1"}"#;
const QUOTE: &str = r#"{"ref":"A1","label":"Écran"}"#;
const UPLOAD: usize = 2 << 20;

/// Each call of the first part, in order, and what the client has to print of its answer.
const CALLS: [(&str, &str); 9] = [
    ("login", "200"),
    ("query", r#"200 {"ref":"A1"}"#),
    ("accent", r#"200 {"ref":"A1"}"#),
    ("post", r#"201 {"id":7}"#),
    ("upload", r#"201 {"id":8}"#),
    ("head", "200"),
    ("delete", "204"),
    ("delete_chunked", "204"),
    ("again", r#"200 {"ref":"A1"}"#),
];

/// Each refusal of the second part, how often, and what the client has to print of its answer.
const REFUSALS: [(&str, usize, &str); 2] = [("refused", 5, "401 unknown_key"), ("too_large", 1, "413 body_too_large")];

/// One line of the table: each column with what is wrong, or nothing.
pub struct Row {
    pub client: &'static str,
    pub way: &'static str,
    pub cells: Vec<(&'static str, Option<String>)>,
}

impl Row {
    pub fn faults(&self) -> Vec<String> {
        self.cells.iter().filter_map(|(column, fault)| Some(format!("{column}: {}", fault.as_ref()?))).collect()
    }

    fn cell(&mut self, column: &'static str, is_good: bool, seen: impl FnOnce() -> String) {
        self.cells.push((column, (!is_good).then(seen)));
    }
}

pub async fn all_ways(client: &Client) -> Vec<Row> {
    let site = Site::new();
    client.prepare(site.folder());
    let mut rows = Vec::new();
    for way in client.ways {
        rows.push(Trial { client, way: *way, site: &site }.row().await);
    }
    rows
}

struct Trial<'t> {
    client: &'t Client,
    way: Way,
    site: &'t Site,
}

impl Trial<'_> {
    async fn row(&self) -> Row {
        let witness = eight_sens().await;
        let gate = self.site.gate(&witness, self.way.tls);
        let mut row = Row { client: self.client.name, way: self.way.label, cells: Vec::new() };

        let said = self.run(&gate, "calls").await;
        for (step, wanted) in CALLS {
            let seen = said.of(step);
            row.cell(step, seen == [wanted], || said.instead(&seen, &format!("{wanted:?}")));
        }
        let connections = connections(&gate).await;
        row.cell("reuse", self.client.connections.contains(&connections), || {
            format!("{connections} connections, not {:?}", self.client.connections)
        });
        let faults = self.faults_at_8sens(&witness.requests());
        row.cell("as_sent", faults.is_empty(), || faults.join("; "));
        let logged = wait_until(|| Some(gate.records()).filter(|records| records.len() >= CALLS.len()));
        let spoken: Vec<_> = logged.unwrap_or_default().iter().map(|record| record["http"].clone()).collect();
        row.cell("version", !spoken.is_empty() && spoken.iter().all(|spoken| *spoken == self.way.spoken), || {
            format!("{spoken:?}, not {}", self.way.spoken)
        });

        let before = witness.requests().len();
        let said = self.run(&gate, "refusals").await;
        for (step, times, wanted) in REFUSALS {
            let seen = said.of(step);
            let all = seen.len() == times && seen.iter().all(|seen| seen == wanted);
            row.cell(step, all, || said.instead(&seen, &format!("{times} times {wanted}")));
        }
        let beyond = witness.requests().len() - before;
        assert_eq!(beyond, 0, "a refused upload reached 8sens");
        row
    }

    async fn run(&self, gate: &Gate, part: &str) -> Said {
        let command = self.client.command(self.site.folder(), self.way, part);
        self.site.run(command, gate, self.way.tls).await
    }

    /// What differs from what the client meant, in what arrived at 8sens.
    fn faults_at_8sens(&self, seen: &[SeenRequest]) -> Vec<String> {
        let wanted: [(&str, &[&str], Option<&str>); 9] = [
            ("POST", &["/v1/login/user"], Some("login=CLIENTREST&password=clientrest")),
            ("GET", self.client.query, None),
            ("GET", self.client.accent, None),
            ("POST", &["/v1/devis"], Some(QUOTE)),
            ("POST", &["/v1/documents"], Some(&"x".repeat(UPLOAD))),
            ("HEAD", &["/v1/articles"], None),
            ("DELETE", &["/v1/panier/1"], None),
            ("DELETE", &["/v1/panier/2"], None),
            ("GET", &["/v1/articles"], None),
        ];
        let mut faults = Vec::new();
        let is_meant = |(request, (method, targets, _)): (&SeenRequest, &(&str, &[&str], Option<&str>))| {
            request.method() == *method && targets.contains(&request.target())
        };
        if seen.len() != wanted.len() || !seen.iter().zip(&wanted).all(is_meant) {
            let arrived: Vec<_> = seen.iter().map(|request| request.head.lines().next()).collect();
            return vec![format!("{arrived:?} arrived")];
        }
        for (request, (_, _, body)) in seen.iter().zip(wanted) {
            let target = request.target();
            let of_a_connection = ["upgrade", "http2-settings", "te", "keep-alive", "expect", "proxy-connection"];
            for name in of_a_connection.iter().filter(|name| !request.values(name).is_empty()) {
                faults.push(format!("{target}: {name} was passed on"));
            }
            if request.values("api_key") != [UPSTREAM_KEY] {
                faults.push(format!("{target}: api_key {:?}", request.values("api_key")));
            }
            if request.body != body.unwrap_or_default().as_bytes() {
                faults.push(format!("{target}: another body, of {} bytes", request.body.len()));
            }
        }
        faults
    }
}

/// How many connections the gate has had, once all of them have ended.
async fn connections(gate: &Gate) -> u64 {
    let end = tokio::time::Instant::now() + DEADLINE;
    loop {
        let metrics = gate.metrics().await;
        let value = |line: &str| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap();
        let of = |name: &str| metrics.lines().filter(|line| line.starts_with(name)).map(value).sum::<f64>();
        let (open, ended) = (of("sensgate_connections_open"), of("sensgate_connections_total"));
        if open == 0.0 && ended > 0.0 {
            return ended as u64;
        }
        assert!(tokio::time::Instant::now() < end, "connections stay open after the client has ended");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A stand-in for 8sens that answers as different servers do.
pub async fn eight_sens() -> Witness {
    Witness::start(Behaviour::by(answer_to)).await
}

fn answer_to(request: &SeenRequest) -> Action {
    let answer = |status: u16, body: &str| Action::AnswerWith { status, headers: Vec::new(), body: body.into() };
    match (request.method(), request.target()) {
        ("POST", "/v1/login/user") => answer(200, &format!("{{\"access_token\":\"{TOKEN}\"}}")),
        ("POST", "/v1/devis") => answer(201, r#"{"id":7}"#),
        ("POST", "/v1/documents") => answer(201, r#"{"id":8}"#),
        ("DELETE", "/v1/panier/1") => answer(204, ""),
        // As some servers end every answer (RFC 9112 section 6.1 forbids it here).
        ("DELETE", _) => {
            Action::Bytes(b"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".to_vec())
        }
        _ => answer(200, ARTICLE),
    }
}
