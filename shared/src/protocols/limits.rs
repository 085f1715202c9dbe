//! How many connections there may be: in all, and of one peer.
//!
//! libp2p's own limits keep an entry for every peer that was ever connected: peer ids cost nothing, so
//! anybody could have them grow for ever. Here nothing outlives its connection.

#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    convert::Infallible,
    task::{Context, Poll},
};

use libp2p::{
    Multiaddr, PeerId,
    core::{ConnectedPoint, Endpoint, transport::PortUse},
    swarm::{
        ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandler, THandlerInEvent,
        THandlerOutEvent, ToSwarm, dummy,
    },
};

use crate::tally::Tally;

/// The bounds.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Connections that come in and have not finished their handshake.
    pub handshakes: u32,
    /// Dials under way.
    pub dials: u32,
    /// Connections that came in.
    pub incoming: u32,
    /// All connections.
    pub all: u32,
    /// Connections of one peer.
    pub of_peer: u32,
}

/// There are as many as there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("there may be {limit} {of}")]
struct Exceeded {
    limit: u32,
    of: &'static str,
}

/// How far a connection is, and with whom.
#[derive(Debug, Clone, Copy)]
enum Connection {
    Handshake,
    Dial,
    Incoming(PeerId),
    Outgoing(PeerId),
}

/// Denies connections beyond its limits.
#[derive(Debug)]
pub struct Behaviour {
    limits: Limits,
    connections: HashMap<ConnectionId, Connection>,
    handshakes: u32,
    dials: u32,
    incoming: u32,
    all: u32,
    peers: Tally<PeerId>,
}

impl Behaviour {
    /// No connections yet.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            connections: HashMap::new(),
            handshakes: 0,
            dials: 0,
            incoming: 0,
            all: 0,
            peers: Tally::default(),
        }
    }

    /// Whether there may be one more.
    fn check(&self, one: Connection) -> Result<(), ConnectionDenied> {
        let Limits {
            handshakes,
            dials,
            incoming,
            all,
            of_peer,
        } = self.limits;
        match one {
            Connection::Handshake => below(self.handshakes, handshakes, "handshakes"),
            Connection::Dial => below(self.dials, dials, "dials"),
            Connection::Incoming(peer) => below(self.incoming, incoming, "incoming connections")
                .and_then(|()| self.check(Connection::Outgoing(peer))),
            Connection::Outgoing(peer) => {
                below(self.all, all, "connections")?;
                below(self.peers.count(peer), of_peer, "connections of one peer")
            }
        }
    }

    /// So far it is now.
    fn enter(&mut self, id: ConnectionId, connection: Connection) {
        self.leave(id);
        self.connections.insert(id, connection);
        match connection {
            Connection::Handshake => self.handshakes += 1,
            Connection::Dial => self.dials += 1,
            Connection::Incoming(peer) | Connection::Outgoing(peer) => {
                self.all += 1;
                self.peers.add(peer);
                self.incoming += u32::from(matches!(connection, Connection::Incoming(_)));
            }
        }
    }

    fn leave(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.remove(&id) else {
            return;
        };
        match connection {
            Connection::Handshake => self.handshakes -= 1,
            Connection::Dial => self.dials -= 1,
            Connection::Incoming(peer) | Connection::Outgoing(peer) => {
                self.all -= 1;
                self.peers.subtract(peer);
                self.incoming -= u32::from(matches!(connection, Connection::Incoming(_)));
            }
        }
    }
}

fn below(count: u32, limit: u32, of: &'static str) -> Result<(), ConnectionDenied> {
    if count < limit {
        Ok(())
    } else {
        Err(ConnectionDenied::new(Exceeded { limit, of }))
    }
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = dummy::ConnectionHandler;
    type ToSwarm = Infallible;

    fn handle_pending_inbound_connection(
        &mut self,
        id: ConnectionId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        self.check(Connection::Handshake)?;
        self.enter(id, Connection::Handshake);
        Ok(())
    }

    fn handle_established_inbound_connection(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.leave(id);
        self.check(Connection::Incoming(peer))?;
        Ok(dummy::ConnectionHandler)
    }

    fn handle_pending_outbound_connection(
        &mut self,
        id: ConnectionId,
        _: Option<PeerId>,
        _: &[Multiaddr],
        _: Endpoint,
    ) -> Result<Vec<Multiaddr>, ConnectionDenied> {
        self.check(Connection::Dial)?;
        self.enter(id, Connection::Dial);
        Ok(Vec::new())
    }

    fn handle_established_outbound_connection(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.leave(id);
        self.check(Connection::Outgoing(peer))?;
        Ok(dummy::ConnectionHandler)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            // Only now: another behaviour may have denied what this one allowed.
            FromSwarm::ConnectionEstablished(event) => {
                let connection = match event.endpoint {
                    ConnectedPoint::Listener { .. } => Connection::Incoming(event.peer_id),
                    ConnectedPoint::Dialer { .. } => Connection::Outgoing(event.peer_id),
                };
                self.enter(event.connection_id, connection);
            }
            FromSwarm::ConnectionClosed(event) => self.leave(event.connection_id),
            FromSwarm::DialFailure(event) => self.leave(event.connection_id),
            FromSwarm::ListenFailure(event) => self.leave(event.connection_id),
            _ => {}
        }
    }

    fn on_connection_handler_event(
        &mut self,
        _: PeerId,
        _: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        match event {}
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        Poll::Pending
    }
}
