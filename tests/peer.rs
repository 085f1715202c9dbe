//! Peers that dial each other by address: what a person types, pipes in and reads.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod common;

use std::{
    io::{BufRead, Write},
    net::TcpListener,
};

use nix::sys::signal::Signal;
use punchline::name::PeerName;
use serde_json::Value;

use common::{Proc, text, unread_peer, wait_exit};

const LISTEN: [&str; 4] = [
    "--listen",
    "/ip4/127.0.0.1/udp/0/quic-v1",
    "--listen",
    "/ip4/127.0.0.1/tcp/0",
];

/// Starts a peer that listens on the loopback interface and prints JSON.
fn peer(name: &str, args: &[&str]) -> Proc {
    Proc::start(name, &[&["--json"], &LISTEN[..], args].concat())
}

/// Starts a peer that listens on the loopback interface and prints lines for people.
fn plain_peer(name: &str, args: &[&str]) -> Proc {
    Proc::start(name, &[&LISTEN[..], args].concat())
}

/// Starts a peer, and returns it with its id and its address over that transport.
fn listener(name: &str, transport: &str) -> (Proc, String, String) {
    let mut proc = peer(name, &["--greet-interval", "0"]);
    let id = text(&proc.wait_event("started"), "peer_id");
    let listening =
        |event: &Value| event["event"] == "listening" && text(event, "address").contains(transport);
    let address = text(&proc.wait_for("address", listening), "address");
    proc.wait_event("ready");
    (proc, id, address)
}

fn wait_message(proc: &mut Proc, body: &str) -> Value {
    proc.wait_for(body, |event| {
        event["event"] == "message" && event["body"] == body
    })
}

fn wait_acked(proc: &mut Proc) -> Value {
    proc.wait_for("ack", |event| {
        event["event"] == "delivery" && event["state"] == "acked"
    })
}

fn wait_error(proc: &mut Proc, part: &str) {
    proc.wait_for(part, |event| {
        event["event"] == "error" && text(event, "message").contains(part)
    });
}

/// An address that nobody listens at.
fn dead_address() -> String {
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    format!("/ip4/127.0.0.1/tcp/{port}")
}

#[test]
fn a_dialled_peer_is_greeted_and_answers() {
    for transport in ["/quic-v1", "/tcp/"] {
        let (mut b, b_id, address) = listener("b", transport);
        let mut a = peer("a", &[&address, "--greet-interval", "200ms"]);
        let a_id = text(&a.wait_event("started"), "peer_id");
        let connected = a.wait_event("connected");
        assert_eq!(connected["peer"], *b_id);
        assert_eq!(connected["path"], "direct");
        assert_eq!(b.wait_event("connected")["peer"], *a_id);

        let first = b.wait_event("greeting");
        assert_eq!(
            (&first["from"], &first["message"]),
            (&a_id.into(), &"Hello from".into())
        );
        let reply = a.wait_event("greeting_reply");
        let without_id = address.split("/p2p/").next().unwrap();
        assert_eq!(reply["message"], format!("Hello back from {without_id}"));
        let seen_at = text(&reply, "address");
        let second = b.wait_event("greeting");
        assert_eq!(second["message"], format!("Hello from {seen_at}"));
    }
}

#[test]
fn typed_lines_go_both_ways_and_are_acked() {
    let (mut b, b_id, address) = listener("b", "/quic-v1");
    let mut a = peer("a", &[&address, "--greet-interval", "0"]);
    a.wait_event("connected");
    b.wait_event("connected");
    a.type_line("hello, ünïcode 👋");
    let message = wait_message(&mut b, "hello, ünïcode 👋");
    assert_eq!(message["path"], "direct");
    assert_eq!(wait_acked(&mut a)["to"], *b_id);
    b.type_line("//hello back");
    wait_message(&mut a, "/hello back");
    wait_acked(&mut b);
}

#[test]
fn several_addresses_are_several_peers() {
    let (mut b, b_id, to_b) = listener("b", "/quic-v1");
    let (mut c, c_id, to_c) = listener("c", "/tcp/");
    let mut a = peer("a", &[&to_b, &to_c, "--greet-interval", "0"]);
    a.type_line("to both");
    wait_message(&mut b, "to both");
    wait_message(&mut c, "to both");
    // The end of a peer id names a peer, too.
    let end = &c_id[c_id.len() - 8..];
    a.type_line(&format!("/to {end} to one"));
    a.type_line(&format!("/to {b_id} to the other"));
    wait_message(&mut c, "to one");
    wait_message(&mut b, "to the other");
    let said: Vec<_> = b
        .pending_events()
        .iter()
        .map(|event| event["body"].clone())
        .collect();
    assert!(!said.contains(&"to one".into()));
}

