//! Discovered peers: reported, dialled, lost and dialled again.

use super::{hostile::many, *};
use crate::connector::{
    known_relay::MAX_RELAYS,
    peers::{
        dialling::{MAX_ATTEMPTS, MAX_RUNNING_DIALS, SETTLE_TIMEOUT},
        listings::NEWS_WAIT,
        paths::POLITE_WAIT,
        peer::MEMORY,
    },
};

fn is_disconnected(event: &Event) -> bool {
    matches!(event, Event::Disconnected { .. })
}

#[test]
fn a_discovered_peer_is_reported_and_dialled_by_circuit_first() {
    let (mut rig, _) = Rig::with_relay();
    let peer = id(SMALL);
    let same = circuit(QUIC, peer).to_string();
    rig.list(peer, &[DIRECT, &same, DIRECT]);
    let reported = vec![at(DIRECT, peer), circuit(QUIC, peer)];
    let dialled = vec![circuit(QUIC, peer)];
    assert_eq!(
        rig.events(),
        [Event::Discovered {
            peer,
            addresses: reported
        }]
    );
    rig.input(Input::Shutdown);
    let (mut rig, _) = Rig::with_relay();
    rig.list(peer, &[DIRECT, &same, DIRECT]);
    let (_, who, addresses) = rig.dials().remove(0);
    assert_eq!((who, addresses), (Some(peer), dialled));
}

#[test]
fn lines_may_go_by_a_circuit_to_who_is_listed_and_to_nobody_else() {
    let (mut rig, _) = Rig::with_relay();
    let [listed, ordered, stranger] = [SMALL, 20, 21].map(id);
    rig.list(listed, &[]);
    rig.input(Input::Dial(circuit(QUIC, ordered)));
    rig.take();
    let expected = |rig: &mut Rig| {
        let outputs = rig.take().into_iter();
        let expected = outputs.filter_map(|output| match output {
            Output::Expect { peer, conn } => Some((peer, conn)),
            _ => None,
        });
        expected.collect::<Vec<_>>()
    };
    assert!(!rig.connector.is_settled());
    for peer in [ordered, stranger] {
        rig.connect_as(peer, circuit(QUIC, peer), true, None);
        assert_eq!(expected(&mut rig), [], "of what room it is nobody knows");
    }
    rig.inbound(listed, &circuit(QUIC, listed).to_string());
    assert_eq!(expected(&mut rig), [], "it may have moved on since");
    rig.connect_as(listed, a(DIRECT), true, None);
    assert_eq!(expected(&mut rig), [], "identify has to say what it speaks");
    let conn = rig.connect_as(listed, circuit(QUIC, listed), true, None);
    assert_eq!(expected(&mut rig), [(listed, conn)]);
    rig.path(listed, conn, &circuit(QUIC, listed));
    rig.connect_as(listed, circuit(QUIC, listed), true, None);
    assert_eq!(expected(&mut rig), [], "there is a path");
}

#[test]
fn a_circuit_that_lines_may_go_by_is_not_waited_for() {
    let (mut rig, _) = Rig::with_relay();
    let peer = id(SMALL);
    rig.list(peer, &[]);
    assert!(!rig.connector.is_settled());
    let dial = rig.last_dial();
    let conn = rig.connect(peer, &circuit(QUIC, peer).to_string(), Some(dial));
    assert!(rig.connector.is_settled());
    rig.close(conn);
    assert!(rig.connector.is_settled(), "the first attempt has failed");
}

#[test]
fn we_and_our_relays_are_left_out() {
    let (mut rig, _) = Rig::with_relay();
    rig.discovered(
        id(RELAY),
        vec![(id(LOCAL), vec![a(DIRECT)]), (id(RELAY), vec![a(QUIC)])],
    );
    assert_eq!(rig.take(), []);
}

#[test]
fn a_relay_that_speaks_msg_is_a_peer_too() {
    let (mut rig, conn) = Rig::with_relay();
    rig.identify(id(RELAY), conn, true);
    rig.list(id(RELAY), &[DIRECT]);
    assert!(matches!(rig.events()[..], [Event::Discovered { .. }]));
}

#[test]
fn only_configured_relays_are_believed() {
    let (mut rig, _) = Rig::with_relay();
    rig.discovered(id(2), vec![(id(SMALL), vec![a(DIRECT)])]);
    assert_eq!(rig.take(), []);
}

#[test]
fn a_known_peer_is_not_reported_again_unless_its_addresses_change() {
    let (mut rig, _) = Rig::with_relay();
    rig.list(id(SMALL), &[DIRECT, TCP]);
    assert_eq!(rig.events().len(), 1);
    rig.list(id(SMALL), &[TCP, DIRECT]);
    assert_eq!(rig.events(), []);
    rig.list(id(SMALL), &[TCP]);
    assert_eq!(rig.events().len(), 1);
}

