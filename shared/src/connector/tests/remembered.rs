//! Peers are dialled where they were the last time, beside all else.

use super::*;
use crate::connector::peers::remembered::{MAX_AT_START, MAX_REMEMBERED, PAUSE};

/// A node with a relay that is yet to be reached, and places that it remembers.
fn remembering(places: &[Multiaddr]) -> Rig {
    Rig::new(&NodeConfig {
        remembered: places.to_vec(),
        ..config(&[QUIC])
    })
}

/// Who is dialled where, without a relay.
fn dialled(rig: &mut Rig) -> Vec<(PeerId, Multiaddr)> {
    let dials = rig.dials();
    rig.take();
    let direct = dials
        .into_iter()
        .filter_map(|(_, peer, addresses)| Some((peer?, addresses.first()?.clone())));
    direct
        .filter(|(peer, address)| *peer != id(RELAY) && !addresses::has_circuit(address))
        .collect()
}

#[test]
fn who_is_remembered_is_dialled_once_beside_the_relay() {
    let peer = id(SMALL);
    let mut rig = remembering(&[at(DIRECT, peer)]);
    assert_eq!(dialled(&mut rig), [], "we do not listen yet");
    rig.input(Input::ListenersReady);
    let dial = rig.last_dial();
    assert_eq!(dialled(&mut rig), [(peer, at(DIRECT, peer))]);
    rig.fail(dial);
    rig.advance(secs(600));
    assert_eq!(dialled(&mut rig), []);
    assert_eq!(rig.errors(), [""; 0], "nobody was promised to be there");
}

#[test]
fn a_circuit_does_not_wait_for_it() {
    let peer = id(SMALL);
    let mut rig = remembering(&[at(DIRECT, peer)]);
    rig.input(Input::ListenersReady);
    let (dial, ..) = rig.dials().remove(0);
    rig.connect(id(RELAY), QUIC, Some(dial));
    rig.accept();
    rig.answer();
    rig.take();
    rig.list(peer, &[]);
    let dials = rig.dials();
    assert_eq!(dials.len(), 1);
    assert_eq!(dials[0].2[0], circuit(QUIC, peer));
}

#[test]
fn who_comes_is_dialled_where_it_was_and_no_more_often_than_a_relay_may_say_so() {
    let (mut rig, _) = Rig::with_relay();
    let peer = id(SMALL);
    for conn in [rig.reach(peer), rig.go_direct(peer)] {
        rig.close(conn);
    }
    rig.no_path(peer);
    rig.take();
    let place = (peer, at(DIRECT, peer));
    for _ in 0..3 {
        rig.list(peer, &[TCP]);
        rig.list(peer, &[WS]);
    }
    let running = rig.dials();
    let dials = dialled(&mut rig);
    for (dial, ..) in running {
        rig.fail(dial);
    }
    let count = dials.iter().filter(|dial| **dial == place).count();
    assert_eq!(count, 1, "{dials:?}");
    rig.advance(PAUSE);
    rig.take();
    rig.list(peer, &[TCP]);
    assert!(dialled(&mut rig).contains(&place));
}

#[test]
fn one_that_is_connected_is_not_dialled() {
    let peer = id(SMALL);
    let mut rig = remembering(&[at(DIRECT, peer)]);
    rig.inbound(peer, TCP);
    rig.input(Input::ListenersReady);
    assert_eq!(dialled(&mut rig), []);
}

#[test]
fn an_address_that_names_nobody_or_ourselves_or_a_circuit_is_not_remembered() {
    let mut rig = remembering(&[
        a(DIRECT),
        at(DIRECT, id(LOCAL)),
        circuit(QUIC, id(SMALL)),
        a("/p2p-circuit"),
    ]);
    rig.input(Input::ListenersReady);
    assert_eq!(dialled(&mut rig), []);
}

#[test]
fn where_it_dialled_from_over_tcp_it_does_not_listen() {
    let peer = id(SMALL);
    for (address, again) in [(TCP, false), (DIRECT, true)] {
        let (mut rig, _) = Rig::with_relay();
        let conn = rig.inbound(peer, address);
        rig.path(peer, conn, &a(address));
        rig.no_path(peer);
        rig.close(conn);
        rig.take();
        rig.list(peer, &[]);
        let place = (peer, at(address, peer));
        assert_eq!(dialled(&mut rig).contains(&place), again, "{address}");
    }
}

#[test]
fn the_newest_are_dialled_and_the_oldest_forgotten() {
    let places: Vec<_> = (0..80).map(|n| at(DIRECT, id(n))).collect();
    let newest = places.iter().rev().take(MAX_AT_START);
    let newest: Vec<_> = newest.cloned().collect();
    let mut rig = remembering(&places);
    rig.input(Input::ListenersReady);
    let (relay, ..) = rig.dials().remove(0);
    rig.connect(id(RELAY), QUIC, Some(relay));
    rig.accept();
    rig.answer();
    let dials: Vec<_> = dialled(&mut rig).into_iter().map(|(_, at)| at).collect();
    assert_eq!(dials, newest);
    assert_eq!(MAX_REMEMBERED, 64);
    for (peer, kept) in [(id(15), false), (id(16), true)] {
        rig.list(peer, &[]);
        let place = (peer, at(DIRECT, peer));
        assert_eq!(dialled(&mut rig).contains(&place), kept, "{peer}");
    }
}
