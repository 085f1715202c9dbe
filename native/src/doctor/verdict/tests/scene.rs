//! Observations of made-up networks, and the report on them.

use std::{net::SocketAddr, time::Duration};

use libp2p::Multiaddr;

use super::super::*;
use crate::doctor::{
    observations::{Mapping, ReachTest},
    render,
};

pub(super) const RELAY: &str = "203.0.113.5";
pub(super) const OWN: &str = "192.168.1.7";
pub(super) const OUTSIDE: &str = "198.51.100.1";
pub(super) const OWN6: &str = "2001:db8:1::7";
pub(super) const RELAY6: &str = "2001:db8:5::5";

fn address(text: &str) -> Multiaddr {
    text.parse().unwrap()
}

pub(super) fn attempt(text: &str, reached: bool) -> Attempt {
    let address = address(text);
    Attempt {
        transport: Transport::of(&address),
        address,
        outcome: match reached {
            true => Outcome::Reached(Duration::from_millis(20)),
            false => Outcome::Failed("no answer within 4 s".into()),
        },
    }
}

/// A relay with the usual ports, and what is reached of it.
pub(super) fn relay(http: bool, udp: bool, tcp: bool) -> RelayObservations {
    let mut attempts = vec![
        attempt(&format!("/ip4/{RELAY}/udp/45678/quic-v1"), udp),
        attempt(&format!("/ip4/{RELAY}/tcp/45678"), tcp),
        attempt(&format!("/ip4/{RELAY}/tcp/45679/ws"), tcp),
    ];
    attempts.push(Attempt {
        transport: Transport::WebrtcDirect,
        address: address(&format!("/ip4/{RELAY}/udp/45679/webrtc-direct")),
        outcome: Outcome::NotDialable,
    });
    RelayObservations {
        given: format!("http://{RELAY}:45680"),
        http: Some(match http {
            true => Ok(45_680),
            false => Err("no answer within 3 s".into()),
        }),
        peer: None,
        is_relay: (udp || tcp).then_some(true),
        attempts,
    }
}

pub(super) fn socket(ip: &str, port: u16) -> SocketAddr {
    SocketAddr::new(ip.parse().unwrap(), port)
}

/// What the relay's STUN ports saw of port 5000.
pub(super) fn stun(own: &str, outside: &str, ports: &[u16]) -> FamilyObservations {
    let server = if own.contains(':') { RELAY6 } else { RELAY };
    let mapped = |(n, port): (u16, &u16)| Mapping {
        server: socket(server, 45_680 + n),
        local: socket(own, 5_000),
        outside: socket(outside, *port),
    };
    FamilyObservations {
        own: Some(own.parse().unwrap()),
        stun: (0..).zip(ports).map(mapped).collect(),
        stun_asked: 2,
        ..FamilyObservations::default()
    }
}

pub(super) fn silent(own: &str) -> FamilyObservations {
    stun(own, own, &[])
}

pub(super) fn by_tcp(mut family: FamilyObservations, outside: u16) -> FamilyObservations {
    family.tcp = vec![Mapping {
        server: socket(RELAY, 45_678),
        local: socket(OWN, 6_000),
        outside: socket(OUTSIDE, outside),
    }];
    family
}

pub(super) fn reach(result: ReachResult) -> Vec<ReachTest> {
    let address = address(&format!("/ip4/{OUTSIDE}/udp/6000/quic-v1"));
    vec![ReachTest { address, result }]
}

/// A network in which everything works over IPv4, with these observations of it.
pub(super) fn network(v4: FamilyObservations) -> Observations {
    Observations {
        relays: vec![relay(true, true, true)],
        v4,
        v6: FamilyObservations::default(),
        reach_tests: reach(ReachResult::Silence),
    }
}

/// The report, and its text.
pub(super) fn judged(seen: &Observations) -> (Report, String) {
    let report = judge(seen);
    let text = render::lines(&report).join("\n");
    (report, text)
}

#[track_caller]
pub(super) fn check(
    seen: &Observations,
    nat: Nat,
    same_kind: Expected,
    exit: u8,
    word: &str,
) -> Report {
    let (report, text) = judged(seen);
    assert_eq!(report.ipv4.nat, nat, "{text}");
    assert_eq!(report.paths.same_kind, same_kind, "{text}");
    assert_eq!(report.exit_status, exit, "{text}");
    assert_eq!(report.result.exit_status(), exit);
    assert!(text.contains(word), "{word}\n{text}");
    report
}
