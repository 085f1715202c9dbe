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
