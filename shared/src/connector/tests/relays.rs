//! Dialling relays and reserving there; and everything that ends it.

use super::*;
use crate::connector::relays::{
    dialling::HEAD_START, relay::LISTEN_WAIT, reservation::NO_RELAY_RETRY,
};

pub(super) fn reserve(address: &str) -> Output {
    Output::Reserve {
        relay: RelayId(0),
        address: addresses::circuit(&a(address), id(RELAY)),
    }
}

pub(super) fn lost(reason: &str) -> Event {
    Event::ReservationLost {
        relay: id(RELAY),
        code: Reason::Other,
        reason: reason.into(),
    }
}

#[test]
fn a_relay_is_dialled_identified_reserved_registered_and_asked() {
    let mut rig = Rig::new(&config(&[QUIC]));
    rig.input(Input::ListenersReady);
    let (dial, peer, addresses) = rig.dials().remove(0);
    assert_eq!((peer, addresses), (Some(id(RELAY)), vec![a(QUIC)]));
    rig.take();

    let conn = rig.connect(id(RELAY), QUIC, Some(dial));
    let discover = |cookie: Option<&[u8]>| Output::Discover {
        point: id(RELAY),
        cookie: cookie.map(Into::into),
    };
    let claim = Some(circuit(QUIC, id(LOCAL)));
    let point = id(RELAY);
    assert_eq!(
        rig.take(),
        [
            discover(None),
            reserve(QUIC),
            Output::Register { point, claim }
        ]
    );
    rig.discovered_so_far(id(RELAY), Vec::new());
    rig.identify_relay(conn);
    assert_eq!(rig.take(), []);
    rig.accept();
    assert_eq!(
        rig.take(),
        [Output::Emit(Event::Reserved {
            relay: id(RELAY),
            address: circuit(QUIC, id(LOCAL))
        })]
    );
    rig.input(Input::Registered {
        point: id(RELAY),
        ttl: 7_200,
    });
    assert_eq!(
        rig.take(),
        [
            Output::Emit(Event::Registered {
                relay: id(RELAY),
                namespace: "rendezvous".into(),
                ttl: 7_200
            }),
            discover(Some(b"cookie")),
            Output::Emit(Event::Ready {})
        ]
    );
}

#[test]
fn relays_wait_for_the_listeners_but_not_for_ever() {
    let mut config = config(&[QUIC]);
    config.listen = vec![a("/ip4/0.0.0.0/tcp/0")];
    let mut rig = Rig::new(&config);
    assert_eq!(rig.dials(), []);
    assert_eq!(rig.wait_for(secs(5), is_dial), LISTEN_WAIT);

    let mut rig = Rig::new(&config);
    rig.input(Input::ListenersReady);
    assert_eq!(rig.dials().len(), 1);
}

#[test]
fn ready_is_reported_once_and_only_when_every_first_relay_stands() {
    let (mut rig, conn) = Rig::with_relay();
    rig.input(Input::AddRelay(RelayAddress {
        peer: Some(id(2)),
        addresses: vec![a("/ip4/10.0.0.2/tcp/1")],
    }));
    rig.close(conn);
    rig.wait_for(
        secs(1),
        |out| matches!(out, Output::Dial { peer, .. } if *peer == Some(id(1))),
    );
    rig.relay_up(QUIC);
    rig.input(Input::ListenersReady);
    assert!(!rig.events().contains(&Event::Ready {}));
}

/// Two relays of the configuration that have yet to be found.
fn two_pending() -> Rig {
    let mut rig = Rig::new(&NodeConfig {
        pending_relays: 2,
        ..NodeConfig::default()
    });
    rig.input(Input::ListenersReady);
    assert_eq!(rig.events(), []);
    rig
}

fn found(place: usize, relay: u8, address: &str) -> Input {
    let relay = RelayAddress {
        peer: Some(id(relay)),
        addresses: vec![a(address)],
    };
    Input::RelayFound { place, relay }
}

/// The relay that was dialled comes online.
fn stands(rig: &mut Rig, dial: DialId, n: u32, (relay, address): (u8, &str)) {
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
    rig.input(Input::Registered {
        point: id(relay),
        ttl: 7_200,
    });
}

const OTHER_QUIC: &str = "/ip4/10.0.0.2/udp/4000/quic-v1";

