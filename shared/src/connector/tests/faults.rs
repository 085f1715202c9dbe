//! What goes silent or moves, and clocks that are wrong.

use super::*;
use crate::connector::relays::{
    discovery::DISCOVER_INTERVAL, rendezvous::ANSWER_TIMEOUT, reservation::RENEWAL,
};

/// The time within which every silent relay is noticed, as the documents state it.
const NOTICED: Duration = secs(21);

const OTHER: u8 = 2;
const OTHER_QUIC: &str = "/ip4/10.0.0.2/udp/4000/quic-v1";

impl Rig {
    /// Two relays with which all is well.
    fn with_two_relays() -> (Self, [ConnId; 2]) {
        let mut config = config(&[QUIC]);
        config.relays.push(RelayAddress {
            peer: Some(id(OTHER)),
            addresses: vec![a(OTHER_QUIC)],
        });
        let mut rig = Self::new(&config);
        rig.input(Input::ListenersReady);
        let dials: Vec<_> = rig.dials().iter().map(|(dial, ..)| *dial).collect();
        let of = [(RELAY, QUIC), (OTHER, OTHER_QUIC)];
        let mut conns = Vec::new();
        for (n, ((relay, address), dial)) in (0..).zip(of.into_iter().zip(dials)) {
            let conn = rig.connect(id(relay), address, Some(dial));
            rig.input(Input::Identified {
                peer: id(relay),
                conn,
                compatible: false,
                is_relay: true,
                protocols: Vec::new(),
                listen_addresses: Vec::new(),
            });
            rig.input(Input::ReservationAccepted {
                relay: RelayId(n),
                address: addresses::circuit(&a(address), id(relay)),
            });
            conns.push(conn);
        }
        rig.answer();
        rig.take();
        (rig, [conns[0], conns[1]])
    }

    fn silent(&mut self, peer: PeerId, conn: ConnId, dead: bool) {
        self.input(Input::Silent { peer, conn, dead });
    }

    fn count(&self, wanted: impl Fn(&Output) -> bool) -> usize {
        self.out.iter().filter(|output| wanted(output)).count()
    }
}

fn other_circuit(peer: PeerId) -> Multiaddr {
    addresses::with_peer(&addresses::circuit(&a(OTHER_QUIC), id(OTHER)), peer)
}

const fn is_lost(output: &Output) -> bool {
    matches!(output, Output::Emit(Event::ReservationLost { .. }))
}

#[test]
fn while_a_direct_path_is_silent_a_circuit_is_made_ready() {
    let peer = id(SMALL);
    let (mut rig, _) = Rig::with_relay();
    let old = rig.reach(peer);
    let direct = rig.go_direct(peer);
    rig.close(old);
    rig.take();
    rig.silent(peer, direct, false);
    assert_eq!(rig.dials().len(), 1);
    let (dial, who, addresses) = rig.dials().remove(0);
    assert_eq!((who, addresses), (Some(peer), vec![circuit(QUIC, peer)]));
    assert!(rig.out.iter().any(is_discover), "the relay is asked, too");
    rig.take();
    rig.silent(peer, direct, false);
    assert_eq!(rig.dials().len(), 0, "one at a time");
    let spare = rig.connect_as(peer, circuit(QUIC, peer), true, Some(dial));
    rig.path(peer, spare, &circuit(QUIC, peer));
    let events = rig.events();
    let changed = |e: &Event| {
        matches!(
            e,
            Event::PathChanged {
                to: Path::Relayed,
                ..
            }
        )
    };
    assert_eq!(events.iter().filter(|e| changed(e)).count(), 1);
    rig.silent(peer, direct, true);
    assert_eq!(rig.closes(), [direct]);
}

