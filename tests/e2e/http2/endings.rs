//! The answer to a refused upload arrives, its siblings go on, and a caller that reads nothing leaves nothing behind.

use super::{API_KEY, Site, by_path};
#[cfg(target_os = "linux")]
use crate::closing::wait_until_nothing_is_left;
use crate::gate::PARTNER_KEY;
use crate::support::http2::{Frame, FrameClient, NO_ERROR, Outcome, RST_STREAM, WINDOW_UPDATE};
use crate::support::witness::{Action, Behaviour};
use crate::tls::wait_for_metric;

const MIB: usize = 1 << 20;

/// Waits until the stream that was answered is reset, and tells with what.
async fn reset_of(client: &mut FrameClient, stream: u32) -> u32 {
    let is_reset = |frame: &&Frame| frame.kind == RST_STREAM && frame.stream == stream;
    loop {
        if let Some(frame) = client.seen.iter().find(is_reset) {
            return frame.error();
        }
        client.next().await.expect("the connection goes on");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_upload_is_answered_and_costs_its_siblings_nothing() {
    let site = Site::start(by_path(), |config| config).await;
    let mut client = site.connect().await;
    client.get(1, "/v1/slow", &[API_KEY]).await.unwrap();
    let body = vec![b'x'; 4 * MIB];
    let (length, huge) = (body.len().to_string(), (64 * MIB).to_string());
    // Together many times what the window of the connection holds.
    let (mut stream, mut refused) = (3, Vec::new());
    for _ in 0..4 {
        for (key, fields, status) in [
            ("nobody", vec![], 401),
            ("nobody", vec![("content-length", length.as_str())], 401),
            (PARTNER_KEY, vec![("content-length", length.as_str())], 403),
            (API_KEY.1, vec![("content-length", huge.as_str())], 413),
            (API_KEY.1, vec![("host", "another.example")], 400),
        ] {
            client.post(stream, "/v1/devis", &[&[("api_key", key)], &fields[..]].concat()).await.unwrap();
            client.body(stream, &body).await.unwrap();
            assert_eq!(client.outcome(stream).await.status(), Some(status), "{key} {fields:?}");
            refused.push(stream);
            stream += 2;
        }
    }
    for stream in refused {
        assert_eq!(reset_of(&mut client, stream).await, NO_ERROR);
    }
    assert_eq!(client.outcome(1).await.status(), Some(200));
    client.post(stream, "/v1/devis", &[API_KEY]).await.unwrap();
    client.body(stream, &body).await.unwrap();
    assert_eq!(client.outcome(stream).await.status(), Some(200));
    assert!(site.witness.requests().iter().any(|request| request.body == body));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_goes_wrong_under_way_is_answered() {
    let site = Site::start(by_path(), |config| config.with("limits", "body_bytes = \"1MiB\"")).await;
    let mut client = site.connect().await;
    for stream in [1, 3, 5] {
        client.post(stream, "/v1/devis", &[API_KEY]).await.unwrap();
        client.body(stream, &vec![b'x'; 4 * MIB]).await.unwrap();
        let Outcome::Answer(answer) = client.outcome(stream).await else { panic!() };
        assert_eq!((answer.status, answer.code().as_deref()), (413, Some("body_too_large")));
        assert_eq!(reset_of(&mut client, stream).await, NO_ERROR);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_answer_of_a_connection_arrives_too() {
    let site = Site::start(by_path(), |config| {
        config.with("limits", "requests_per_connection = 1").with("limits", "failed_credentials = \"100/s\"")
    })
    .await;
    for _ in 0..20 {
        let mut client = site.connect().await;
        client.post(1, "/v1/devis", &[("api_key", "nobody")]).await.unwrap();
        // Nothing is read before all of it was sent that may be.
        for _ in 0..4 {
            client.data(1, &vec![b'x'; 16 << 10][..16_000], false).await.unwrap();
        }
        assert_eq!(client.outcome(1).await.status(), Some(401));
        assert_eq!(client.end().await, Some(NO_ERROR));
    }
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_reads_nothing_leaves_nothing_behind() {
    let big = Behaviour::by(|request| match request.target() {
        "/v1/export" => Action::Download(64 << 20),
        _ => Action::Answer,
    });
    let site = Site::start(big, |config| config.with("limits", "write_timeout = \"500ms\"")).await;
    let mut client = site.connect().await;
    let window = (1u32 << 30).to_be_bytes();
    client.send(Frame::new(WINDOW_UPDATE, 0, 0, window)).await.unwrap();
    for stream in [1, 3, 5] {
        client.get(stream, "/v1/export", &[API_KEY]).await.unwrap();
        client.send(Frame::new(WINDOW_UPDATE, 0, stream, window)).await.unwrap();
    }
    wait_for_metric(&site.gate, "sensgate_connections_total{outcome=\"slow_reader\"}", 1.0).await;
    wait_until_nothing_is_left(site.gate.address().port());
    drop(client);
    site.serves().await;
}
