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
    Multiaddr, PeerId, Stream, StreamProtocol,
    core::{Endpoint, transport::PortUse},
    ping,
    swarm::{
        ConnectionDenied, ConnectionHandler, ConnectionHandlerEvent, ConnectionId, FromSwarm,
        NetworkBehaviour, SubstreamProtocol, THandler, THandlerInEvent, THandlerOutEvent, ToSwarm,
        handler::{ConnectionEvent, FullyNegotiatedInbound, ProtocolsChange},
    },
};

/// Pings, and answers pings.
///
/// Driven like libp2p's, whose options it takes and whose events it emits. It answers one stream a connection: a
/// later one takes the place of the former.
#[derive(Default)]
pub struct Behaviour {
    inner: ping::Behaviour,
    spared: Option<Spared>,
}

/// Whose connections are watched by another protocol, so that pings would only cost something.
#[derive(Debug, Clone)]
pub(crate) struct Spared {
    /// Those who speak this …
    pub(crate) speaking: StreamProtocol,
    /// … and not this.
    pub(crate) but_not: StreamProtocol,
}

impl Behaviour {
    /// Makes the behaviour with libp2p's options.
    #[must_use]
    pub fn new(config: ping::Config) -> Self {
        Self {
            inner: ping::Behaviour::new(config),
            spared: None,
        }
    }

    /// Leaves out these, and waits for identify to learn who is one.
    pub(crate) fn sparing(self, spared: Spared) -> Self {
        Self {
            spared: Some(spared),
            ..self
        }
    }
}

type Inner = THandler<ping::Behaviour>;

/// The handler: libp2p's pings, our answers.
pub struct Handler {
    inner: Inner,
    pinging: Pinging,
    /// Answers the pings on the remote's last stream.
    answering: Option<BoxFuture<'static, io::Result<Infallible>>>,
}

/// Whether the remote is pinged.
enum Pinging {
    Always,
    /// It depends on what the remote speaks, once that is known.
    Depends {
        spared: Spared,
        speaks: bool,
        excepted: bool,
        known: bool,
    },
}

impl Handler {
    fn new(inner: Inner, spared: Option<Spared>) -> Self {
        let pinging = spared.map_or(Pinging::Always, |spared| Pinging::Depends {
            spared,
            speaks: false,
            excepted: false,
            known: false,
        });
        Self {
            inner,
            pinging,
            answering: None,
        }
    }
}

impl Pinging {
    const fn is_on(&self) -> bool {
        match self {
            Self::Always => true,
            Self::Depends {
                speaks,
                excepted,
                known,
                ..
            } => *known && (*excepted || !*speaks),
        }
    }

    fn learn(&mut self, change: &ProtocolsChange<'_>) {
        let Self::Depends {
            spared,
            speaks,
            excepted,
            known,
        } = self
        else {
            return;
        };
        let (protocols, added): (Vec<_>, _) = match change {
            ProtocolsChange::Added(added) => (added.clone().collect(), true),
            ProtocolsChange::Removed(removed) => (removed.clone().collect(), false),
        };
        if protocols.contains(&&spared.speaking) {
            *speaks = added;
        }
        if protocols.contains(&&spared.but_not) {
            *excepted = added;
        }
        *known = true;
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
            .inner
            .handle_established_inbound_connection(conn, peer, local, remote);
        handler.map(|inner| Handler::new(inner, self.spared.clone()))
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
            .inner
            .handle_established_outbound_connection(conn, peer, address, role, port);
        handler.map(|inner| Handler::new(inner, self.spared.clone()))
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        self.inner.on_swarm_event(event);
    }

    fn on_connection_handler_event(
        &mut self,
        peer: PeerId,
        conn: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        self.inner.on_connection_handler_event(peer, conn, event);
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        self.inner.poll(cx)
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
        if self.pinging.is_on() {
            return self.inner.poll(cx);
        }
        Poll::Pending
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
            event => {
                if let ConnectionEvent::RemoteProtocolsChange(change) = &event {
                    self.pinging.learn(change);
                }
                self.inner.on_connection_event(event);
            }
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