#[test]
fn ready_waits_for_each_pending_relay_though_one_is_found_twice() {
    for drops in [true, false] {
        let mut rig = two_pending();
        rig.input(found(0, 110, QUIC));
        // It restarted with another key before it stood.
        if drops {
            rig.input(Input::DropRelay(id(110)));
        }
        rig.input(found(0, 111, QUIC));
        let dial = rig.last_dial();
        stands(&mut rig, dial, 1, (111, QUIC));
        assert!(!rig.events().contains(&Event::Ready {}), "one is missing");
        rig.input(found(1, 2, OTHER_QUIC));
        let dial = rig.last_dial();
        assert!(!rig.events().contains(&Event::Ready {}), "it has to stand");
        stands(&mut rig, dial, 2, (2, OTHER_QUIC));
        assert!(rig.events().contains(&Event::Ready {}));
    }
}

#[test]
fn a_pending_relay_that_is_found_anew_leaves_no_supervisor_behind() {
    let unnamed = || Input::RelayFound {
        place: 0,
        relay: RelayAddress {
            peer: None,
            addresses: vec![a(QUIC)],
        },
    };
    let count = |rig: &Rig| rig.connector.relays(rig.now).len();
    let mut rig = two_pending();
    // More often than there may be relays.
    for key in 110..130 {
        rig.input(unnamed());
        assert_eq!(count(&rig), 1);
        rig.input(found(0, key, QUIC));
        assert_eq!(count(&rig), 1);
    }
    assert_eq!(rig.errors(), Vec::<String>::new());
}

#[test]
fn a_relay_that_is_found_elsewhere_stays_where_it_is_used_or_wanted() {
    let peers = |rig: &Rig| -> Vec<_> {
        let relays = rig.connector.relays(rig.now);
        relays.into_iter().map(|relay| relay.peer).collect()
    };
    let both = [Some(id(RELAY)), Some(id(2))];
    for kept in ["by its connection", "by the application", "by a place"] {
        let mut rig = two_pending();
        rig.input(found(0, RELAY, QUIC));
        match kept {
            "by its connection" => {
                let dial = rig.last_dial();
                rig.connect(id(RELAY), QUIC, Some(dial));
            }
            "by the application" => rig.input(Input::AddRelay(relay(&[QUIC]))),
            _ => rig.input(found(1, RELAY, QUIC)),
        }
        rig.input(found(0, 2, OTHER_QUIC));
        assert_eq!(peers(&rig), both, "{kept}");
    }
}

#[test]
fn two_pending_relays_may_be_one() {
    let mut rig = two_pending();
    rig.input(found(0, RELAY, QUIC));
    let dial = rig.last_dial();
    stands(&mut rig, dial, 0, (RELAY, QUIC));
    assert!(!rig.events().contains(&Event::Ready {}));
    rig.input(found(1, RELAY, TCP));
    assert!(rig.events().contains(&Event::Ready {}));
}

#[test]
fn a_pending_relay_that_cannot_be_used_is_not_waited_for() {
    let mut rig = two_pending();
    rig.input(found(0, RELAY, QUIC));
    let dial = rig.last_dial();
    stands(&mut rig, dial, 0, (RELAY, QUIC));
    rig.input(found(1, LOCAL, TCP));
    let events = rig.events();
    assert!(matches!(events.last(), Some(Event::Ready {})), "{events:?}");
}

#[test]
fn a_relay_that_is_added_is_not_taken_for_a_pending_one() {
    let mut rig = Rig::new(&NodeConfig {
        pending_relays: 1,
        ..NodeConfig::default()
    });
    rig.input(Input::ListenersReady);
    rig.input(Input::AddRelay(relay(&[QUIC])));
    let dial = rig.last_dial();
    stands(&mut rig, dial, 0, (RELAY, QUIC));
    assert!(!rig.events().contains(&Event::Ready {}));
}

#[test]
fn a_relay_that_has_become_another_one_is_forgotten() {
    let (mut rig, conn) = Rig::with_relay();
    let now = |rig: &Rig| -> Vec<_> {
        let relays = rig.connector.relays(rig.now);
        relays.into_iter().map(|relay| relay.peer).collect()
    };
    rig.input(Input::DropRelay(id(RELAY)));
    assert_eq!(now(&rig), [Some(id(RELAY))], "it stands");
    rig.close(conn);
    // More often than there may be relays.
    let mut last = id(RELAY);
    for key in 110..130 {
        rig.input(Input::DropRelay(last));
        last = id(key);
        rig.input(Input::AddRelay(RelayAddress {
            peer: Some(last),
            addresses: vec![a(QUIC)],
        }));
        assert_eq!(now(&rig), [Some(last)]);
    }
    assert_eq!(rig.errors(), Vec::<String>::new());
}

