//! Limits on connections: in all, and of one peer.
//!
//! # Instead of libp2p's limits
//!
//! libp2p-connection-limits 0.7.0 keeps an entry, empty in the end, for every peer that was ever connected. Peer ids
//! cost nothing, so anybody could have that table grow for ever. Not reported, as far as known. Here nothing outlives
//! its connection.
//!
//! The test of that is `peers_that_are_gone_leave_nothing_behind`. It may go when libp2p's limits remove a peer with its
//! last connection.

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

use crate::{counts::Counts, reason::Blocked};

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

/// A limit is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("there may be {limit} {of}")]
pub struct Exceeded {
    limit: u32,
    of: &'static str,
}

impl Exceeded {
    /// There may be so many of that, which is a plural.
    #[must_use]
    pub const fn new(limit: u32, of: &'static str) -> Self {
        Self { limit, of }
    }

    /// Returns what there may be no more of.
    #[must_use]
    pub const fn of(self) -> &'static str {
        self.of
    }
}

/// A connection, as it is counted.
#[derive(Debug, Clone, Copy)]
enum Counted {
    Handshake,
    Dial,
    Incoming(PeerId),
    Outgoing(PeerId),
}

/// Denies connections beyond its limits.
///
/// It is asked about each connection twice, and counts it in one state at a time:
///
/// ```text
///   pending inbound  --> Handshake --+--> Incoming(peer) --+
///                                    |                     +--> closed: forgotten
///   pending outbound --> Dial -------+--> Outgoing(peer) --+
///                                    |
///                                    +--> failed or denied, by whichever behaviour: forgotten
/// ```
///
/// A swarm asks its behaviours in the order of their fields: this one comes first, so that the others see only
/// connections that may be.
#[derive(Debug)]
pub struct Behaviour {
    limits: Limits,
    connections: HashMap<ConnectionId, Counted>,
    handshakes: u32,
    dials: u32,
    incoming: u32,
    all: u32,
    peers: Counts<PeerId>,
    /// Peers that our person wants nothing to do with: as many as a person types.
    blocked: Vec<PeerId>,
}

/// Peers that may be blocked at a time. With more the first is no longer.
const MAX_BLOCKED: usize = 1_024;

impl Behaviour {
    /// Makes the behaviour, without any connection.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            connections: HashMap::new(),
            handshakes: 0,
            dials: 0,
            incoming: 0,
            all: 0,
            peers: Counts::default(),
            blocked: Vec::new(),
        }
    }

    /// Denies every connection of a peer from now on.
    pub fn block(&mut self, peer: PeerId) {
        self.unblock(peer);
        if self.blocked.len() >= MAX_BLOCKED {
            self.blocked.remove(0);
        }
        self.blocked.push(peer);
    }

    /// Undoes [`Self::block`].
    pub fn unblock(&mut self, peer: PeerId) {
        self.blocked.retain(|blocked| *blocked != peer);
    }

    /// Denies one more if there may be none.
    fn check(&self, one: Counted) -> Result<(), ConnectionDenied> {
        if let Counted::Incoming(peer) | Counted::Outgoing(peer) = one
            && self.blocked.contains(&peer)
        {
            return Err(ConnectionDenied::new(Blocked));
        }
        let Limits {
            handshakes,
            dials,
            incoming,
            all,
            of_peer,
        } = self.limits;
        match one {
            Counted::Handshake => below(self.handshakes, handshakes, "handshakes"),
            Counted::Dial => below(self.dials, dials, "dials"),
            Counted::Incoming(peer) => below(self.incoming, incoming, "incoming connections")
                .and_then(|()| self.check(Counted::Outgoing(peer))),
            Counted::Outgoing(peer) => {
                below(self.all, all, "connections")?;
                below(self.peers.count(peer), of_peer, "connections of one peer")
            }
        }
    }

    /// Counts a connection in the state that it is in now.
    fn enter(&mut self, id: ConnectionId, connection: Counted) {
        self.leave(id);
        self.connections.insert(id, connection);
        match connection {
            Counted::Handshake => self.handshakes += 1,
            Counted::Dial => self.dials += 1,
            Counted::Incoming(peer) | Counted::Outgoing(peer) => {
                self.all += 1;
                self.peers.add(peer);
                self.incoming += u32::from(matches!(connection, Counted::Incoming(_)));
            }
        }
    }

    fn leave(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.remove(&id) else {
            return;
        };
        match connection {
            Counted::Handshake => self.handshakes -= 1,
            Counted::Dial => self.dials -= 1,
            Counted::Incoming(peer) | Counted::Outgoing(peer) => {
                self.all -= 1;
                self.peers.subtract(peer);
                self.incoming -= u32::from(matches!(connection, Counted::Incoming(_)));
            }
        }
    }
}

fn below(count: u32, limit: u32, of: &'static str) -> Result<(), ConnectionDenied> {
    if count < limit {
        Ok(())
    } else {
        Err(ConnectionDenied::new(Exceeded::new(limit, of)))
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
        self.check(Counted::Handshake)?;
        self.enter(id, Counted::Handshake);
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
        self.check(Counted::Incoming(peer))?;
        Ok(dummy::ConnectionHandler)
    }

    fn handle_pending_outbound_connection(
        &mut self,
        id: ConnectionId,
        peer: Option<PeerId>,
        _: &[Multiaddr],
        _: Endpoint,
    ) -> Result<Vec<Multiaddr>, ConnectionDenied> {
        if peer.is_some_and(|peer| self.blocked.contains(&peer)) {
            return Err(ConnectionDenied::new(Blocked));
        }
        self.check(Counted::Dial)?;
        self.enter(id, Counted::Dial);
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
        self.check(Counted::Outgoing(peer))?;
        Ok(dummy::ConnectionHandler)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            // Only now: another behaviour may have denied what this one allowed.
            FromSwarm::ConnectionEstablished(event) => {
                let connection = match event.endpoint {
                    ConnectedPoint::Listener { .. } => Counted::Incoming(event.peer_id),
                    ConnectedPoint::Dialer { .. } => Counted::Outgoing(event.peer_id),
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
