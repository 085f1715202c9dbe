//! Which transport an address means, and who is at its end.

use super::*;
use crate::path::Path;

const RELAY: &str = "12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN";
const PEER: &str = "12D3KooWH3uVF6wv47WnArKHk5p6cvgCJEb74UTmxztmQDc298L3";

#[test]
fn the_transport_of_an_address() {
    use Transport as T;
    let cases = [
        ("/ip4/192.0.2.7/udp/1/quic-v1", T::Quic),
        ("/ip4/192.0.2.7/tcp/1", T::Tcp),
        ("/dns4/example.org/tcp/443/wss", T::Ws),
        ("/ip4/192.0.2.7/tcp/1/ws", T::Ws),
        ("/dns/example.org/tcp/443/tls/ws", T::Ws),
        ("/ip4/192.0.2.7/udp/1/webrtc-direct", T::WebrtcDirect),
        ("/memory/1", T::Tcp),
    ];
    for (address, transport) in cases {
        assert_eq!(Transport::of(&addr(address)), transport, "{address}");
        let with_peer = addr(&format!("{address}/p2p/{PEER}"));
        assert_eq!(Transport::of(&with_peer), transport, "{with_peer}");
        assert_eq!(transport.path(), Path::Direct);
    }
}

#[test]
fn a_circuit_is_recognised_by_the_position_of_its_name() {
    for base in ["/ip4/192.0.2.7/udp/1/quic-v1", "/ip4/192.0.2.7/tcp/1/ws"] {
        let circuit = addr(&format!("{base}/p2p/{RELAY}/p2p-circuit"));
        assert_eq!(Transport::of(&circuit), Transport::Circuit);
        assert_eq!(Transport::of(&circuit).path(), Path::Relayed);
        let to_peer = addr(&format!("{circuit}/p2p/{PEER}"));
        assert_eq!(Transport::of(&to_peer), Transport::Circuit);
        let signalled = addr(&format!("{circuit}/webrtc/p2p/{PEER}"));
        assert_eq!(Transport::of(&signalled), Transport::Webrtc);
        assert_eq!(Transport::of(&signalled).path(), Path::Direct);
    }
}

#[test]
fn transports_rank_best_first() {
    use Transport as T;
    let ranked = [
        T::Quic,
        T::Tcp,
        T::Webrtc,
        T::WebrtcDirect,
        T::Ws,
        T::Circuit,
    ];
    assert!(ranked.is_sorted());
}

#[test]
fn the_remotes_address_when_we_dialled() {
    let endpoint = ConnectedPoint::Dialer {
        address: addr("/ip4/192.0.2.7/tcp/1"),
        role_override: libp2p::core::Endpoint::Dialer,
        port_use: libp2p::core::transport::PortUse::Reuse,
    };
    assert_eq!(of_remote(&endpoint), addr("/ip4/192.0.2.7/tcp/1"));
}

#[test]
fn the_remotes_address_when_it_dialled() {
    let endpoint = ConnectedPoint::Listener {
        local_addr: addr("/ip4/192.0.2.7/tcp/1"),
        send_back_addr: addr("/ip4/198.51.100.3/tcp/5"),
    };
    assert_eq!(of_remote(&endpoint), addr("/ip4/198.51.100.3/tcp/5"));
}

#[test]
fn the_remotes_address_when_it_dialled_through_a_relay() {
    let relay = format!("/ip4/192.0.2.7/udp/1/quic-v1/p2p/{RELAY}");
    let local = addr(&format!("{relay}/p2p-circuit/p2p/{RELAY}"));
    let remote = addr(&format!("/p2p/{PEER}"));
    let address = of_listener(&local, &remote);
    assert_eq!(address, addr(&format!("{relay}/p2p-circuit/p2p/{PEER}")));
    assert_eq!(Transport::of(&address), Transport::Circuit);
}

#[test]
fn who_is_at_the_end_of_an_address() {
    let peer = PEER.parse().unwrap();
    let through = addr(&format!("/ip4/192.0.2.7/tcp/1/p2p/{RELAY}/p2p-circuit"));
    assert_eq!(peer_of(&through), None, "the relay is not at its end");
    assert_eq!(peer_of(&with_peer(through.clone(), peer)), Some(peer));
    assert_eq!(
        with_peer(with_peer(through.clone(), peer), peer),
        with_peer(through.clone(), peer)
    );
    assert_eq!(without_peer(with_peer(through.clone(), peer)), through);
    assert_eq!(without_peer(through.clone()), through);
    assert_eq!(peer_of(&Multiaddr::empty()), None);
}

#[test]
fn the_relay_of_a_circuit() {
    let relay = addr(&format!("/ip4/192.0.2.7/tcp/1/p2p/{RELAY}"));
    let circuit = addr(&format!("{relay}/p2p-circuit/p2p/{PEER}"));
    assert_eq!(without_circuit(&circuit), Some(relay.clone()));
    assert_eq!(without_circuit(&relay), None);
}

fn addr(text: &str) -> Multiaddr {
    text.parse().unwrap()
}

#[test]
fn the_socket_of_an_address() {
    let cases = [
        ("/ip4/192.0.2.7/udp/1/quic-v1", Some("192.0.2.7:1")),
        ("/ip6/2001:db8::7/tcp/2/ws", Some("[2001:db8::7]:2")),
        ("/ip4/192.0.2.7", None),
        ("/dns4/example.org/tcp/443/wss", None),
        ("/memory/1", None),
    ];
    for (address, socket) in cases {
        let socket = socket.map(|text| text.parse().unwrap());
        assert_eq!(socket_of(&addr(address)), socket, "{address}");
    }
    let named = addr("/dns4/example.org/tcp/443/wss");
    assert_eq!((ip_of(&named), port_of(&named)), (None, Some(443)));
    assert_eq!(host_of(&named).unwrap(), "example.org");
    assert_eq!(host_of(&addr("/ip6/::1/tcp/1")).unwrap(), "[::1]");
    assert_eq!(host_of(&addr("/memory/1")), None);
}

#[test]
fn the_network_of_an_ip_address() {
    let cases = [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("::1", "::"),
    ];
    for (ip, network) in cases {
        let network: IpAddr = network.parse().unwrap();
        assert_eq!(network_of(ip.parse().unwrap()), network, "{ip}");
    }
}
