use super::*;

const QUIC: &str = "/ip4/192.168.1.2/udp/4001/quic-v1";
const TCP: &str = "/ip4/192.168.1.2/tcp/4001";

fn a(address: &str) -> Multiaddr {
    address.parse().unwrap()
}

fn room() -> Room {
    Room::new(DEFAULT_NAMESPACE)
}

/// As it comes from libp2p.
fn record(peer: PeerId, address: &str) -> (PeerId, Multiaddr) {
    (peer, address::with_peer(a(address), peer))
}

#[test]
fn in_the_default_namespace_addresses_are_announced_as_they_are() {
    assert_eq!(room().announced(&a(QUIC)), Some(a(QUIC)));
    assert_eq!(room().dialled(&a(QUIC)), Some(a(QUIC)));
}

#[test]
fn namespaces_do_not_mix() {
    let (ours, theirs) = (Room::new("ours"), Room::new("theirs"));
    let announced = ours.announced(&a(QUIC)).unwrap();
    assert_eq!(
        announced.to_string(),
        format!("{QUIC}/memory/15818348008331620766")
    );
    assert_eq!(ours.dialled(&announced), Some(a(QUIC)));
    assert_eq!(theirs.dialled(&announced), None);
    assert_eq!(room().dialled(&announced), None);
    assert_eq!(ours.dialled(&a(QUIC)), None);
    let peer = PeerId::random();
    let full = address::with_peer(announced, peer);
    assert_eq!(ours.dialled(&full), Some(a(QUIC)));
}

#[test]
fn only_what_is_on_the_network_is_announced_or_dialled() {
    let circuit = format!("{TCP}/p2p/{}/p2p-circuit", PeerId::random());
    for address in [
        "/ip4/127.0.0.1/tcp/4001",
        "/ip4/0.0.0.0/tcp/4001",
        "/ip4/224.0.0.251/udp/5353/quic-v1",
        "/ip4/192.168.1.2/tcp/0",
        "/ip4/192.168.1.2/udp/4001",
        "/ip4/192.168.1.2/udp/4001/webrtc-direct",
        "/dns4/example.com/tcp/4001",
        "/ip4/192.168.1.2",
        "/memory/7",
        &circuit,
    ] {
        assert_eq!(room().announced(&a(address)), None, "{address}");
        assert_eq!(room().dialled(&a(address)), None, "{address}");
    }
    let ws = format!("{TCP}/ws");
    assert_eq!(room().dialled(&a(&ws)), Some(a(&ws)));
}

#[test]
fn a_peer_comes_with_its_first_address_and_goes_with_its_last() {
    let mut neighbours = Neighbours::new(room());
    let peer = PeerId::random();
    let (quic, tcp) = (record(peer, QUIC), record(peer, TCP));
    let found = neighbours.found(vec![quic.clone(), tcp.clone(), quic.clone()]);
    assert_eq!(found, [peer]);
    assert_eq!(neighbours.addresses_of(peer), [a(QUIC), a(TCP)]);
    assert!(neighbours.found(vec![quic.clone()]).is_empty());
    assert_eq!(neighbours.expired(std::slice::from_ref(&quic)), [peer]);
    assert_eq!(neighbours.addresses_of(peer), [a(TCP)]);
    assert!(neighbours.expired(&[quic]).is_empty());
    assert_eq!(neighbours.expired(&[tcp]), [peer]);
    assert!(neighbours.addresses_of(peer).is_empty());
}

#[test]
fn a_crowd_is_bounded_in_peers_and_addresses() {
    let mut neighbours = Neighbours::new(room());
    let first = PeerId::random();
    for port in 1..1_000 {
        neighbours.found(vec![record(first, &format!("/ip4/10.0.0.1/tcp/{port}"))]);
    }
    assert_eq!(
        neighbours.addresses_of(first).len(),
        MAX_NEIGHBOUR_ADDRESSES
    );
    let crowd = (0..1_000).map(|_| record(PeerId::random(), QUIC)).collect();
    assert_eq!(neighbours.found(crowd).len(), MAX_NEIGHBOURS - 1);
    let late = record(PeerId::random(), QUIC);
    assert!(neighbours.found(vec![late.clone()]).is_empty());
    assert_eq!(neighbours.forget().len(), MAX_NEIGHBOURS);
    assert_eq!(neighbours.found(vec![late]).len(), 1);
}