#[test]
fn a_peer_that_was_gone_for_long_is_reported_again() {
    let (mut rig, _) = Rig::with_relay();
    rig.list(id(SMALL), &[]);
    let dial = rig.last_dial();
    rig.fail(dial);
    rig.advance(MEMORY + secs(61));
    rig.take();
    assert!(rig.connector.peers.len() == 0);
    rig.list(id(SMALL), &[]);
    assert_eq!(rig.events().len(), 1);
}

#[test]
fn failed_dials_back_off_and_end_after_some() {
    let (mut rig, _) = Rig::with_relay();
    rig.list(id(SMALL), &[]);
    let start = rig.now;
    let mut waits = Vec::new();
    while rig.out.iter().any(is_dial) {
        let dial = rig.last_dial();
        rig.take();
        rig.fail(dial);
        let failed = rig.now;
        while !rig.out.iter().any(is_dial) && rig.now < start + MEMORY + secs(60) {
            rig.advance(millis(100));
        }
        waits.push(rig.now - failed);
    }
    assert!((secs(1)..=secs(3)).contains(&waits[0]), "{waits:?}");
    assert!(waits[5..waits.len() - 1].iter().all(|w| *w >= secs(15)));
    assert_eq!(waits.len(), MAX_ATTEMPTS as usize, "{waits:?}");
    assert_eq!(rig.errors(), Vec::<String>::new(), "nobody asked for it");
    // It registers again, or we have another network.
    rig.list(id(SMALL), &[DIRECT]);
    assert_eq!(rig.dials().len(), 1);
}

#[test]
fn a_peer_that_registers_again_is_dialled_before_its_back_off_is_over() {
    let (mut rig, _) = Rig::with_relay();
    rig.answering = false;
    rig.wait_for(secs(12), is_discover);
    rig.take();
    rig.input(Input::DiscoverFailed {
        point: id(RELAY),
        cause: cause("not now"),
    });
    rig.wait_for(secs(3), is_discover);
    rig.list(id(LARGE), &[]);
    let dial = rig.last_dial();
    rig.fail(dial);
    rig.take();
    // What a question without a cookie is answered with may be old.
    rig.discovered_so_far(id(RELAY), vec![(id(LARGE), Vec::new())]);
    assert_eq!(rig.dials(), []);
    rig.wait_for(secs(2), is_dial);
    let dial = rig.last_dial();
    rig.wait_for(secs(12), is_discover);
    rig.fail(dial);
    rig.take();
    rig.list(id(LARGE), &[]);
    assert_eq!(rig.wait_for(secs(2), is_dial), NEWS_WAIT);
}

#[test]
fn of_two_that_come_together_the_larger_waits_for_the_smaller() {
    for (peer, wait) in [(id(LARGE), NEWS_WAIT), (id(SMALL), POLITE_WAIT)] {
        let (mut rig, _) = Rig::with_relay();
        rig.answering = false;
        rig.discovered_so_far(id(RELAY), Vec::new());
        rig.take();
        rig.wait_for(secs(12), is_discover);
        rig.list(peer, &[]);
        assert_eq!(rig.wait_for(secs(2), is_dial), wait);
    }
}

#[test]
fn in_a_crowd_those_who_have_just_come_have_more_time_to_dial() {
    let (mut rig, _) = Rig::with_relay();
    let news = |numbers: std::ops::Range<u8>| Input::News {
        point: id(RELAY),
        peers: numbers.map(|n| (id(n), Vec::new())).collect(),
    };
    // They stand beside many of whom nothing more is heard.
    rig.discovered_so_far(
        id(RELAY),
        (1..1_000).map(|n| (many(n), Vec::new())).collect(),
    );
    rig.input(news(201..233));
    rig.input(news(LARGE..201));
    let mut waited = Duration::ZERO;
    loop {
        let dials = rig.dials();
        rig.take();
        if dials.iter().any(|(_, peer, _)| *peer == Some(id(LARGE))) {
            break;
        }
        // There is room for it.
        for (dial, ..) in dials {
            rig.fail(dial);
        }
        rig.advance(millis(50));
        waited += millis(50);
        assert!(waited < secs(3));
    }
    assert!(waited >= secs(2), "{waited:?}");
}

#[test]
fn two_peers_that_dial_each_other_at_once_get_along() {
    let (mut rig, _) = Rig::with_relay();
    let peer = id(SMALL);
    rig.list(peer, &[]);
    let dial = rig.last_dial();
    rig.take();
    let theirs = rig.connect_as(peer, at("", peer), false, None);
    rig.path(peer, theirs, &at("", peer));
    assert_eq!(rig.events().len(), 1);
    let ours = rig.connect_as(peer, circuit(QUIC, peer), true, Some(dial));
    rig.path(peer, ours, &circuit(QUIC, peer));
    assert_eq!(rig.take(), [], "the other circuit is no other place");
    rig.close(theirs);
    assert_eq!(rig.take(), []);
}

