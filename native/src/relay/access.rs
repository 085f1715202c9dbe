//! Who may use the relay: whom two files of the operator let in and keep out.
//!
//! - [`rules`] reads the files' text and decides;
//! - [`files`] reads the files, and reads them again when they change;
//! - [`Behaviour`] denies connections before their handshake: of networks that are kept out, and all when the relay stops or is
//!   short of [`Memory`].
//!
//! A peer is known by its key only after a handshake. So a peer that is kept out is let in that far, and told by what it asks for:
//! reservations, circuits and registrations are refused with the status that the protocols have for it.

mod files;
mod rules;

use std::{
    collections::HashMap,
    convert::Infallible,
    net::IpAddr,
    sync::Arc,
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
use punchline::{address::ip_of, protocols::limits::Exceeded};
use tokio::sync::watch;

pub(crate) use self::files::{Files, keep_up};
use self::rules::Rules;
use super::memory::Memory;

/// What is refused to those who may not use the relay, as the operator reads it.
pub(crate) const REFUSED: &str = "requests of peers that may not use this relay";

/// The rules as they are now. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Access(watch::Receiver<Arc<Rules>>);

impl Access {
    /// Whether a peer at that address may use the relay.
    pub(crate) fn admits(&self, peer: &PeerId, ip: Option<IpAddr>) -> bool {
        self.0.borrow().admits(peer, ip)
    }

    /// Waits until the rules have changed.
    pub(crate) async fn changed(&mut self) {
        if self.0.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// Denies connections, and knows whose the others are.
#[derive(Debug)]
pub(crate) struct Behaviour {
    access: Access,
    memory: Memory,
    /// Whether nobody is let in any more, as the relay stops.
    closed: bool,
    connections: HashMap<ConnectionId, (PeerId, Option<IpAddr>)>,
}

impl Behaviour {
    pub(crate) fn new(access: Access, memory: Memory) -> Self {
        Self {
            access,
            memory,
            closed: false,
            connections: HashMap::new(),
        }
    }

    /// Lets nobody in from now on.
    pub(crate) const fn close(&mut self) {
        self.closed = true;
    }

    /// Whether a peer still has a connection beside that one.
    pub(crate) fn has_another(&self, peer: PeerId, connection: ConnectionId) -> bool {
        let mut connections = self.connections.iter();
        connections
            .any(|(id, (of, ip))| *of == peer && *id != connection && self.access.admits(of, *ip))
    }

    /// The connections that would not be let in any more.
    pub(crate) fn kept_out(&self) -> Vec<(ConnectionId, PeerId)> {
        let rules = self.access.0.borrow().clone();
        let connections = self.connections.iter();
        let kept_out = connections.filter(|(_, (peer, ip))| !rules.admits(peer, *ip));
        kept_out.map(|(id, (peer, _))| (*id, *peer)).collect()
    }
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = dummy::ConnectionHandler;
    type ToSwarm = Infallible;

    fn handle_pending_inbound_connection(
        &mut self,
        _: ConnectionId,
        _: &Multiaddr,
        from: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        let admits = |ip| self.access.0.borrow().admits_network(ip);
        let why = if self.closed {
            Exceeded::new(0, "connections to a relay that stops")
        } else if self.memory.is_short() {
            Exceeded::new(0, "connections to a relay short of memory")
        } else if !ip_of(from).is_none_or(admits) {
            Exceeded::new(0, "connections of networks that may not use this relay")
        } else {
            return Ok(());
        };
        Err(ConnectionDenied::new(why))
    }

    fn handle_established_inbound_connection(
        &mut self,
        id: ConnectionId,
        _: PeerId,
        to: &Multiaddr,
        from: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        // The rules may have changed meanwhile.
        self.handle_pending_inbound_connection(id, to, from)?;
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
            FromSwarm::ConnectionEstablished(event) => {
                let ip = ip_of(event.endpoint.get_remote_address());
                self.connections
                    .insert(event.connection_id, (event.peer_id, ip));
            }
            FromSwarm::ConnectionClosed(event) => {
                self.connections.remove(&event.connection_id);
            }
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

#[cfg(test)]
mod tests {
    use super::*;

    /// What is let in from that address, while there is that much memory.
    fn lets_in(memory: Memory, closed: bool) -> bool {
        let (access, _keeper) = Files::default().load().expect("no files");
        let mut behaviour = Behaviour::new(access, memory);
        if closed {
            behaviour.close();
        }
        let (id, to) = (ConnectionId::new_unchecked(1), Multiaddr::empty());
        let from = "/ip4/192.0.2.1/tcp/1".parse().expect("an address");
        let answer = behaviour.handle_pending_inbound_connection(id, &to, &from);
        answer.is_ok()
    }

    #[test]
    fn nobody_is_let_in_while_it_stops_or_memory_is_short() {
        assert!(lets_in(Memory::default(), false));
        assert!(!lets_in(Memory::default(), true));
        assert!(!lets_in(Memory::short(), false));
    }
}
