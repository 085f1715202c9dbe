//! The kind of a NAT, from how several servers saw one socket: its mapping behaviour in the words of RFC 4787, 4.1.

use super::{
    observations::Mapping,
    report::{Nat, Port, SeenFrom},
};

/// The kind for UDP, from a socket that asked by STUN and another that spoke QUIC.
///
/// A NAT maps each socket by itself, so their mappings are not compared. The socket that more places saw decides.
pub(crate) fn of_udp(stun: &[Mapping], quic: &[Mapping]) -> (Nat, SeenFrom, Vec<Mapping>) {
    let by_stun = of(stun);
    let by_quic = of(quic);
    let is_better = rank(by_quic.1) > rank(by_stun.1) && by_stun.0 != Nat::None;
    if is_better { by_quic } else { by_stun }
}

/// The kind for one socket, the places it was seen from, and the mappings that counted.
pub(crate) fn of(seen: &[Mapping]) -> (Nat, SeenFrom, Vec<Mapping>) {
    let used = beyond_the_nat(seen);
    let (Some(first), from) = (used.first().copied(), seen_from(&used)) else {
        return (Nat::NotSeen, SeenFrom::Nowhere, used);
    };
    let port = match first.outside.port() == first.local.port() {
        true => Port::Kept,
        false => Port::Translated,
    };
    let nat = match () {
        () if used.iter().all(|m| m.outside == m.local) => Nat::None,
        () if from == SeenFrom::OnePlace => Nat::Unknown { port },
        () if used.iter().all(|m| m.outside == first.outside) => Nat::EndpointIndependent { port },
        () => Nat::Symmetric,
    };
    (nat, from, used)
}

/// The mappings that say something about a NAT.
///
/// A relay inside this network sees the socket's own address, whatever NAT is further out, so that counts only if
/// nobody saw another. And a machine with two ways out has two own addresses, of which only the first one's mappings
/// are compared.
fn beyond_the_nat(seen: &[Mapping]) -> Vec<Mapping> {
    let translated: Vec<_> = seen.iter().filter(|m| m.outside != m.local).collect();
    let used: Vec<_> = match translated.is_empty() {
        true => seen.iter().collect(),
        false => translated,
    };
    let Some(own) = used.first().map(|m| m.local.ip()) else {
        return Vec::new();
    };
    used.into_iter()
        .filter(|m| m.local.ip() == own)
        .copied()
        .collect()
}

fn seen_from(used: &[Mapping]) -> SeenFrom {
    let Some(first) = used.first() else {
        return SeenFrom::Nowhere;
    };
    match () {
        () if used.iter().any(|m| m.server.ip() != first.server.ip()) => SeenFrom::TwoHosts,
        () if used.iter().any(|m| m.server != first.server) => SeenFrom::TwoPorts,
        () => SeenFrom::OnePlace,
    }
}

const fn rank(from: SeenFrom) -> u8 {
    match from {
        SeenFrom::Nowhere => 0,
        SeenFrom::OnePlace => 1,
        SeenFrom::TwoPorts => 2,
        SeenFrom::TwoHosts => 3,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapped(server: &str, local: &str, outside: &str) -> Mapping {
        Mapping {
            server: server.parse().unwrap(),
            local: local.parse().unwrap(),
            outside: outside.parse().unwrap(),
        }
    }

    const OWN: &str = "192.168.1.7:4001";
    const A: &str = "203.0.113.5:3478";
    const A2: &str = "203.0.113.5:3479";
    const B: &str = "198.51.100.5:3478";

    fn kind(seen: &[(&str, &str)]) -> (Nat, SeenFrom) {
        let seen: Vec<_> = seen.iter().map(|(s, o)| mapped(s, OWN, o)).collect();
        let (nat, from, _) = of(&seen);
        (nat, from)
    }

    #[test]
    fn every_kind() {
        let kept = Port::Kept;
        let translated = Port::Translated;
        for (seen, expected) in [
            (&[][..], (Nat::NotSeen, SeenFrom::Nowhere)),
            (&[(A, OWN)], (Nat::None, SeenFrom::OnePlace)),
            (&[(A, OWN), (A2, OWN)], (Nat::None, SeenFrom::TwoPorts)),
            (
                &[(A, "192.0.2.1:4001"), (A2, "192.0.2.1:4001")],
                (Nat::EndpointIndependent { port: kept }, SeenFrom::TwoPorts),
            ),
            (
                &[(A, "192.0.2.1:777"), (B, "192.0.2.1:777")],
                (
                    Nat::EndpointIndependent { port: translated },
                    SeenFrom::TwoHosts,
                ),
            ),
            (
                &[(A, "192.0.2.1:777"), (A2, "192.0.2.1:778")],
                (Nat::Symmetric, SeenFrom::TwoPorts),
            ),
            (
                &[(A, "192.0.2.1:777"), (B, "192.0.2.2:777")],
                (Nat::Symmetric, SeenFrom::TwoHosts),
            ),
            (
                &[(A, "192.0.2.1:4001")],
                (Nat::Unknown { port: kept }, SeenFrom::OnePlace),
            ),
            (
                &[(A, "192.0.2.1:777")],
                (Nat::Unknown { port: translated }, SeenFrom::OnePlace),
            ),
            // The same place twice is one place.
            (
                &[(A, "192.0.2.1:777"), (A, "192.0.2.1:777")],
                (Nat::Unknown { port: translated }, SeenFrom::OnePlace),
            ),
        ] {
            assert_eq!(kind(seen), expected, "{seen:?}");
        }
    }

    #[test]
    fn a_relay_in_our_own_network_sees_no_nat_and_hides_none() {
        let inside = ("192.168.1.2:3478", OWN);
        let (nat, from) = kind(&[inside, (A, "192.0.2.1:777"), (A2, "192.0.2.1:777")]);
        let port = Port::Translated;
        assert_eq!(nat, Nat::EndpointIndependent { port });
        assert_eq!(from, SeenFrom::TwoPorts);
        assert_eq!(
            kind(&[inside, (A, "192.0.2.1:777")]).0,
            Nat::Unknown { port }
        );
    }

    #[test]
    fn two_ways_out_are_not_a_symmetric_nat() {
        let seen = [
            mapped(A, OWN, "192.0.2.1:4001"),
            mapped(A2, OWN, "192.0.2.1:4001"),
            mapped(B, "10.0.0.7:4001", "192.0.2.200:4001"),
        ];
        let port = Port::Kept;
        assert_eq!(of(&seen).0, Nat::EndpointIndependent { port });
    }

    #[test]
    fn the_socket_that_more_places_saw_decides() {
        let stun = [mapped(A, OWN, "192.0.2.1:4001")];
        let quic = [
            mapped(A, "192.168.1.7:50", "192.0.2.1:60"),
            mapped(B, "192.168.1.7:50", "192.0.2.1:61"),
        ];
        assert_eq!(of_udp(&stun, &quic).0, Nat::Symmetric);
        assert_eq!(of_udp(&stun, &[]).0, Nat::Unknown { port: Port::Kept });
        assert_eq!(of_udp(&[], &quic).0, Nat::Symmetric);
        assert_eq!(of_udp(&[], &[]).0, Nat::NotSeen);
    }
}