#[test]
fn quic_has_a_head_start_then_tcp_then_the_rest() {
    let mut rig = Rig::new(&config(&[WS, TCP, QUIC]));
    let mut dialled = vec![rig.dials().remove(0).2];
    rig.take();
    for _ in 0..2 {
        assert_eq!(rig.wait_for(secs(1), is_dial), HEAD_START);
        dialled.push(rig.dials().remove(0).2);
        rig.take();
    }
    assert_eq!(dialled, [[a(QUIC)], [a(TCP)], [a(WS)]]);
}

#[test]
fn a_transport_that_fails_at_once_does_not_keep_its_head_start() {
    let mut rig = Rig::new(&config(&[QUIC, WS]));
    let dial = rig.last_dial();
    rig.fail(dial);
    assert_eq!(rig.dials().last().unwrap().2, [a(WS)]);
    assert_eq!(rig.errors(), Vec::<String>::new());
}

#[test]
fn an_extra_relay_connection_over_another_transport_is_kept() {
    let mut rig = Rig::new(&config(&[QUIC, TCP]));
    rig.advance(secs(1));
    let dials = rig.dials();
    assert_eq!(dials.len(), 2);
    let first = rig.connect(id(RELAY), TCP, Some(dials[1].0));
    assert!(rig.take().contains(&reserve(TCP)));
    let other = rig.connect(id(RELAY), QUIC, Some(dials[0].0));
    assert_eq!(rig.closes(), [], "the relay sees us over QUIC by it");
    rig.identify_relay(first);
    rig.identify_relay(other);
    assert_eq!(rig.take(), []);
}

#[test]
fn extra_relay_connections_are_closed() {
    let mut rig = Rig::new(&config(&[QUIC, WS]));
    rig.advance(secs(1));
    let dials = rig.dials();
    rig.connect(id(RELAY), QUIC, Some(dials[0].0));
    let extra = rig.connect(id(RELAY), WS, Some(dials[1].0));
    assert_eq!(rig.closes(), [extra]);
}

#[test]
fn a_relay_observes_us_over_what_it_is_not_connected_by() {
    for (first, others, wanted) in [
        (QUIC, &[TCP][..], &[TCP][..]),
        (QUIC, &[TCP, WS, "/ip6/2001:db8::7/tcp/4000"], &[TCP]),
        (TCP, &[QUIC], &[QUIC]),
        (WS, &[QUIC, TCP], &[QUIC, TCP]),
        (
            "/ip6/2001:db8::7/udp/4000/quic-v1",
            &[QUIC, TCP],
            &[QUIC, TCP],
        ),
    ] {
        let mut rig = Rig::new(&config(&[first]));
        let conn = rig.connect(id(RELAY), first, Some(rig.last_dial()));
        rig.take();
        rig.identify_relay_at(conn, others);
        let dials: Vec<_> = rig.dials().into_iter().map(|dial| dial.2).collect();
        let wanted: Vec<_> = wanted.iter().map(|w| vec![at(w, id(RELAY))]).collect();
        assert_eq!(dials, wanted, "{first}");
        // Not again while they run, and those that succeed are kept.
        let dials = rig.dials();
        rig.take();
        rig.identify_relay_at(conn, others);
        assert_eq!(rig.dials(), []);
        for (dial, _, addresses) in dials {
            let address = addresses[0].to_string();
            let other = rig.connect(id(RELAY), &address, Some(dial));
            rig.identify_relay(other);
        }
        assert_eq!(rig.closes(), []);
    }
}

#[test]
fn what_is_no_relay_is_reported_once_and_tried_slowly() {
    let mut rig = Rig::new(&config(&[QUIC]));
    for round in 0..3 {
        let dial = rig.last_dial();
        let conn = rig.connect(id(RELAY), QUIC, Some(dial));
        rig.take();
        rig.identify(id(RELAY), conn, false);
        let out = rig.take();
        assert!(out.contains(&Output::Close { conn }));
        let reported = out.iter().any(|o| {
            matches!(o, Output::Emit(Event::Error { message, .. }) if message.contains("is no relay; check the address"))
        });
        assert_eq!(reported, round == 0);
        rig.close(conn);
        assert_eq!(rig.wait_for(secs(40), is_dial), NO_RELAY_RETRY);
    }
}

#[test]
fn a_dial_that_is_never_answered_counts_as_failed() {
    let mut rig = Rig::new(&config(&[QUIC]));
    rig.take();
    rig.advance(secs(61));
    assert_eq!(rig.errors().len(), 1);
}

