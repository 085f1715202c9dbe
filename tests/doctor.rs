//! `punchline doctor` with relays on this machine. `tests/nat` runs it behind NATs.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod common;

use std::{
    net::{TcpListener, UdpSocket},
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use common::{Finished, Proc, Relay, text};

const NO_ARGS: &[&str] = &[];
/// The longest time that the doctor takes, by its own word.
const LIMIT: Duration = Duration::from_secs(10);
const SILENT: &str = "a free port";

fn doctor(args: &[&str]) -> Finished {
    let started = Instant::now();
    let finished = Proc::start("doctor", &[&["doctor"], args].concat()).finish();
    let took = started.elapsed();
    assert!(took < LIMIT, "it took {took:?}\n{finished:?}");
    finished
}

/// The JSON object that the doctor has printed.
fn report(finished: &Finished) -> Value {
    assert_eq!(finished.stdout.lines().count(), 1, "{finished:?}");
    let report: Value = serde_json::from_str(&finished.stdout).unwrap();
    assert_eq!(report["event"], "doctor");
    assert_eq!(report["exit_status"], finished.code.unwrap());
    report
}

/// The state of each transport of the first relay.
fn states(report: &Value) -> Vec<(String, String)> {
    let transports = report["relays"][0]["transports"].as_array().unwrap().iter();
    transports
        .map(|by| (text(by, "transport"), text(by, "state")))
        .collect()
}

#[test]
fn finds_a_relay_by_its_url_and_is_reached_by_it() {
    let relay = Relay::start(NO_ARGS);
    let finished = doctor(&["--relay", &relay.url(), "--json"]);
    assert_eq!(finished.code, Some(0), "{finished:?}");
    let report = report(&finished);
    assert_eq!(report["udp"], "yes", "{report:#}");
    assert_eq!(report["tcp"], "yes", "{report:#}");
    assert_eq!(report["ipv4"]["works"], "yes", "{report:#}");
    assert_eq!(report["ipv4"]["nat"], json!({"kind": "none"}), "{report:#}");
    assert_eq!(report["ipv4"]["seen_from"], "two_ports", "{report:#}");
    assert_eq!(report["from_outside"]["reachable"], "yes", "{report:#}");
    assert_eq!(report["relays"][0]["peer"], *relay.peer_id);
    let states = states(&report);
    for (transport, state) in [
        ("quic", "reached"),
        ("tcp", "reached"),
        ("ws", "reached"),
        ("webrtc-direct", "not_dialable"),
    ] {
        let expected = (transport.to_owned(), state.to_owned());
        assert!(states.contains(&expected), "{expected:?}\n{report:#}");
    }
    assert_eq!(report["result"], "direct");
    assert_eq!(report["notes"], json!(["relay_on_this_machine"]));
    let next = format!("punchline --relay {}", relay.url());
    assert_eq!(report["next"], json!([next]));
}

#[test]
fn speaks_to_people_in_words() {
    let relay = Relay::start(NO_ARGS);
    let finished = doctor(&["--relay", &relay.url()]);
    assert_eq!(finished.code, Some(0), "{finished:?}");
    for expected in [
        "UDP              gets out, and answers come back\n",
        "\nIPv4 NAT         none: ",
        "\nFrom outside     reachable: ",
        &format!("\nRelay {}\n  quic           reached in ", relay.url()),
        "\n  webrtc-direct  not dialable from a terminal: for browsers\n",
        "\nNote             the relay runs on this machine: ",
        "\nResult           direct paths are possible\n",
        &format!("\nNext             punchline --relay {}\n", relay.url()),
    ] {
        assert!(
            finished.stdout.contains(expected),
            "{expected}\n{finished:#?}"
        );
    }
    assert_eq!(finished.stderr, "");
}

#[test]
fn takes_a_multiaddr_too() {
    let relay = Relay::start(NO_ARGS);
    let address = relay.local_address("udp", "/quic-v1");
    let finished = doctor(&["--relay", &address, "--json"]);
    let report = report(&finished);
    assert_eq!(finished.code, Some(0), "{report:#}");
    assert_eq!(report["relays"][0]["given"], *address);
    // On free ports the relay's other addresses cannot be guessed from this one.
    assert_eq!(states(&report), [("quic".to_owned(), "reached".to_owned())]);
    assert_eq!(report["relays"][0]["error"], Value::Null);
}

#[test]
fn finds_the_other_ports_of_a_relay_with_the_usual_ones() {
    let port = common::free_ports().to_string();
    let seed = ["--json", "--secret-key-seed", "1"];
    let args = [&["relay", "--port", &port], &seed[..]].concat();
    let relay = Relay::ready(Proc::start("relay", &args));
    let finished = doctor(&["--relay", &format!("/ip4/127.0.0.1/tcp/{port}"), "--json"]);
    let report = report(&finished);
    assert_eq!(finished.code, Some(0), "{report:#}");
    assert_eq!(report["relays"][0]["peer"], *relay.peer_id, "{report:#}");
    let states = states(&report);
    let reached = states.iter().filter(|(_, state)| state == "reached");
    assert_eq!(reached.count(), 3, "{report:#}");
    assert_eq!(report["ipv4"]["seen_from"], "two_ports", "{report:#}");
}

#[test]
fn without_a_relay_it_says_what_to_run() {
    let finished = doctor(NO_ARGS);
    assert_eq!(finished.code, Some(4), "{finished:?}");
    assert!(
        finished
            .stdout
            .contains("\nNext             punchline relay ")
    );
    assert_eq!(finished.stderr, "");
    let finished = doctor(&["--json"]);
    let report = report(&finished);
    assert_eq!(report["notes"], json!(["no_relay_given"]));
    assert_eq!(report["udp"], "unknown");
}

#[test]
fn a_relay_that_is_not_there() {
    // A port that was free a moment ago refuses connections.
    let gone = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let url = format!("http://{}", gone.local_addr().unwrap());
    drop(gone);
    let finished = doctor(&["--relay", &url, "--json"]);
    let report = report(&finished);
    assert_eq!(finished.code, Some(4), "{report:#}");
    assert_eq!(report["relays"][0]["reached"], false);
    assert!(
        text(&report["relays"][0], "error").contains("refused"),
        "{report:#}"
    );
    assert_eq!(report["notes"], json!(["no_relay_reached"]));
    assert!(report["next"][0].as_str().unwrap().contains("operator"));
}

#[test]
fn one_that_takes_everything_and_answers_nothing_does_not_hold_it_up() {
    let http = TcpListener::bind(("127.0.0.1", 0)).expect(SILENT);
    let udp = UdpSocket::bind(("127.0.0.1", 0)).expect(SILENT);
    let url = format!("http://{}", http.local_addr().unwrap());
    let quic = format!(
        "/ip4/127.0.0.1/udp/{}/quic-v1",
        udp.local_addr().unwrap().port()
    );
    let tcp = format!("/ip4/127.0.0.1/tcp/{}", http.local_addr().unwrap().port());
    let finished = doctor(&["--relay", &url, "--relay", &quic, "--relay", &tcp, "--json"]);
    let report = report(&finished);
    assert_eq!(finished.code, Some(4), "{report:#}");
    let relays = report["relays"].as_array().unwrap();
    assert_eq!(relays.len(), 3, "{report:#}");
    for relay in relays {
        assert_eq!(relay["reached"], false, "{report:#}");
        assert!(relay["error"].is_string(), "{report:#}");
    }
}

#[test]
fn of_two_relays_one_may_be_dead() {
    let relay = Relay::start(NO_ARGS);
    let dead = "/ip4/127.0.0.1/tcp/1";
    let finished = doctor(&["--relay", dead, "--relay", &relay.url(), "--json"]);
    let report = report(&finished);
    assert_eq!(finished.code, Some(0), "{report:#}");
    let reached = |n: usize| report["relays"][n]["reached"].as_bool().unwrap();
    assert_eq!((reached(0), reached(1)), (false, true), "{report:#}");
}

#[test]
fn wrong_arguments_look_at_nothing() {
    let many: Vec<_> = (1..=9)
        .flat_map(|n| ["--relay".to_owned(), format!("/ip4/192.0.2.7/tcp/{n}")])
        .collect();
    let many: Vec<_> = many.iter().map(String::as_str).collect();
    for (args, expected) in [
        (&["--relay", "nonsense"][..], "nor a URL"),
        (&["--relay"], "a value is required"),
        (&["--namespace", "x"], "unexpected argument"),
        (&["/ip4/192.0.2.7/tcp/1"], "unexpected argument"),
        (&many, "at most 8"),
    ] {
        let finished = doctor(args);
        assert_eq!(finished.code, Some(2), "{finished:?}");
        assert_eq!(finished.stdout, "");
        assert!(finished.stderr.starts_with("error: "), "{finished:?}");
        assert!(finished.stderr.contains(expected), "{finished:?}");
        assert_eq!(finished.stderr.lines().count(), 1, "{finished:?}");
    }
}

#[test]
fn asked_to_stop_it_stops() {
    let http = TcpListener::bind(("127.0.0.1", 0)).expect(SILENT);
    let url = format!("http://{}", http.local_addr().unwrap());
    let doctor = Proc::start("doctor", &["doctor", "--relay", &url]);
    // Once it has connected, its signal handlers are set.
    let _connection = http.accept().unwrap();
    doctor.signal(Signal::SIGINT);
    let finished = doctor.finish();
    assert_eq!(finished.code, Some(1), "{finished:?}");
    assert!(finished.stderr.contains("stopped"), "{finished:?}");
}
