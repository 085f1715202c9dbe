//! Rooms at a relay: what is said in one stays there, whoever has been there before.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod common;

use nix::sys::signal::Signal;
use serde_json::Value;

use common::{Proc, Relay, text};

/// Starts a peer in a room, and waits until it is registered there.
fn peer(name: &str, relay: &str, room: &str, more: &[&str]) -> (Proc, String) {
    let args = [
        "--json",
        "--listen",
        "/ip4/127.0.0.1/tcp/0",
        "--relay",
        relay,
        "--namespace",
        room,
    ];
    let mut proc = Proc::start(name, &[&args[..], more].concat());
    let id = text(&proc.wait_event("started"), "peer_id");
    proc.wait_event("ready");
    (proc, id)
}

/// Waits until two peers are connected.
fn meet((a, a_id): (&mut Proc, &str), (b, b_id): (&mut Proc, &str)) {
    connected(a, b_id);
    connected(b, a_id);
}

fn connected(proc: &mut Proc, peer: &str) -> Value {
    proc.wait_for("connection", |e| {
        e["event"] == "connected" && e["peer"] == peer
    })
}

fn disconnected(proc: &mut Proc, peer: &str) -> Value {
    proc.wait_for("end", |e| e["event"] == "disconnected" && e["peer"] == peer)
}

fn message(proc: &mut Proc, body: &str) -> Value {
    proc.wait_for(body, |e| e["event"] == "message" && e["body"] == body)
}

/// What became of a line to this peer.
fn delivery(proc: &mut Proc, to: &str) -> Value {
    proc.wait_for("delivery", |e| {
        e["event"] == "delivery"
            && e["to"] == to
            && (e["state"] == "acked" || e["state"] == "failed")
    })
}

/// A peer that moved is dialled by those of its old room, by what they know of it. They let go of it.
#[test]
fn who_moved_to_another_room_hears_nothing_of_the_old_one() {
    let relay = Relay::start::<&str>(&[]);
    let url = relay.url();
    let dir = tempfile::tempdir().unwrap();
    let key = dir.path().join("key");
    let identity = ["--identity", key.to_str().unwrap()];
    let (mut a, a_id) = peer("a", &url, "one", &[]);
    let (mut d, d_id) = peer("d", &url, "one", &[]);
    let (mut b, b_id) = peer("b", &url, "one", &identity);
    meet((&mut a, &a_id), (&mut d, &d_id));
    meet((&mut a, &a_id), (&mut b, &b_id));
    // Without a word: its registration stands, and a line may wait for it.
    b.signal(Signal::SIGKILL);
    b.wait_exit();
    disconnected(&mut a, &b_id);
    a.type_line("only for room one");
    message(&mut d, "only for room one");
    assert_eq!(delivery(&mut a, &d_id)["state"], "acked");

    let (mut b, _) = peer("b in room two", &url, "two", &identity);
    let (mut c, c_id) = peer("c", &url, "two", &[]);
    meet((&mut b, &b_id), (&mut c, &c_id));
    // By now `a` has dialled it by its old listing, and learned where it is. What `b` sees of that depends on which side is
    // faster.
    let failed = delivery(&mut a, &b_id);
    assert_eq!(
        (&failed["state"], &failed["code"]),
        (&"failed".into(), &"other-room".into())
    );

    // And the other way round.
    b.type_line("only for room two");
    message(&mut c, "only for room two");
    assert_eq!(delivery(&mut b, &c_id)["state"], "acked");
    a.type_line("the last line");
    message(&mut d, "the last line");
    for proc in [&a, &b] {
        proc.signal(Signal::SIGTERM);
    }
    let (a, b) = (a.finish(), b.finish());
    assert!(
        !b.stdout.contains("room one") && !b.stdout.contains("the last line"),
        "{b:?}"
    );
    assert!(!a.stdout.contains("only for room two"), "{a:?}");
}

#[test]
fn who_quits_has_left_at_once_with_its_registration() {
    let relay = Relay::start::<&str>(&[]);
    let url = relay.url();
    let (mut a, a_id) = peer("a", &url, "one", &[]);
    let (mut b, b_id) = peer("b", &url, "one", &[]);
    meet((&mut a, &a_id), (&mut b, &b_id));
    b.signal(Signal::SIGTERM);
    assert_eq!(b.wait_exit().code(), Some(0));
    let event = disconnected(&mut a, &b_id);
    assert_eq!(
        (&event["left"], &event["code"]),
        (&true.into(), &"left".into())
    );
    // Nothing waits for it: a line of a program waits for whoever comes next.
    a.type_line("is anybody here?");

    let (mut c, c_id) = peer("c", &url, "one", &[]);
    assert_eq!(c.wait_event("discovered")["peer"], *a_id);
    message(&mut c, "is anybody here?");
    assert_eq!(delivery(&mut a, &c_id)["state"], "acked");
    let of_b = |e: &Value| e["peer"] == *b_id || e["to"] == *b_id;
    assert!(!c.pending_events().iter().any(of_b), "{}", c.report());
    assert!(
        !a.pending_events().iter().any(|e| e["to"] == *b_id),
        "{}",
        a.report()
    );
}

#[test]
fn a_private_message_is_marked_and_goes_to_nobody_else() {
    let relay = Relay::start::<&str>(&[]);
    let url = relay.url();
    let (mut a, a_id) = peer("a", &url, "one", &[]);
    let (mut b, b_id) = peer("b", &url, "one", &[]);
    let (mut c, c_id) = peer("c", &url, "one", &[]);
    meet((&mut a, &a_id), (&mut b, &b_id));
    meet((&mut a, &a_id), (&mut c, &c_id));
    a.type_line(&format!("/to {b_id} between us"));
    assert_eq!(message(&mut b, "between us")["scope"], "private");
    a.type_line("for all");
    assert_eq!(message(&mut b, "for all")["scope"], "room");
    assert_eq!(message(&mut c, "for all")["scope"], "room");
    let secret = |e: &Value| e["body"] == "between us";
    assert!(!c.pending_events().iter().any(secret), "{}", c.report());
}
