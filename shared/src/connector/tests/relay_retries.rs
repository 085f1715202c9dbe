//! What ends a reservation, and how it is had again.

use super::{
    relays::{lost, reserve},
    *,
};
use crate::{
    config::PING_INTERVAL,
    connector::relays::{
        dialling::HEAD_START,
        reservation::{IDENTIFY_TIMEOUT, RESERVE_TIMEOUT},
    },
};

#[test]
fn a_relay_that_does_not_identify_itself_is_dropped() {
    let mut rig = Rig::new(&config(&[QUIC]));
    let dial = rig.last_dial();
    let conn = rig.connect(id(RELAY), QUIC, Some(dial));
    rig.take();
    rig.advance(IDENTIFY_TIMEOUT);
    assert!(rig.out.contains(&Output::Close { conn }));
    assert_eq!(rig.errors().len(), 1);
    rig.close(conn);
    rig.wait_for(millis(500), is_dial);
}

#[test]
fn a_reservation_that_is_not_answered_is_asked_for_on_a_new_connection() {
    let mut rig = Rig::new(&config(&[QUIC]));
    let dial = rig.last_dial();
    let conn = rig.connect(id(RELAY), QUIC, Some(dial));
    rig.identify_relay(conn);
    rig.take();
    rig.advance(RESERVE_TIMEOUT);
    let out = rig.take();
    assert!(out.contains(&Output::Close { conn }));
    assert!(out.contains(&Output::Unreserve { relay: RelayId(0) }));
    rig.wait_for(millis(500), is_dial);
}

#[test]
fn a_refused_reservation_is_reported_once_and_retried_on_the_same_connection() {
    let mut rig = Rig::new(&config(&[QUIC]));
    let dial = rig.last_dial();
    let conn = rig.connect(id(RELAY), QUIC, Some(dial));
    rig.identify_relay(conn);
    rig.take();
    for round in 0..3 {
        rig.input(Input::ReservationLost {
            relay: RelayId(0),
            cause: cause("full"),
        });
        assert_eq!(rig.errors().len(), usize::from(round == 0));
        rig.wait_for(secs(30), |out| *out == reserve(QUIC));
        assert_eq!(rig.dials(), []);
        rig.take();
    }
}

#[test]
fn one_loss_is_handled_once_in_whatever_order_it_shows() {
    let reservation = |rig: &mut Rig| {
        rig.input(Input::ReservationLost {
            relay: RelayId(0),
            cause: cause("gone"),
        });
    };
    for reservation_first in [true, false] {
        let (mut rig, conn) = Rig::with_relay();
        if reservation_first {
            reservation(&mut rig);
            rig.close(conn);
        } else {
            rig.close(conn);
            reservation(&mut rig);
        }
        reservation(&mut rig);
        let reason = if reservation_first {
            "gone"
        } else {
            "the connection was closed: reset"
        };
        assert_eq!(rig.events(), [lost(reason)]);
        let first = rig.wait_for(secs(1), is_dial);
        assert!((millis(200)..=millis(500)).contains(&first), "{first:?}");
    }
}

#[test]
fn retries_start_fast_and_slow_down_to_half_a_minute_for_ever() {
    let (mut rig, conn) = Rig::with_relay_at(&[QUIC]);
    rig.advance(secs(60));
    rig.take();
    rig.close(conn);
    let mut waits = Vec::new();
    for _ in 0..40 {
        waits.push(rig.wait_for(secs(30), is_dial));
        let dial = rig.last_dial();
        rig.take();
        rig.fail(dial);
    }
    assert!((millis(200)..=millis(500)).contains(&waits[0]));
    assert!((secs(1)..=secs(2)).contains(&waits[1]));
    assert!(waits[1..].iter().all(|w| (secs(1)..=secs(30)).contains(w)));
    assert!(waits[6..].iter().all(|w| *w >= secs(15)));
    let distinct: std::collections::BTreeSet<_> = waits.iter().collect();
    assert!(distinct.len() > 30, "no jitter");
}

#[test]
fn an_unreachable_relay_is_reported_once_until_it_was_reached_again() {
    let mut rig = Rig::new(&config(&[QUIC]));
    for round in 0..5 {
        let dial = rig.last_dial();
        rig.fail(dial);
        let errors = rig.errors();
        assert_eq!(errors.len(), usize::from(round == 0));
        if let Some(error) = errors.first() {
            let address = at(QUIC, id(RELAY)).to_string();
            assert!(
                error.contains(&address) && error.contains("refused"),
                "{error}"
            );
            assert!(error.contains("retrying"));
        }
        rig.wait_for(secs(30), is_dial);
    }
    let conn = rig.relay_up(QUIC);
    rig.close(conn);
    assert_eq!(rig.errors(), Vec::<String>::new());
    rig.wait_for(secs(30), is_dial);
    let dial = rig.last_dial();
    rig.fail(dial);
    assert_eq!(rig.errors().len(), 1);
}

