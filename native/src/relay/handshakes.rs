//! How many handshakes are under way over each transport, and which of them makes room for a newcomer.
//!
//! The swarm asks this behaviour at the start of each connection that comes in. Each transport has a pool of its own, so
//! that a flood over one leaves the others alone, and each network a share of it. When there is no room, the oldest
//! handshake that nothing was heard of is cut off, of the network that has its share, or of all: who waits for an answer
//! has been heard. Only if there is none is the newcomer denied.
//!
//! Over QUIC and WebRTC a first packet may have any sender, so that nobody counts as heard there.

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, HashMap},
    convert::Infallible,
    task::{Context, Poll},
};

use libp2p::{
    Multiaddr, PeerId,
    core::{Endpoint, transport::PortUse},
    swarm::{
        ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandler, THandlerInEvent,
        THandlerOutEvent, ToSwarm, dummy,
    },
};
use punchline::{
    networks::{self, Network, Share, Shares},
    protocols::limits::Exceeded,
};

use super::transport::{Gate, Key};

/// The bounds of one transport.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Handshakes of all.
    pub(crate) all: u32,
    /// Handshakes of one network.
    pub(crate) share: Share,
}

/// Denies handshakes beyond the limits, and cuts those off that stand in the way.
#[derive(Debug)]
pub(crate) struct Behaviour {
    limits: Limits,
    gate: Gate,
    pools: HashMap<punchline::path::Transport, Pool>,
    /// The pool that each is in.
    under_way: HashMap<ConnectionId, punchline::path::Transport>,
}

/// The handshakes over one transport.
#[derive(Debug)]
struct Pool {
    limits: Limits,
    /// Oldest first: the swarm numbers connections as they come.
    handshakes: BTreeMap<ConnectionId, Key>,
    networks: Shares,
}

impl Behaviour {
    pub(crate) fn new(limits: Limits, gate: Gate) -> Self {
        Self {
            limits,
            gate,
            pools: HashMap::new(),
            under_way: HashMap::new(),
        }
    }

    /// Counts those under way, over each transport that has had any.
    pub(crate) fn under_way(&self) -> impl Iterator<Item = (punchline::path::Transport, usize)> {
        let pools = self.pools.iter();
        pools.map(|(transport, pool)| (*transport, pool.handshakes.len()))
    }

    fn remove(&mut self, id: ConnectionId) {
        let transport = self.under_way.remove(&id);
        if let Some(pool) = transport.and_then(|transport| self.pools.get_mut(&transport)) {
            pool.remove(id);
        }
    }
}

impl Pool {
    fn new(limits: Limits) -> Self {
        Self {
            limits,
            handshakes: BTreeMap::new(),
            networks: Shares::new(limits.share),
        }
    }

    /// Makes room for a handshake, if that is possible.
    fn make_room(&mut self, for_one: Key, gate: &Gate) -> Result<(), Exceeded> {
        while let Some(network) = self.networks.exhausted(for_one.ip()) {
            if !self.cut_oldest(Some(network), gate) {
                let limit = self.networks.limit(network);
                return Err(Exceeded::new(limit, "handshakes of one network"));
            }
        }
        if self.handshakes.len() >= self.limits.all as usize && !self.cut_oldest(None, gate) {
            return Err(Exceeded::new(self.limits.all, "handshakes"));
        }
        Ok(())
    }

    /// Cuts off the oldest silent one, of this network or of any. Says whether there was one.
    fn cut_oldest(&mut self, network: Option<Network>, gate: &Gate) -> bool {
        let stands_in_the_way = |key: Key| {
            network.is_none_or(|network| networks::is_in(key.ip(), network)) && gate.is_silent(key)
        };
        let mut oldest = self.handshakes.iter();
        let Some((id, key)) = oldest.find(|(_, key)| stands_in_the_way(**key)) else {
            return false;
        };
        gate.cut(*key);
        self.remove(*id);
        true
    }

    fn remove(&mut self, id: ConnectionId) {
        if let Some(key) = self.handshakes.remove(&id) {
            self.networks.subtract(key.ip());
        }
    }
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = dummy::ConnectionHandler;
    type ToSwarm = Infallible;

    fn handle_pending_inbound_connection(
        &mut self,
        id: ConnectionId,
        local: &Multiaddr,
        from: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        let Some(key) = Key::of(local, from) else {
            return Ok(());
        };
        let pool = self.pools.entry(key.transport());
        let pool = pool.or_insert_with(|| Pool::new(self.limits));
        pool.make_room(key, &self.gate)
            .map_err(ConnectionDenied::new)?;
        pool.networks.add(key.ip());
        pool.handshakes.insert(id, key);
        self.under_way.insert(id, key.transport());
        Ok(())
    }

    fn handle_established_inbound_connection(
        &mut self,
        id: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.remove(id);
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
        if let FromSwarm::ListenFailure(event) = event {
            self.remove(event.connection_id);
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
