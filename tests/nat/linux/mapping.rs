//! Port mapping: a gateway that maps ports to a peer inside when the peer asks for it.

use std::time::Duration;

use super::{
    Test,
    peers::{Peer, talk},
};
use crate::{
    common::text,
    lab::{Gateway, Host, Lab, Nat, Router, Speaks},
};

pub(super) fn tests() -> Vec<Test> {
    vec![
        Test::new("mapping::by_upnp", || reached_through(Speaks::Upnp)),
        Test::new("mapping::by_pcp", || reached_through(Speaks::Pcp)),
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
    _lab: Lab,
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
            _lab: lab,
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
