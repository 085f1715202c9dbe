use super::*;

fn a(text: &str) -> Multiaddr {
    text.parse().unwrap()
}

const HASH: &str = "uEiBXJEaGgPsBRtdiM6vdpBKNSTtDZJ6VQMDrQmZHgOz0Nw";
const PEER: &str = "12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN";

#[test]
fn what_peers_listen_on_is_fit() {
    for address in [
        "/ip4/203.0.113.7/tcp/4000",
        "/ip4/203.0.113.7/tcp/443",
        "/ip4/203.0.113.7/udp/443/quic-v1",
        "/ip4/10.0.0.7/udp/4000/quic-v1",
        "/ip4/10.0.0.7/tcp/4000/ws",
        "/ip6/2001:db8::7/tcp/4000",
        "/ip6/fd00::7/udp/4000/quic-v1",
        &format!("/ip4/203.0.113.7/udp/4000/webrtc-direct/certhash/{HASH}"),
    ] {
        for end in ["", &format!("/p2p/{PEER}")] {
            assert!(
                is_fit(&a(&format!("{address}{end}")), false),
                "{address}{end}"
            );
        }
    }
}

#[test]
fn what_a_stranger_could_aim_with_is_not() {
    for address in [
        // Names, paths, secure WebSockets, which need a name.
        "/dns4/victim.example/tcp/4000",
        "/dnsaddr/victim.example",
        "/ip4/203.0.113.7/tcp/4000/x-parity-ws/%2fadmin%2freboot",
        "/ip4/203.0.113.7/tcp/4000/tls/ws",
        "/ip4/203.0.113.7/tcp/4000/wss",
        "/ip4/203.0.113.7/tcp/4000/http",
        // Ports of servers.
        "/ip4/203.0.113.7/tcp/80",
        "/ip4/203.0.113.7/udp/53/quic-v1",
        "/ip4/10.0.0.1/tcp/22",
        "/ip4/203.0.113.7/tcp/0",
        // Nobody's, or everybody's.
        "/ip4/127.0.0.1/tcp/4000",
        "/ip6/::1/tcp/4000",
        "/ip4/0.0.0.0/tcp/4000",
        "/ip4/169.254.169.254/tcp/4000",
        "/ip4/224.0.0.251/udp/5353/quic-v1",
        "/ip4/255.255.255.255/udp/4000/quic-v1",
        "/ip6/fe80::1/tcp/4000",
        "/ip6/ff02::1/udp/4000/quic-v1",
        "/ip6/::ffff:127.0.0.1/tcp/4000",
        // No address of a peer.
        "/ip4/203.0.113.7",
        "/ip4/203.0.113.7/udp/4000",
        "/ip4/203.0.113.7/udp/4000/quic",
        "/memory/7",
        &format!("/ip4/203.0.113.7/tcp/4000/p2p/{PEER}/p2p-circuit"),
        &format!("/ip4/203.0.113.7/tcp/4000/p2p/{PEER}/p2p-circuit/p2p/{PEER}"),
    ] {
        assert!(!is_fit(&a(address), false), "{address}");
    }
    assert!(
        is_fit(&a("/ip4/127.0.0.1/tcp/4000"), true),
        "we are here, too"
    );
    assert!(!is_fit(&a("/ip4/127.0.0.1/tcp/631"), true));
}

#[test]
fn a_destination_is_dialled_so_often_and_no_more() {
    let (mut budget, start) = (Budget::default(), Instant::now());
    let mut now = start;
    let mut dialled = 0;
    // All day long, twenty times a second.
    for _ in 0..20 * 60 {
        dialled += u32::from(budget.take(now, &a("/ip4/203.0.113.7/tcp/4000")));
        now += Duration::from_millis(50);
    }
    assert_eq!(dialled, 64 + 60 / 5 - 1);
}

#[test]
fn a_network_is_dialled_so_often_and_no_more() {
    let (mut budget, now) = (Budget::default(), Instant::now());
    let dialled = |budget: &mut Budget, address: &dyn Fn(u32) -> String| {
        (0..1_000)
            .filter(|n| budget.take(now, &a(&address(*n))))
            .count()
    };
    let of_v4 = |n: u32| format!("/ip4/203.0.113.{}/tcp/4000", n % 250);
    assert_eq!(dialled(&mut budget, &of_v4), 256);
    let of_v6 = |n: u32| format!("/ip6/2001:db8::{n}/udp/4000/quic-v1");
    assert_eq!(dialled(&mut budget, &of_v6), 256);
    // Other networks are dialled all the same, until there is no place to count them.
    let elsewhere = |n: u32| format!("/ip4/198.{}.{}.1/tcp/4000", 18 + n / 250, n % 250);
    let dialled = dialled(&mut budget, &elsewhere);
    assert!((100..1_000).contains(&dialled), "{dialled}");
    assert!(budget.full_at.len() <= MAX_COUNTED);
    budget.take(now + Duration::from_secs(600), &a("/ip4/203.0.113.7/tcp/1"));
    assert_eq!(budget.full_at.len(), 2);
}
