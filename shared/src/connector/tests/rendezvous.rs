//! Registering and discovering.

use super::*;
use crate::connector::{
    peers::{listings::NEWS_WAIT, paths::POLITE_WAIT},
    relays::{
        discovery::DISCOVER_INTERVAL,
        rendezvous::{ANSWER_TIMEOUT, MAX_TTL, MIN_TTL},
    },
};

#[test]
fn the_registration_is_refreshed_silently_at_half_its_time() {
    let (mut rig, _) = Rig::with_relay();
    for _ in 0..3 {
        assert_eq!(rig.wait_for(secs(7_200), is_register), secs(3_600));
        assert_eq!(rig.events(), []);
    }
}

#[test]
fn a_hostile_ttl_is_clamped() {
    for (ttl, clamped) in [(0, MIN_TTL), (u64::MAX, MAX_TTL)] {
        let mut rig = Rig::new(&config(&[QUIC]));
        rig.answering = false;
        let dial = rig.last_dial();
        let conn = rig.connect(id(RELAY), QUIC, Some(dial));
        rig.identify_relay(conn);
        rig.accept();
        rig.take();
        rig.input(Input::Registered {
            point: id(RELAY),
            ttl,
        });
        assert!(
            rig.out.iter().any(
                |o| matches!(o, Output::Emit(Event::Registered { ttl, .. }) if *ttl == clamped)
            )
        );
        rig.answering = true;
        rig.answer();
        let wait = rig.wait_for(secs(clamped), is_register);
        assert_eq!(wait, secs(clamped / 2));
    }
}

#[test]
fn news_is_asked_for_at_once_but_not_all_the_time() {
    let (mut rig, _) = Rig::with_relay();
    rig.answering = false;
    let news = || Input::News {
        point: id(RELAY),
        peers: Vec::new(),
    };
    rig.advance(secs(5));
    rig.take();
    rig.input(news());
    assert_eq!(rig.wait_for(secs(1), is_discover), Duration::ZERO);
    // What comes while the question is out is asked for when it is answered.
    rig.take();
    for _ in 0..100 {
        rig.input(news());
    }
    assert!(!rig.out.iter().any(is_discover));
    rig.discovered(id(RELAY), Vec::new());
    assert_eq!(rig.wait_for(secs(1), is_discover), millis(200));
    rig.take();
    rig.discovered(id(RELAY), Vec::new());
    assert!(rig.wait_for(secs(12), is_discover) >= DISCOVER_INTERVAL);
}

#[test]
fn who_has_come_is_dialled_without_a_question() {
    let (mut rig, _) = Rig::with_relay();
    let news = |point, peers: &[u8]| Input::News {
        point: id(point),
        peers: peers.iter().map(|peer| (id(*peer), vec![])).collect(),
    };
    rig.input(news(RELAY, &[LOCAL]));
    assert_eq!(rig.take(), [], "that is we");
    rig.input(news(2, &[LARGE]));
    assert_eq!(rig.take(), [], "that is none of our relays");
    rig.input(news(RELAY, &[LARGE]));
    // It has most likely found us.
    assert_eq!(rig.wait_for(secs(5), is_dial), NEWS_WAIT);
    assert!(!rig.take().iter().any(is_discover));
    rig.input(news(RELAY, &[SMALL]));
    assert_eq!(rig.wait_for(secs(5), is_dial), POLITE_WAIT);
    assert!(!rig.take().iter().any(is_discover));
}

fn without_rendezvous() -> Rig {
    let mut rig = Rig::new(&config(&[QUIC]));
    rig.answering = false;
    let dial = rig.last_dial();
    let conn = rig.connect(id(RELAY), QUIC, Some(dial));
    rig.identify_relay(conn);
    rig.accept();
    rig.take();
    rig
}

#[test]
fn a_refused_registration_is_reported_once_and_others_are_still_discovered() {
    let mut rig = without_rendezvous();
    rig.discovered(id(RELAY), Vec::new());
    for round in 0..4 {
        rig.input(Input::RegisterFailed {
            point: id(RELAY),
            cause: cause("not now"),
        });
        assert!(!rig.out.iter().any(is_discover));
        assert_eq!(rig.errors().len(), usize::from(round == 0));
        let wait = rig.wait_for(secs(30), is_register);
        assert!(wait >= secs(1));
        rig.take();
    }
    rig.input(Input::Registered {
        point: id(RELAY),
        ttl: 7_200,
    });
    assert!(matches!(rig.events()[..], [Event::Registered { .. }]));
}

#[test]
fn a_registration_that_is_not_answered_counts_as_refused() {
    let mut rig = without_rendezvous();
    rig.advance(ANSWER_TIMEOUT);
    assert_eq!(rig.errors().len(), 1);
    // The late answer of the event loop's own timer changes nothing.
    rig.input(Input::RegisterFailed {
        point: id(RELAY),
        cause: cause("timeout"),
    });
    assert_eq!(rig.take(), []);
}

#[test]
fn a_relay_that_answers_nothing_any_more_is_dialled_afresh() {
    let (mut rig, conn) = Rig::with_relay();
    rig.answering = false;
    rig.advance(secs(60));
    let out = rig.take();
    assert!(out.contains(&Output::Close { conn }));
    let lost = |o: &&Output| matches!(o, Output::Emit(Event::ReservationLost { .. }));
    assert_eq!(out.iter().filter(lost).count(), 1);
    rig.close(conn);
    assert!(out.iter().any(is_dial));
}

#[test]
fn discovery_goes_on_with_the_cookie() {
    let (mut rig, _) = Rig::with_relay();
    rig.answering = false;
    rig.wait_for(secs(12), is_discover);
    rig.take();
    for _ in 0..3 {
        rig.discovered_so_far(id(RELAY), Vec::new());
        let wait = rig.wait_for(secs(12), is_discover);
        assert!((DISCOVER_INTERVAL..=secs(11)).contains(&wait), "{wait:?}");
        assert!(rig.out.contains(&Output::Discover {
            point: id(RELAY),
            cookie: Some(b"cookie".to_vec())
        }));
        rig.take();
    }
}

#[test]
fn a_failed_discovery_drops_the_cookie_and_backs_off() {
    let (mut rig, _) = Rig::with_relay();
    rig.answering = false;
    rig.wait_for(secs(12), is_discover);
    let mut waits = Vec::new();
    for _ in 0..6 {
        rig.take();
        rig.input(Input::DiscoverFailed {
            point: id(RELAY),
            cause: cause("bad cookie"),
        });
        waits.push(rig.wait_for(secs(30), is_discover));
        assert!(rig.out.contains(&Output::Discover {
            point: id(RELAY),
            cookie: None
        }));
    }
    assert!(waits.iter().all(|wait| *wait >= secs(1)));
    assert!(waits[5] > waits[0]);
    rig.take();
    rig.advance(ANSWER_TIMEOUT + secs(30));
    assert!(rig.out.iter().any(is_discover), "silence is failure too");
}

#[test]
fn after_a_loss_the_registration_is_reported_again() {
    let (mut rig, conn) = Rig::with_relay();
    rig.close(conn);
    rig.take();
    rig.wait_for(secs(1), is_dial);
    rig.relay_up(QUIC);
    let events = rig.events();
    assert!(matches!(
        events[..],
        [Event::Reserved { .. }, Event::Registered { .. }]
    ));
}
