//! Peers that meet through a relay, and outlive it.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod common;

use std::{
    io::{Read, Write},
    net::TcpListener,
    process::Command,
};

use nix::sys::signal::Signal;
use serde_json::Value;

use common::{Proc, Relay, free_ports, http_get, text};

/// Starts a peer that listens on the loopback interface.
fn peer(name: &str, args: &[&str]) -> Proc {
    let listen = [
        "--json",
        "--listen",
        "/ip4/127.0.0.1/udp/0/quic-v1",
        "--listen",
        "/ip4/127.0.0.1/tcp/0",
    ];
    Proc::start(name, &[&listen[..], args].concat())
}

/// Starts a peer, waits until it is registered at the relay, and returns it with its id.
fn registered_peer(name: &str, relay: &str, more: &[&str]) -> (Proc, String) {
    let mut proc = peer(name, &[&["--relay", relay], more].concat());
    let id = text(&proc.wait_event("started"), "peer_id");
    proc.wait_event("reserved");
    assert_eq!(proc.wait_event("registered")["ttl"], 7_200);
    proc.wait_event("ready");
    (proc, id)
}

/// Starts a relay with ports and a key that it has again after a restart.
fn relay_at(port: u16, data_dir: &std::path::Path) -> Relay {
    let port = port.to_string();
    let data_dir = data_dir.to_str().unwrap();
    let args = ["relay", "--json", "--port", &port, "--data-dir", data_dir];
    Relay::ready(Proc::start("relay", &args))
}

fn url(port: u16) -> String {
    format!("http://127.0.0.1:{}", port + 2)
}

fn wait_connected(proc: &mut Proc, peer: &str) {
    proc.wait_for("connection", |event| {
        event["event"] == "connected" && event["peer"] == peer
    });
}

fn wait_direct(proc: &mut Proc, peer: &str) {
    proc.wait_for("direct path", |event| match event["event"].as_str() {
        Some("connected") => event["peer"] == peer && event["path"] == "direct",
        Some("path_changed") => event["peer"] == peer && event["to"] == "direct",
        _ => false,
    });
}

fn wait_message(proc: &mut Proc, body: &str) -> Value {
    proc.wait_for(body, |event| {
        event["event"] == "message" && event["body"] == body
    })
}

fn mentions(proc: &mut Proc, peer: &str) -> bool {
    proc.pending_events()
        .iter()
        .any(|event| event["peer"] == peer || event["from"] == peer)
}