#[test]
fn paths_are_reported_when_they_come_change_and_go() {
    let (mut rig, _) = Rig::with_relay();
    let peer = id(SMALL);
    rig.reach(peer);
    let conn = rig.go_direct(peer);
    assert_eq!(
        rig.events(),
        [Event::PathChanged {
            peer,
            from: Path::Relayed,
            to: Path::Direct,
            transport: Transport::Quic,
            address: a(DIRECT)
        }]
    );
    rig.path(peer, conn, &a(DIRECT));
    rig.path(peer, conn, &at(DIRECT, peer));
    assert_eq!(rig.take(), [], "nothing differs");
    rig.no_path(peer);
    rig.no_path(peer);
    assert_eq!(
        rig.events(),
        [Event::Disconnected {
            peer,
            code: Reason::Other,
            reason: "it broke".into(),
            left: false,
        }]
    );
}

#[test]
fn a_lost_peer_is_dialled_at_once_by_the_smaller_side() {
    // We are larger than SMALL and smaller than LARGE.
    for (peer, wait) in [(id(LARGE), Duration::ZERO), (id(SMALL), POLITE_WAIT)] {
        let (mut rig, _) = Rig::with_relay();
        rig.reach(peer);
        rig.advance(secs(20));
        rig.take();
        rig.no_path(peer);
        assert_eq!(rig.wait_for(secs(2), is_dial), wait);
        assert_eq!(rig.dials()[0].2[0], circuit(QUIC, peer));
    }
}

#[test]
fn the_larger_side_does_not_dial_when_the_other_was_faster() {
    let (mut rig, _) = Rig::with_relay();
    let peer = id(SMALL);
    rig.reach(peer);
    rig.no_path(peer);
    rig.advance(millis(500));
    let conn = rig.connect_as(peer, at("", peer), false, None);
    rig.advance(millis(700));
    rig.path(peer, conn, &at("", peer));
    rig.advance(secs(20));
    assert_eq!(rig.dials(), []);
}

#[test]
fn closed_and_path_may_come_in_any_order() {
    for closed_first in [true, false] {
        let (mut rig, _) = Rig::with_relay();
        let peer = id(LARGE);
        let conn = rig.reach(peer);
        if closed_first {
            rig.close(conn);
            rig.no_path(peer);
        } else {
            rig.no_path(peer);
            rig.close(conn);
        }
        assert_eq!(rig.dials().len(), 1);
        assert_eq!(
            rig.events().iter().filter(|e| is_disconnected(e)).count(),
            1
        );
    }
}

#[test]
fn a_peer_that_flaps_is_not_hammered() {
    let (mut rig, _) = Rig::with_relay();
    let peer = id(LARGE);
    let mut address = rig.reach(peer);
    let mut waits = Vec::new();
    for _ in 0..5 {
        rig.close(address);
        rig.no_path(peer);
        waits.push(rig.wait_for(secs(40), is_dial));
        let dial = rig.last_dial();
        address = rig.connect_as(peer, circuit(QUIC, peer), true, Some(dial));
        rig.path(peer, address, &circuit(QUIC, peer));
        rig.take();
    }
    assert_eq!(waits[0], Duration::ZERO);
    assert!(waits[4] >= secs(8), "{waits:?}");
}

#[test]
fn a_peer_that_dialled_us_directly_is_wanted_for_a_while_after_it_left() {
    let (mut rig, _) = Rig::with_relay();
    let peer = id(SMALL);
    let conn = rig.inbound(peer, TCP);
    rig.path(peer, conn, &a(TCP));
    rig.close(conn);
    rig.no_path(peer);
    rig.advance(secs(60));
    assert_eq!(rig.dials(), [], "we know no way to it");
    rig.advance(MEMORY);
    rig.input(Input::Wake);
    assert!(rig.connector.peers.len() == 0);
}

#[test]
fn a_direct_peer_that_we_dialled_is_dialled_there_again() {
    let (mut rig, _) = Rig::with_relay();
    let peer = id(LARGE);
    let conn = rig.go_direct(peer);
    rig.close(conn);
    rig.no_path(peer);
    assert_eq!(rig.dials()[0].2, [at(DIRECT, peer)]);
}

