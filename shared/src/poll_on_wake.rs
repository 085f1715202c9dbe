//! Polls the handlers of a connection only when one of them was woken or called.
//!
//! # Instead of what libp2p does
//!
//! libp2p-swarm 0.48.0 polls a connection for every packet, and the handler of every protocol each time; with as many
//! as a peer has, that costs more than the packet (rust-libp2p #4990, open; a patch was closed, #4991). Here the
//! handlers are polled after the swarm has called one of them with an event, or after one of them was woken.
//!
//! No test of behaviour fails without this: `cargo xtask bench` shows what it is worth, and this module's tests that
//! nothing is missed. It may go when libp2p-swarm wakes handlers one by one.

#[cfg(test)]
mod tests;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    task::{Context, Poll, Waker},
};

use futures::task::{ArcWake, AtomicWaker};
use libp2p::{
    Multiaddr, PeerId,
    core::{Endpoint, transport::PortUse},
    swarm::{
        ConnectionDenied, ConnectionHandler, ConnectionHandlerEvent, ConnectionId, FromSwarm,
        NetworkBehaviour, SubstreamProtocol, THandler, THandlerInEvent, THandlerOutEvent, ToSwarm,
        handler::ConnectionEvent,
    },
};

/// A behaviour whose handlers are polled only when there is something to do.
#[derive(Debug)]
pub struct PollOnWake<B>(pub B);

/// Wraps the handlers of one connection.
pub struct PollOnWakeHandler<H> {
    /// In a box: libp2p keeps several places for it in the task of a connection.
    handler: Box<H>,
    flag: Arc<WakeFlag>,
    /// Raises the flag.
    waker: Waker,
}

/// Says whether the handlers have to be polled.
#[derive(Debug, Default)]
struct WakeFlag {
    raised: AtomicBool,
    connection: AtomicWaker,
}

impl ArcWake for WakeFlag {
    fn wake_by_ref(this: &Arc<Self>) {
        this.raised.store(true, SeqCst);
        this.connection.wake();
    }
}

impl<H> PollOnWakeHandler<H> {
    fn new(handler: H) -> Self {
        let flag = Arc::new(WakeFlag {
            raised: AtomicBool::new(true),
            ..WakeFlag::default()
        });
        let waker = futures::task::waker(flag.clone());
        Self {
            handler: Box::new(handler),
            flag,
            waker,
        }
    }

    /// Has the handlers polled next time. The connection polls after each such call by itself.
    fn raise(&self) {
        self.flag.raised.store(true, SeqCst);
    }
}

impl<H: ConnectionHandler> ConnectionHandler for PollOnWakeHandler<H> {
    type FromBehaviour = H::FromBehaviour;
    type ToBehaviour = H::ToBehaviour;
    type InboundProtocol = H::InboundProtocol;
    type OutboundProtocol = H::OutboundProtocol;
    type InboundOpenInfo = H::InboundOpenInfo;
    type OutboundOpenInfo = H::OutboundOpenInfo;

    fn listen_protocol(&self) -> SubstreamProtocol<Self::InboundProtocol, Self::InboundOpenInfo> {
        self.handler.listen_protocol()
    }

    fn connection_keep_alive(&self) -> bool {
        self.handler.connection_keep_alive()
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<
        ConnectionHandlerEvent<Self::OutboundProtocol, Self::OutboundOpenInfo, Self::ToBehaviour>,
    > {
        self.flag.connection.register(cx.waker());
        if !self.flag.raised.swap(false, SeqCst) {
            return Poll::Pending;
        }
        let event = self.handler.poll(&mut Context::from_waker(&self.waker));
        if event.is_ready() {
            // There may be more to come.
            self.raise();
        }
        event
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Option<Self::ToBehaviour>> {
        self.handler.poll_close(cx)
    }

    fn on_behaviour_event(&mut self, event: Self::FromBehaviour) {
        self.handler.on_behaviour_event(event);
        self.raise();
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
        self.handler.on_connection_event(event);
        self.raise();
    }
}

impl<B: NetworkBehaviour> NetworkBehaviour for PollOnWake<B> {
    type ConnectionHandler = PollOnWakeHandler<B::ConnectionHandler>;
    type ToSwarm = B::ToSwarm;

    fn handle_pending_inbound_connection(
        &mut self,
        conn: ConnectionId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        self.0
            .handle_pending_inbound_connection(conn, local, remote)
    }

    fn handle_established_inbound_connection(
        &mut self,
        conn: ConnectionId,
        peer: PeerId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.0
            .handle_established_inbound_connection(conn, peer, local, remote)
            .map(PollOnWakeHandler::new)
    }

    fn handle_pending_outbound_connection(
        &mut self,
        conn: ConnectionId,
        peer: Option<PeerId>,
        addresses: &[Multiaddr],
        role: Endpoint,
    ) -> Result<Vec<Multiaddr>, ConnectionDenied> {
        self.0
            .handle_pending_outbound_connection(conn, peer, addresses, role)
    }

    fn handle_established_outbound_connection(
        &mut self,
        conn: ConnectionId,
        peer: PeerId,
        address: &Multiaddr,
        role: Endpoint,
        port: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.0
            .handle_established_outbound_connection(conn, peer, address, role, port)
            .map(PollOnWakeHandler::new)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        self.0.on_swarm_event(event);
    }

    fn on_connection_handler_event(
        &mut self,
        peer: PeerId,
        conn: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        self.0.on_connection_handler_event(peer, conn, event);
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        self.0.poll(cx)
    }
}

impl<H: std::fmt::Debug> std::fmt::Debug for PollOnWakeHandler<H> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PollOnWakeHandler")
            .field("handler", &self.handler)
            .finish_non_exhaustive()
    }
}