#[test]
fn around_a_silent_circuit_the_way_is_by_another_relay() {
    let peer = id(SMALL);
    let (mut rig, _) = Rig::with_relay();
    let conn = rig.reach(peer);
    rig.silent(peer, conn, false);
    assert_eq!(rig.dials().len(), 0, "the same relay would not help");

    let (mut rig, _) = Rig::with_two_relays();
    rig.discovered(id(RELAY), vec![(peer, Vec::new())]);
    rig.discovered(id(OTHER), vec![(peer, Vec::new())]);
    let dial = rig.last_dial();
    let conn = rig.connect_as(peer, circuit(QUIC, peer), true, Some(dial));
    rig.path(peer, conn, &circuit(QUIC, peer));
    rig.take();
    rig.silent(peer, conn, false);
    let (_, who, addresses) = rig.dials().remove(0);
    assert_eq!((who, addresses), (Some(peer), vec![other_circuit(peer)]));
}

#[test]
fn a_connection_that_no_messages_take_needs_no_way_around() {
    let peer = id(SMALL);
    let (mut rig, _) = Rig::with_relay();
    let relayed = rig.reach(peer);
    rig.go_direct(peer);
    rig.take();
    rig.silent(peer, relayed, false);
    rig.silent(id(LARGE), relayed, false);
    assert_eq!(rig.take(), []);
}

#[test]
fn one_of_two_relays_dies_and_the_other_carries_on() {
    let peer = id(LARGE);
    let (mut rig, [first, _]) = Rig::with_two_relays();
    rig.discovered(id(RELAY), vec![(peer, Vec::new())]);
    rig.discovered(id(OTHER), vec![(peer, Vec::new())]);
    let dial = rig.last_dial();
    let conn = rig.connect_as(peer, circuit(QUIC, peer), true, Some(dial));
    rig.path(peer, conn, &circuit(QUIC, peer));
    rig.close(first);
    rig.take();
    rig.no_path(peer);
    rig.close(conn);
    let dials = rig.dials();
    let to_peer = dials.iter().find(|(_, who, _)| *who == Some(peer));
    let (_, _, addresses) = to_peer.expect("a dial by the other relay");
    assert_eq!(*addresses, [other_circuit(peer)]);
}

#[test]
fn a_black_hole_is_noticed_in_time_whenever_it_opens() {
    for passed in 0..11 {
        let (mut rig, conn) = Rig::with_relay();
        rig.advance(secs(passed));
        rig.take();
        rig.answering = false;
        let noticed = rig.wait_for(NOTICED, |o| *o == Output::Close { conn });
        assert!(noticed >= 2 * ANSWER_TIMEOUT, "{noticed:?}");
        assert_eq!(rig.count(is_lost), 1);
    }
}

#[test]
fn when_a_path_is_silent_one_silence_of_the_relay_is_enough() {
    let (mut rig, conn) = Rig::with_relay();
    rig.reach(id(SMALL));
    let direct = rig.go_direct(id(SMALL));
    rig.advance(secs(1));
    rig.take();
    rig.answering = false;
    rig.silent(id(SMALL), direct, false);
    let noticed = rig.wait_for(NOTICED, |o| *o == Output::Close { conn });
    assert_eq!(noticed, ANSWER_TIMEOUT);
    // An answer clears it of all suspicion.
    let (mut rig, conn) = Rig::with_relay();
    rig.reach(id(SMALL));
    let direct = rig.go_direct(id(SMALL));
    rig.advance(secs(1));
    rig.silent(id(SMALL), direct, false);
    rig.answer();
    rig.answering = false;
    let noticed = rig.wait_for(NOTICED, |o| *o == Output::Close { conn });
    assert!(noticed >= DISCOVER_INTERVAL + 2 * ANSWER_TIMEOUT);
}

#[test]
fn a_late_answer_saves_a_relay() {
    let (mut rig, conn) = Rig::with_relay();
    rig.answering = false;
    for _ in 0..20 {
        rig.wait_for(DISCOVER_INTERVAL + secs(1), is_discover);
        rig.advance(ANSWER_TIMEOUT);
        rig.discovered(id(RELAY), Vec::new());
        let out = rig.take();
        assert!(!out.contains(&Output::Close { conn }), "{out:?}");
    }
}

