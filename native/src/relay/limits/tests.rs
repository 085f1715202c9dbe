//! What one network may take.

use super::*;
use crate::cli::tests::relay;

fn addr(text: &str) -> Multiaddr {
    text.parse().unwrap()
}

/// Whether libp2p's relay would let a request from there through.
fn asks(limiters: &mut [Box<dyn relay::RateLimiter>], from: &Multiaddr, now: Instant) -> bool {
    let peer = PeerId::random();
    limiters.iter_mut().all(|l| l.try_next(peer, from, now))
}

#[test]
fn a_network_gets_its_share_of_everything() {
    let limits = relay(&[]).limits;
    let networks = limits.networks();
    assert_eq!(networks.connections, limits.max_reservations / 4);
    assert_eq!(networks.handshakes, limits.max_pending_connections / 4);
    assert_eq!(
        limits.rendezvous().max_of_network,
        limits.max_registrations / 4
    );
    assert_eq!(
        limits.http_connections_of_network(),
        limits.max_http_connections / 4
    );
}

#[test]
fn small_limits_leave_something_for_everyone() {
    let limits = relay(&[
        "--max-connections=4",
        "--max-registrations=3",
        "--max-share-per-ip=1",
    ]);
    let limits = limits.limits;
    assert_eq!(
        limits.networks().connections,
        limits.max_connections_per_peer
    );
    assert_eq!(limits.rendezvous().max_of_network, 1);
}

#[test]
fn a_network_may_get_all() {
    let limits = relay(&["--max-share-per-ip=100"]).limits;
    assert_eq!(limits.networks().connections, limits.max_connections);
    assert_eq!(
        limits.http_connections_of_network(),
        limits.max_http_connections
    );
}

#[test]
fn circuits_are_shared_among_networks() {
    let limits = relay(&["--max-circuits=8"]).limits;
    let mut config = limits.relay(&Book::new(&limits));
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
    let limits = relay(&["--reservation-rate-per-ip=3/1h"]).limits;
    let mut config = limits.relay(&Book::new(&limits));
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
