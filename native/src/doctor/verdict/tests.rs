//! The report on each kind of network.

mod scene;

use super::*;
use crate::doctor::report::Note;
use scene::{
    OUTSIDE, OWN, OWN6, RELAY, RELAY6, attempt, by_tcp, check, judged, network, reach, relay,
    silent, socket, stun,
};

#[test]
fn no_nat_and_reachable() {
    let mut seen = network(stun(OWN, OWN, &[5_000, 5_000]));
    seen.reach_tests = reach(ReachResult::Reached);
    let report = check(&seen, Nat::None, Expected::Direct, 0, "reachable: others");
    assert_eq!(report.from_outside.reachable, Answer::Yes);
    assert_eq!(report.ipv4.outside, None);
    assert_eq!(
        report.next,
        [format!("punchline --relay http://{RELAY}:45680")]
    );
}

#[test]
fn no_nat_but_a_firewall() {
    let seen = network(stun(OWN, OWN, &[5_000, 5_000]));
    let report = check(
        &seen,
        Nat::None,
        Expected::Direct,
        0,
        "not reachable: nobody",
    );
    assert_eq!(report.from_outside.reachable, Answer::No);
}

#[test]
fn a_nat_that_keeps_ports() {
    let seen = network(stun(OWN, OUTSIDE, &[5_000, 5_000]));
    let nat = Nat::EndpointIndependent { port: Port::Kept };
    let report = check(
        &seen,
        nat,
        Expected::Direct,
        0,
        "this machine's own: it can",
    );
    assert_eq!(report.ipv4.outside, Some(OUTSIDE.parse().unwrap()));
    assert_eq!(report.notes, []);
}

#[test]
fn a_nat_that_translates_ports() {
    let seen = network(stun(OWN, OUTSIDE, &[777, 777]));
    let nat = Nat::EndpointIndependent {
        port: Port::Translated,
    };
    check(
        &seen,
        nat,
        Expected::Direct,
        0,
        "translated: it can be punched",
    );
}

#[test]
fn a_symmetric_nat() {
    let seen = network(stun(OWN, OUTSIDE, &[777, 778]));
    let report = check(
        &seen,
        Nat::Symmetric,
        Expected::Relayed,
        0,
        "to peers that can be reached; others take the relay",
    );
    assert_eq!(report.paths.reachable_peer, Expected::Direct);
}

#[test]
fn a_symmetric_nat_with_ipv6_beside_it() {
    let mut seen = network(stun(OWN, OUTSIDE, &[777, 778]));
    seen.v6 = stun(OWN6, OWN6, &[5_000, 5_000]);
    let report = check(&seen, Nat::Symmetric, Expected::Direct, 0, "IPv6 NAT");
    assert_eq!(report.ipv6.nat, Nat::None);
}

#[test]
fn a_symmetric_nat_with_a_forwarded_port() {
    let mut seen = network(stun(OWN, OUTSIDE, &[777, 778]));
    seen.reach_tests = reach(ReachResult::Reached);
    check(
        &seen,
        Nat::Symmetric,
        Expected::Direct,
        0,
        "reachable: others",
    );
}

#[test]
fn only_one_place_to_see_it_from() {
    let seen = network(stun(OWN, OUTSIDE, &[777]));
    let nat = Nat::Unknown {
        port: Port::Translated,
    };
    let report = check(&seen, nat, Expected::Unknown, 0, "only one place saw");
    assert_eq!(report.notes, [Note::OneObservationPoint]);
    assert!(report.next[0].contains("--relay SECOND-RELAY"));
}

#[test]
fn udp_blocked() {
    let mut seen = network(by_tcp(silent(OWN), 6_000));
    seen.relays = vec![relay(true, false, true)];
    let report = check(
        &seen,
        Nat::NotSeen,
        Expected::Direct,
        0,
        "UDP              does not",
    );
    assert_eq!((report.udp, report.tcp), (Passes::No, Passes::Yes));
    assert_eq!(report.ipv4.tcp_nat, Nat::Unknown { port: Port::Kept });
    // Ports that are others outside may be others for each destination.
    seen.v4 = by_tcp(silent(OWN), 7_000);
    check(
        &seen,
        Nat::NotSeen,
        Expected::Unknown,
        0,
        "to some peers at least",
    );
}

