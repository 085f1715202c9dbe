//! Limits on the connections that come from one network of the Internet: an IPv4 address, or the 64 bits
//! in front of an IPv6 address.
//!
//! libp2p-connection-limits 0.7.0 bounds the connections of a peer and of all; peer ids cost nothing, so
//! whoever makes up many could take them all. It has no limit for an address or a network (not reported
//! as far as known, 2026-11). The tests below show what this module adds; from loopback addresses, which
//! processes in tests come from, nothing counts.
//!
//! The swarm asks this behaviour at the start and at the end of each handshake that comes in. A
//! connection counts among the handshakes in between, and among the connections from when the swarm
//! reports it as established until it is closed. Private, link-local and loopback addresses don't count,
//! since others may be behind them.

#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    convert::Infallible,
    net::IpAddr,
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
use punchline::{
    address::{internet_network_of, ip_of},
    counts::Counts,
};

/// The bounds of one network.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Connections that have not finished their handshake.
    pub(crate) handshakes: u32,
    /// Connections that have.
    pub(crate) connections: u32,
}

/// A network has as many connections as it may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("one network may have {limit} {of}")]
struct Exceeded {
    limit: u32,
    of: &'static str,
}

/// Denies connections beyond the limits, and knows where the others come from.
#[derive(Debug)]
pub(crate) struct Behaviour {
    limits: Limits,
    /// The origins of handshakes and connections that count.
    origins: HashMap<ConnectionId, Origin>,
    handshakes: Counts<IpAddr>,
    connections: Counts<IpAddr>,
}

#[derive(Debug, Clone, Copy)]
struct Origin {
    network: IpAddr,
    established: bool,
}

impl Behaviour {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            origins: HashMap::new(),
            handshakes: Counts::default(),
            connections: Counts::default(),
        }
    }

    /// The network that a connection came from, if it counts.
    pub(crate) fn network_of(&self, connection: ConnectionId) -> Option<IpAddr> {
        self.origins.get(&connection).map(|origin| origin.network)
    }

    fn check(&self, origin: Origin) -> Result<(), ConnectionDenied> {
        let network = origin.network;
        let (count, limit, of) = if origin.established {
            let count = self.connections.count(network);
            (count, self.limits.connections, "connections")
        } else {
            let count = self.handshakes.count(network);
            (count, self.limits.handshakes, "handshakes")
        };
        if count < limit {
            return Ok(());
        }
        Err(ConnectionDenied::new(Exceeded { limit, of }))
    }

    fn insert(&mut self, id: ConnectionId, origin: Origin) {
        self.remove(id);
        self.counts(origin.established).add(origin.network);
        self.origins.insert(id, origin);
    }

    fn remove(&mut self, id: ConnectionId) {
        if let Some(origin) = self.origins.remove(&id) {
            self.counts(origin.established).subtract(origin.network);
        }
    }

    const fn counts(&mut self, established: bool) -> &mut Counts<IpAddr> {
        if established {
            &mut self.connections
        } else {
            &mut self.handshakes
        }
    }
}

/// Where a connection comes from; `None` if it doesn't count.
fn origin(from: &Multiaddr, established: bool) -> Option<Origin> {
    let network = ip_of(from).and_then(internet_network_of)?;
    Some(Origin {
        network,
        established,
    })
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = dummy::ConnectionHandler;
    type ToSwarm = Infallible;

    fn handle_pending_inbound_connection(
        &mut self,
        id: ConnectionId,
        _: &Multiaddr,
        from: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        if let Some(origin) = origin(from, false) {
            self.check(origin)?;
            self.insert(id, origin);
        }
        Ok(())
    }

    fn handle_established_inbound_connection(
        &mut self,
        id: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        from: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.remove(id);
        if let Some(origin) = origin(from, true) {
            self.check(origin)?;
        }
        Ok(dummy::ConnectionHandler)
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(dummy::ConnectionHandler)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            // Not before: another behaviour may have denied what this one allowed.
            FromSwarm::ConnectionEstablished(event) => {
                if let ConnectedPoint::Listener { send_back_addr, .. } = event.endpoint
                    && let Some(origin) = origin(send_back_addr, true)
                {
                    self.insert(event.connection_id, origin);
                }
            }
            FromSwarm::ConnectionClosed(event) => self.remove(event.connection_id),
            FromSwarm::ListenFailure(event) => self.remove(event.connection_id),
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
