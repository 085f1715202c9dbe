//! From a circuit to a direct path, again and again.

use super::*;
use crate::connector::peers::upgrade::{
    PUNCH_TIMEOUT, UPGRADE_AGAIN_MIN, UPGRADE_RETRY_MAX, UPGRADE_RETRY_MIN, UPGRADE_SOON,
};

fn punch_failed(rig: &mut Rig, peer: PeerId) {
    rig.input(Input::UpgradeFailed {
        peer,
        cause: cause("no luck"),
    });
}

/// A peer reached by a circuit of ours, at a relay that no other kind of address is known of.
fn relayed(peer: PeerId) -> (Rig, ConnId) {
    let (mut rig, _) = Rig::with_relay_at(&[QUIC]);
    let conn = rig.reach(peer);
    (rig, conn)
}

#[test]
fn a_failed_punch_is_repeated_on_a_fresh_circuit_with_growing_delays() {
    let peer = id(SMALL);
    let (mut rig, _) = relayed(peer);
    let mut waits = Vec::new();
    for _ in 0..8 {
        punch_failed(&mut rig, peer);
        punch_failed(&mut rig, peer);
        waits.push(rig.wait_for(UPGRADE_RETRY_MAX, is_dial));
        let (dial, who, addresses) = rig.dials().remove(0);
        assert_eq!((who, addresses), (Some(peer), vec![circuit(QUIC, peer)]));
        rig.connect_as(peer, circuit(QUIC, peer), true, Some(dial));
        rig.take();
    }
    assert!(
        waits
            .iter()
            .all(|w| (UPGRADE_RETRY_MIN..=UPGRADE_RETRY_MAX).contains(w))
    );
    assert!(waits[0] <= secs(60) && waits[7] >= secs(300), "{waits:?}");
}

#[test]
fn a_punch_that_nothing_is_heard_of_has_failed_too() {
    let (mut rig, _) = relayed(id(SMALL));
    let wait = rig.wait_for(secs(100), is_dial);
    assert!(wait >= PUNCH_TIMEOUT + UPGRADE_RETRY_MIN, "{wait:?}");
    assert!(wait <= PUNCH_TIMEOUT + UPGRADE_RETRY_MIN * 2, "{wait:?}");
}

#[test]
fn a_circuit_that_cannot_be_made_is_tried_again_later() {
    let (mut rig, _) = relayed(id(SMALL));
    for _ in 0..3 {
        rig.wait_for(UPGRADE_RETRY_MAX, is_dial);
        let dial = rig.last_dial();
        rig.take();
        rig.fail(dial);
        assert_eq!(rig.events(), []);
        let failure = rig.connector.punch_failure(id(SMALL));
        let text = failure.map(|cause| cause.text.as_str());
        assert_eq!(text, Some("the circuit could not be set up again"));
    }
}

#[test]
fn only_the_side_that_dialled_the_circuit_makes_new_ones() {
    let (mut rig, _) = Rig::with_relay_at(&[QUIC]);
    let peer = id(LARGE);
    let conn = rig.connect_as(peer, at("", peer), false, None);
    rig.path(peer, conn, &at("", peer));
    punch_failed(&mut rig, peer);
    rig.advance(secs(3_600));
    assert_eq!(rig.dials(), []);
}

#[test]
fn when_both_dialled_a_circuit_the_smaller_side_makes_new_ones() {
    for (peer, dials) in [(id(LARGE), true), (id(SMALL), false)] {
        let (mut rig, _) = relayed(peer);
        rig.connect_as(peer, at("", peer), false, None);
        punch_failed(&mut rig, peer);
        rig.take();
        rig.advance(secs(60));
        assert_eq!(!rig.dials().is_empty(), dials);
    }
}

#[test]
fn a_direct_path_ends_it() {
    let peer = id(SMALL);
    let (mut rig, _) = relayed(peer);
    punch_failed(&mut rig, peer);
    rig.go_direct(peer);
    rig.advance(secs(3_600));
    assert_eq!(rig.dials(), []);
}

#[test]
fn when_a_direct_path_dies_beside_a_standing_circuit_a_new_hole_is_punched_soon() {
    let peer = id(SMALL);
    let (mut rig, circuit_conn) = relayed(peer);
    rig.go_direct(peer);
    rig.advance(secs(60));
    rig.path(peer, circuit_conn, &circuit(QUIC, peer));
    rig.take();
    assert_eq!(rig.wait_for(secs(2), is_dial), UPGRADE_SOON);
}

#[test]
fn direct_paths_that_die_at_once_slow_it_down() {
    let peer = id(SMALL);
    let (mut rig, circuit_conn) = relayed(peer);
    let mut waits = Vec::new();
    for _ in 0..6 {
        rig.go_direct(peer);
        rig.path(peer, circuit_conn, &circuit(QUIC, peer));
        rig.take();
        waits.push(rig.wait_for(UPGRADE_RETRY_MAX, is_dial));
        let dial = rig.last_dial();
        rig.fail(dial);
    }
    assert!(waits.iter().all(|wait| *wait >= UPGRADE_AGAIN_MIN));
    assert!(waits[0] <= UPGRADE_AGAIN_MIN * 2, "{waits:?}");
    assert!(waits[5] >= UPGRADE_AGAIN_MIN * 32, "{waits:?}");
}

