//! How relays are, for who asks.

use super::*;

fn state(rig: &Rig) -> (RelayState, Option<u64>, Option<String>) {
    let relay = rig.connector.relays(rig.now).remove(0);
    assert_eq!(relay.peer, Some(id(RELAY)));
    assert_eq!(relay.addresses, [a(QUIC)]);
    (relay.state, relay.retry_in_ms, relay.reason)
}

const CONNECTING: (RelayState, Option<u64>, Option<String>) = (RelayState::Connecting, None, None);

#[test]
fn a_relay_is_online_when_reservation_and_registration_stand() {
    let mut rig = Rig::new(&config(&[QUIC]));
    rig.input(Input::ListenersReady);
    assert_eq!(state(&rig), CONNECTING);
    let dial = rig.last_dial();
    let conn = rig.connect(id(RELAY), QUIC, Some(dial));
    rig.identify_relay(conn);
    rig.accept();
    assert_eq!(state(&rig), CONNECTING);
    rig.input(Input::Registered {
        point: id(RELAY),
        ttl: 7_200,
    });
    assert_eq!(state(&rig), (RelayState::Online, None, None));
}

#[test]
fn a_relay_that_was_lost_tells_why_and_when_it_is_tried_again() {
    let (mut rig, conn) = Rig::with_relay_at(&[QUIC]);
    rig.close(conn);
    let (waiting, retry, reason) = state(&rig);
    assert_eq!(waiting, RelayState::Waiting);
    let retry = millis(retry.unwrap());
    assert!((millis(199)..millis(500)).contains(&retry), "{retry:?}");
    let reason = reason.unwrap();
    assert_eq!(reason, "the connection was closed: reset");

    rig.advance(retry / 2);
    let left = millis(state(&rig).1.unwrap());
    assert!(retry / 2 >= left - millis(1) && left < retry, "{left:?}");

    rig.advance(retry);
    assert_eq!(state(&rig), (RelayState::Connecting, None, Some(reason)));
    rig.relay_up(QUIC);
    assert_eq!(state(&rig), (RelayState::Online, None, None));
}

#[test]
fn a_relay_without_registration_is_not_online() {
    let mut rig = Rig::new(&config(&[QUIC]));
    rig.input(Input::ListenersReady);
    let dial = rig.last_dial();
    let conn = rig.connect(id(RELAY), QUIC, Some(dial));
    rig.identify_relay(conn);
    rig.accept();
    rig.input(Input::RegisterFailed {
        point: id(RELAY),
        cause: cause("full"),
    });
    let (waiting, retry, reason) = state(&rig);
    assert_eq!(waiting, RelayState::Waiting);
    assert!(retry.is_some());
    assert_eq!(reason.as_deref(), Some("cannot register: full"));
}

#[test]
fn a_refused_discovery_is_reported_once_and_shown_until_it_works_again() {
    let (mut rig, _) = Rig::with_relay_at(&[QUIC]);
    rig.answering = false;
    let name = at(QUIC, id(RELAY));
    let shown = "cannot discover: no such namespace";
    for round in 0..4 {
        rig.wait_for(secs(40), is_discover);
        rig.take();
        rig.input(Input::DiscoverFailed {
            point: id(RELAY),
            cause: Cause::new(Reason::NamespaceRefused, "no such namespace"),
        });
        let reported = [format!(
            "cannot discover at {name}: no such namespace; retrying"
        )];
        let expected = &reported[..usize::from(round == 0)];
        assert_eq!(rig.errors(), expected);
        assert_eq!(
            state(&rig),
            (RelayState::Online, None, Some(shown.to_owned()))
        );
    }
    rig.wait_for(secs(40), is_discover);
    rig.discovered(id(RELAY), Vec::new());
    assert_eq!(state(&rig), (RelayState::Online, None, None));
}

#[test]
fn a_refused_discovery_is_reported_again_after_a_reconnect() {
    let (mut rig, mut conn) = Rig::with_relay_at(&[QUIC]);
    rig.answering = false;
    for _ in 0..2 {
        rig.wait_for(secs(40), is_discover);
        rig.take();
        rig.input(Input::DiscoverFailed {
            point: id(RELAY),
            cause: Cause::new(Reason::NamespaceRefused, "no such namespace"),
        });
        assert_eq!(rig.errors().len(), 1);
        rig.close(conn);
        let shown = state(&rig).2.unwrap_or_default();
        assert!(!shown.contains("cannot discover"), "{shown}");
        rig.take();
        rig.wait_for(secs(2), is_dial);
        let dial = rig.last_dial();
        conn = rig.connect(id(RELAY), QUIC, Some(dial));
        rig.identify_relay(conn);
        rig.accept();
        rig.take();
        rig.input(Input::Registered {
            point: id(RELAY),
            ttl: 7_200,
        });
    }
}

#[test]
fn a_late_answer_to_a_discovery_is_no_refusal() {
    let (mut rig, _) = Rig::with_relay_at(&[QUIC]);
    rig.answering = false;
    for code in [Reason::NoAnswer, Reason::ConnectionClosed] {
        rig.wait_for(secs(40), is_discover);
        rig.take();
        rig.input(Input::DiscoverFailed {
            point: id(RELAY),
            cause: Cause::new(code, "nothing"),
        });
        assert_eq!(rig.errors(), Vec::<String>::new());
        assert_eq!(state(&rig), (RelayState::Online, None, None));
    }
}

#[test]
fn the_json_is_flat_and_leaves_out_what_is_unknown() {
    let info = RelayInfo {
        peer: None,
        addresses: vec![a(WS)],
        state: RelayState::Waiting,
        retry_in_ms: Some(4_000),
        code: Some(Reason::Other),
        reason: Some("gone".into()),
    };
    let json = serde_json::to_string(&info).unwrap();
    assert_eq!(
        json,
        format!(
            r#"{{"addresses":["{WS}"],"state":"waiting","retry_in_ms":4000,"code":"other","reason":"gone"}}"#
        )
    );
}
