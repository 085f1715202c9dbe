//! Limits on the connections of one network.
//!
//! libp2p-connection-limits 0.7.0 bounds the connections of a peer and of all; peer ids cost nothing, so
//! whoever makes up many could take them all. It has no limit for an address or a network (not reported
//! as far as known, 2026-11). The tests below show what this module adds.
//!
//! The swarm asks this behaviour at the end of each handshake that comes in; [`super::handshakes`] bounds those
//! before. A connection counts from when the swarm reports it as established until it is closed.

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
    address::ip_of,
    networks::{Share, Shares},
    protocols::limits::Exceeded,
};

/// Denies connections beyond the share of a network, and knows where the others come from.
#[derive(Debug)]
pub(crate) struct Behaviour {
    ips: HashMap<ConnectionId, IpAddr>,
    networks: Shares,
}

impl Behaviour {
    pub(crate) fn new(share: Share) -> Self {
        Self {
            ips: HashMap::new(),
            networks: Shares::new(share),
        }
    }

    /// Where a connection came from, if it came in.
    pub(crate) fn ip_of(&self, connection: ConnectionId) -> Option<IpAddr> {
        self.ips.get(&connection).copied()
    }

    fn remove(&mut self, id: ConnectionId) {
        if let Some(ip) = self.ips.remove(&id) {
            self.networks.subtract(ip);
        }
    }
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = dummy::ConnectionHandler;
    type ToSwarm = Infallible;

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        from: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        let exhausted = ip_of(from).and_then(|ip| self.networks.exhausted(ip));
        match exhausted {
            None => Ok(dummy::ConnectionHandler),
            Some(network) => {
                let limit = self.networks.limit(network);
                let why = Exceeded::new(limit, "connections of one network");
                Err(ConnectionDenied::new(why))
            }
        }
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
                    && let Some(ip) = ip_of(send_back_addr)
                {
                    self.remove(event.connection_id);
                    self.ips.insert(event.connection_id, ip);
                    self.networks.add(ip);
                }
            }
            FromSwarm::ConnectionClosed(event) => self.remove(event.connection_id),
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