#[test]
fn udp_blocked_by_a_nat_that_is_symmetric_for_tcp() {
    let mut seen = network(by_tcp(silent(OWN), 7_000));
    let mut other = seen.v4.tcp[0];
    other.server = socket("203.0.113.6", 45_678);
    other.outside = socket(OUTSIDE, 7_001);
    seen.v4.tcp.push(other);
    seen.relays = vec![relay(true, false, true)];
    check(
        &seen,
        Nat::NotSeen,
        Expected::Relayed,
        0,
        "TCP another port",
    );
}

#[test]
fn only_the_ports_of_the_web() {
    let mut seen = network(silent(OWN));
    let mut by_443 = relay(false, false, false);
    by_443.attempts = vec![
        attempt(&format!("/ip4/{RELAY}/tcp/443"), true),
        attempt(&format!("/ip4/{RELAY}/udp/45678/quic-v1"), false),
    ];
    by_443.is_relay = Some(true);
    seen.relays = vec![by_443];
    let report = check(
        &seen,
        Nat::NotSeen,
        Expected::Relayed,
        3,
        "everything goes through the relay",
    );
    assert_eq!((report.udp, report.tcp), (Passes::No, Passes::WebPorts));
    assert_eq!(report.paths.reachable_peer, Expected::Relayed);
    assert!(report.next[0].contains("lets UDP out"));
}

#[test]
fn ipv6_only_behind_a_firewall() {
    let mut by_v6 = relay(true, false, false);
    by_v6.attempts = vec![
        attempt(&format!("/ip6/{RELAY6}/udp/45678/quic-v1"), true),
        attempt(&format!("/ip6/{RELAY6}/tcp/45678"), true),
    ];
    by_v6.is_relay = Some(true);
    let seen = Observations {
        relays: vec![by_v6],
        v4: FamilyObservations::default(),
        v6: stun(OWN6, OWN6, &[5_000, 5_000]),
        reach_tests: reach(ReachResult::Failed),
    };
    let report = check(
        &seen,
        Nat::NotSeen,
        Expected::Direct,
        0,
        "IPv4             none",
    );
    assert_eq!(report.ipv4.works, Answer::No);
    assert_eq!(report.ipv6.works, Answer::Yes);
    assert_eq!(report.ipv6.nat, Nat::None);
}

#[test]
fn nothing() {
    let mut seen = network(silent(OWN));
    seen.relays = vec![relay(false, false, false)];
    seen.reach_tests.clear();
    let report = check(&seen, Nat::NotSeen, Expected::None, 4, "nothing works");
    assert_eq!((report.udp, report.tcp), (Passes::No, Passes::No));
    assert_eq!(report.notes, [Note::NoRelayReached]);
    assert!(report.next[0].contains("operator"));
    assert_eq!(report.from_outside.reachable, Answer::Unknown);
    assert!(!report.relays[0].reached && report.relays[0].error.is_some());
}

#[test]
fn no_network_at_all() {
    let mut offline = relay(false, false, false);
    offline.attempts.clear();
    let seen = Observations {
        relays: vec![offline],
        ..Observations::default()
    };
    let report = check(&seen, Nat::NotSeen, Expected::None, 4, "no way out by it");
    assert_eq!((report.udp, report.tcp), (Passes::Unknown, Passes::No));
}

#[test]
fn no_relay_given() {
    let report = check(
        &Observations::default(),
        Nat::NotSeen,
        Expected::Unknown,
        4,
        "not known",
    );
    assert_eq!(report.notes, [Note::NoRelayGiven]);
    assert_eq!(report.paths.reachable_peer, Expected::Unknown);
}

