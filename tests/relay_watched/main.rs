//! What a relay can be watched by: `/metrics`, `/readyz`, `/status` and its log, of the real program.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
#![allow(clippy::print_stdout, reason = "a test says why it is left out")]

mod client;
#[path = "../common/mod.rs"]
mod common;
mod monitoring;
mod openmetrics;

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use futures::StreamExt;
use libp2p::Multiaddr;

use client::{call, client, register, reserve};
use common::{DEADLINE, Proc, Relay, http_get};
use openmetrics::Metrics;

const NO_ARGS: &[&str] = &[];
const ROOM: &str = "a room of our own";

/// How often to look where a figure is asked for again and again.
const POLL: Duration = Duration::from_millis(20);

/// Sends a GET with more headers, and returns the status, the head and the body.
fn get(server: SocketAddr, path: &str, headers: &str) -> (u16, String, String) {
    let mut stream = TcpStream::connect(server).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    write!(
        stream,
        "GET {path} HTTP/1.1\r\n{headers}connection: close\r\n\r\n"
    )
    .unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    let (head, body) = response.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, head.to_owned(), body.to_owned())
}

fn metrics(relay: &Relay) -> Metrics {
    let (status, body) = http_get(relay.http, "/metrics");
    assert_eq!(status, 200, "{body}");
    Metrics::parse(&body)
}

