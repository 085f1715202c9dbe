//! libp2p's relay (circuit relay v2, <https://github.com/libp2p/specs/blob/master/relay/circuit-v2.md>)
//! with our limits.
//!
//! libp2p-relay 0.22.0 keeps most limits by itself. Its rate limiters, which it asks before it gives out
//! a reservation or a circuit, are where ours come in. Three things it does otherwise than its options
//! say or we need:
//!
//! - It gives a peer one reservation and one circuit more than its options allow
//!   (<https://github.com/libp2p/rust-libp2p/pull/6365>, open): so each option is one less here. Without
//!   that `a_peer_has_as_many_reservations_as_it_may_have` and
//!   `a_peer_has_as_many_circuits_as_it_may_have` (tests/relay_clients.rs) fail.
//! - It applies `max_reservations` to renewals, so that those who are there lose their reservation one
//!   by one when all are given out: [`Reservations`] counts in its place.
//! - Its limits per IP address take each IPv6 address for a client of its own, though everybody has 2^64
//!   of them (not reported as far as known, 2026-11): here they count networks. Without that
//!   `rates_per_ip_count_a_network_of_ipv6_as_one` fails.

#[cfg(test)]
mod tests;

use std::{mem, time::Instant};

use libp2p::{Multiaddr, PeerId, relay};
use punchline::address::{internet_network_of, ip_of, network_of};

use super::{circuits::Admission, limits::Limits, reservations::Reservations};

/// The configuration of libp2p's relay. It asks `reservations` before it gives out a reservation, and
/// `admission` before it lets a request for a circuit through.
pub(crate) fn config(
    limits: &Limits,
    reservations: Reservations,
    admission: Admission,
) -> relay::Config {
    let mut config = relay::Config {
        max_reservations: usize::MAX,
        max_reservations_per_peer: limits.max_reservations_per_peer as usize - 1,
        reservation_duration: limits.reservation_duration,
        reservation_rate_limiters: Vec::new(),
        max_circuits: limits.max_circuits as usize,
        max_circuits_per_peer: limits.max_circuits_per_peer as usize - 1,
        max_circuit_duration: limits.max_circuit_duration,
        max_circuit_bytes: limits.max_circuit_bytes,
        circuit_src_rate_limiters: Vec::new(),
    }
    .reservation_rate_per_peer(
        limits.reservation_rate_per_peer.burst,
        limits.reservation_rate_per_peer.interval,
    )
    .reservation_rate_per_ip(
        limits.reservation_rate_per_ip.burst,
        limits.reservation_rate_per_ip.interval,
    )
    .circuit_src_per_peer(
        limits.circuit_rate_per_peer.burst,
        limits.circuit_rate_per_peer.interval,
    )
    .circuit_src_per_ip(
        limits.circuit_rate_per_ip.burst,
        limits.circuit_rate_per_ip.interval,
    );
    by_network(&mut config);
    // libp2p asks its limiters in order, after its other limits, and stops at the first that refuses.
    // These two come last: what they have admitted and counted is refused for no other reason.
    let admit_reservation = move |peer: PeerId, _: &Multiaddr, _: Instant| reservations.admit(peer);
    config
        .reservation_rate_limiters
        .push(Box::new(admit_reservation));
    let admit_circuit = move |peer: PeerId, from: &Multiaddr, now: Instant| {
        let network = ip_of(from).and_then(internet_network_of);
        network.is_none_or(|network| admission.admit(peer, network, now))
    };
    config
        .circuit_src_rate_limiters
        .push(Box::new(admit_circuit));
    config
}

/// Has the limits per IP address count networks.
fn by_network(config: &mut relay::Config) {
    for limiters in [
        &mut config.reservation_rate_limiters,
        &mut config.circuit_src_rate_limiters,
    ] {
        for mut limiter in mem::take(limiters) {
            limiters.push(Box::new(
                move |peer: PeerId, from: &Multiaddr, now: Instant| match ip_of(from) {
                    Some(ip) => limiter.try_next(peer, &network_of(ip).into(), now),
                    None => limiter.try_next(peer, from, now),
                },
            ));
        }
    }
}
