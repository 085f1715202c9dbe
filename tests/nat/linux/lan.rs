//! Peers on one network that nobody has told of each other.

use serde_json::Value;

use super::{
    Test,
    peers::{Peer, in_time, talk},
};
use crate::{
    common::text,
    lab::{Host, Lab, Nat, Router},
};

pub(super) fn tests() -> Vec<Test> {
    vec![
        Test::new("lan::two_peers_meet", two_peers_meet),
        Test::new("lan::three_peers_meet", three_peers_meet),
        Test::new("lan::who_has_a_relay_is_left_alone", who_has_a_relay),
        Test::new("lan::namespaces_do_not_mix", namespaces),
        Test::new("lan::a_peer_that_comes_back", comes_back),
        Test::new("lan::only_this_machine", only_this_machine),
    ]
}

/// A network without anything else, and computers in it.
struct Scene {
    hosts: Vec<Host>,
    _router: Router,
    lab: Lab,
}

impl Scene {
    fn new(names: &[&str]) -> Self {
        let lab = Lab::new(None);
        let router = lab.site("home", Nat::Cone);
        let hosts = names.iter().map(|name| lab.host(name, &router));
        Self {
            hosts: hosts.collect(),
            _router: router,
            lab,
        }
    }
}

fn is_about(event: &Value, peer: &Peer) -> bool {
    event["peer"] == peer.id
}

/// How often a peer has told that.
fn count(peer: &mut Peer, name: &str, of: &Peer) -> usize {
    let events = peer.proc.pending_events().iter();
    events
        .filter(|event| event["event"] == name && is_about(event, of))
        .count()
}

fn wait_discovered(peer: &mut Peer, other: &Peer) {
    let id = other.id.clone();
    peer.proc.wait_until("discovery", move |event| {
        event["event"] == "discovered" && event["peer"] == id
    });
}

fn meet(a: &mut Peer, b: &mut Peer) {
    a.wait_connected(b);
    b.wait_connected(a);
}

fn two_peers_meet() {
    let scene = Scene::new(&["a", "b"]);
    let mut a = Peer::with(&scene.hosts[0], "a", &[]);
    a.proc.wait_event("ready");
    let start = std::time::Instant::now();
    let mut b = Peer::with(&scene.hosts[1], "b", &[]);
    wait_discovered(&mut a, &b);
    wait_discovered(&mut b, &a);
    meet(&mut a, &mut b);
    in_time("the meeting", start, &a, &b);
    talk(&mut a, &mut b, "hello", 100);
    // Both have found each other, and one of them has dialled: there is nothing to change.
    assert_eq!(count(&mut a, "connected", &b), 1);
    assert_eq!(count(&mut b, "connected", &a), 1);
    assert_eq!(count(&mut a, "path_changed", &b), 0);
    assert_eq!(count(&mut b, "path_changed", &a), 0);
    let connected = a.proc.wait_event("connected");
    assert_eq!(connected["path"], "direct");
    assert_eq!(connected["transport"], "quic");
}

fn three_peers_meet() {
    let scene = Scene::new(&["a", "b"]);
    let start = |name, at: usize| Peer::with(&scene.hosts[at], name, &[]);
    // Two of them share a machine, and so the port that mDNS is heard at.
    let (mut a, mut b, mut c) = (start("a", 0), start("b", 0), start("c", 1));
    meet(&mut a, &mut b);
    meet(&mut b, &mut c);
    meet(&mut c, &mut a);
}

/// Who has a relay neither looks for others nor tells of itself, unless it was told to.
fn who_has_a_relay() {
    let scene = Scene::new(&["a", "b", "c", "d"]);
    let (_host, relay) = scene.lab.relay(1);
    let url = relay.url();
    let mut a = Peer::ready(&scene.hosts[0], "a", &url);
    let off = ["--mdns=false"];
    let mut off = Peer::with(&scene.hosts[0], "off", &off);
    off.proc.wait_event("ready");
    let mut b = Peer::with(&scene.hosts[1], "b", &[]);
    let on = ["--relay", &url, "--namespace", "elsewhere", "--mdns"];
    let mut elsewhere = Peer::with(&scene.hosts[2], "elsewhere", &on);
    let mut c = Peer::with(&scene.hosts[3], "c", &[]);
    meet(&mut b, &mut c);
    elsewhere.proc.wait_event("ready");
    // It was asked when b and c met: whoever was to answer has done so by now.
    for silent in [&a, &off, &elsewhere] {
        assert_eq!(count(&mut b, "discovered", silent), 0);
        assert_eq!(count(&mut c, "discovered", silent), 0);
    }
    for silent in [&mut a, &mut off, &mut elsewhere] {
        assert_eq!(count(silent, "discovered", &b), 0);
    }
}

fn namespaces() {
    let scene = Scene::new(&["a", "b", "c", "d"]);
    let room = ["--namespace", "our room"];
    let start = |name, at: usize, args: &[&str]| Peer::with(&scene.hosts[at], name, args);
    let (mut a, mut c) = (start("a", 0, &room), start("c", 2, &[]));
    let (mut b, mut d) = (start("b", 1, &room), start("d", 3, &[]));
    meet(&mut a, &mut b);
    meet(&mut c, &mut d);
    talk(&mut a, &mut b, "in our room", 3);
    talk(&mut c, &mut d, "outside", 3);
    for (one, others) in [(&mut a, [&c, &d]), (&mut b, [&c, &d])] {
        for other in others {
            assert_eq!(count(one, "discovered", other), 0);
            assert_eq!(count(one, "connected", other), 0);
        }
    }
}

/// It is found again, though it is elsewhere now.
fn comes_back() {
    let scene = Scene::new(&["a", "b", "c"]);
    let seed = ["--secret-key-seed", "7"];
    let mut a = Peer::with(&scene.hosts[0], "a", &[]);
    let mut b = Peer::with(&scene.hosts[1], "b", &seed);
    meet(&mut a, &mut b);
    let id = b.id.clone();
    b.proc.signal(nix::sys::signal::Signal::SIGKILL);
    drop(b);
    let lost = |event: &Value| event["event"] == "disconnected" && event["peer"] == id;
    a.proc.wait_event("connected");
    let mut b = Peer::with(&scene.hosts[2], "b", &seed);
    a.proc.wait_for("the loss", lost);
    meet(&mut a, &mut b);
    talk(&mut a, &mut b, "back", 3);
}

/// Who listens on loopback only is not to be found, and does not look.
fn only_this_machine() {
    let scene = Scene::new(&["a", "b"]);
    let listen = ["--listen", "/ip4/127.0.0.1/tcp/0"];
    let start = |name, at: usize, args: &[&str]| Peer::with(&scene.hosts[at], name, args);
    let mut alone = start("alone", 0, &listen);
    alone.proc.wait_event("ready");
    let (mut a, mut b) = (start("a", 0, &[]), start("b", 1, &[]));
    meet(&mut a, &mut b);
    assert_eq!(count(&mut a, "discovered", &alone), 0);
    assert_eq!(count(&mut alone, "discovered", &a), 0);
    assert!(text(&alone.proc.wait_event("listening"), "address").starts_with("/ip4/127.0.0.1/"));
}