#[test]
fn a_peer_is_dialled_while_running() {
    let (mut b, _, address) = listener("b", "/tcp/");
    let mut a = peer("a", &["--greet-interval", "0"]);
    a.type_line("/dial nonsense");
    wait_error(&mut a, "nonsense is no multiaddr");
    a.type_line(&format!("/dial {address}"));
    // A line that is typed before anybody is connected waits, and is not lost.
    a.type_line("I waited");
    wait_message(&mut b, "I waited");
}

#[test]
fn piped_lines_are_delivered_before_it_ends() {
    let (mut b, _, address) = listener("b", "/quic-v1");
    let mut a = peer("a", &[&address, "--greet-interval", "0"]);
    for number in 0..2_000 {
        a.type_line(&format!("line {number}"));
    }
    a.close_stdin();
    let finished = a.finish();
    assert_eq!(finished.code, Some(0), "{finished:?}");
    for number in 0..2_000 {
        let message = b.wait_event("message");
        assert_eq!(message["body"], format!("line {number}"));
    }
}

#[test]
fn echo_hi_reads_well() {
    let (mut b, _, address) = listener("b", "/quic-v1");
    let mut a = plain_peer("a", &[&address, "--greet-interval", "0"]);
    a.type_line("hi");
    a.close_stdin();
    let finished = a.finish();
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert!(finished.stdout.contains("\nconnected to "), "{finished:?}");
    assert!(
        finished.stdout.contains("\n  ✓ #1 delivered\n"),
        "{finished:?}"
    );
    assert!(
        !finished.stdout.contains('\x1b'),
        "colours in a pipe: {finished:?}"
    );
    wait_message(&mut b, "hi");
}

#[test]
fn piped_lines_for_nobody_fail() {
    let address = dead_address();
    let mut a = peer("a", &[&address]);
    a.type_line("hi");
    a.close_stdin();
    let finished = a.finish();
    assert_eq!(finished.code, Some(1), "{finished:?}");
    let line = "error: nobody could be reached within 30 s: not sent\n";
    assert_eq!(finished.stderr, line);
    assert_eq!(
        finished.stdout.matches(&address).count(),
        1,
        "said once: {finished:?}"
    );
}

#[test]
fn no_input_is_no_reason_to_end() {
    let (mut b, _, address) = listener("b", "/quic-v1");
    b.close_stdin();
    let mut a = peer("a", &[&address, "--greet-interval", "0"]);
    a.type_line("still there?");
    wait_message(&mut b, "still there?");
    b.signal(Signal::SIGINT);
    let finished = b.finish();
    assert_eq!(finished.code, Some(0), "{finished:?}");
    a.wait_event("disconnected");
    a.signal(Signal::SIGTERM);
    assert_eq!(a.finish().code, Some(0));
}

#[test]
fn bad_lines_are_refused_and_the_next_one_goes() {
    let (mut b, _, address) = listener("b", "/quic-v1");
    let mut a = peer("a", &[&address, "--greet-interval", "0"]);
    a.type_bytes(b"\xff\xfe\n");
    a.type_bytes(&[b'x'; 200_000]);
    a.type_bytes(b"\n");
    a.type_bytes(&[b'y'; 64 * 1024 + 1]);
    a.type_line("\n/nonsense\n/to\n/dial");
    a.type_line("good");
    wait_error(&mut a, "line 1 is not UTF-8");
    wait_error(&mut a, "line 2 has more than 65536 bytes");
    wait_error(&mut a, "65537 bytes");
    wait_error(&mut a, "no such command: /nonsense");
    wait_error(&mut a, "/to PEER TEXT");
    wait_error(&mut a, "/dial ADDR");
    wait_message(&mut b, "good");
    a.close_stdin();
    // Some of the lines could not be sent.
    assert_eq!(a.finish().code, Some(1));
}

#[test]
fn the_largest_line_arrives() {
    let (mut b, _, address) = listener("b", "/tcp/");
    let mut a = peer("a", &[&address, "--greet-interval", "0"]);
    let line = "z".repeat(64 * 1024);
    a.type_line(&line);
    a.close_stdin();
    wait_message(&mut b, &line);
    assert_eq!(a.finish().code, Some(0));
}

