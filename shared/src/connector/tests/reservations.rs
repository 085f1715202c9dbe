//! A reservation, and the registration of what it gives, are asked for before identify says that it is a relay.

use super::{relays::reserve, *};

/// A connection to a relay that was asked for a reservation and for the registration of what that gives.
fn asked_for_both() -> (Rig, ConnId) {
    let mut rig = Rig::new(&config(&[QUIC]));
    rig.input(Input::ListenersReady);
    let dial = rig.last_dial();
    let conn = rig.connect(id(RELAY), QUIC, Some(dial));
    rig.take();
    (rig, conn)
}

#[test]
fn what_became_of_the_reservation_counts_once_it_is_known_to_be_a_relay() {
    let outcomes = [
        Input::ReservationAccepted {
            relay: RelayId(0),
            address: circuit(QUIC, id(LOCAL)),
        },
        Input::ReservationLost {
            relay: RelayId(0),
            cause: cause("no room"),
        },
    ];
    for outcome in outcomes {
        let (mut rig, conn) = asked_for_both();
        rig.input(outcome.clone());
        assert_eq!(rig.take(), []);
        rig.identify_relay(conn);
        let events = rig.events();
        let [event] = &events[..] else {
            panic!("{events:?}");
        };
        match outcome {
            Input::ReservationAccepted { .. } => assert!(matches!(event, Event::Reserved { .. })),
            _ => assert!(
                matches!(event, Event::Error { message, .. } if message.contains("no room"))
            ),
        }
    }
}

#[test]
fn a_registration_counts_once_there_is_a_reservation() {
    let registered = || Input::Registered {
        point: id(RELAY),
        ttl: 600,
    };
    for in_order in [true, false] {
        let (mut rig, conn) = asked_for_both();
        if in_order {
            rig.input(registered());
        }
        rig.identify_relay(conn);
        assert_eq!(rig.events(), []);
        rig.accept();
        if !in_order {
            rig.input(registered());
        }
        let out = rig.take();
        assert!(!out.iter().any(is_register), "it is registered already");
        let is_registered = |out: &Output| matches!(out, Output::Emit(Event::Registered { .. }));
        assert!(out.iter().any(is_registered), "{out:?}");
        rig.discovered(id(RELAY), Vec::new());
        assert_eq!(rig.wait_for(secs(600), is_register), secs(300));
    }
}

#[test]
fn a_registration_that_was_refused_early_is_asked_for_again() {
    let (mut rig, conn) = asked_for_both();
    rig.input(Input::RegisterFailed {
        point: id(RELAY),
        cause: cause("no room"),
    });
    rig.identify_relay(conn);
    rig.accept();
    let out = rig.take();
    assert_eq!(out.iter().filter(|out| is_register(out)).count(), 1);
}

#[test]
fn without_a_reservation_a_registration_is_withdrawn() {
    for answered in [true, false] {
        let (mut rig, conn) = asked_for_both();
        let point = id(RELAY);
        if answered {
            rig.input(Input::Registered { point, ttl: 600 });
        }
        rig.identify_relay(conn);
        rig.take();
        rig.input(Input::ReservationLost {
            relay: RelayId(0),
            cause: cause("no room"),
        });
        let out = rig.take();
        let unregister = Output::Unregister { point };
        assert_eq!(out.iter().filter(|out| **out == unregister).count(), 1);
    }
}

#[test]
fn who_stops_early_withdraws_what_was_asked_for() {
    let (mut rig, _) = asked_for_both();
    rig.input(Input::Shutdown);
    let (point, relay) = (id(RELAY), RelayId(0));
    assert_eq!(
        rig.take(),
        [Output::Unregister { point }, Output::Unreserve { relay }]
    );
}

#[test]
fn a_reservation_of_what_is_no_relay_is_taken_back() {
    let (mut rig, conn) = asked_for_both();
    rig.identify(id(RELAY), conn, true);
    let relay = RelayId(0);
    assert!(rig.take().contains(&Output::Unreserve { relay }));
    rig.input(Input::ReservationAccepted {
        relay,
        address: circuit(QUIC, id(LOCAL)),
    });
    assert_eq!(rig.take(), []);
}

#[test]
fn beside_another_connection_a_reservation_waits_for_identify() {
    let mut rig = Rig::new(&config(&[QUIC]));
    rig.input(Input::ListenersReady);
    let dial = rig.last_dial();
    rig.inbound(id(RELAY), &circuit(TCP, id(RELAY)).to_string());
    let conn = rig.connect(id(RELAY), QUIC, Some(dial));
    assert!(!rig.take().contains(&reserve(QUIC)));
    rig.identify_relay(conn);
    assert!(rig.take().contains(&reserve(QUIC)));
}
