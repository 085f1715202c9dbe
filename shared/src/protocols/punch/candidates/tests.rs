//! Which addresses are offered, and which are dialled.

use super::*;

fn a(text: &str) -> Multiaddr {
    text.parse().unwrap()
}

fn all(texts: &[&str]) -> Vec<Multiaddr> {
    texts.iter().map(|text| a(text)).collect()
}

const QUIC: &str = "/ip4/203.0.113.1/udp/5000/quic-v1";
const TCP: &str = "/ip4/203.0.113.1/tcp/5001";
const QUIC6: &str = "/ip6/2001:db8::1/udp/5000/quic-v1";

#[test]
fn kinds_are_distinguished_and_others_left_out() {
    assert_eq!(of_kind(&a(QUIC)), Some(Kind::Quic4));
    assert_eq!(of_kind(&a(QUIC6)), Some(Kind::Quic6));
    assert_eq!(of_kind(&a(TCP)), Some(Kind::Tcp4));
    assert_eq!(of_kind(&a("/ip6/2001:db8::1/tcp/1")), Some(Kind::Tcp6));
    let peer = PeerId::random();
    assert_eq!(
        of_kind(&a(&format!("{QUIC}/p2p/{peer}"))),
        Some(Kind::Quic4)
    );
    assert_eq!(of_kind(&a(&format!("{TCP}/p2p/{peer}"))), Some(Kind::Tcp4));
    for other in [
        "/ip4/203.0.113.1/tcp/1/ws",
        "/ip4/203.0.113.1/udp/1/webrtc-direct",
        "/ip4/203.0.113.1/udp/1",
        "/ip4/203.0.113.1",
        "/dns4/relay.example/tcp/1",
        "/p2p-circuit",
    ] {
        assert_eq!(of_kind(&a(other)), None, "{other}");
    }
    let circuit = a(&format!("{QUIC}/p2p/{peer}/p2p-circuit"));
    assert_eq!(of_kind(&circuit), None);
}

#[test]
fn tcp_waits_for_its_turn_where_both_have_quic() {
    let both = all(&[QUIC, TCP]);
    let quic = Plan {
        quic: all(&[QUIC]),
        tcp: Vec::new(),
    };
    assert_eq!(plan(&both, &both, 1), quic);
    assert_eq!(plan(&both, &both, 2).tcp, all(&[TCP]));
    let only_tcp = all(&[TCP]);
    let tcp = Plan {
        quic: Vec::new(),
        tcp: all(&[TCP]),
    };
    assert_eq!(plan(&only_tcp, &both, 1), tcp);
    assert_eq!(plan(&both, &only_tcp, 1), tcp);
    assert_eq!(plan(&all(&[QUIC6]), &both, 3), Plan::default());
}

#[test]
fn the_newest_observation_of_each_kind_counts() {
    let candidates = Candidates::default();
    let relay = PeerId::random();
    candidates.observed(relay, Kind::Quic4, a(QUIC));
    candidates.observed(relay, Kind::Tcp4, a(TCP));
    let newer = "/ip4/203.0.113.1/udp/5002/quic-v1";
    candidates.observed(relay, Kind::Quic4, a(newer));
    assert_eq!(candidates.to_offer(), all(&[TCP, newer]));
}

#[test]
fn a_tcp_port_that_is_not_ours_may_be_an_accident() {
    let candidates = Candidates::default();
    candidates.listening(&a("/ip4/192.168.1.2/tcp/7000"));
    candidates.observed(PeerId::random(), Kind::Tcp4, a(TCP));
    let guess = "/ip4/203.0.113.1/tcp/7000";
    assert_eq!(candidates.to_offer(), all(&[TCP, guess]));
    let candidates = Candidates::default();
    candidates.listening(&a("/ip4/192.168.1.2/tcp/5001"));
    candidates.observed(PeerId::random(), Kind::Tcp4, a(TCP));
    assert_eq!(candidates.to_offer(), all(&[TCP]));
}

#[test]
fn own_addresses_are_offered_if_they_are_global() {
    let candidates = Candidates::default();
    for address in [
        "/ip4/192.168.1.2/udp/5000/quic-v1",
        "/ip4/127.0.0.1/udp/5000/quic-v1",
        "/ip4/100.64.0.2/udp/5000/quic-v1",
        "/ip6/fe80::1/udp/5000/quic-v1",
        "/ip6/fd00::1/udp/5000/quic-v1",
        QUIC6,
    ] {
        candidates.listening(&a(address));
    }
    assert_eq!(candidates.to_offer(), all(&[QUIC6]));
    candidates.no_longer(&a(QUIC6));
    assert_eq!(candidates.to_offer(), []);
}

#[test]
fn private_addresses_are_dialled_from_private_ones_only() {
    let claimed = all(&[
        "/ip4/127.0.0.1/tcp/5000",
        "/ip4/192.168.1.2/tcp/80",
        "/ip4/192.168.1.2/tcp/5000",
        "/ip4/169.254.1.1/tcp/5000",
        "/ip6/fe80::1/tcp/5000",
        "/ip6/fd00::1/tcp/5000",
        QUIC,
        QUIC6,
    ]);
    let reachable = |own: &[&str]| {
        let candidates = Candidates::default();
        for address in own {
            candidates.listening(&a(address));
        }
        candidates.reachable(&claimed)
    };
    assert_eq!(
        reachable(&["/ip4/127.0.0.1/tcp/1"]),
        all(&["/ip4/127.0.0.1/tcp/5000"])
    );
    assert_eq!(
        reachable(&["/ip4/127.0.0.1/tcp/1", "/ip6/2001:db8::2/tcp/1"]),
        all(&[QUIC6])
    );
    assert_eq!(reachable(&["/ip4/198.51.100.1/tcp/1"]), all(&[QUIC]));
    assert_eq!(
        reachable(&["/ip4/10.0.0.1/tcp/1"]),
        all(&["/ip4/192.168.1.2/tcp/5000", QUIC])
    );
    assert_eq!(reachable(&["/ip6/2001:db8::2/tcp/1"]), all(&[QUIC6]));
    assert_eq!(
        reachable(&["/ip6/fd00::2/tcp/1"]),
        all(&["/ip6/fd00::1/tcp/5000"])
    );
}

#[test]
fn lists_without_end_are_cut() {
    let many: Vec<_> = (5_000..6_000)
        .map(|port| a(&format!("/ip4/203.0.113.1/tcp/{port}")))
        .collect();
    assert_eq!(plan(&many, &many, 1).tcp.len(), MAX_ADDRESSES);
    let candidates = Candidates::default();
    for address in &many {
        candidates.confirmed(address);
        candidates.observed(PeerId::random(), Kind::Tcp4, address.clone());
    }
    assert_eq!(candidates.to_offer().len(), MAX_ADDRESSES);
}