#[test]
fn who_was_direct_before_is_punched_again_sooner() {
    let peer = id(SMALL);
    let (mut rig, _) = relayed(peer);
    rig.go_direct(peer);
    rig.advance(secs(60));
    rig.no_path(peer);
    let address = circuit(QUIC, peer);
    let conn = rig.connect_as(peer, address.clone(), true, None);
    rig.path(peer, conn, &address);
    punch_failed(&mut rig, peer);
    rig.take();
    let wait = rig.wait_for(UPGRADE_AGAIN_MIN * 2, is_dial);
    assert!(wait >= UPGRADE_AGAIN_MIN, "{wait:?}");
}

#[test]
fn why_a_path_is_not_direct_is_known_until_it_is() {
    let peer = id(SMALL);
    let (mut rig, _) = relayed(peer);
    assert_eq!(rig.connector.punch_failure(peer), None);
    punch_failed(&mut rig, peer);
    assert_eq!(rig.connector.punch_failure(peer), Some(&cause("no luck")));
    let dial = {
        rig.wait_for(UPGRADE_RETRY_MAX, is_dial);
        rig.last_dial()
    };
    rig.connect_as(peer, circuit(QUIC, peer), true, Some(dial));
    rig.advance(PUNCH_TIMEOUT);
    let silence = rig.connector.punch_failure(peer).map(|cause| cause.code);
    assert_eq!(silence, Some(Reason::HolePunchFailed));
    rig.go_direct(peer);
    assert_eq!(rig.connector.punch_failure(peer), None);
}

/// After the first failed punch, when a relay that was reached over one transport may be dialled over another.
fn observation(first: &str, addresses: &[&str], claimed: &[&str]) -> (Rig, ConnId) {
    let (mut rig, conn) = Rig::with_relay_at(&[first]);
    rig.connector
        .relays
        .know(addresses.iter().map(|address| a(address)));
    rig.identify_relay_at(conn, claimed);
    rig.list(id(SMALL), &[]);
    let dial = rig.last_dial();
    let conn = rig.connect_as(id(SMALL), circuit(first, id(SMALL)), true, Some(dial));
    rig.path(id(SMALL), conn, &circuit(first, id(SMALL)));
    rig.take();
    punch_failed(&mut rig, id(SMALL));
    (rig, conn)
}

#[test]
fn the_relay_is_dialled_over_another_transport_then_punched_again_soon() {
    for (first, configured, claimed, wanted) in [
        (QUIC, &[TCP][..], &[][..], TCP),
        (QUIC, &[WS], &[TCP, WS], TCP),
        (TCP, &[], &[QUIC], QUIC),
    ] {
        let (mut rig, _) = observation(first, configured, claimed);
        let (dial, peer, addresses) = rig.dials().remove(0);
        assert_eq!(peer, Some(id(RELAY)));
        assert_eq!(addresses, [at(wanted, id(RELAY))]);
        let conn = rig.connect(id(RELAY), wanted, Some(dial));
        rig.take();
        rig.identify_relay(conn);
        assert_eq!(rig.wait_for(secs(2), is_dial), UPGRADE_SOON);
        assert_eq!(rig.dials()[0].1, Some(id(SMALL)));
        assert_eq!(rig.closes(), [], "it is kept");
        // Only the first failure is worth that.
        punch_failed(&mut rig, id(SMALL));
        rig.advance(secs(2));
        assert_eq!(rig.dials(), []);
    }
}

#[test]
fn without_an_address_of_another_transport_it_just_backs_off() {
    let (mut rig, _) = observation(QUIC, &[WS], &[WS]);
    assert!(rig.wait_for(secs(60), is_dial) >= UPGRADE_RETRY_MIN);
}

#[test]
fn when_the_observation_fails_it_backs_off() {
    let (mut rig, _) = observation(QUIC, &[TCP], &[]);
    let dial = rig.last_dial();
    rig.take();
    rig.fail(dial);
    assert_eq!(rig.events(), []);
    assert!(rig.wait_for(secs(60), is_dial) >= UPGRADE_RETRY_MIN);
}

#[test]
fn wake_punches_again_at_once() {
    let peer = id(SMALL);
    let (mut rig, _) = relayed(peer);
    punch_failed(&mut rig, peer);
    rig.take();
    rig.input(Input::Wake);
    assert_eq!(rig.dials().len(), 1);
}

#[test]
fn who_cannot_punch_holes_makes_no_circuits_for_it() {
    let mut config = config(&[QUIC]);
    config.hole_punch = false;
    let mut rig = Rig::new(&config);
    rig.input(Input::ListenersReady);
    rig.relay_up(QUIC);
    rig.take();
    rig.reach(id(SMALL));
    punch_failed(&mut rig, id(SMALL));
    rig.advance(secs(3_600));
    assert_eq!(rig.dials(), []);
}
