//! `punchline bench`: two processes that measure what is between them.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod common;

use common::{Proc, Relay, text};
use serde_json::Value;

const TIME: [&str; 2] = ["--time", "200ms"];

/// A side that waits to be measured, and its address on this machine.
fn listener() -> (Proc, String) {
    let mut listener = Proc::start("listener", &["bench", "--listen", "--json"]);
    let listening = listener.wait_for("an address", |event| {
        let address = event["address"].as_str().unwrap_or_default();
        event["event"] == "listening"
            && address.starts_with("/ip4/127.0.0.1")
            && address.contains("quic-v1")
    });
    let address = text(&listening, "address");
    (listener, address)
}

/// Runs the other side, and returns its report.
fn measured(args: &[&str]) -> Value {
    let args: Vec<_> = ["bench", "--json"]
        .iter()
        .chain(args)
        .chain(&TIME)
        .collect();
    let finished = Proc::start("measurer", &args).finish();
    assert_eq!(finished.code, Some(0), "{finished:?}");
    let report: Value = serde_json::from_str(&finished.stdout).unwrap();
    assert_eq!(report["event"], "bench");
    report
}

fn has_figures(report: &Value) {
    for figure in [
        "first_ack_ms",
        "connected_ms",
        "messages_per_second",
        "bytes_per_second",
    ] {
        assert!(
            report[figure].as_f64().unwrap() > 0.0,
            "{figure} in {report}"
        );
    }
    let trips = &report["round_trip"];
    assert!(trips["count"].as_u64().unwrap() >= 1, "{report}");
    assert!(
        trips["p50_ms"].as_f64().unwrap() <= trips["p99_ms"].as_f64().unwrap(),
        "{report}"
    );
}

#[test]
fn a_path_is_measured_by_address_in_json_and_in_words() {
    let (mut listener, address) = listener();
    let report = measured(&[&address]);
    assert_eq!(
        (text(&report, "path"), text(&report, "transport")),
        ("direct".into(), "quic".into())
    );
    assert!(report["direct_ms"].is_number());
    has_figures(&report);
    listener.wait_event("connected");
    listener.wait_event("disconnected");
    let words = Proc::start("words", &["bench", &address, TIME[0], TIME[1]]).finish();
    assert_eq!(words.code, Some(0), "{words:?}");
    for label in [
        "Path ",
        "First ack ",
        "Round trip ",
        "Messages ",
        "Throughput ",
        "Verdict ",
    ] {
        assert!(
            words.stdout.lines().any(|line| line.starts_with(label)),
            "{label}: {words:?}"
        );
    }
    let shown = listener.lines();
    assert!(
        !shown
            .iter()
            .any(|line| line.contains(r#""event":"message""#)),
        "what is sent is not shown"
    );
}

#[test]
fn two_find_each_other_at_a_relay_by_its_url_and_in_their_own_room() {
    let relay = Relay::start::<&str>(&[]);
    let url = relay.url();
    let room = ["--relay", &url, "--namespace", "ours"];
    let args: Vec<_> = ["bench", "--listen", "--json"]
        .iter()
        .chain(&room)
        .collect();
    let mut listener = Proc::start("listener", &args);
    listener.wait_event("registered");
    let report = measured(&room);
    assert_eq!(text(&report, "path"), "direct", "{report}");
    has_figures(&report);
}

#[test]
fn a_peer_that_does_not_measure_is_not_written_to() {
    let mut peer = Proc::start(
        "peer",
        &[
            "--json",
            "--ephemeral",
            "--listen",
            "/ip4/127.0.0.1/udp/0/quic-v1",
        ],
    );
    let address = text(&peer.wait_event("listening"), "address");
    let finished = Proc::start("measurer", &["bench", &address]).finish();
    assert_eq!(finished.code, Some(1), "{finished:?}");
    assert!(
        finished.stderr.contains("punchline bench --listen"),
        "{finished:?}"
    );
    peer.wait_event("connected");
    peer.wait_event("disconnected");
    let shown = peer.lines();
    assert!(
        !shown
            .iter()
            .any(|line| line.contains(r#""event":"message""#)),
        "{shown:?}"
    );
}
