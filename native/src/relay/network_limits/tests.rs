//! Which connections are denied, and that nothing outlives them.

use libp2p::swarm::{ConnectionClosed, behaviour::ConnectionEstablished};

use super::*;

const SHARE: Share = Share {
    of_address: 2,
    of_site: 3,
    of_private: 4,
};

/// The behaviour, called as a swarm calls it.
struct Rig {
    behaviour: Behaviour,
    last: usize,
    open: Vec<(ConnectionId, ConnectedPoint)>,
}

impl Rig {
    fn new() -> Self {
        Self {
            behaviour: Behaviour::new(SHARE),
            last: 0,
            open: Vec::new(),
        }
    }

    /// A handshake ends. Says whether the connection may be.
    fn connect(&mut self, from: &str) -> Option<ConnectionId> {
        self.last += 1;
        let id = ConnectionId::new_unchecked(self.last);
        let (peer, from) = (PeerId::random(), addr(from));
        self.behaviour
            .handle_established_inbound_connection(id, peer, &from, &from)
            .ok()?;
        let endpoint = ConnectedPoint::Listener {
            local_addr: from.clone(),
            send_back_addr: from,
        };
        let event = ConnectionEstablished {
            peer_id: peer,
            connection_id: id,
            endpoint: &endpoint,
            failed_addresses: &[],
            other_established: 0,
        };
        self.behaviour
            .on_swarm_event(FromSwarm::ConnectionEstablished(event));
        self.open.push((id, endpoint));
        Some(id)
    }

    fn close_all(&mut self) {
        for (id, endpoint) in self.open.drain(..) {
            let event = ConnectionClosed {
                peer_id: PeerId::random(),
                connection_id: id,
                endpoint: &endpoint,
                cause: None,
                remaining_established: 0,
            };
            self.behaviour
                .on_swarm_event(FromSwarm::ConnectionClosed(event));
        }
    }

    fn assert_empty(&self) {
        let b = &self.behaviour;
        assert!(b.ips.is_empty() && b.networks.is_empty(), "{b:?}");
    }
}

fn addr(text: &str) -> Multiaddr {
    text.parse().unwrap()
}

#[test]
fn one_network_takes_its_share_and_no_more() {
    let mut rig = Rig::new();
    let id = rig.connect("/ip6/2001:db8::1/udp/1/quic-v1").unwrap();
    rig.connect("/ip6/2001:db8::2/tcp/1/ws").unwrap();
    assert_eq!(rig.connect("/ip6/2001:db8::3/tcp/1"), None);
    let ip = rig.behaviour.ip_of(id);
    assert_eq!(ip, Some("2001:db8::1".parse().unwrap()));

    rig.connect("/ip6/2001:db8:0:1::1/tcp/1").unwrap();
    let site = rig.connect("/ip6/2001:db8:0:2::1/tcp/1");
    assert_eq!(site, None, "its site has its share");
    rig.connect("/ip4/192.0.2.1/tcp/1").unwrap();
    rig.close_all();
    rig.connect("/ip6/2001:db8::3/tcp/1").unwrap();
    rig.close_all();
    rig.assert_empty();
}

#[test]
fn who_may_have_others_behind_it_has_a_larger_share() {
    let mut rig = Rig::new();
    for from in ["/ip4/172.17.0.1/tcp/1/ws", "/ip6/::1/tcp/1/ws"] {
        let came = (0..9).filter(|_| rig.connect(from).is_some()).count();
        assert_eq!(came, 4);
    }
    rig.close_all();
    rig.assert_empty();
}

#[test]
fn networks_that_are_gone_leave_nothing_behind() {
    let mut rig = Rig::new();
    for round in 0..100 {
        let from = format!("/ip4/192.0.2.{round}/tcp/1");
        let came = (0..5).filter(|_| rig.connect(&from).is_some()).count();
        assert_eq!(came, 2);
        rig.close_all();
    }
    rig.assert_empty();
}
