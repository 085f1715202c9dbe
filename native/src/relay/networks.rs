//! How many connections may come from one network of the Internet.

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
    tally::Tally,
};

/// The bounds of one network.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Connections that have not finished their handshake.
    pub(crate) handshakes: u32,
    /// Connections that have.
    pub(crate) connections: u32,
}

/// A network has as many as it may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("one network may have {limit} {of}")]
struct Exceeded {
    limit: u32,
    of: &'static str,
}

/// Denies connections beyond its limits, and knows where the others come from.
#[derive(Debug)]
pub(crate) struct Behaviour {
    limits: Limits,
    /// Those that count.
    sources: HashMap<ConnectionId, Source>,
    handshakes: Tally<IpAddr>,
    connections: Tally<IpAddr>,
}

#[derive(Debug, Clone, Copy)]
struct Source {
    network: IpAddr,
    established: bool,
}

impl Behaviour {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            sources: HashMap::new(),
            handshakes: Tally::default(),
            connections: Tally::default(),
        }
    }

    /// The network that a connection came from, if it counts.
    pub(crate) fn network_of(&self, connection: ConnectionId) -> Option<IpAddr> {
        self.sources.get(&connection).map(|source| source.network)
    }

    fn check(&self, source: Source) -> Result<(), ConnectionDenied> {
        let network = source.network;
        let (count, limit, of) = if source.established {
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

    fn enter(&mut self, id: ConnectionId, source: Source) {
        self.leave(id);
        self.tally(source.established).add(source.network);
        self.sources.insert(id, source);
    }

    fn leave(&mut self, id: ConnectionId) {
        if let Some(source) = self.sources.remove(&id) {
            self.tally(source.established).subtract(source.network);
        }
    }

    const fn tally(&mut self, established: bool) -> &mut Tally<IpAddr> {
        if established {
            &mut self.connections
        } else {
            &mut self.handshakes
        }
    }
}

fn source(from: &Multiaddr, established: bool) -> Option<Source> {
    let network = ip_of(from).and_then(internet_network_of)?;
    Some(Source {
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
        if let Some(source) = source(from, false) {
            self.check(source)?;
            self.enter(id, source);
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
        self.leave(id);
        if let Some(source) = source(from, true) {
            self.check(source)?;
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
            // Only now: another behaviour may have denied what this one allowed.
            FromSwarm::ConnectionEstablished(event) => {
                if let ConnectedPoint::Listener { send_back_addr, .. } = event.endpoint
                    && let Some(source) = source(send_back_addr, true)
                {
                    self.enter(event.connection_id, source);
                }
            }
            FromSwarm::ConnectionClosed(event) => self.leave(event.connection_id),
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
