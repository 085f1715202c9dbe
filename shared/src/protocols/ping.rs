//! libp2p's ping, with an answering side of our own.
//!
//! Specification: <https://github.com/libp2p/specs/blob/master/ping/ping.md>
//!
//! # Instead of libp2p's answers
//!
//! After the handler of libp2p-ping 0.48.0 has answered a ping, it begins to wait for the next one on the same stream
//! but does not poll that wait, so nothing wakes it until the connection has other work. Clients that keep one stream
//! for all their pings (js-libp2p, py-libp2p) then wait 10 s and more, and some close the connection. Not reported, as
//! far as known. Here one future answers all pings of a stream.
//!
//! Without it `pings_on_one_stream_are_answered_over_quic` fails. It may go when that test passes with libp2p's
//! handler.

#[cfg(test)]
mod tests;

use std::{
    convert::Infallible,
    io,
    task::{Context, Poll},
};

use futures::{AsyncReadExt, AsyncWriteExt, FutureExt, future::BoxFuture};
use libp2p::{
    Multiaddr, PeerId, Stream,
    core::{Endpoint, transport::PortUse},
    ping,
    swarm::{
        ConnectionDenied, ConnectionHandler, ConnectionHandlerEvent, ConnectionId, FromSwarm,
        NetworkBehaviour, SubstreamProtocol, THandler, THandlerInEvent, THandlerOutEvent, ToSwarm,
        handler::{ConnectionEvent, FullyNegotiatedInbound},
    },
};

/// Pings, and answers pings.
///
/// Driven like libp2p's, whose options it takes and whose events it emits. It answers one stream a connection: a
/// later one takes the place of the former.
#[derive(Default)]
pub struct Behaviour(ping::Behaviour);

impl Behaviour {
    /// Makes the behaviour with libp2p's options.
    #[must_use]
    pub fn new(config: ping::Config) -> Self {
        Self(ping::Behaviour::new(config))
    }
}

type Inner = THandler<ping::Behaviour>;

/// The handler: libp2p's pings, our answers.
pub struct Handler {
    inner: Inner,
    /// Answers the pings on the remote's last stream.
    answering: Option<BoxFuture<'static, io::Result<Infallible>>>,
}

impl Handler {
    fn new(inner: Inner) -> Self {
        Self {
            inner,
            answering: None,
        }
    }
}

/// Bytes of a ping.
const PING_BYTES: usize = 32;
/// Pings answered before other work of the connection gets its turn.
const PINGS_A_TURN: usize = 16;

async fn answer(mut stream: Stream) -> io::Result<Infallible> {
    loop {
        for _ in 0..PINGS_A_TURN {
            let mut ping = [0; PING_BYTES];
            stream.read_exact(&mut ping).await?;
            stream.write_all(&ping).await?;
            stream.flush().await?;
        }
        yield_once().await;
    }
}

/// Lets others run, and comes back.
fn yield_once() -> impl Future<Output = ()> {
    let mut yielded = false;
    std::future::poll_fn(move |cx| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = Handler;
    type ToSwarm = ping::Event;

    fn handle_established_inbound_connection(
        &mut self,
        conn: ConnectionId,
        peer: PeerId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        let handler = self
            .0
            .handle_established_inbound_connection(conn, peer, local, remote);
        handler.map(Handler::new)
    }

    fn handle_established_outbound_connection(
        &mut self,
        conn: ConnectionId,
        peer: PeerId,
        address: &Multiaddr,
        role: Endpoint,
        port: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        let handler = self
            .0
            .handle_established_outbound_connection(conn, peer, address, role, port);
        handler.map(Handler::new)
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

impl ConnectionHandler for Handler {
    type FromBehaviour = <Inner as ConnectionHandler>::FromBehaviour;
    type ToBehaviour = <Inner as ConnectionHandler>::ToBehaviour;
    type InboundProtocol = <Inner as ConnectionHandler>::InboundProtocol;
    type OutboundProtocol = <Inner as ConnectionHandler>::OutboundProtocol;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = ();

    fn listen_protocol(&self) -> SubstreamProtocol<Self::InboundProtocol> {
        self.inner.listen_protocol()
    }

    fn connection_keep_alive(&self) -> bool {
        self.inner.connection_keep_alive()
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<ConnectionHandlerEvent<Self::OutboundProtocol, (), Self::ToBehaviour>> {
        if let Some(answering) = &mut self.answering
            && let Poll::Ready(Err(e)) = answering.poll_unpin(cx)
        {
            tracing::debug!("pings end: {e}");
            self.answering = None;
        }
        self.inner.poll(cx)
    }

    fn on_behaviour_event(&mut self, event: Self::FromBehaviour) {
        self.inner.on_behaviour_event(event);
    }

    fn on_connection_event(
        &mut self,
        event: ConnectionEvent<Self::InboundProtocol, Self::OutboundProtocol>,
    ) {
        match event {
            ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound {
                protocol: mut stream,
                ..
            }) => {
                // An idle stream for pings is no reason to keep a connection.
                stream.ignore_for_keep_alive();
                self.answering = Some(answer(stream).boxed());
            }
            event => self.inner.on_connection_event(event),
        }
    }
}

impl std::fmt::Debug for Handler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Handler").finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Behaviour {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Behaviour").finish_non_exhaustive()
    }
}
