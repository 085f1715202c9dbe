//! The server of AutoNAT v2 (<https://github.com/libp2p/specs/blob/master/autonat/autonat-v2.md>): dials
//! a peer that asks whether it can be reached from outside, within bounds.
//!
//! libp2p-autonat 0.16.0 has the server, but nothing that bounds it. It dials any address that a
//! stranger names, for 30 to 100 kB that the stranger sends first, and takes any number of requests: so
//! it could be made to send packets to others, or to look around in the network that it stands in. The
//! specification leaves limits to the implementation, and discusses the attack in
//! <https://github.com/libp2p/specs/issues/640> (open); the missing limits of libp2p's server are not
//! reported as far as known (2026-11). Without this module `who_asks_is_dialled_and_nobody_else_is` and
//! `too_many_questions_get_no_answer_and_harm_nobody` (tests/relay_reach.rs) fail.
//!
//! [`Behaviour`] wraps libp2p's and passes everything on, but for
//! - dials, which it denies unless they go to an IP address that this very peer is connected from over
//!   TCP or QUIC. WebSockets don't count, since a proxy may pass them on, and names would have to be
//!   looked up;
//! - requests beyond the rates in [`requests`], which get no answer: that says neither yes nor no. Each
//!   stream that comes in is one request, so [`Handler`] drops the stream;
//! - connections that it has dialled, which it closes when their test is done. libp2p leaves them open,
//!   and they would count against the peer's own.

mod requests;

use std::{
    collections::{HashMap, HashSet, VecDeque},
    net::IpAddr,
    sync::Arc,
    task::{Context, Poll},
    time::Instant,
};

use libp2p::{
    Multiaddr, PeerId,
    autonat::v2::server,
    core::{ConnectedPoint, Endpoint, transport::PortUse},
    multiaddr::Protocol,
    swarm::{
        CloseConnection, ConnectionClosed, ConnectionDenied, ConnectionHandler,
        ConnectionHandlerEvent, ConnectionId, DialFailure, FromSwarm, NetworkBehaviour,
        SubstreamProtocol, THandler, THandlerInEvent, THandlerOutEvent, ToSwarm,
        behaviour::ConnectionEstablished, handler::ConnectionEvent,
    },
};
use punchline::{address, path::Transport};

pub(crate) use self::requests::MAX_CONCURRENT;
use self::requests::Requests;

type Inner = THandler<server::Behaviour>;

/// libp2p's server, within bounds.
#[derive(Default)]
pub(crate) struct Behaviour {
    server: server::Behaviour,
    requests: Arc<Requests>,
    /// Where peers are connected from: at most an entry for each connection, which are bounded.
    sources: HashMap<PeerId, Vec<(ConnectionId, IpAddr)>>,
    /// Connections that were dialled for a test.
    dialled: HashSet<ConnectionId>,
    /// Dialled connections whose test is done, to be closed.
    tested: VecDeque<(PeerId, ConnectionId)>,
}

/// Why a dial is denied.
#[derive(Debug, thiserror::Error)]
#[error("the peer is not connected from that address")]
struct ForeignAddress;

impl Behaviour {
    fn may_dial(&self, peer: PeerId, address: &Multiaddr) -> bool {
        let sources = self.sources.get(&peer);
        dialled_ip(address).is_some_and(|ip| {
            sources.is_some_and(|sources| sources.iter().any(|(_, source)| *source == ip))
        })
    }

    fn on_established(&mut self, peer: PeerId, connection: ConnectionId, from: &ConnectedPoint) {
        if let ConnectedPoint::Listener { send_back_addr, .. } = from
            && let Some(ip) = source_ip(send_back_addr)
        {
            let sources = self.sources.entry(peer).or_default();
            sources.push((connection, ip));
        }
    }

    fn on_closed(&mut self, peer: PeerId, connection: ConnectionId) {
        self.dialled.remove(&connection);
        if let Some(sources) = self.sources.get_mut(&peer) {
            sources.retain(|(id, _)| *id != connection);
            if sources.is_empty() {
                self.sources.remove(&peer);
            }
        }
    }
}

/// The IP address of a connection that came by TCP or QUIC.
fn source_ip(address: &Multiaddr) -> Option<IpAddr> {
    match Transport::of(address) {
        Transport::Quic | Transport::Tcp => ip_of(address),
        _ => None,
    }
}

/// The IP address in an address that has nothing but that and a port of TCP or QUIC.
fn dialled_ip(address: &Multiaddr) -> Option<IpAddr> {
    let address = address::without_peer(address.clone());
    let mut parts = address.iter().skip(1);
    match (parts.next(), parts.next(), parts.next()) {
        (Some(Protocol::Tcp(port)), None, None) if port != 0 => ip_of(&address),
        (Some(Protocol::Udp(port)), Some(Protocol::QuicV1), None) if port != 0 => ip_of(&address),
        _ => None,
    }
}

