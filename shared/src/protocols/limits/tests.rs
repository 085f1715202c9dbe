//! Which connections are denied, and that nothing outlives them.

use libp2p::swarm::{
    ConnectionClosed, DialError, DialFailure, ListenError, ListenFailure,
    behaviour::ConnectionEstablished,
};

use super::*;

const LIMITS: Limits = Limits {
    handshakes: 4,
    dials: 2,
    incoming: 6,
    all: 8,
    of_peer: 3,
};

/// The behaviour, and what a swarm does with it.
struct Rig {
    behaviour: Behaviour,
    here: Multiaddr,
    last: usize,
    open: Vec<(ConnectionId, PeerId, ConnectedPoint)>,
}

impl Rig {
    fn new() -> Self {
        Self {
            behaviour: Behaviour::new(LIMITS),
            here: "/memory/1".parse().unwrap(),
            last: 0,
            open: Vec::new(),
        }
    }

    fn next(&mut self) -> ConnectionId {
        self.last += 1;
        ConnectionId::new_unchecked(self.last)
    }

    /// A handshake begins. Says what there are too many of, if it is denied.
    fn knock(&mut self) -> Result<ConnectionId, &'static str> {
        let (id, here) = (self.next(), self.here.clone());
        let asked = self
            .behaviour
            .handle_pending_inbound_connection(id, &here, &here);
        match asked {
            Ok(()) => Ok(id),
            Err(denied) => Err(self.denied_to(id, denied)),
        }
    }

    /// It ends well, unless the connection is denied.
    fn enter(&mut self, id: ConnectionId, peer: PeerId) -> Result<(), &'static str> {
        let here = self.here.clone();
        let asked = self
            .behaviour
            .handle_established_inbound_connection(id, peer, &here, &here);
        if let Err(denied) = asked {
            return Err(self.denied_to(id, denied));
        }
        let endpoint = ConnectedPoint::Listener {
            local_addr: here.clone(),
            send_back_addr: here,
        };
        self.established(id, peer, endpoint);
        Ok(())
    }

    fn come(&mut self, peer: PeerId) -> Result<(), &'static str> {
        let id = self.knock()?;
        self.enter(id, peer)
    }

    fn dial(&mut self) -> Result<ConnectionId, &'static str> {
        let id = self.next();
        let asked =
            self.behaviour
                .handle_pending_outbound_connection(id, None, &[], Endpoint::Dialer);
        asked.map(|_| id).map_err(too_many)
    }

    fn reach(&mut self, id: ConnectionId, peer: PeerId) -> Result<(), &'static str> {
        let (role_override, port_use) = (Endpoint::Dialer, PortUse::New);
        let asked = self.behaviour.handle_established_outbound_connection(
            id,
            peer,
            &self.here,
            role_override,
            port_use,
        );
        asked.map_err(too_many)?;
        let endpoint = ConnectedPoint::Dialer {
            address: self.here.clone(),
            role_override,
            port_use,
        };
        self.established(id, peer, endpoint);
        Ok(())
    }

    fn go(&mut self, peer: PeerId) -> Result<(), &'static str> {
        let id = self.dial()?;
        self.reach(id, peer)
    }

    fn established(&mut self, id: ConnectionId, peer: PeerId, endpoint: ConnectedPoint) {
        let event = ConnectionEstablished {
            peer_id: peer,
            connection_id: id,
            endpoint: &endpoint,
            failed_addresses: &[],
            other_established: 0,
        };
        self.behaviour
            .on_swarm_event(FromSwarm::ConnectionEstablished(event));
        self.open.push((id, peer, endpoint));
    }

    fn denied_to(&mut self, id: ConnectionId, denied: ConnectionDenied) -> &'static str {
        let event = ListenFailure {
            local_addr: &self.here,
            send_back_addr: &self.here,
            error: &ListenError::Aborted,
            connection_id: id,
            peer_id: None,
        };
        self.behaviour
            .on_swarm_event(FromSwarm::ListenFailure(event));
        too_many(denied)
    }

    fn close_all(&mut self) {
        for (id, peer, endpoint) in self.open.drain(..) {
            let event = ConnectionClosed {
                peer_id: peer,
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
        assert!(b.connections.is_empty() && b.peers.is_empty(), "{b:?}");
        assert_eq!([b.handshakes, b.dials, b.incoming, b.all], [0; 4]);
    }
}

fn too_many(denied: ConnectionDenied) -> &'static str {
    denied.downcast::<Exceeded>().unwrap().of
}

#[test]
fn handshakes_are_bounded_until_they_end() {
    let mut rig = Rig::new();
    let waiting = [(); 4].map(|()| rig.knock().unwrap());
    assert_eq!(rig.knock(), Err("handshakes"));
    rig.enter(waiting[0], PeerId::random()).unwrap();
    rig.knock().unwrap();
    assert_eq!(rig.knock(), Err("handshakes"));
}

#[test]
fn dials_are_bounded_until_they_end() {
    let mut rig = Rig::new();
    let dials = [(); 2].map(|()| rig.dial().unwrap());
    assert_eq!(rig.dial(), Err("dials"));
    let failure = DialFailure {
        peer_id: None,
        error: &DialError::Aborted,
        connection_id: dials[0],
    };
    rig.behaviour
        .on_swarm_event(FromSwarm::DialFailure(failure));
    rig.dial().unwrap();
    assert_eq!(rig.dial(), Err("dials"));
}

#[test]
fn a_peer_has_so_many_both_ways_together() {
    let mut rig = Rig::new();
    let peer = PeerId::random();
    rig.come(peer).unwrap();
    rig.come(peer).unwrap();
    rig.go(peer).unwrap();
    assert_eq!(rig.go(peer), Err("connections of one peer"));
    assert_eq!(rig.come(peer), Err("connections of one peer"));
    rig.go(PeerId::random()).unwrap();
    rig.close_all();
    rig.assert_empty();
}

#[test]
fn those_that_come_leave_room_for_those_we_make() {
    let mut rig = Rig::new();
    for _ in 0..6 {
        rig.come(PeerId::random()).unwrap();
    }
    assert_eq!(rig.come(PeerId::random()), Err("incoming connections"));
    for _ in 0..2 {
        rig.go(PeerId::random()).unwrap();
    }
    assert_eq!(rig.go(PeerId::random()), Err("connections"));
    rig.close_all();
    rig.come(PeerId::random()).unwrap();
}

#[test]
fn peers_that_are_gone_leave_nothing_behind() {
    let mut rig = Rig::new();
    for _ in 0..100 {
        for _ in 0..10 {
            let _ = rig.come(PeerId::random());
            let _ = rig.go(PeerId::random());
        }
        assert_eq!(rig.open.len(), 8);
        rig.close_all();
        rig.assert_empty();
    }
}
