//! Polls the handlers of a connection only when one of them has something to do.
//!
//! A connection is polled for every packet. libp2p asks the handler of every protocol each time,
//! and with as many as a peer has, that costs more than the packet. Behind a gate they are asked
//! after something was told to them, or after one of them was woken.

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

/// A behaviour whose handlers are behind gates.
#[derive(Debug)]
pub(crate) struct Gated<B>(pub(crate) B);

/// A handler behind a gate.
pub(crate) struct Gate<H> {
    handler: H,
    bell: Arc<Bell>,
    /// Rings the bell.
    waker: Waker,
}

#[derive(Debug, Default)]
struct Bell {
    rung: AtomicBool,
    connection: AtomicWaker,
}

impl ArcWake for Bell {
    fn wake_by_ref(this: &Arc<Self>) {
        this.rung.store(true, SeqCst);
        this.connection.wake();
    }
}

impl<H> Gate<H> {
    fn new(handler: H) -> Self {
        let bell = Arc::new(Bell {
            rung: AtomicBool::new(true),
            ..Bell::default()
        });
        let waker = futures::task::waker(bell.clone());
        Self {
            handler,
            bell,
            waker,
        }
    }

    /// Something may have changed. The connection polls after each such call anyway.
    fn open(&self) {
        self.bell.rung.store(true, SeqCst);
    }
}

impl<H: ConnectionHandler> ConnectionHandler for Gate<H> {
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
        self.bell.connection.register(cx.waker());
        if !self.bell.rung.swap(false, SeqCst) {
            return Poll::Pending;
        }
        let event = self.handler.poll(&mut Context::from_waker(&self.waker));
        if event.is_ready() {
            // There may be more to come.
            self.open();
        }
        event
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Option<Self::ToBehaviour>> {
        self.handler.poll_close(cx)
    }

    fn on_behaviour_event(&mut self, event: Self::FromBehaviour) {
        self.handler.on_behaviour_event(event);
        self.open();
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
        self.open();
    }
}

impl<B: NetworkBehaviour> NetworkBehaviour for Gated<B> {
    type ConnectionHandler = Gate<B::ConnectionHandler>;
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
            .map(Gate::new)
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
            .map(Gate::new)
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

impl<H: std::fmt::Debug> std::fmt::Debug for Gate<H> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gate")
            .field("handler", &self.handler)
            .finish_non_exhaustive()
    }
}
