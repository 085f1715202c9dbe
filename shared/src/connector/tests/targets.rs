//! Peers that the application asked for: dialled for ever, and greeted.

use super::*;
use crate::config::MAX_ADDRESSES_PER_PEER;

fn direct(peer: PeerId) -> Multiaddr {
    at(DIRECT, peer)
}

/// A peer dialled by its full address, and connected.
fn dialled(peer: PeerId, config: &NodeConfig) -> (Rig, ConnId) {
    let mut rig = Rig::new(config);
    rig.input(Input::Dial(direct(peer)));
    let dial = rig.last_dial();
    let conn = rig.connect_as(peer, direct(peer), true, Some(dial));
    rig.identify(peer, conn, true);
    rig.take();
    rig.path(peer, conn, &a(DIRECT));
    (rig, conn)
}

#[test]
fn peers_of_the_configuration_are_dialled_at_once() {
    let rig = Rig::new(&NodeConfig {
        dial: vec![a(DIRECT), direct(id(SMALL))],
        ..NodeConfig::default()
    });
    let dials = rig.dials();
    assert_eq!(dials.len(), 2);
    assert!(
        dials
            .iter()
            .any(|d| d.1 == Some(id(SMALL)) && d.2 == [direct(id(SMALL))])
    );
    assert!(dials.iter().any(|d| d.1.is_none() && d.2 == [a(DIRECT)]));
}

#[test]
fn an_address_of_our_own_is_not_tried_again_unless_asked_for() {
    let mut rig = Rig::alone();
    for _ in 0..2 {
        rig.input(Input::Dial(a(DIRECT)));
        let dial = rig.last_dial();
        rig.take();
        rig.input(Input::DialFailed {
            dial,
            cause: Cause::new(Reason::InvalidAddress, "that is this peer itself"),
        });
        let message = format!("cannot dial {DIRECT}: that is this peer itself");
        assert_eq!(rig.errors(), [message]);
        rig.advance(secs(300));
        assert_eq!(rig.dials(), []);
    }
}

#[test]
fn who_was_at_an_address_is_not_wanted_once_it_is_our_own() {
    let mut rig = Rig::alone();
    rig.input(Input::Dial(a(DIRECT)));
    let dial = rig.last_dial();
    let conn = rig.connect_as(id(SMALL), direct(id(SMALL)), true, Some(dial));
    assert!(rig.connector.peers.is_ordered(id(SMALL)));
    rig.close(conn);
    let of_target = |output: &Output| matches!(output, Output::Dial { peer: None, .. });
    rig.take();
    rig.wait_for(secs(60), of_target);
    let (dial, ..) = rig
        .dials()
        .into_iter()
        .find(|dial| dial.1.is_none())
        .unwrap();
    rig.input(Input::DialFailed {
        dial,
        cause: Cause::new(Reason::InvalidAddress, "that is this peer itself"),
    });
    assert!(!rig.connector.peers.is_ordered(id(SMALL)));
}

#[test]
fn an_address_that_fails_is_reported_once_and_tried_for_ever() {
    for address in [a(DIRECT), direct(id(SMALL))] {
        let mut rig = Rig::alone();
        rig.input(Input::Dial(address.clone()));
        let mut errors = Vec::new();
        for _ in 0..100 {
            let dial = rig.last_dial();
            rig.take();
            rig.fail(dial);
            let reported = rig.out.clone();
            let wait = rig.wait_for(secs(30), is_dial);
            assert!(wait >= secs(1));
            errors.extend(
                reported
                    .into_iter()
                    .filter(|o| matches!(o, Output::Emit(_))),
            );
        }
        let message = format!("cannot reach {address}: refused; retrying");
        assert_eq!(
            errors,
            [Output::Emit(Event::Error {
                code: Reason::Other,
                message
            })]
        );
    }
}

#[test]
fn a_peer_that_was_asked_for_is_greeted_at_once_and_again() {
    let (mut rig, _) = dialled(id(SMALL), &NodeConfig::default());
    assert_eq!(rig.greetings(), ["Hello from"]);
    rig.advance(secs(20));
    assert_eq!(rig.greetings(), ["Hello from"; 2]);
    rig.input(Input::GreetingReply {
        peer: id(SMALL),
        message: "Hello".into(),
        address: a("/ip4/203.0.113.5/udp/9"),
    });
    rig.advance(secs(10));
    assert_eq!(rig.greetings(), ["Hello from /ip4/203.0.113.5/udp/9"]);
    rig.no_path(id(SMALL));
    rig.take();
    rig.advance(secs(30));
    assert_eq!(rig.greetings(), Vec::<String>::new());
}

#[test]
fn greetings_can_be_off() {
    for greet_interval in [None, Some(Duration::ZERO)] {
        let config = NodeConfig {
            greet_interval,
            ..NodeConfig::default()
        };
        let (mut rig, _) = dialled(id(SMALL), &config);
        rig.advance(secs(60));
        assert_eq!(rig.greetings(), Vec::<String>::new());
    }
}

#[test]
fn a_discovered_peer_is_not_greeted_until_it_is_asked_for() {
    let (mut rig, _) = Rig::with_relay();
    rig.reach(id(SMALL));
    rig.advance(secs(30));
    assert_eq!(rig.greetings(), Vec::<String>::new());
    rig.input(Input::Dial(direct(id(SMALL))));
    assert_eq!(rig.dials()[0].2, [direct(id(SMALL))], "a better path");
    assert_eq!(rig.greetings(), ["Hello from"]);
}

