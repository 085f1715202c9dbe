//! Peers that announce themselves on our own network, and what its gateway does.

use super::*;
use crate::connector::peers::{paths::POLITE_WAIT, peer::MEMORY};

/// Where a peer on our network is.
const NEAR: &str = "/ip4/192.168.1.7/udp/7000/quic-v1";
const NEAR_TCP: &str = "/ip4/192.168.1.7/tcp/7000";

impl Rig {
    fn announced(&mut self, peer: PeerId, addresses: &[&str]) {
        let addresses = addresses.iter().map(|address| a(address)).collect();
        self.network(NetworkInput::Announced { peer, addresses });
    }
}

fn discovered(peer: PeerId, addresses: &[&str]) -> Event {
    let addresses = addresses.iter().map(|address| at(address, peer)).collect();
    Event::Discovered { peer, addresses }
}

#[test]
fn who_announces_itself_is_reported_and_dialled_once() {
    let mut rig = Rig::alone();
    let peer = id(LARGE);
    rig.announced(peer, &[NEAR]);
    rig.announced(peer, &[NEAR]);
    rig.announced(peer, &[NEAR, NEAR_TCP]);
    let dials = rig.dials();
    assert_eq!(dials.len(), 1);
    assert_eq!(dials[0].1, Some(peer));
    assert_eq!(dials[0].2, [at(NEAR, peer)]);
    let reported = [
        discovered(peer, &[NEAR]),
        discovered(peer, &[NEAR, NEAR_TCP]),
    ];
    assert_eq!(rig.events(), reported);
}

#[test]
fn the_first_dial_is_by_quic_and_the_next_by_whatever_there_is() {
    let mut rig = Rig::alone();
    let peer = id(LARGE);
    rig.announced(peer, &[NEAR_TCP, NEAR]);
    assert_eq!(rig.dials()[0].2, [at(NEAR, peer)]);
    let dial = rig.last_dial();
    rig.fail(dial);
    rig.advance(secs(3));
    assert_eq!(rig.dials()[1].2, [at(NEAR_TCP, peer), at(NEAR, peer)]);
}

#[test]
fn the_larger_id_leaves_the_first_dial_to_the_smaller() {
    let mut rig = Rig::alone();
    let peer = id(SMALL);
    rig.announced(peer, &[NEAR]);
    rig.announced(peer, &[NEAR, NEAR_TCP]);
    assert!(rig.dials().is_empty());
    rig.advance(POLITE_WAIT / 2);
    assert!(rig.dials().is_empty());
    let conn = rig.inbound(peer, NEAR);
    rig.path(peer, conn, &a(NEAR));
    rig.advance(secs(60));
    assert!(rig.dials().is_empty());
}

#[test]
fn the_larger_id_dials_when_the_smaller_does_not() {
    let mut rig = Rig::alone();
    rig.announced(id(SMALL), &[NEAR]);
    rig.advance(POLITE_WAIT);
    assert_eq!(rig.dials().len(), 1);
}

#[test]
fn a_lost_peer_is_dialled_as_long_as_it_announces_itself() {
    let mut rig = Rig::alone();
    let peer = id(LARGE);
    rig.announced(peer, &[NEAR]);
    let dial = rig.last_dial();
    let conn = rig.connect(peer, NEAR, Some(dial));
    rig.path(peer, conn, &a(NEAR));
    rig.advance(2 * MEMORY);
    rig.take();
    rig.close(conn);
    rig.no_path(peer);
    rig.advance(secs(1));
    let dial = rig.last_dial();
    rig.fail(dial);
    // Much longer than anyone else would be remembered.
    let end = rig.now + 2 * MEMORY;
    while rig.now < end {
        rig.take();
        rig.advance(secs(31));
        let dial = rig.last_dial();
        rig.fail(dial);
    }
    rig.announced(peer, &[]);
    rig.advance(2 * MEMORY);
    rig.take();
    rig.advance(MEMORY);
    assert!(rig.dials().is_empty());
    assert!(rig.connector.peers.len() == 0);
}

#[test]
fn who_never_answered_is_forgotten_as_soon_as_it_is_silent() {
    let mut rig = Rig::alone();
    rig.announced(id(LARGE), &[NEAR]);
    let dial = rig.last_dial();
    rig.fail(dial);
    rig.announced(id(LARGE), &[]);
    rig.take();
    rig.advance(secs(60));
    assert!(rig.dials().is_empty());
    assert!(rig.connector.peers.len() == 0);
    rig.announced(id(LARGE), &[NEAR]);
    assert_eq!(rig.events(), [discovered(id(LARGE), &[NEAR])]);
}

#[test]
fn who_speaks_something_else_is_reported_once_and_left_alone() {
    let mut rig = Rig::alone();
    let peer = id(LARGE);
    rig.announced(peer, &[NEAR]);
    let dial = rig.last_dial();
    let conn = rig.connect(peer, NEAR, Some(dial));
    rig.take();
    rig.identify(peer, conn, false);
    let events = rig.events();
    assert!(
        matches!(events[..], [Event::Incompatible { .. }]),
        "{events:?}"
    );
    rig.close(conn);
    rig.announced(peer, &[NEAR, NEAR_TCP]);
    rig.advance(2 * MEMORY);
    assert!(rig.dials().is_empty());
}

#[test]
fn announcements_of_ourselves_and_of_nonsense_come_to_nothing() {
    let mut rig = Rig::alone();
    rig.announced(id(LOCAL), &[NEAR]);
    rig.announced(id(LARGE), &[]);
    rig.advance(secs(60));
    assert_eq!(rig.take(), []);
    assert!(rig.connector.peers.len() == 0);
}

#[test]
fn a_peer_behind_a_circuit_that_turns_out_to_be_near_is_dialled_there() {
    let (mut rig, _) = Rig::with_relay();
    let peer = id(LARGE);
    rig.list(peer, &[]);
    let dial = rig.last_dial();
    let address = circuit(QUIC, peer);
    let conn = rig.connect_as(peer, address.clone(), true, Some(dial));
    rig.path(peer, conn, &address);
    rig.take();
    rig.announced(peer, &[NEAR]);
    let dials = rig.dials();
    assert_eq!(dials.len(), 1);
    assert_eq!(dials[0].2, [at(NEAR, peer)]);
}

#[test]
fn a_mapped_address_is_reported_and_registered_at_once() {
    let (mut rig, _) = Rig::with_relay();
    let address = a("/ip4/5.1.1.1/udp/7000/quic-v1");
    rig.network(NetworkInput::Mapped {
        address: address.clone(),
    });
    let out = rig.take();
    assert_eq!(out[0], Output::Emit(Event::ExternalAddress { address }));
    assert_eq!(
        out[1],
        Output::Register {
            point: id(RELAY),
            claim: None
        }
    );
}

#[test]
fn without_a_relay_a_mapped_address_is_only_reported() {
    let mut rig = Rig::alone();
    let address = a("/ip4/5.1.1.1/udp/7000/quic-v1");
    rig.network(NetworkInput::Mapped {
        address: address.clone(),
    });
    assert_eq!(rig.events(), [Event::ExternalAddress { address }]);
    let cause = cause("no gateway");
    rig.network(NetworkInput::Failed { cause });
    assert!(matches!(rig.events()[..], [Event::Error { .. }]));
}
