//! Whom the server dials.

use super::*;

fn address(text: &str) -> Multiaddr {
    text.parse().unwrap()
}

/// A server with a peer that is connected from these addresses.
fn connected_from(remotes: &[&str]) -> (Behaviour, PeerId) {
    let mut behaviour = Behaviour::default();
    let peer = PeerId::random();
    for (n, remote) in remotes.iter().enumerate() {
        let from = ConnectedPoint::Listener {
            local_addr: address("/ip4/203.0.113.5/tcp/1"),
            send_back_addr: address(remote),
        };
        behaviour.on_established(peer, ConnectionId::new_unchecked(n), &from);
    }
    (behaviour, peer)
}

fn dials(behaviour: &mut Behaviour, peer: PeerId, wanted: &str) -> bool {
    let id = ConnectionId::new_unchecked(99);
    behaviour
        .handle_pending_outbound_connection(id, Some(peer), &[address(wanted)], Endpoint::Dialer)
        .is_ok()
}

#[test]
fn dials_only_where_the_peer_itself_is() {
    let (mut behaviour, peer) =
        connected_from(&["/ip4/192.0.2.9/udp/7/quic-v1", "/ip6/2001:db8::9/tcp/7"]);
    for wanted in [
        "/ip4/192.0.2.9/tcp/4001",
        "/ip4/192.0.2.9/udp/4001/quic-v1",
        "/ip6/2001:db8::9/tcp/4001",
        &format!("/ip4/192.0.2.9/tcp/4001/p2p/{peer}"),
    ] {
        assert!(dials(&mut behaviour, peer, wanted), "{wanted}");
    }
    for wanted in [
        "/ip4/192.0.2.10/tcp/4001",
        "/ip4/127.0.0.1/tcp/4001",
        "/ip4/10.0.0.1/tcp/22",
        "/ip6/::ffff:7f00:1/tcp/22",
        "/ip4/192.0.2.9/tcp/0",
        "/ip4/192.0.2.9/udp/53",
        "/ip4/192.0.2.9/tcp/80/ws",
        "/ip4/192.0.2.9/udp/7/webrtc-direct",
        "/ip4/192.0.2.9/tcp/1/tcp/2",
        "/dns4/localhost/tcp/22",
        "/dnsaddr/peers.example",
        &format!("/ip4/192.0.2.9/tcp/1/p2p/{peer}/p2p-circuit/p2p/{peer}"),
        "/memory/1",
    ] {
        assert!(!dials(&mut behaviour, peer, wanted), "{wanted}");
    }
    assert!(!dials(
        &mut behaviour,
        PeerId::random(),
        "/ip4/192.0.2.9/tcp/1"
    ));
    let unknown = behaviour.handle_pending_outbound_connection(
        ConnectionId::new_unchecked(9),
        None,
        &[address("/ip4/192.0.2.9/tcp/1")],
        Endpoint::Dialer,
    );
    assert!(unknown.is_err());
}

#[test]
fn a_proxys_address_is_not_the_peers() {
    let (mut behaviour, peer) = connected_from(&[
        "/ip4/127.0.0.1/tcp/7/ws",
        "/ip4/192.0.2.7/udp/7/webrtc-direct",
    ]);
    assert!(!dials(&mut behaviour, peer, "/ip4/127.0.0.1/tcp/22"));
    assert!(!dials(&mut behaviour, peer, "/ip4/192.0.2.7/tcp/22"));
}

#[test]
fn who_has_left_is_dialled_no_more() {
    let (mut behaviour, peer) = connected_from(&["/ip4/192.0.2.9/tcp/7", "/ip4/192.0.2.9/tcp/8"]);
    behaviour.on_closed(peer, ConnectionId::new_unchecked(0));
    assert!(dials(&mut behaviour, peer, "/ip4/192.0.2.9/tcp/4001"));
    behaviour.on_closed(peer, ConnectionId::new_unchecked(1));
    assert!(!dials(&mut behaviour, peer, "/ip4/192.0.2.9/tcp/4001"));
    assert!(behaviour.sources.is_empty());
}
