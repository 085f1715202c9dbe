//! Which requests libp2p's relay would let through.

use super::*;
use crate::relay::limits::tests::limits;

fn config_of(text: &str) -> relay::Config {
    let limits = limits(text);
    let admission = Admission::new(limits.max_circuits, limits.circuits_of_network());
    config(
        &limits,
        Reservations::new(limits.max_reservations),
        admission,
    )
}

fn addr(text: &str) -> Multiaddr {
    text.parse().unwrap()
}

/// Whether libp2p's relay would let a request from there through.
fn asks(limiters: &mut [Box<dyn relay::RateLimiter>], from: &Multiaddr, now: Instant) -> bool {
    let peer = PeerId::random();
    limiters.iter_mut().all(|l| l.try_next(peer, from, now))
}

#[test]
fn circuits_are_shared_among_networks() {
    let mut config = config_of("max-circuits = 8");
    let now = Instant::now();
    let mut admitted = |from: &str| {
        let limiters = &mut config.circuit_src_rate_limiters;
        (0..100)
            .filter(|_| asks(limiters, &addr(from), now))
            .count()
    };
    assert_eq!(admitted("/ip6/2001:db8::1/udp/1/quic-v1"), 2);
    assert_eq!(admitted("/ip6/2001:db8::2/tcp/1"), 0);
    assert_eq!(admitted("/ip4/192.0.2.1/tcp/1"), 2);
    assert_eq!(
        admitted("/ip4/127.0.0.1/tcp/1"),
        100,
        "all of a proxy's clients"
    );
}

#[test]
fn rates_per_ip_count_a_network_of_ipv6_as_one() {
    let mut config = config_of("reservation-rate-per-ip = '3/1h'");
    let now = Instant::now();
    let mut admitted = |from: &dyn Fn(u32) -> String| {
        let limiters = &mut config.reservation_rate_limiters;
        (1..100)
            .filter(|n| asks(limiters, &addr(&from(*n)), now))
            .count()
    };
    assert_eq!(admitted(&|n| format!("/ip6/2001:db8::{n}/tcp/1")), 3);
    assert_eq!(admitted(&|n| format!("/ip6/2001:db8:0:{n}::1/tcp/1")), 99);
    assert_eq!(admitted(&|n| format!("/ip4/192.0.2.{n}/tcp/1")), 99);
    assert_eq!(admitted(&|n| format!("/ip4/198.51.100.1/tcp/{n}")), 3);
}