#[test]
fn a_server_that_is_no_relay() {
    let mut seen = network(stun(OWN, OUTSIDE, &[777, 777]));
    seen.relays[0].is_relay = Some(false);
    let (report, text) = judged(&seen);
    assert!(!report.relays[0].reached);
    assert!(text.contains("it answers, but is no relay"), "{text}");
}

#[test]
fn a_relay_nearby_is_noted() {
    for (ip, expected) in [
        ("127.0.0.1", &[Note::RelayOnThisMachine][..]),
        (OWN, &[Note::RelayOnThisMachine]),
        ("192.168.1.2", &[Note::RelayOnThisNetwork]),
        (RELAY, &[]),
    ] {
        let mut seen = network(stun(OWN, OWN, &[]));
        seen.relays[0].attempts = vec![attempt(&format!("/ip4/{ip}/tcp/1"), true)];
        let (report, text) = judged(&seen);
        assert_eq!(report.notes, expected, "{ip}\n{text}");
    }
}

#[test]
fn the_best_address_of_a_transport_is_reported() {
    let mut seen = network(stun(OWN, OUTSIDE, &[777, 777]));
    seen.relays[0].attempts = vec![
        attempt("/ip4/10.0.0.2/tcp/1", false),
        attempt("/ip4/203.0.113.5/tcp/1", true),
        attempt("/ip4/10.0.0.3/udp/1/quic-v1", false),
        attempt("/ip4/10.0.0.4/udp/1/quic-v1", false),
    ];
    let (report, _) = judged(&seen);
    let best: Vec<_> = report.relays[0]
        .transports
        .iter()
        .map(|by| by.address.to_string())
        .collect();
    assert_eq!(
        best,
        ["/ip4/10.0.0.3/udp/1/quic-v1", "/ip4/203.0.113.5/tcp/1"]
    );
}

#[test]
fn what_came_from_elsewhere_cannot_draw_on_the_screen() {
    let mut seen = network(stun(OWN, OUTSIDE, &[777, 777]));
    seen.relays[0].http = Some(Err("\u{1b}[31mred\nnew line".into()));
    let (_, text) = judged(&seen);
    assert!(
        !text.contains('\u{1b}') && !text.contains("\nnew line"),
        "{text}"
    );
}

#[test]
fn the_shape_of_the_json() {
    let mut seen = network(stun(OWN, OUTSIDE, &[777, 777]));
    seen.relays[0].attempts.truncate(1);
    let report = judge(&seen);
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(
        json,
        serde_json::json!({
            "event": "doctor",
            "version": env!("CARGO_PKG_VERSION"),
            "udp": "yes",
            "tcp": "yes",
            "ipv4": {
                "works": "yes",
                "own": OWN,
                "outside": OUTSIDE,
                "nat": {"kind": "endpoint_independent", "port": "translated"},
                "seen_from": "two_ports",
                "tcp_nat": {"kind": "not_seen"},
            },
            "ipv6": {
                "works": "no",
                "own": null,
                "outside": null,
                "nat": {"kind": "not_seen"},
                "seen_from": "nowhere",
                "tcp_nat": {"kind": "not_seen"},
            },
            "from_outside": {
                "reachable": "no",
                "tested": [{"address": "/ip4/198.51.100.1/udp/6000/quic-v1", "reachable": "no"}],
            },
            "relays": [{
                "given": "http://203.0.113.5:45680",
                "peer": null,
                "reached": true,
                "error": null,
                "transports": [{
                    "transport": "quic",
                    "address": "/ip4/203.0.113.5/udp/45678/quic-v1",
                    "state": "reached",
                    "milliseconds": 20,
                }],
            }],
            "paths": {"reachable_peer": "direct", "same_kind": "direct"},
            "result": "direct",
            "exit_status": 0,
            "notes": [],
            "next": ["punchline --relay http://203.0.113.5:45680"],
        })
    );
}