#[test]
fn a_peer_that_was_asked_for_is_dialled_again_where_it_was() {
    for larger in [true, false] {
        let peer = id(if larger { LARGE } else { SMALL });
        let (mut rig, conn) = dialled(peer, &NodeConfig::default());
        rig.advance(secs(3_600));
        rig.take();
        rig.close(conn);
        rig.no_path(peer);
        assert_eq!(rig.dials()[0].2, [direct(peer)]);
        let dial = rig.last_dial();
        rig.fail(dial);
        assert_eq!(rig.errors().len(), 1);
    }
}

#[test]
fn whoever_is_at_an_address_is_learned_greeted_and_dialled_again() {
    let mut rig = Rig::alone();
    rig.input(Input::Dial(a(DIRECT)));
    let dial = rig.last_dial();
    let conn = rig.connect(id(SMALL), DIRECT, Some(dial));
    rig.path(id(SMALL), conn, &a(DIRECT));
    assert_eq!(rig.greetings(), ["Hello from"]);
    rig.advance(secs(60));
    rig.take();
    rig.close(conn);
    rig.no_path(id(SMALL));
    let (dial, peer, addresses) = rig.dials().remove(0);
    assert_eq!((peer, addresses), (None, vec![a(DIRECT)]));
    assert_eq!(rig.dials().len(), 1);
    rig.take();
    // It came back as somebody else.
    let conn = rig.connect(id(LARGE), DIRECT, Some(dial));
    rig.path(id(LARGE), conn, &a(DIRECT));
    assert_eq!(rig.greetings(), ["Hello from"]);
    assert!(!rig.connector.peers.is_ordered(id(SMALL)));
}

#[test]
fn an_incompatible_target_is_dialled_no_more() {
    let mut rig = Rig::alone();
    rig.input(Input::Dial(a(DIRECT)));
    let dial = rig.last_dial();
    let conn = rig.connect(id(SMALL), DIRECT, Some(dial));
    rig.take();
    rig.identify(id(SMALL), conn, false);
    let out = rig.take();
    assert!(matches!(out[0], Output::Emit(Event::Incompatible { .. })));
    assert_eq!(out[1], Output::Close { conn });
    rig.close(conn);
    rig.input(Input::Wake);
    rig.advance(secs(300));
    rig.input(Input::Dial(a(DIRECT)));
    rig.advance(secs(100));
    assert_eq!(rig.dials(), []);
    assert_eq!(rig.errors().len(), 1);
    rig.advance(secs(700));
    rig.input(Input::Dial(a(DIRECT)));
    assert_eq!(rig.dials().len(), 1, "it may have changed");
}

#[test]
fn dialling_a_relay_of_ours_is_no_incompatibility() {
    let (mut rig, _) = Rig::with_relay();
    rig.input(Input::Dial(at(TCP, id(RELAY))));
    let dial = rig.last_dial();
    let conn = rig.connect(id(RELAY), TCP, Some(dial));
    rig.take();
    rig.identify_relay(conn);
    rig.advance(secs(60));
    assert_eq!(rig.dials(), []);
    assert_eq!(rig.events(), []);
}

#[test]
fn an_order_during_another_dial_is_carried_out_after_it() {
    let (mut rig, _) = Rig::with_relay();
    let peer = id(SMALL);
    rig.list(peer, &[]);
    let dial = rig.last_dial();
    rig.take();
    rig.input(Input::Dial(direct(peer)));
    assert_eq!(rig.dials(), []);
    rig.fail(dial);
    assert_eq!(rig.dials()[0].2, [direct(peer), circuit(QUIC, peer)]);
}

#[test]
fn a_repeated_order_does_not_wait() {
    let mut rig = Rig::alone();
    for address in [a(DIRECT), direct(id(SMALL))] {
        rig.input(Input::Dial(address.clone()));
        let dial = rig.last_dial();
        rig.fail(dial);
        rig.take();
        rig.input(Input::Dial(address));
        assert_eq!(rig.dials().len(), 1);
        let dial = rig.last_dial();
        rig.fail(dial);
        assert_eq!(rig.errors().len(), 1, "a new order, a new answer");
    }
}

#[test]
fn wake_dials_addresses_that_wait() {
    let mut rig = Rig::alone();
    rig.input(Input::Dial(a(DIRECT)));
    let dial = rig.last_dial();
    rig.fail(dial);
    rig.take();
    rig.input(Input::Wake);
    assert_eq!(rig.dials().len(), 1);
}

#[test]
fn an_address_that_is_ordered_again_takes_no_others_place() {
    let mut rig = Rig::alone();
    let peer = id(SMALL);
    let address = |n: usize| at(&format!("/ip4/10.3.0.{n}/tcp/1"), peer);
    let all: Vec<_> = (0..MAX_ADDRESSES_PER_PEER).map(address).collect();
    for known in all.iter().chain(&all[5..6]) {
        rig.input(Input::Dial(known.clone()));
    }
    let dial = rig.last_dial();
    rig.take();
    rig.fail(dial);
    assert_eq!(rig.dials()[0].2, all);
    // A new one does, so that the last word counts.
    rig.input(Input::Dial(address(99)));
    let dial = rig.last_dial();
    rig.take();
    rig.fail(dial);
    assert_eq!(rig.dials()[0].2, [&all[1..], &[address(99)]].concat());
}
