//! Which connections are denied, and that nothing outlives them.

use libp2p::swarm::{
    ConnectionClosed, ListenError, ListenFailure, behaviour::ConnectionEstablished,
};

use super::*;

const LIMITS: Limits = Limits {
    handshakes: 3,
    connections: 2,
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
            behaviour: Behaviour::new(LIMITS),
            last: 0,
            open: Vec::new(),
        }
    }

    /// Begins a handshake. The error says what there are too many of.
    fn begin(&mut self, from: &str) -> Result<ConnectionId, &'static str> {
        self.last += 1;
        let (id, from) = (ConnectionId::new_unchecked(self.last), addr(from));
        let asked = self
            .behaviour
            .handle_pending_inbound_connection(id, &from, &from);
        match asked {
            Ok(()) => Ok(id),
            Err(denied) => Err(self.on_denied(id, denied)),
        }
    }

    /// Ends a handshake, well unless the connection is denied.
    fn establish(&mut self, id: ConnectionId, from: &str) -> Result<ConnectionId, &'static str> {
        let (peer, from) = (PeerId::random(), addr(from));
        let asked = self
            .behaviour
            .handle_established_inbound_connection(id, peer, &from, &from);
        if let Err(denied) = asked {
            return Err(self.on_denied(id, denied));
        }
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
        Ok(id)
    }

    fn connect(&mut self, from: &str) -> Result<ConnectionId, &'static str> {
        let id = self.begin(from)?;
        self.establish(id, from)
    }

    fn on_denied(&mut self, id: ConnectionId, denied: ConnectionDenied) -> &'static str {
        let event = ListenFailure {
            local_addr: &Multiaddr::empty(),
            send_back_addr: &Multiaddr::empty(),
            error: &ListenError::Aborted,
            connection_id: id,
            peer_id: None,
        };
        self.behaviour
            .on_swarm_event(FromSwarm::ListenFailure(event));
        denied.downcast::<Exceeded>().unwrap().of
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
        let is_empty = b.origins.is_empty() && b.handshakes.is_empty() && b.connections.is_empty();
        assert!(is_empty, "{b:?}");
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
    assert_eq!(rig.connect("/ip6/2001:db8::3/tcp/1"), Err("connections"));
    let network = rig.behaviour.network_of(id);
    assert_eq!(network, Some("2001:db8::".parse().unwrap()));

    rig.connect("/ip6/2001:db8:0:1::1/tcp/1").unwrap();
    rig.connect("/ip4/192.0.2.1/tcp/1").unwrap();
    rig.close_all();
    rig.connect("/ip6/2001:db8::3/tcp/1").unwrap();
    rig.close_all();
    rig.assert_empty();
}

#[test]
fn handshakes_of_one_network_leave_room_for_others() {
    let mut rig = Rig::new();
    let (one, other) = ("/ip4/192.0.2.1/tcp/1", "/ip4/192.0.2.2/tcp/1");
    let waiting = [(); 3].map(|()| rig.begin(one).unwrap());
    assert_eq!(rig.begin(one), Err("handshakes"));
    rig.begin(other).unwrap();
    rig.establish(waiting[0], one).unwrap();
    rig.begin(one).unwrap();
    assert_eq!(rig.begin(one), Err("handshakes"));
}

#[test]
fn who_may_have_others_behind_it_does_not_count() {
    let mut rig = Rig::new();
    for from in ["/ip4/172.17.0.1/tcp/1/ws", "/ip6/::1/tcp/1/ws"] {
        for _ in 0..10 {
            let id = rig.connect(from).unwrap();
            assert_eq!(rig.behaviour.network_of(id), None);
        }
    }
    rig.assert_empty();
}

#[test]
fn networks_that_are_gone_leave_nothing_behind() {
    let mut rig = Rig::new();
    for round in 0..100 {
        let from = format!("/ip4/192.0.2.{round}/tcp/1");
        let came = (0..5).filter(|_| rig.connect(&from).is_ok()).count();
        assert_eq!(came, 2);
        rig.close_all();
        rig.assert_empty();
    }
}