#[test]
fn a_person_reads_who_is_there() {
    let (mut b, b_id, address) = listener("b", "/quic-v1");
    let mut a = plain_peer("a", &[&address, "--greet-interval", "0"]);
    let words = PeerName::of(&b_id.parse().unwrap());
    let name = format!("{words}·{}", &b_id[b_id.len() - 6..]);
    a.wait_line(&format!("connected to {name} (direct, quic) at "));
    a.type_line("/peers");
    a.wait_line("  name");
    a.wait_line(&format!("  {name}  direct  quic "));
    a.type_line("/name Änne");
    b.wait_for("name", |e| e["event"] == "renamed" && e["name"] == "Änne");
    a.type_line(&format!("/to {words} between us"));
    let message = b.wait_event("message");
    assert_eq!(
        (&message["name"], &message["scope"]),
        (&"Änne".into(), &"private".into())
    );
    a.type_line("/addresses");
    a.wait_line("others dial:");
    a.type_line("/help");
    a.wait_line("  /dial ADDR");
    // Control characters, which could move the cursor or forge a line, are replaced.
    b.wait_event("connected");
    b.type_line("\x1b[2Jred");
    a.wait_line(&format!("{name}: \u{fffd}[2Jred"));
    a.type_line("/quit");
    assert_eq!(a.finish().code, Some(0));
}

#[test]
fn a_person_blocks_a_peer_and_thinks_better_of_it() {
    let (mut b, b_id, address) = listener("b", "/quic-v1");
    let end = &b_id[b_id.len() - 6..];
    let mut a = plain_peer("a", &[&address, "--greet-interval", "0"]);
    b.wait_event("connected");
    a.wait_line("connected to ");
    a.type_line("/block nobody");
    a.type_line(&format!("/block {end}"));
    b.wait_event("disconnected");
    let words = PeerName::of(&b_id.parse().unwrap());
    a.wait_line(&format!("{words}·{end}: away"));
    a.type_line(&format!("/unblock {end}"));
    b.wait_event("connected");
    a.type_line(&format!("/to {end} and again"));
    wait_message(&mut b, "and again");
    a.signal(Signal::SIGTERM);
    let finished = a.finish();
    assert_eq!(finished.code, Some(0), "{finished:?}");
    let refused = "no peer here is called nobody";
    assert!(finished.stderr.contains(refused), "{finished:?}");
}

#[test]
fn a_port_in_use_is_one_line() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let mut addresses = vec![format!("/ip4/127.0.0.1/tcp/{port}")];
    let mut others = Vec::new();
    for transport in ["/quic-v1", "/tcp/"] {
        let (proc, _, address) = listener("other", transport);
        addresses.push(address.split("/p2p/").next().unwrap().to_owned());
        others.push(proc);
    }
    let directory = tempfile::tempdir().unwrap();
    let key = directory.path().join("key");
    for address in addresses {
        let args = ["--listen", &address, "--identity", key.to_str().unwrap()];
        let finished = Proc::start("a", &args).finish();
        assert_eq!((finished.code, finished.stdout.as_str()), (Some(1), ""));
        assert!(!key.exists(), "a key for a peer that did not start");
        assert_eq!(finished.stderr.lines().count(), 1, "{finished:?}");
        assert!(finished.stderr.contains(&address), "{finished:?}");
    }
}

#[test]
fn a_slow_reader_of_stdout_misses_nothing() {
    const LINES: usize = 20_000;
    let (mut b, stdout, address) = unread_peer(&LISTEN);
    let mut a = peer("a", &[&address, "--greet-interval", "0"]);
    let filler = "f".repeat(500);
    let mut input = Vec::new();
    for number in 0..LINES {
        writeln!(input, "{number} {filler}").unwrap();
    }
    let typing = std::thread::spawn(move || {
        a.type_bytes(&input);
        a.close_stdin();
        a.finish()
    });
    let mut next = 0;
    for line in stdout.lines().map_while(Result::ok) {
        let event: Value = serde_json::from_str(&line).unwrap();
        if event["event"] == "message" {
            assert_eq!(
                text(&event, "body").split(' ').next(),
                Some(&*next.to_string())
            );
            next += 1;
        }
        if next == LINES {
            break;
        }
    }
    assert_eq!(next, LINES);
    assert_eq!(typing.join().unwrap().code, Some(0));
    // Nobody reads stdout any more: the peer ends when it prints that another has come.
    let _c = peer("c", &[&address, "--greet-interval", "0"]);
    assert!(wait_exit(&mut b.0).unwrap().success());
}