#[test]
fn peers_meet_talk_and_outlive_the_relay() {
    let data_dir = tempfile::tempdir().unwrap();
    let port = free_ports();
    let relay = relay_at(port, data_dir.path());
    let (mut b, b_id) = registered_peer("b", &url(port), &[]);
    let (mut a, a_id) = registered_peer("a", &url(port), &[]);
    assert_eq!(a.wait_event("discovered")["peer"], *b_id);
    wait_direct(&mut a, &b_id);
    wait_direct(&mut b, &a_id);
    a.type_line("hello from a");
    b.type_line("hello from b");
    wait_message(&mut b, "hello from a");
    wait_message(&mut a, "hello from b");

    relay.proc.signal(Signal::SIGKILL);
    relay.proc.finish();
    for number in 0..1_000 {
        a.type_line(&format!("a {number}"));
        b.type_line(&format!("b {number}"));
    }
    for number in 0..1_000 {
        assert_eq!(a.wait_event("message")["body"], format!("b {number}"));
        assert_eq!(b.wait_event("message")["body"], format!("a {number}"));
    }
    a.wait_event("reservation_lost");
    b.wait_event("reservation_lost");

    let relay = relay_at(port, data_dir.path());
    for proc in [&mut a, &mut b] {
        assert_eq!(proc.wait_event("registered")["relay"], *relay.peer_id);
    }
    a.type_line("once more");
    wait_message(&mut b, "once more");
    a.signal(Signal::SIGINT);
    b.signal(Signal::SIGINT);
    for finished in [a.finish(), b.finish()] {
        assert_eq!(finished.code, Some(0), "{finished:?}");
        assert_eq!(
            finished
                .stdout
                .matches(r#""event":"reservation_lost""#)
                .count(),
            1
        );
    }
}

#[test]
fn three_peers_in_a_room_and_none_of_the_next_one() {
    let relay = Relay::start(&[] as &[&str]);
    let of = |namespace| {
        move |name: &str, relay: &str| registered_peer(name, relay, &["--namespace", namespace])
    };
    let (ours, theirs) = (of("ours"), of("theirs"));
    // Some know the relay by its URL, some by its address.
    let address = relay.local_address("tcp", "/p2p/");
    let mut room = vec![
        ours("a", &relay.url()),
        theirs("x", &relay.url()),
        ours("b", &address),
    ];
    room.push(theirs("y", &address));
    room.push(ours("c", &relay.url()));
    let ids: Vec<_> = room.iter().map(|(_, id)| id.clone()).collect();
    for (own, others) in [(0, [2, 4]), (2, [0, 4]), (4, [0, 2])] {
        for other in others {
            wait_connected(&mut room[own].0, &ids[other]);
        }
    }
    wait_connected(&mut room[1].0, &ids[3]);
    wait_connected(&mut room[3].0, &ids[1]);
    room[0].0.type_line("to our room");
    wait_message(&mut room[2].0, "to our room");
    wait_message(&mut room[4].0, "to our room");
    for own in [0, 2, 4] {
        for other in [1, 3] {
            assert!(!mentions(&mut room[own].0, &ids[other]));
            assert!(!mentions(&mut room[other].0, &ids[own]));
        }
    }
}

#[test]
fn a_relay_may_come_later_and_change_its_key() {
    let port = free_ports();
    let mut a = peer("a", &["--relay", &url(port)]);
    let complaint = a.wait_event("error");
    assert_eq!(complaint["code"], "bootstrap-failed", "{complaint}");
    assert!(
        text(&complaint, "message").contains(&url(port)),
        "{complaint}"
    );
    let first_dir = tempfile::tempdir().unwrap();
    let first = relay_at(port, first_dir.path());
    let first_id = first.peer_id.clone();
    assert_eq!(a.wait_event("registered")["relay"], *first_id);
    a.wait_event("ready");

    first.proc.signal(Signal::SIGINT);
    first.proc.finish();
    a.wait_event("reservation_lost");
    let second_dir = tempfile::tempdir().unwrap();
    let second = relay_at(port, second_dir.path());
    assert_ne!(first_id, second.peer_id);
    assert_eq!(a.wait_event("registered")["relay"], *second.peer_id);
}

#[test]
fn piped_lines_wait_for_somebody_at_the_relay() {
    let relay = Relay::start(&[] as &[&str]);
    let (mut b, _) = registered_peer("b", &relay.url(), &[]);
    let mut a = peer("a", &["--relay", &relay.url()]);
    a.type_line("hi");
    a.close_stdin();
    wait_message(&mut b, "hi");
    let finished = a.finish();
    assert_eq!(finished.code, Some(0), "{finished:?}");
}

#[test]
fn a_server_that_is_no_relay_is_reported_once() {
    let server = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let url = format!("http://{}", server.local_addr().unwrap());
    let mut a = peer("a", &["--relay", &url]);
    // A peer that asks for the third time has dealt with the second answer.
    for _ in 0..3 {
        let (mut stream, _) = server.accept().unwrap();
        assert!(stream.read(&mut [0; 1_024]).unwrap() > 0);
        let answer = "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
        stream.write_all(answer.as_bytes()).unwrap();
    }
    let complaint = a.wait_event("error");
    assert_eq!(complaint["code"], "bootstrap-failed", "{complaint}");
    assert!(text(&complaint, "message").contains("404"), "{complaint}");
    a.signal(Signal::SIGINT);
    let finished = a.finish();
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert_eq!(finished.stdout.matches(r#""event":"error""#).count(), 1);
}

/// A peer that keeps its identity, and with it what URLs of relays say, in this directory.
fn keeping_peer(url: &str, state: &std::path::Path) -> Proc {
    let mut command = Command::new(env!("CARGO_BIN_EXE_punchline"));
    command
        .args(["--json", "--listen", "/ip4/127.0.0.1/udp/0/quic-v1"])
        .args(["--relay", url, "--identity"])
        .arg(state.join("key"))
        .env("XDG_STATE_HOME", state);
    Proc::spawn("peer", command)
}

#[test]
fn what_the_url_of_a_relay_said_is_tried_before_it_answers_again() {
    let relay = Relay::start::<&str>(&[]);
    let (_, said) = http_get(relay.http, "/bootstrap.json");
    let server = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let url = format!("http://{}", server.local_addr().unwrap());
    let state = tempfile::tempdir().unwrap();
    let asked = || {
        let (mut stream, _) = server.accept().unwrap();
        assert!(stream.read(&mut [0; 1_024]).unwrap() > 0);
        stream
    };
    let mut first = keeping_peer(&url, state.path());
    let length = said.len();
    let answer =
        format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{said}");
    asked().write_all(answer.as_bytes()).unwrap();
    first.wait_event("reserved");
    first.signal(Signal::SIGINT);
    assert_eq!(first.finish().code, Some(0));
    let mut again = keeping_peer(&url, state.path());
    let _unanswered = asked();
    again.wait_event("reserved");
}

#[test]
fn who_was_met_directly_is_found_again_when_the_relay_is_gone() {
    let relay = Relay::start::<&str>(&[]);
    let url = relay.url();
    let (state_a, state_b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let start = |state: &tempfile::TempDir| {
        let mut peer = keeping_peer(&url, state.path());
        let id = text(&peer.wait_event("started"), "peer_id");
        (peer, id)
    };
    let (mut a, id_a) = start(&state_a);
    let (mut b, id_b) = start(&state_b);
    wait_direct(&mut a, &id_b);
    wait_direct(&mut b, &id_a);
    b.signal(Signal::SIGINT);
    assert_eq!(b.finish().code, Some(0));
    drop(relay);
    let (mut b, _) = start(&state_b);
    wait_direct(&mut b, &id_a);
    b.type_line("back again");
    a.wait_for("a message", |event| event["body"] == "back again");
}
