//! Peers of our room, of others, and what they are called.

use super::*;
use crate::connector::peers::{membership::INTRODUCTION_PAUSE, peer::MEMORY};

/// A peer by a circuit that it dialled, or that we did as the relay listed it.
fn circuit_to(rig: &mut Rig, peer: PeerId, outbound: bool) -> ConnId {
    let dial = outbound.then(|| {
        rig.list(peer, &[]);
        rig.last_dial()
    });
    let address = circuit(QUIC, peer);
    let conn = rig.connect_as(peer, address.clone(), outbound, dial);
    rig.take();
    rig.path(peer, conn, &address);
    conn
}

fn guest(rig: &mut Rig, peer: PeerId) {
    rig.memberships.insert(peer, Membership::Guest);
}

fn called(peer: PeerId, name: &str, membership: Membership) -> Input {
    let name = PeerName::chosen(name).unwrap();
    let remote = Remote { name, membership };
    Input::Introduced { peer, remote }
}

const fn is_connected(output: &Output) -> bool {
    matches!(output, Output::Emit(Event::Connected { .. }))
}

/// It was listed while it was in our room, moved to another one, and is dialled by its old listing.
#[test]
fn a_listed_peer_that_is_in_another_room_is_let_go_and_left_alone() {
    let (mut rig, _) = Rig::with_relay();
    let peer = id(SMALL);
    guest(&mut rig, peer);
    let conn = circuit_to(&mut rig, peer, true);
    assert!(!rig.out.iter().any(is_connected), "{:?}", rig.out);
    assert_eq!(rig.closes(), [conn]);
    assert_eq!(rig.admitted, [], "none of its messages is shown");
    rig.close(conn);
    rig.take();
    rig.advance(MEMORY * 2);
    assert_eq!(rig.dials(), [], "its listing is out of date");
}

/// The circuit is dialled, and a hole is punched from it before msg has proven either.
#[test]
fn a_listed_peer_in_another_room_is_let_go_on_whichever_connection_it_says_so() {
    let (mut rig, _) = Rig::with_relay();
    let peer = id(SMALL);
    guest(&mut rig, peer);
    rig.list(peer, &[]);
    let dial = rig.last_dial();
    let conn = rig.connect_as(peer, circuit(QUIC, peer), true, Some(dial));
    rig.take();
    let direct = rig.go_direct(peer);
    assert!(!rig.out.iter().any(is_connected), "{:?}", rig.out);
    assert_eq!(rig.closes(), [conn, direct]);
}

#[test]
fn a_peer_that_is_listed_anew_is_dialled_again() {
    let (mut rig, _) = Rig::with_relay();
    let peer = id(SMALL);
    guest(&mut rig, peer);
    let conn = circuit_to(&mut rig, peer, true);
    rig.close(conn);
    rig.take();
    rig.memberships.clear();
    let conn = circuit_to(&mut rig, peer, true);
    assert!(rig.out.iter().any(is_connected), "{:?}", rig.out);
    assert_eq!(rig.admitted, [(peer, true)]);
    assert_eq!(rig.closes(), []);
    assert!(rig.connector.facts.connections.get(conn).is_some());
}

#[test]
fn a_peer_of_another_room_that_dials_us_is_talked_to_and_not_dialled_back() {
    let (mut rig, _) = Rig::with_relay();
    let peer = id(SMALL);
    guest(&mut rig, peer);
    let conn = circuit_to(&mut rig, peer, false);
    assert!(matches!(
        rig.events()[..],
        [Event::Connected { in_room: false, .. }]
    ));
    assert_eq!(rig.admitted, [(peer, false)]);
    rig.close(conn);
    rig.no_path(peer);
    rig.take();
    rig.advance(MEMORY * 2);
    assert_eq!(rig.dials(), []);
}