/// Asks until the figures are as they should be.
fn wait_for(relay: &Relay, wanted: &[(&str, f64)]) {
    let start = Instant::now();
    loop {
        let metrics = metrics(relay);
        let found: Vec<_> = wanted.iter().map(|(s, _)| (*s, metrics.value(s))).collect();
        if found == wanted {
            return;
        }
        assert!(start.elapsed() < DEADLINE, "{found:?} is not {wanted:?}");
        thread::sleep(POLL);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_peers_do_moves_the_figures_and_names_nobody() {
    const TO_CALLEE: &str = r#"punchline_relay_relayed_bytes_total{direction="to_callee"}"#;
    const TO_CALLER: &str = r#"punchline_relay_relayed_bytes_total{direction="to_caller"}"#;
    let relay = Relay::start(NO_ARGS);
    let before = metrics(&relay);
    for nothing in [
        "punchline_relay_reservations",
        "punchline_relay_registrations",
        "punchline_relay_circuits",
        TO_CALLEE,
        TO_CALLER,
    ] {
        assert_eq!(before.value(nothing), 0.0, "{nothing}");
    }
    assert_eq!(before.value("punchline_relay_ready"), 1.0);
    assert!(before.value("process_open_fds") > 5.0);
    assert!(before.value("process_resident_memory_bytes") > 1e6);

    let address: Multiaddr = relay.local_address("tcp", "/p2p/").parse().unwrap();
    let id = relay.peer_id.parse().unwrap();
    let mut callee = client();
    reserve(&mut callee, &address).await;
    register(&mut callee, id, ROOM).await;
    let over_tcp = r#"punchline_relay_connections{transport="tcp"}"#;
    wait_for(
        &relay,
        &[
            ("punchline_relay_reservations", 1.0),
            (
                r#"punchline_relay_reservation_requests_total{result="new"}"#,
                1.0,
            ),
            ("punchline_relay_registrations", 1.0),
            (
                r#"punchline_relay_registration_requests_total{result="new"}"#,
                1.0,
            ),
            (over_tcp, 1.0),
            ("punchline_relay_circuits", 0.0),
        ],
    );

    let callee_id = *callee.local_peer_id();
    let callee = tokio::spawn(async move {
        loop {
            callee.select_next_some().await;
        }
    });
    let mut caller = client();
    let caller_id = *caller.local_peer_id();
    call(&mut caller, &address, callee_id).await;
    wait_for(
        &relay,
        &[
            ("punchline_relay_circuits", 1.0),
            ("punchline_relay_circuits_opened_total", 1.0),
            (
                r#"punchline_relay_circuit_requests_total{result="accepted"}"#,
                1.0,
            ),
            (over_tcp, 2.0),
        ],
    );
    let during = metrics(&relay);
    // At least the handshakes of Noise, whose messages are of known lengths, and a ping.
    assert!(
        during.value(TO_CALLEE) > 200.0 && during.value(TO_CALLER) > 200.0,
        "{during:?}"
    );
    let handshakes = r#"punchline_relay_handshake_duration_seconds_count{transport="tcp"}"#;
    assert_eq!(during.value(handshakes), 2.0);

    let (_, text) = http_get(relay.http, "/metrics");
    for secret in [
        &caller_id.to_string(),
        &callee_id.to_string(),
        ROOM,
        "127.0.0.1",
        &relay.peer_id,
    ] {
        assert!(!text.contains(secret), "{secret}");
    }

    drop(caller);
    callee.abort();
    wait_for(
        &relay,
        &[
            ("punchline_relay_circuits", 0.0),
            ("punchline_relay_reservations", 0.0),
            (over_tcp, 0.0),
        ],
    );
    assert!(
        metrics(&relay).value(TO_CALLEE) >= during.value(TO_CALLEE),
        "totals stay"
    );
}

#[test]
fn refusals_are_counted_by_their_reason() {
    const REFUSED: &str = r#"punchline_relay_refusals_total{reason="http_connections"}"#;
    // One address has three of the four.
    let relay = Relay::start(&["--max-http-connections", "4"]);
    let held: Vec<_> = (0..5).map(|_| healthz(&relay)).collect();
    // There is no room for this question, but figures are wanted now, of all times.
    let now = metrics(&relay);
    assert_eq!(now.value(REFUSED), 3.0);
    assert_eq!(now.value("punchline_relay_http_connections"), 3.0);
    drop(held);
}

/// Gets an answer on a connection that stays open.
fn healthz(relay: &Relay) -> TcpStream {
    let mut stream = TcpStream::connect(relay.http).unwrap();
    let request = "GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n";
    stream.write_all(request.as_bytes()).unwrap();
    stream.read_exact(&mut [0]).unwrap();
    stream
}

#[test]
fn figures_are_for_this_machine_unless_the_operator_says_otherwise() {
    const LOCAL: &str = "host: localhost\r\n";
    const PASSED_ON: &str = "host: localhost\r\nx-forwarded-for: 203.0.113.7\r\n";
    let relay = Relay::start(NO_ARGS);
    assert_eq!(get(relay.http, "/metrics", LOCAL).0, 200);
    for headers in [PASSED_ON, "host: evil.example\r\n"] {
        let (status, head, body) = get(relay.http, "/metrics", headers);
        assert_eq!(status, 403, "{headers}");
        assert!(
            body.contains("--metrics private") && body.lines().count() == 1,
            "{body}"
        );
        assert!(head.contains("content-security-policy"), "{head}");
    }
    let open = Relay::start(&["--metrics", "any"]);
    assert_eq!(get(open.http, "/metrics", PASSED_ON).0, 200);
    let off = Relay::start(&["--metrics", "off"]);
    let (status, _, body) = get(off.http, "/metrics", LOCAL);
    assert!(status == 403 && body.contains("--metrics local"), "{body}");
    assert_eq!(get(off.http, "/readyz", LOCAL).0, 200, "that is no secret");
}

#[test]
fn failed_handshakes_are_counted_by_transport() {
    let relay = Relay::start(NO_ARGS);
    let ws = relay.local_address("tcp", "/ws/");
    let port: u16 = ws.split('/').nth(4).unwrap().parse().unwrap();
    let mut stranger = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stranger.write_all(b"what is this?\r\n\r\n").unwrap();
    wait_for(
        &relay,
        &[
            (
                r#"punchline_relay_handshake_failures_total{transport="ws"}"#,
                1.0,
            ),
            (
                r#"punchline_relay_handshake_failures_total{transport="tcp"}"#,
                0.0,
            ),
        ],
    );
}

/// The page needs nothing but the program: no script in it, no directory, nobody else's server.
#[test]
fn the_status_page_is_in_the_program() {
    const LOCAL: &str = "host: localhost\r\n";
    let empty = tempfile::tempdir().unwrap();
    let relay = Relay::start(&["--www", empty.path().to_str().unwrap()]);
    let (status, head, page) = get(relay.http, "/status", LOCAL);
    assert_eq!(status, 200, "{page}");
    assert!(head.contains("script-src 'self'"), "{head}");
    assert!(
        head.contains("content-type: text/html; charset=utf-8"),
        "{head}"
    );
    let mut linked: Vec<_> = page
        .split('"')
        .filter(|s| s.starts_with("/status"))
        .collect();
    assert_eq!(linked.len(), 2, "{page}");
    linked.push("/status/figures.js");
    for path in linked {
        let (status, head, text) = get(relay.http, path, LOCAL);
        assert_eq!(status, 200, "{path}");
        let kind = if path.ends_with(".js") {
            "text/javascript"
        } else {
            "text/css"
        };
        assert!(head.contains(&format!("content-type: {kind}")), "{head}");
        assert!(
            !text.contains("innerHTML") && !text.contains("http://localhost"),
            "{path}"
        );
        let passed_on = get(relay.http, path, "host: localhost\r\nvia: 1.1 proxy\r\n");
        assert_eq!(passed_on.0, 403, "{path}");
    }
    let (status, head, json) = get(relay.http, "/status.json", LOCAL);
    assert_eq!(status, 200, "{json}");
    assert!(head.contains("content-type: application/json"), "{head}");
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(
        (&json["state"], &json["every"]),
        (&"ready".into(), &60.into())
    );
    assert_eq!(json["samples"].as_array().unwrap().len(), 1, "{json}");
    assert_eq!(json["now"]["circuits"], 0, "{json}");
    assert!(
        json["now"]["resident_bytes"].as_u64().unwrap() > 1_000_000,
        "{json}"
    );
}

/// Whoever takes all of a relay's file descriptors has it say so now and then, not each time that it tries to accept.
#[test]
fn a_stranger_does_not_fill_the_log() {
    const LINE: &str = "cannot accept an HTTP connection";
    const MAX_LINES: usize = 10;
    let program = env!("CARGO_BIN_EXE_punchline");
    let mut command = Command::new("sh");
    // What one needs, and a few more: how many that are depends on the machine's addresses.
    let files = metrics(&Relay::start(NO_ARGS)).value("process_open_fds") + 8.0;
    let few =
        format!("ulimit -n {files} && exec {program} relay --port 0 --json --log-format json");
    command.args(["-c", &few]);
    let relay = Relay::ready(Proc::spawn("relay", command));
    let connections: Vec<_> = (0..40)
        .map(|_| TcpStream::connect(relay.http).unwrap())
        .collect();
    let start = Instant::now();
    let left_out = loop {
        let log = relay.proc.stderr();
        if let Some(line) = log
            .lines()
            .find(|line| line.contains("left out of this log"))
        {
            break line.to_owned();
        }
        assert!(start.elapsed() < DEADLINE, "{log}");
        thread::sleep(POLL);
    };
    drop(connections);
    let log = relay.proc.stderr();
    let until = log.find(&left_out).unwrap();
    let lines = log[..until]
        .lines()
        .filter(|line| line.contains(LINE))
        .count();
    // The line comes every ten seconds, in which there may be the ends of two periods.
    assert!((1..=2 * MAX_LINES).contains(&lines), "{log}");
    assert!(left_out.contains("of punchline::http"), "{left_out}");
    for line in log.lines() {
        let line: serde_json::Value = serde_json::from_str(line).expect(line);
        assert!(
            line["timestamp"].is_string() && line["message"].is_string(),
            "{line}"
        );
        assert_eq!(line["level"], "WARN", "{line}");
    }
}

/// The doctor asks by STUN and AutoNAT.
#[test]
fn what_the_doctor_asks_is_counted() {
    const STUN: &str = "punchline_relay_stun_answers_total";
    const REACHABLE: &str = r#"punchline_relay_autonat_tests_total{result="reachable"}"#;
    let relay = Relay::start(NO_ARGS);
    assert_eq!(metrics(&relay).value(STUN), 0.0);
    let doctor = Proc::start("doctor", &["doctor", "--json", "--relay", &relay.url()]);
    let report = doctor.finish().stdout;
    assert!(metrics(&relay).value(STUN) > 0.0, "{report}");
    let start = Instant::now();
    // The relay may hear of the end of a test after the doctor.
    while metrics(&relay).value(REACHABLE) == 0.0 {
        assert!(start.elapsed() < DEADLINE, "{report}");
        thread::sleep(POLL);
    }
}