#[test]
fn a_relay_that_carries_messages_may_answer_late() {
    let (mut rig, conn) = Rig::with_relay();
    rig.reach(id(SMALL));
    rig.answering = false;
    let closed = |o: &Output| *o == Output::Close { conn };
    let noticed = rig.wait_for(secs(60), closed);
    assert!(noticed > NOTICED, "{noticed:?}");
    // Once the circuit itself is dead there is no such excuse.
    let (mut rig, conn) = Rig::with_relay();
    let circuit = rig.reach(id(SMALL));
    rig.answering = false;
    rig.advance(secs(12));
    rig.no_path(id(SMALL));
    rig.silent(id(SMALL), circuit, true);
    rig.wait_for(NOTICED - secs(12), |o| *o == Output::Close { conn });
}

#[test]
fn a_relay_that_answers_no_pings_is_dialled_afresh_unless_it_carries_messages() {
    let (mut rig, conn) = Rig::with_relay();
    rig.silent(id(RELAY), conn, true);
    assert!(rig.out.contains(&Output::Close { conn }));
    assert_eq!(rig.count(is_lost), 1);

    let (mut rig, conn) = Rig::with_relay();
    let circuit = rig.reach(id(SMALL));
    rig.silent(id(RELAY), conn, true);
    assert_eq!(rig.take(), []);
    rig.no_path(id(SMALL));
    rig.close(circuit);
    rig.silent(id(RELAY), conn, true);
    assert_eq!(rig.count(is_lost), 1);
}

#[test]
fn a_reservation_is_renewed_by_our_own_clock() {
    let (mut rig, _) = Rig::with_relay();
    for _ in 0..3 {
        let wait = rig.wait_for(RENEWAL, |o| matches!(o, Output::Reserve { .. }));
        assert_eq!(wait, RENEWAL);
        rig.accept();
        assert_eq!(rig.count(is_lost), 0);
        assert!(!rig.out.contains(&Output::Unreserve { relay: RelayId(0) }));
        rig.take();
    }
    rig.input(Input::ReservationLost {
        relay: RelayId(0),
        cause: cause("refused"),
    });
    assert_eq!(rig.count(is_lost), 1);
}

#[test]
fn who_moves_to_another_network_reserves_anew_at_once() {
    let (mut rig, conn) = Rig::with_relay();
    rig.advance(secs(60));
    rig.take();
    let gone = NetworkInput::Changed { lost: true };
    rig.network(gone.clone());
    assert!(rig.out.contains(&Output::Close { conn }));
    assert_eq!(rig.count(is_lost), 1);
    assert_eq!(rig.count(is_dial), 1, "at once");
    // One address is several events.
    rig.network(gone.clone());
    assert_eq!(rig.count(is_dial), 1);
    let again = rig.relay_up(QUIC);
    rig.take();
    rig.network(gone);
    assert_eq!(rig.take(), []);
    assert_ne!(conn, again);
}

#[test]
fn another_address_hurries_what_waits_and_harms_nothing() {
    let (mut rig, conn) = Rig::with_relay();
    rig.advance(secs(60));
    rig.take();
    let more = NetworkInput::Changed { lost: false };
    rig.network(more.clone());
    assert_eq!(rig.take(), []);
    rig.close(conn);
    for _ in 0..5 {
        rig.wait_for(secs(30), is_dial);
        let dial = rig.last_dial();
        rig.take();
        rig.fail(dial);
        let next = rig.last_dial();
        rig.fail(next);
        rig.take();
    }
    rig.network(more);
    assert_eq!(rig.count(is_dial), 1, "at once");
}

#[test]
fn before_the_listeners_are_up_every_address_is_new() {
    let mut rig = Rig::new(&NodeConfig {
        listen: vec![a(QUIC)],
        ..config(&[QUIC])
    });
    rig.network(NetworkInput::Changed { lost: false });
    assert_eq!(rig.take(), []);
    rig.input(Input::ListenersReady);
    assert_eq!(rig.count(is_dial), 1);
}