#[test]
fn a_peer_of_another_room_that_was_ordered_stays_and_is_dialled_for_ever() {
    let mut rig = Rig::alone();
    let peer = id(SMALL);
    guest(&mut rig, peer);
    rig.input(Input::Dial(at(DIRECT, peer)));
    let dial = rig.last_dial();
    let conn = rig.connect_as(peer, at(DIRECT, peer), true, Some(dial));
    rig.take();
    rig.path(peer, conn, &a(DIRECT));
    assert!(matches!(
        rig.events()[..],
        [Event::Connected { in_room: false, .. }]
    ));
    rig.take();
    rig.close(conn);
    rig.no_path(peer);
    assert_eq!(rig.dials().len(), 1);
}

#[test]
fn a_peer_that_moves_to_another_room_has_left() {
    let (mut rig, _) = Rig::with_relay();
    let peer = id(SMALL);
    let conn = circuit_to(&mut rig, peer, true);
    rig.take();
    rig.input(called(peer, "Anna", Membership::Guest));
    assert!(matches!(
        rig.events()[..],
        [Event::Disconnected {
            code: Reason::OtherRoom,
            left: true,
            ..
        }]
    ));
    rig.input(called(peer, "Anna", Membership::Guest));
    rig.close(conn);
    rig.no_path(peer);
    assert_eq!(rig.events(), [], "once");
    rig.advance(MEMORY * 2);
    assert_eq!(rig.dials(), []);
}

#[test]
fn a_peer_that_says_goodbye_is_not_dialled_until_it_is_listed_anew() {
    let (mut rig, _) = Rig::with_relay();
    let peer = id(SMALL);
    let conn = circuit_to(&mut rig, peer, true);
    rig.take();
    let goodbye = Input::Path {
        peer,
        path: None,
        remote: rig.remote(peer),
        cause: Cause::new(Reason::Left, "it left"),
    };
    rig.input(goodbye);
    assert!(matches!(
        rig.events()[..],
        [Event::Disconnected { left: true, .. }]
    ));
    rig.close(conn);
    rig.take();
    rig.advance(MEMORY / 2);
    assert_eq!(rig.dials(), []);
    rig.list(peer, &[]);
    rig.last_dial();
}

#[test]
fn a_goodbye_closes_every_connection_of_the_peer() {
    let (mut rig, _) = Rig::with_relay();
    let peer = id(SMALL);
    let conn = circuit_to(&mut rig, peer, true);
    let direct = rig.go_direct(peer);
    rig.take();
    rig.input(Input::Path {
        peer,
        path: None,
        remote: rig.remote(peer),
        cause: Cause::new(Reason::Left, "it left"),
    });
    assert_eq!(rig.closes(), [conn, direct]);
}

/// The one-shot form has no proof.
#[test]
fn a_peer_that_can_prove_nothing_belongs_to_the_room_that_it_is_listed_in() {
    let (mut rig, _) = Rig::with_relay();
    let peer = id(SMALL);
    rig.memberships.insert(peer, Membership::Unproven);
    circuit_to(&mut rig, peer, false);
    assert_eq!(rig.admitted, [(peer, false)], "nobody has listed it");
    rig.take();
    rig.advance(INTRODUCTION_PAUSE);
    rig.list(peer, &[]);
    assert!(rig.events().contains(&Event::Membership {
        peer,
        in_room: true
    }));
    assert_eq!(rig.admitted, [(peer, false), (peer, true)]);
}

#[test]
fn names_are_reported_as_they_change_but_not_faster_than_one_can_read() {
    let (mut rig, _) = Rig::with_relay();
    let peer = id(SMALL);
    circuit_to(&mut rig, peer, true);
    rig.take();
    rig.advance(INTRODUCTION_PAUSE);
    rig.take();
    rig.input(called(peer, "Anna", Membership::Member));
    let renamed = |name| Event::Renamed {
        peer,
        name: PeerName::chosen(name).unwrap(),
    };
    assert_eq!(rig.events(), [renamed("Anna")]);
    for i in 0..1_000 {
        rig.input(called(peer, &format!("Bea {i}"), Membership::Member));
    }
    assert_eq!(rig.events(), []);
    rig.advance(INTRODUCTION_PAUSE);
    assert_eq!(rig.events(), [renamed("Bea 999")]);
    rig.advance(INTRODUCTION_PAUSE * 2);
    rig.input(called(peer, "Bea 999", Membership::Member));
    assert_eq!(rig.events(), [], "nothing has changed");
}