#[test]
fn a_connection_that_becomes_no_path_is_closed_and_dialled_again() {
    let (mut rig, _) = Rig::with_relay();
    let peer = id(SMALL);
    rig.list(peer, &[]);
    let dial = rig.last_dial();
    let conn = rig.connect_as(peer, circuit(QUIC, peer), true, Some(dial));
    rig.take();
    rig.advance(SETTLE_TIMEOUT);
    assert_eq!(rig.dials(), []);
    assert_eq!(rig.closes(), [conn]);
    rig.close(conn);
    rig.wait_for(secs(2), is_dial);
}

#[test]
fn a_connection_that_closes_before_it_is_a_path_is_a_failure() {
    let (mut rig, _) = Rig::with_relay();
    let peer = id(SMALL);
    rig.list(peer, &[]);
    let dial = rig.last_dial();
    let conn = rig.connect_as(peer, circuit(QUIC, peer), true, Some(dial));
    rig.take();
    rig.close(conn);
    assert!(rig.wait_for(secs(2), is_dial) >= secs(1));
}

#[test]
fn an_incompatible_peer_is_reported_once_closed_and_left_alone() {
    let (mut rig, _) = Rig::with_relay();
    let peer = id(SMALL);
    rig.list(peer, &[]);
    let dial = rig.last_dial();
    let conn = rig.connect_as(peer, circuit(QUIC, peer), true, Some(dial));
    rig.take();
    rig.identify(peer, conn, false);
    rig.identify(peer, conn, false);
    assert_eq!(
        rig.take(),
        [
            Output::Emit(Event::Incompatible {
                peer,
                protocols: vec!["/x/1".into()]
            }),
            Output::Close { conn }
        ]
    );
    rig.close(conn);
    rig.list(peer, &[DIRECT]);
    rig.input(Input::Wake);
    rig.advance(secs(300));
    rig.input(Input::Dial(at(DIRECT, peer)));
    rig.advance(secs(300));
    assert_eq!(rig.dials(), []);
    assert_eq!(
        rig.errors().len(),
        1,
        "the order is not ignored without a word"
    );
}

#[test]
fn an_incompatible_peer_that_dialled_us_is_its_own_affair() {
    let (mut rig, _) = Rig::with_relay();
    let conn = rig.inbound(id(SMALL), DIRECT);
    rig.identify(id(SMALL), conn, false);
    assert_eq!(rig.take(), []);
}

#[test]
fn dials_of_discovered_peers_take_turns() {
    let (mut rig, _) = Rig::with_relay();
    let peers = (2..=90).map(|n| (id(n), Vec::new())).collect();
    rig.discovered(id(RELAY), peers);
    let dials = rig.dials();
    assert_eq!(dials.len(), MAX_RUNNING_DIALS);
    rig.take();
    for (dial, ..) in &dials[..5] {
        rig.fail(*dial);
    }
    rig.advance(secs(1));
    assert_eq!(rig.dials().len(), 5);
}

#[test]
fn wake_dials_everyone_that_waits() {
    let (mut rig, _) = Rig::with_relay();
    rig.list(id(SMALL), &[]);
    rig.list(id(LARGE), &[]);
    for (dial, ..) in rig.dials() {
        rig.fail(dial);
    }
    rig.take();
    rig.input(Input::Wake);
    assert_eq!(rig.dials().len(), 2);
}

#[test]
fn the_circuit_goes_by_the_address_we_are_connected_to_the_relay_by() {
    let (mut rig, conn) = Rig::with_relay();
    let tcp = rig.connect_as(id(RELAY), at(TCP, id(RELAY)), true, None);
    rig.identify_relay(tcp);
    rig.close(conn);
    rig.advance(secs(1));
    rig.accept();
    rig.take();
    rig.list(id(SMALL), &[]);
    assert_eq!(rig.dials()[0].2, [circuit(TCP, id(SMALL))]);
}

#[test]
fn a_listing_that_is_renewed_takes_no_others_place() {
    // As many relays as there may be, and the peer's own word.
    let relays = 1..=u8::try_from(MAX_RELAYS).unwrap();
    let mut rig = Rig::new(&NodeConfig {
        relays: relays.clone().map(relay_at).collect(),
        ..NodeConfig::default()
    });
    let peer = id(LARGE);
    let listed = |n: u8| vec![(peer, vec![a(&format!("/ip4/10.4.0.{n}/tcp/1"))])];
    for n in relays.clone() {
        rig.discovered(id(n), listed(n));
    }
    rig.network(NetworkInput::Announced {
        peer,
        addresses: vec![a(DIRECT)],
    });
    rig.take();
    for n in relays {
        rig.discovered(id(n), listed(n));
    }
    assert_eq!(rig.events(), [], "nothing is new");
}

fn relay_at(n: u8) -> RelayAddress {
    RelayAddress {
        peer: Some(id(n)),
        addresses: vec![a(&format!("/ip4/10.5.0.{n}/tcp/1"))],
    }
}
