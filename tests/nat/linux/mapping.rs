//! Port mapping: a gateway that maps ports to a peer inside when the peer asks for it.

use std::time::Duration;

use nix::sys::signal::Signal;

use super::{
    Test,
    peers::{Peer, talk},
    tabs,
};
use crate::{
    common::text,
    lab::{Gateway, Host, Lab, Nat, Relay, Router, Speaks},
};

pub(super) fn tests() -> Vec<Test> {
    vec![
        Test::new("mapping::by_upnp", || reached_through(Speaks::Upnp)),
        Test::new("mapping::by_pcp", || reached_through(Speaks::Pcp)),
        Test::new("mapping::a_tab_finds_it", a_tab_finds_it).of_a_tab(),
        Test::new("mapping::a_tab_dials_it", a_tab_dials_it).of_a_tab(),
        Test::new("mapping::none", no_gateway),
        Test::new("mapping::behind_another_nat", behind_another_nat),
    ]
}

/// A router at a provider, a host inside, and a host at the same provider.
struct Scene {
    home: Router,
    inside: Host,
    outside: Host,
    _provider: Router,
    lab: Lab,
}

impl Scene {
    fn new(provider: Nat) -> Self {
        let lab = Lab::new(None);
        let provider = lab.site("provider", provider);
        let home = lab.site_behind("home", &provider, Nat::Cone);
        Self {
            inside: lab.host("inside", &home),
            outside: lab.host("outside", &provider),
            home,
            _provider: provider,
            lab,
        }
    }
}

/// Both transports are mapped, and another peer connects by each.
fn reached_through(speaks: Speaks) {
    let scene = Scene::new(Nat::Provider);
    let _gateway = Gateway::start(&scene.home, speaks);
    let mut a = Peer::with(&scene.inside, "a", &["--port-mapping"]);
    let start = format!("/ip4/{}/", scene.home.outside());
    for part in ["/quic-v1", "/tcp/"] {
        let mapped = a.proc.wait_for(part, |event| {
            event["event"] == "external_address" && text(event, "address").contains(part)
        });
        let address = text(&mapped, "address");
        assert!(address.starts_with(&start), "{address}");
        let full = format!("{address}/p2p/{}", a.id);
        let mut b = Peer::with(&scene.outside, "b", &[&full, "--greet-interval", "0"]);
        a.wait_connected(&b);
        b.wait_connected(&a);
        talk(&mut a, &mut b, "by the mapping", 3);
    }
}

/// A tab behind a NAT that allows no punching discovers the peer with its mapped port, and gets a direct path. Which of both
/// is first depends: webrtc-direct to that port, or WebRTC by the circuit, whose checks come to the same socket.
#[allow(clippy::print_stdout, reason = "a test says what was first")]
fn a_tab_finds_it() {
    let scene = Scene::new(Nat::Provider);
    let _gateway = Gateway::start(&scene.home, Speaks::Upnp);
    let (_site, relay) = scene.lab.relay(1);
    let with_relay = ["--port-mapping", "--relay", &relay.url()];
    let mut a = Peer::with(&scene.inside, "a", &with_relay);
    let mapped = mapped_webrtc(&mut a, &scene.home);
    a.proc.wait_event("ready");
    let elsewhere = scene.lab.site("elsewhere", Nat::Symmetric);
    let mut b = tabs::tab(&scene.lab.host("b", &elsewhere), "b", &relay);
    b.proc.wait_for("the mapped port in the record", |event| {
        event["event"] == "discovered" && event["addresses"].to_string().contains(&mapped)
    });
    let path = b.wait_direct_by_any(&a, &["webrtc", "webrtc-direct"]);
    println!("direct by {}", path["transport"]);
    a.wait_direct_by_any(&b, &["webrtc", "webrtc-direct"]);
    talk_without(relay, &mut a, &mut b);
}

/// A tab dials the mapped port of a peer that has no relay, so there is no other way.
fn a_tab_dials_it() {
    let scene = Scene::new(Nat::Provider);
    let _gateway = Gateway::start(&scene.home, Speaks::Upnp);
    let (_site, relay) = scene.lab.relay(1);
    let mut a = Peer::with(&scene.inside, "a", &["--port-mapping"]);
    let mapped = mapped_webrtc(&mut a, &scene.home);
    let elsewhere = scene.lab.site("elsewhere", Nat::Symmetric);
    let mut b = tabs::tab(&scene.lab.host("b", &elsewhere), "b", &relay);
    b.proc.wait_event("ready");
    b.proc.type_line(&format!("/dial {mapped}/p2p/{}", a.id));
    b.wait_direct(&a, "webrtc-direct");
    a.wait_direct(&b, "webrtc-direct");
    talk_without(relay, &mut a, &mut b);
}

/// Waits until the peer's port of webrtc-direct is mapped, and returns the address outside.
fn mapped_webrtc(peer: &mut Peer, home: &Router) -> String {
    let start = format!("/ip4/{}/", home.outside());
    let mapped = peer.proc.wait_for("a port of webrtc-direct", |event| {
        event["event"] == "external_address" && {
            let address = text(event, "address");
            address.starts_with(&start) && address.contains("/webrtc-direct/certhash/")
        }
    });
    text(&mapped, "address")
}

fn talk_without(relay: Relay, a: &mut Peer, b: &mut Peer) {
    relay.proc.signal(Signal::SIGKILL);
    relay.proc.finish();
    talk(a, b, "by the mapping", 3);
    a.assert_stayed_direct(b);
    b.assert_stayed_direct(a);
}

/// Without a gateway the peer says so, once for all of its ports.
fn no_gateway() {
    let scene = Scene::new(Nat::Provider);
    let a = Peer::with(&scene.inside, "a", &["--port-mapping"]);
    assert_reported_once(a);
}

/// Behind another NAT a mapping would lead nowhere, and the daemon refuses it.
fn behind_another_nat() {
    let scene = Scene::new(Nat::Carrier);
    let _gateway = Gateway::start(&scene.home, Speaks::Upnp);
    let a = Peer::with(&scene.inside, "a", &["--port-mapping"]);
    assert_reported_once(a);
}

fn assert_reported_once(mut peer: Peer) {
    let code = "port-mapping-unavailable";
    peer.proc.wait_for(code, |event| {
        event["event"] == "error" && event["code"] == code
    });
    // A report about the other ports would have come by then.
    std::thread::sleep(Duration::from_secs(1));
    let more = peer.proc.pending_events().iter();
    let more: Vec<_> = more.filter(|event| event["event"] == "error").collect();
    assert!(more.is_empty(), "{more:?}");
}