fn ip_of(address: &Multiaddr) -> Option<IpAddr> {
    address::ip_of(address).map(|ip| ip.to_canonical())
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = Handler;
    type ToSwarm = server::Event;

    fn handle_established_inbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<Handler, ConnectionDenied> {
        let inner = self
            .server
            .handle_established_inbound_connection(connection, peer, local, remote)?;
        Ok(self.handler(inner, peer, remote))
    }

    fn handle_pending_outbound_connection(
        &mut self,
        _: ConnectionId,
        peer: Option<PeerId>,
        addresses: &[Multiaddr],
        _: Endpoint,
    ) -> Result<Vec<Multiaddr>, ConnectionDenied> {
        // A relay dials for no other reason than a test.
        let allowed = peer.is_some_and(|p| addresses.iter().all(|a| self.may_dial(p, a)));
        match allowed {
            true => Ok(Vec::new()),
            false => Err(ConnectionDenied::new(ForeignAddress)),
        }
    }

    fn handle_established_outbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        address: &Multiaddr,
        role: Endpoint,
        port: PortUse,
    ) -> Result<Handler, ConnectionDenied> {
        let inner = self
            .server
            .handle_established_outbound_connection(connection, peer, address, role, port)?;
        self.dialled.insert(connection);
        Ok(self.handler(inner, peer, address))
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match &event {
            FromSwarm::ConnectionEstablished(ConnectionEstablished {
                peer_id,
                connection_id,
                endpoint,
                ..
            }) => self.on_established(*peer_id, *connection_id, endpoint),
            FromSwarm::ConnectionClosed(ConnectionClosed {
                peer_id,
                connection_id,
                ..
            }) => self.on_closed(*peer_id, *connection_id),
            FromSwarm::DialFailure(DialFailure { connection_id, .. }) => {
                self.dialled.remove(connection_id);
            }
            _ => {}
        }
        self.server.on_swarm_event(event);
    }

    fn on_connection_handler_event(
        &mut self,
        peer: PeerId,
        connection: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        self.server
            .on_connection_handler_event(peer, connection, event);
        // The handler of a dialled connection reports nothing but the end of its test.
        if self.dialled.remove(&connection) {
            self.tested.push_back((peer, connection));
        }
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        if let Some((peer_id, connection)) = self.tested.pop_front() {
            return Poll::Ready(ToSwarm::CloseConnection {
                peer_id,
                connection: CloseConnection::One(connection),
            });
        }
        let event = self.server.poll(cx);
        if let Poll::Ready(ToSwarm::GenerateEvent(done)) = &event {
            self.requests.done(done.client);
        }
        event
    }
}

impl Behaviour {
    fn handler(&self, inner: Inner, peer: PeerId, remote: &Multiaddr) -> Handler {
        Handler {
            inner,
            peer,
            ip: ip_of(remote),
            requests: self.requests.clone(),
        }
    }
}

/// libp2p's handler of one connection, behind the limits on requests.
pub(crate) struct Handler {
    inner: Inner,
    peer: PeerId,
    ip: Option<IpAddr>,
    requests: Arc<Requests>,
}

impl ConnectionHandler for Handler {
    type FromBehaviour = <Inner as ConnectionHandler>::FromBehaviour;
    type ToBehaviour = <Inner as ConnectionHandler>::ToBehaviour;
    type InboundProtocol = <Inner as ConnectionHandler>::InboundProtocol;
    type OutboundProtocol = <Inner as ConnectionHandler>::OutboundProtocol;
    type InboundOpenInfo = <Inner as ConnectionHandler>::InboundOpenInfo;
    type OutboundOpenInfo = <Inner as ConnectionHandler>::OutboundOpenInfo;

    fn listen_protocol(&self) -> SubstreamProtocol<Self::InboundProtocol, Self::InboundOpenInfo> {
        self.inner.listen_protocol()
    }

    fn connection_keep_alive(&self) -> bool {
        self.inner.connection_keep_alive()
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<
        ConnectionHandlerEvent<Self::OutboundProtocol, Self::OutboundOpenInfo, Self::ToBehaviour>,
    > {
        self.inner.poll(cx)
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Option<Self::ToBehaviour>> {
        self.inner.poll_close(cx)
    }

    fn on_behaviour_event(&mut self, event: Self::FromBehaviour) {
        self.inner.on_behaviour_event(event);
    }

    fn on_connection_event(
        &mut self,
        event: ConnectionEvent<
            Self::InboundProtocol,
            Self::OutboundProtocol,
            Self::InboundOpenInfo,
            Self::OutboundOpenInfo,
        >,
    ) {
        // Each stream that comes in is one request.
        if matches!(event, ConnectionEvent::FullyNegotiatedInbound(_))
            && !self.requests.admit(self.peer, self.ip, Instant::now())
        {
            tracing::debug!(peer = %self.peer, "too many AutoNAT requests");
            return;
        }
        self.inner.on_connection_event(event);
    }
}

#[cfg(test)]
mod tests;
