//! Which connections are closed once better or newer ones have proven themselves.

use super::*;
use crate::connector::peers::surplus::PROOF_TIME;

#[test]
fn a_drained_circuit_is_closed_once_the_direct_path_has_lasted() {
    let (mut rig, _) = Rig::with_relay();
    let peer = id(SMALL);
    let circuit = rig.reach(peer);
    rig.drain(peer, circuit);
    assert_eq!(rig.take(), [], "it is the path");
    rig.go_direct(peer);
    rig.take();
    rig.drain(peer, circuit);
    rig.advance(PROOF_TIME - millis(1));
    assert_eq!(rig.closes(), []);
    rig.advance(millis(1));
    assert_eq!(rig.closes(), [circuit]);
    rig.drain(peer, circuit);
    assert_eq!(rig.closes(), [], "once is enough");
}

#[test]
fn a_circuit_that_is_not_drained_stays() {
    let (mut rig, _) = Rig::with_relay();
    rig.reach(id(SMALL));
    rig.go_direct(id(SMALL));
    rig.advance(secs(600));
    assert_eq!(rig.closes(), []);
}

#[test]
fn only_the_smaller_side_closes_surplus_direct_connections() {
    for (peer, closes) in [(id(LARGE), true), (id(SMALL), false)] {
        let (mut rig, _) = Rig::with_relay();
        let spare = rig.inbound(peer, TCP);
        let active = rig.go_direct(peer);
        rig.advance(secs(10));
        rig.take();
        rig.drain(peer, active);
        rig.drain(peer, spare);
        let expected = if closes { vec![spare] } else { vec![] };
        assert_eq!(rig.closes(), expected);
    }
}

#[test]
fn the_relays_own_connections_are_not_surplus() {
    let (mut rig, first) = Rig::with_relay();
    rig.connector.facts.local = id(0);
    let chat = rig.connect_as(id(RELAY), a(TCP), true, None);
    rig.path(id(RELAY), chat, &a(TCP));
    rig.advance(secs(10));
    rig.drain(id(RELAY), first);
    assert_eq!(rig.closes(), []);
}

#[test]
fn the_older_of_two_circuits_goes_when_drained_and_the_smaller_side_closes_it() {
    for (peer, closes) in [(id(LARGE), true), (id(SMALL), false)] {
        let (mut rig, _) = Rig::with_relay();
        let older = rig.reach(peer);
        rig.drain(peer, older);
        let newer = rig.connect_as(peer, circuit(QUIC, peer), true, None);
        rig.drain(peer, newer);
        assert_eq!(rig.closes(), [], "the new one is not proven");
        rig.advance(PROOF_TIME);
        let expected = if closes { vec![older] } else { vec![] };
        assert_eq!(rig.closes(), expected);
    }
}

#[test]
fn a_peer_has_at_most_four_circuits() {
    let (mut rig, _) = Rig::with_relay();
    let peer = id(SMALL);
    let active = rig.reach(peer);
    let second = rig.connect_as(peer, circuit(QUIC, peer), false, None);
    rig.connect_as(peer, circuit(QUIC, peer), true, None);
    rig.connect_as(peer, circuit(QUIC, peer), true, None);
    assert_eq!(rig.closes(), []);
    rig.connect_as(peer, circuit(QUIC, peer), false, None);
    assert_eq!(rig.closes(), [second]);
    rig.close(second);
    assert!(
        rig.connector
            .facts
            .connections
            .get(active)
            .is_some_and(|conn| !conn.closing)
    );
}
