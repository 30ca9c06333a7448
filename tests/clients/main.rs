//! Programs that shops really use call through the gate: what their libraries send comes through, and every answer
//! arrives.
//!
//! `make clients` prints the table of all of them; `make test` runs each one as a test of its own.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, reason = "a test fails by panicking")]

mod client;
#[path = "../e2e/gate.rs"]
#[allow(dead_code, reason = "each test binary uses a part of it")]
mod gate;
mod page;
mod refused;
mod site;
#[path = "../support/mod.rs"]
mod support;
mod table;
mod trial;
mod windows;

use client::Client;

/// Every way of one client, as a test.
macro_rules! clients {
    ($($test:ident)*) => {
        $(#[tokio::test(flavor = "multi_thread")]
        async fn $test() {
            let client = client::named(stringify!($test));
            let rows = trial::all_ways(&client).await;
            assert!(rows.iter().all(|row| row.faults().is_empty()), "\n{}", table::render(&rows));
        })*

        #[test]
        fn every_client_is_a_test() {
            let mut tests = vec![$(stringify!($test)),*];
            let mut clients: Vec<&str> = client::CLIENTS.iter().map(|client: &Client| client.name).collect();
            tests.sort_unstable();
            clients.sort_unstable();
            assert_eq!(tests, clients);
        }
    };
}

clients! {
    curl php_curl php_streams guzzle fetch axios http_client requests httpx aiohttp java_http_client lwp
}

/// `make clients`.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "each client is a test of its own; this one prints the table"]
async fn table_of_all() {
    let mut rows = Vec::new();
    for client in client::CLIENTS {
        rows.extend(trial::all_ways(client).await);
    }
    println!("{}", table::render(&rows));
    assert!(rows.iter().all(|row| row.faults().is_empty()), "not every client gets through");
}
