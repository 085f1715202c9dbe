//! The addresses that this machine listens on, and the ones that relays see it at.

use std::net::SocketAddr;

use libp2p::Multiaddr;
use punchline::{
    address::{ip_of, socket_of},
    path::Transport,
};

use super::attempts::kind_of;
use crate::doctor::{
    observations::{Mapping, Observations},
    stun::own_address,
};

/// The mappings of the sockets that are listened on. There is one for each connection at most.
#[derive(Debug, Default)]
pub(super) struct Mappings {
    listening: Vec<Multiaddr>,
    mappings: Vec<(Transport, Mapping)>,
}

impl Mappings {
    /// A listener has this address.
    pub(super) fn on_listening(&mut self, address: Multiaddr) {
        self.listening.push(address);
    }

    /// Whether any listener has this transport.
    pub(super) fn listens(&self, transport: Transport) -> bool {
        let mut transports = self.listening.iter().map(Transport::of);
        transports.any(|listening| listening == transport)
    }

    /// Adds the address that the server at a dialled address observed. Returns whether it is one of a socket that is
    /// listened on: connections over WebSocket come from ports of their own.
    pub(super) fn add(&mut self, dialled: &Multiaddr, observed: &Multiaddr) -> bool {
        let transport = Transport::of(dialled);
        if !matches!(transport, Transport::Quic | Transport::Tcp)
            || Transport::of(observed) != transport
        {
            return false;
        }
        let (Some(server), Some(outside)) = (socket_of(dialled), socket_of(observed)) else {
            return false;
        };
        let Some(local) = self.socket_towards(server, transport) else {
            return false;
        };
        let mapping = Mapping {
            server,
            local,
            outside,
        };
        self.mappings.push((transport, mapping));
        true
    }

    /// Whether an address has a port that is listened on, or that a server observed. libp2p also proposes the address
    /// of one IP family with the port of the other.
    pub(super) fn may_lead_here(&self, candidate: &Multiaddr) -> bool {
        let port = |a: &Multiaddr| socket_of(a).map(|socket| socket.port());
        let listens =
            |a: &Multiaddr| kind_of(a) == kind_of(candidate) && port(a) == port(candidate);
        let was_observed = |(_, m): &(Transport, Mapping)| Some(m.outside) == socket_of(candidate);
        self.listening.iter().any(listens) || self.mappings.iter().any(was_observed)
    }

    /// Hands the mappings over.
    pub(super) fn add_to(self, seen: &mut Observations) {
        for (transport, mapping) in self.mappings {
            let family = match mapping.server.is_ipv4() {
                true => &mut seen.v4,
                false => &mut seen.v6,
            };
            match transport {
                Transport::Quic => family.quic.push(mapping),
                _ => family.tcp.push(mapping),
            }
        }
    }

    /// The own address and port of packets to a server.
    fn socket_towards(&self, server: SocketAddr, transport: Transport) -> Option<SocketAddr> {
        let fits = |a: &&Multiaddr| {
            Transport::of(a) == transport
                && ip_of(a).is_some_and(|ip| ip.is_ipv4() == server.is_ipv4())
        };
        let listener = self.listening.iter().find(fits)?;
        Some((own_address(server)?, socket_of(listener)?.port()).into())
    }
}