#[test]
fn why_no_transport_reaches_a_relay_does_not_depend_on_what_fails_first() {
    for quic_first in [true, false] {
        let mut rig = Rig::new(&config(&[QUIC, TCP, WS]));
        rig.advance(HEAD_START * 3);
        let dials: Vec<_> = rig.dials().into_iter().map(|dial| dial.0).collect();
        let causes = [
            Cause::new(Reason::NoAnswer, "no answer"),
            Cause::new(Reason::ConnectionRefused, "refused"),
            Cause::new(Reason::ConnectionRefused, "refused"),
        ];
        let mut failures: Vec<_> = dials.into_iter().zip(causes).collect();
        assert_eq!(failures.len(), 3);
        if !quic_first {
            failures.reverse();
        }
        rig.take();
        for (dial, cause) in failures {
            rig.input(Input::DialFailed { dial, cause });
        }
        let relay = rig.connector.relays(rig.now).remove(0);
        assert_eq!(relay.code, Some(Reason::NoAnswer));
        assert_eq!(relay.reason.as_deref(), Some("no answer; refused"));
    }
}

#[test]
fn a_relay_that_hangs_up_at_once_is_said_to_be_full() {
    let mut rig = Rig::new(&config(&[QUIC]));
    for round in 0..3 {
        let dial = rig.last_dial();
        let conn = rig.connect(id(RELAY), QUIC, Some(dial));
        rig.close(conn);
        let errors = rig.errors();
        assert_eq!(errors.len(), usize::from(round == 0));
        assert!(
            errors
                .iter()
                .all(|e| e.contains("as when it is full: reset"))
        );
        rig.wait_for(secs(30), is_dial);
    }
}

#[test]
fn flapping_reservations_do_not_retry_fast_for_ever() {
    let (mut rig, mut conn) = Rig::with_relay();
    let mut waits = Vec::new();
    for _ in 0..5 {
        rig.close(conn);
        rig.take();
        waits.push(rig.wait_for(secs(30), is_dial));
        conn = rig.relay_up(QUIC);
    }
    assert!(waits[4] >= secs(4), "{waits:?}");
}

/// A relay with which all is well answers a ping, and then no more for so long that it is dialled once more.
fn doubted() -> (Rig, ConnId, DialId) {
    let (mut rig, conn) = Rig::with_relay_at(&[QUIC]);
    rig.input(Input::Answered {
        conn,
        rtt: millis(50),
    });
    assert_eq!(rig.wait_for(secs(10), is_dial), PING_INTERVAL + secs(1));
    let (dial, peer, addresses) = rig.dials().remove(0);
    assert_eq!((peer, addresses), (Some(id(RELAY)), vec![a(QUIC)]));
    rig.take();
    (rig, conn, dial)
}

#[test]
fn a_relay_that_was_started_again_is_back_before_its_old_connection_is_dead() {
    let (mut rig, old, dial) = doubted();
    let new = rig.connect(id(RELAY), QUIC, Some(dial));
    let out = rig.take();
    assert!(out.contains(&Output::Close { conn: old }));
    assert!(out.contains(&Output::Emit(Event::ReservationLost {
        relay: id(RELAY),
        code: Reason::NoAnswer,
        reason: "it has stopped answering".into(),
    })));
    rig.close(old);
    rig.identify_relay(new);
    assert!(rig.take().contains(&reserve(QUIC)));
    rig.accept();
    rig.answer();
    assert!(
        rig.events()
            .iter()
            .any(|event| matches!(event, Event::Registered { .. }))
    );
}

#[test]
fn a_relay_that_was_only_slow_keeps_its_connection() {
    let (mut rig, old, dial) = doubted();
    rig.input(Input::Answered {
        conn: old,
        rtt: secs(1),
    });
    let new = rig.connect(id(RELAY), QUIC, Some(dial));
    assert_eq!(rig.take(), [Output::Close { conn: new }]);
    // Its round trips are long now, and so is what is waited for.
    assert_eq!(rig.wait_for(secs(20), is_dial), PING_INTERVAL + secs(4));
    for late in [4, 8, 8] {
        rig.take();
        rig.input(Input::Answered {
            conn: old,
            rtt: millis(50),
        });
        assert_eq!(rig.wait_for(secs(20), is_dial), PING_INTERVAL + secs(late));
    }
}

#[test]
fn a_relay_that_stays_away_is_dialled_once_beside_and_then_for_ever() {
    let (mut rig, old, dial) = doubted();
    rig.fail(dial);
    rig.advance(secs(3));
    assert_eq!(rig.dials(), []);
    rig.close(old);
    rig.wait_for(secs(1), is_dial);
}
