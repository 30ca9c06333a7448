//! ACME where Pebble does not reach: renewal windows, profiles, an order that is resumed, an authority that asks
//! to wait.

use crate::acme::{kept, wait_for, wait_for_certificate, wait_for_metric};
use crate::gate::{Config, Gate};
use crate::support::acme_directory::{AcmeDirectory, Manners};
use crate::support::pebble::free_port;
use crate::support::witness::{Behaviour, Witness};
use std::time::{Duration, Instant};

struct Site {
    directory: AcmeDirectory,
    witness: Witness,
    plain: u16,
}

impl Site {
    async fn new(manners: Manners) -> Self {
        let plain = free_port();
        Self {
            directory: AcmeDirectory::start(plain, manners).await,
            witness: Witness::start(Behaviour::answer()).await,
            plain,
        }
    }

    fn config(&self, name: &str, more: &str) -> Config {
        let directory = self.directory.url();
        let acme = format!(
            "tls = {{ acme = {{ domains = [\"{name}\"], directory = \"{directory}\", ca = \"ca-chain.pem\"{more} }} }}"
        );
        let plain = format!("[[listener]]\naddress = \"127.0.0.1:{}\"\nplaintext = \"redirect\"\n", self.plain);
        Config::new(self.witness.addr()).with("listener", &acme).and(&plain)
    }

    fn start(&self, name: &str, more: &str) -> Gate {
        let folder = tempfile::tempdir().unwrap();
        self.directory.made.write(folder.path(), "ca");
        Gate::start_in(folder, &self.config(name, more), |command| command)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_authority_says_when_to_renew_and_is_told_what_is_replaced() {
    // The first certificate is to go at once, long before two thirds of its lifetime.
    let site = Site::new(Manners { windows: vec![(1, 3), (3600, 7200)], ..Manners::default() }).await;
    let gate = site.start("gate.test", "");
    let first = wait_for_certificate(&gate, &site.directory.root, "gate.test").await;
    wait_for(&gate, "not renewed", async || {
        crate::acme::shown(&gate, &site.directory.root, "gate.test").await.filter(|now| *now != first)
    })
    .await;
    wait_for(&gate, "not asked again", async || (site.directory.asked().len() >= 2).then_some(())).await;
    let (asked, orders) = (site.directory.asked(), site.directory.orders());
    assert_eq!(orders.len(), 2, "the second window is far away: {orders:#?}");
    assert_eq!((&orders[0]["replaces"], &orders[1]["replaces"]), (&serde_json::Value::Null, &asked[0].as_str().into()));
    assert_eq!(orders[0]["profile"], serde_json::Value::Null, "names get the default");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_window_of_the_past_renews_at_the_start_and_not_for_ever() {
    let site = Site::new(Manners { windows: vec![(-7200, -3600)], ..Manners::default() }).await;
    let mut gate = site.start("gate.test", "");
    wait_for_certificate(&gate, &site.directory.root, "gate.test").await;
    gate.wait_for_line("the new certificate is due at once");
    assert_eq!(site.directory.orders().len(), 1);
    // A start knows nothing of how old the certificate is, and does what it is told; then it is careful again.
    let mut gate = gate.restart(&site.config("gate.test", ""));
    gate.wait_for_line("the new certificate is due at once");
    assert_eq!(site.directory.orders().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_are_short_lived_and_no_profile_is_asked_for_that_is_not_there() {
    for (profiles, name, more, asked) in [
        (vec!["classic", "shortlived"], "127.0.0.1", "", "shortlived".into()),
        (vec!["classic"], "127.0.0.1", "", serde_json::Value::Null),
        (vec!["classic", "shortlived"], "gate.test", ", profile = \"classic\"", "classic".into()),
        (vec!["classic"], "gate.test", ", profile = \"gone\"", serde_json::Value::Null),
    ] {
        let site = Site::new(Manners { profiles, ..Manners::default() }).await;
        let mut gate = site.start(name, more);
        wait_for_certificate(&gate, &site.directory.root, name).await;
        assert_eq!(site.directory.orders()[0]["profile"], asked, "{name} {more}");
        if more.contains("gone") {
            gate.wait_for_line("the directory does not offer this profile");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_for_something_else_is_not_served() {
    let site = Site::new(Manners { lies: true, ..Manners::default() }).await;
    let mut gate = site.start("gate.test", "");
    gate.wait_for_line("the issued certificate is not for gate.test");
    assert!(crate::acme::shown(&gate, &site.directory.root, "other.test").await.is_none());
    assert!(!kept(&gate).iter().any(|path| path.to_str().unwrap().ends_with(".pem")), "{:?}", kept(&gate));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_of_before_a_kill_is_taken_up_again() {
    let site = Site::new(Manners { holds_validation: true, ..Manners::default() }).await;
    let gate = site.start("gate.test", "");
    wait_for(&gate, "no order", async || site.directory.is_asked_to_validate().then_some(())).await;
    gate.signal("KILL");
    let mut gate = gate.restart(&site.config("gate.test", ""));
    gate.wait_for_line("an earlier order is resumed");
    site.directory.validate();
    wait_for_certificate(&gate, &site.directory.root, "gate.test").await;
    assert_eq!(site.directory.orders().len(), 1);
    assert!(!kept(&gate).iter().any(|path| path.to_str().unwrap().ends_with(".order.json")));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authority_that_asks_to_wait_is_not_asked_before() {
    let site = Site::new(Manners { rate_limited: (1, 100_000), ..Manners::default() }).await;
    let mut gate = site.start("gate.test", "");
    wait_for_metric(&gate, "sensgate_acme_orders_total{result=\"failed\"}", 1.0).await;
    gate.wait_for_line("retry_in_seconds=100000");
    // A reload of the same does not change its mind, one of something else does.
    gate.signal("HUP");
    gate.wait_for_line("configuration");
    let end = Instant::now() + Duration::from_millis(500);
    while Instant::now() < end {
        assert!(site.directory.orders().is_empty());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    std::fs::write(gate.folder.path().join("sensgate.toml"), site.config("shop.test", "").text()).unwrap();
    gate.signal("HUP");
    wait_for_certificate(&gate, &site.directory.root, "shop.test").await;
}