#[test]
fn another_standing_connection_is_used_again() {
    let (mut rig, first) = Rig::with_relay();
    let other = rig.connect_as(id(RELAY), a(TCP), true, None);
    assert_eq!(rig.take(), []);
    rig.identify_relay(other);
    rig.close(first);
    assert!(rig.out.contains(&Output::Unreserve { relay: RelayId(0) }));
    rig.wait_for(secs(1), |out| *out == reserve(TCP));
    assert_eq!(rig.dials(), []);
}

#[test]
fn an_inbound_or_relayed_connection_is_not_used_for_a_reservation() {
    let mut rig = Rig::new(&config(&[QUIC]));
    rig.take();
    let conn = rig.inbound(id(RELAY), "/ip4/10.0.0.1/udp/55555/quic-v1");
    rig.identify_relay(conn);
    let relayed = circuit("/ip4/10.0.0.7/tcp/1", id(RELAY));
    let conn = rig.connect_as(id(RELAY), relayed, true, None);
    rig.identify_relay(conn);
    assert_eq!(rig.take(), []);
}

#[test]
fn a_relay_without_peer_id_learns_it_and_may_change_it() {
    let mut unnamed = config(&[QUIC]);
    unnamed.relays[0].peer = None;
    let mut rig = Rig::new(&unnamed);
    assert_eq!(rig.dials()[0].1, None);
    let conn = rig.relay_up(QUIC);
    assert!(rig.out.contains(&reserve(QUIC)));
    assert!(rig.connector.is_relay(id(RELAY)));

    rig.close(conn);
    rig.take();
    rig.wait_for(secs(1), is_dial);
    assert_eq!(rig.dials()[0].1, None);
    let dial = rig.last_dial();
    rig.connect(id(2), QUIC, Some(dial));
    assert!(rig.connector.is_relay(id(2)) && !rig.connector.is_relay(id(RELAY)));
}

#[test]
fn a_peer_id_in_the_address_counts() {
    let named = NodeConfig {
        relays: vec![RelayAddress {
            peer: None,
            addresses: vec![at(QUIC, id(RELAY))],
        }],
        ..NodeConfig::default()
    };
    let rig = Rig::new(&named);
    let (_, peer, addresses) = rig.dials().remove(0);
    assert_eq!((peer, addresses), (Some(id(RELAY)), vec![a(QUIC)]));
}

#[test]
fn two_addresses_of_one_relay_become_one_supervisor() {
    let mut twice = config(&[QUIC]);
    twice.relays.push(RelayAddress {
        peer: None,
        addresses: vec![a(TCP)],
    });
    let mut rig = Rig::new(&twice);
    rig.input(Input::ListenersReady);
    let dials = rig.dials();
    let conn = rig.connect(id(RELAY), QUIC, Some(dials[0].0));
    rig.identify_relay(conn);
    rig.accept();
    rig.answer();
    assert!(!rig.out.contains(&Output::Emit(Event::Ready {})));
    let extra = rig.connect(id(RELAY), TCP, Some(dials[1].0));
    let out = rig.take();
    let closed = Output::Close { conn: extra };
    assert!(!out.contains(&closed), "it shows us over TCP");
    assert!(out.contains(&Output::Emit(Event::Ready {})));
}

#[test]
fn relays_can_be_added_later_and_are_supervised_the_same() {
    let mut rig = Rig::alone();
    rig.input(Input::ListenersReady);
    rig.input(Input::AddRelay(relay(&[QUIC])));
    let dial = rig.last_dial();
    let conn = rig.connect(id(RELAY), QUIC, Some(dial));
    rig.identify_relay(conn);
    assert!(rig.out.contains(&reserve(QUIC)));
    rig.input(Input::AddRelay(relay(&[QUIC])));
    assert_eq!(rig.dials().len(), 1, "it was known");
}

#[test]
fn a_renewed_reservation_is_silent() {
    let (mut rig, _) = Rig::with_relay();
    rig.accept();
    assert_eq!(rig.take(), []);
}

#[test]
fn wake_retries_at_once() {
    let mut rig = Rig::new(&config(&[QUIC]));
    for _ in 0..8 {
        let dial = rig.last_dial();
        rig.take();
        rig.fail(dial);
        rig.wait_for(secs(30), is_dial);
    }
    let dial = rig.last_dial();
    rig.fail(dial);
    rig.take();
    rig.input(Input::Wake);
    assert_eq!(rig.dials().len(), 1);
}
