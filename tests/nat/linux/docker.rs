//! A peer in a container: behind the masquerading bridge of its host, which is in a network of its own.

use nix::sys::signal::Signal;

use super::{
    Test,
    peers::{Peer, in_time, talk},
};
use crate::lab::{Host, Lab, Nat, ONE_WAY, Router};

/// Messages each way once the relay is gone.
const AFTER_THE_RELAY: usize = 100;

pub(super) fn tests() -> Vec<Test> {
    vec![
        Test::new("docker::relay_in_the_same_network", || {
            let (lab, home) = home(Nat::None);
            let relay = lab.host("relay", &home);
            meet(&lab, &home, &relay);
        }),
        Test::new("docker::relay_on_the_internet", || {
            let (lab, home) = home(Nat::Cone);
            let relay = lab.host("relay", &lab.site("relay-site", Nat::None));
            meet(&lab, &home, &relay);
        }),
    ]
}

fn home(nat: Nat) -> (Lab, Router) {
    let lab = Lab::new(Some(ONE_WAY));
    let home = lab.site("home", nat);
    (lab, home)
}

/// Two peers discover each other, get a direct path, and still talk when the relay has stopped.
fn meet(lab: &Lab, home: &Router, relay_host: &Host) {
    let bridge = lab.site_behind("docker-host", home, Nat::Docker);
    let container = lab.host("container", &bridge);
    let outside = lab.host("outside", home);
    let relay = relay_host.relay(1, &[]);
    let url = relay.url();

    let mut a = Peer::ready(&outside, "outside", &url);
    let start = std::time::Instant::now();
    let mut b = Peer::start(&container, "container", &url);
    let discovered = b.wait_discovered(&a);
    a.wait_connected(&b);
    b.wait_connected(&a);
    talk(&mut a, &mut b, "hello", 1);
    in_time("the first words", start, &a, &b);
    a.wait_direct(&b, "quic");
    b.wait_direct(&a, "quic");
    in_time("the direct path", discovered, &a, &b);

    relay.proc.signal(Signal::SIGTERM);
    assert_eq!(relay.proc.finish().code, Some(0));
    talk(&mut a, &mut b, "without a relay", AFTER_THE_RELAY);
    a.assert_stayed_direct(&b);
    b.assert_stayed_direct(&a);
}
