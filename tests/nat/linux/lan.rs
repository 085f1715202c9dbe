//! Peers on one network that find each other by mDNS, without a relay or an address.

use std::net::UdpSocket;

use libp2p::{PeerId, multihash::Multihash};
use serde_json::Value;

use super::{
    Test,
    peers::{Peer, talk},
};
use crate::{
    common::{Proc, memory_kib, text},
    lab::{Host, Lab, Nat, Router},
};

/// How much a peer's memory may grow while thousands of others are announced.
const MAX_GROWTH_KIB: u64 = 64 * 1024;
/// The multicast group and port of mDNS.
const MDNS: (&str, u16) = ("224.0.0.251", 5353);

pub(super) fn tests() -> Vec<Test> {
    vec![
        Test::new("lan::two_peers_meet", two_peers_meet),
        Test::new("lan::three_peers_meet", three_peers_meet),
        Test::new("lan::a_piped_line_reaches_everybody", piped_line),
        Test::new("lan::who_has_a_relay_is_left_alone", who_has_a_relay),
        Test::new("lan::namespaces_do_not_mix", namespaces),
        Test::new("lan::a_peer_that_comes_back", comes_back),
        Test::new("lan::a_hostile_crowd", hostile_crowd),
        Test::new("lan::only_this_machine", only_this_machine),
    ]
}

/// A home network and the computers in it.
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

/// How many events of this name `peer` has reported about another one.
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
    let mut b = Peer::with(&scene.hosts[1], "b", &[]);
    wait_discovered(&mut a, &b);
    wait_discovered(&mut b, &a);
    meet(&mut a, &mut b);
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
    // Two of them share a machine, and so the port of mDNS.
    let (mut a, mut b, mut c) = (start("a", 0), start("b", 0), start("c", 1));
    meet(&mut a, &mut b);
    meet(&mut b, &mut c);
    meet(&mut c, &mut a);
}

/// A script's peer has no time to wait: it says its line and leaves.
fn piped_line() {
    let scene = Scene::new(&["a", "b", "c", "script"]);
    let start = |name, at: usize| Peer::with(&scene.hosts[at], name, &[]);
    let (mut a, mut b, mut c) = (start("a", 0), start("b", 1), start("c", 2));
    meet(&mut a, &mut b);
    meet(&mut b, &mut c);
    meet(&mut c, &mut a);
    for line in ["one", "two", "three"] {
        let mut script = Peer::with(&scene.hosts[3], "script", &[]);
        script.proc.type_line(line);
        script.proc.close_stdin();
        let from = script.id.clone();
        let status = script.proc.wait_exit();
        assert_eq!(status.code(), Some(0), "{}", script.proc.report());
        for peer in [&mut a, &mut b, &mut c] {
            peer.proc.wait_for("the line", |event| {
                event["event"] == "message" && event["from"] == from && event["body"] == line
            });
        }
    }
}

/// A peer with a relay uses no mDNS, unless it has the flag for it; nor does one that has the flag against it.
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
    // b and c have asked and met: anybody else who answers has done so by now.
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

/// A peer that comes back at another address is found again.
fn comes_back() {
    let scene = Scene::new(&["a", "b", "c"]);
    let seed = ["--secret-key-seed", "7"];
    let mut a = Peer::with(&scene.hosts[0], "a", &[]);
    let mut b = Peer::with(&scene.hosts[1], "b", &seed);
    meet(&mut a, &mut b);
    b.proc.signal(nix::sys::signal::Signal::SIGKILL);
    drop(b);
    let mut b = Peer::with(&scene.hosts[2], "b", &seed);
    b.wait_connected(&a);
    // a may or may not have noticed the loss before: the path is new either way.
    let there = format!("/ip4/{}/", scene.hosts[2].ip());
    a.proc.wait_for("the new path", |event| {
        let address = event["address"].as_str();
        is_about(event, &b) && address.is_some_and(|address| address.starts_with(&there))
    });
    talk(&mut a, &mut b, "back", 3);
}

/// A peer that listens on loopback only is not found, and does not look.
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

/// A hostile host announces thousands of peers that never expire, and sends packets that are no DNS.
fn hostile_crowd() {
    let scene = Scene::new(&["a", "b", "crowd"]);
    let start = |name, at: usize| Peer::with(&scene.hosts[at], name, &[]);
    let (mut a, mut b) = (start("a", 0), start("b", 1));
    meet(&mut a, &mut b);
    let before = memory(&a.proc);
    scene.hosts[2].inside(|| {
        let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
        for number in 0..4_000 {
            socket.send_to(&announcement(number), MDNS).unwrap();
            let garbage = vec![number.to_le_bytes()[0]; usize::try_from(number).unwrap() % 1_400];
            socket.send_to(&garbage, MDNS).unwrap();
        }
    });
    talk(&mut a, &mut b, "in a crowd", 100);
    let news = a.proc.pending_events().iter();
    let discovered = news.filter(|event| event["event"] == "discovered").count();
    // More than the other peer: the crowd was heard.
    assert!(
        (2..=128 + 2).contains(&discovered),
        "{discovered} were discovered"
    );
    let after = memory(&a.proc);
    assert!(
        after < before + MAX_GROWTH_KIB,
        "{before} KiB became {after}"
    );
}

/// Resident memory in KiB.
fn memory(proc: &Proc) -> u64 {
    memory_kib(proc.id(), "VmRSS").unwrap()
}

/// The answer of a peer with a made-up id, which is valid for 136 years.
fn announcement(number: u32) -> Vec<u8> {
    let mut id = [0; 32];
    id[..4].copy_from_slice(&number.to_be_bytes());
    let id = PeerId::from_multihash(Multihash::wrap(0, &id).unwrap()).unwrap();
    let text = format!("dnsaddr=/ip4/192.168.1.9/tcp/9/p2p/{id}");
    let service = name(&["_p2p", "_udp", "local"]);
    let peer = name(&["somebody"]);
    let record = |owner: &[u8], kind: u16, data: &[u8]| {
        let length = u16::try_from(data.len()).unwrap();
        let head = [kind.to_be_bytes(), 1_u16.to_be_bytes()].concat();
        let tail = [&u32::MAX.to_be_bytes()[..], &length.to_be_bytes(), data].concat();
        [owner, &head, &tail].concat()
    };
    let header = [0_u16, 0x8400, 0, 1, 0, 1].map(u16::to_be_bytes).concat();
    let text = [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
    [
        header,
        record(&service, 12, &peer),
        record(&peer, 16, &text),
    ]
    .concat()
}

fn name(labels: &[&str]) -> Vec<u8> {
    let labels = labels.iter().flat_map(|label| {
        let length = u8::try_from(label.len()).unwrap();
        std::iter::once(length).chain(label.bytes())
    });
    labels.chain(std::iter::once(0)).collect()
}
