//! The streams of a rendezvous point: each carries as many questions as the client likes, one after the other, as the
//! specification has it. libp2p's request-response closes a stream after the first.
//!
//! ```text
//!   stream ── read a question ──► Question ──► Server ──► Reply ──► write the answer ──┐
//!      ▲                                                                               │
//!      └───────────────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! A connection has [`MAX_RENDEZVOUS_STREAMS`], each stream one question at a time and [`MAX_QUESTIONS`] in all; one on
//! which nothing happens for [`RENDEZVOUS_TIMEOUT`] is closed.

use std::{
    convert::Infallible,
    io,
    task::{Context, Poll},
};

use futures::{
    AsyncWriteExt, FutureExt, StreamExt,
    channel::{mpsc, oneshot},
    future::{self, BoxFuture, Either},
    stream::FuturesUnordered,
};
use futures_timer::Delay;
use libp2p::{
    Multiaddr, PeerId, Stream, StreamProtocol,
    core::{Endpoint, transport::PortUse, upgrade::ReadyUpgrade},
    swarm::{
        ConnectionDenied, ConnectionHandler, ConnectionHandlerEvent, ConnectionId, FromSwarm,
        NetworkBehaviour, SubstreamProtocol, THandler, THandlerInEvent, THandlerOutEvent, ToSwarm,
        handler::{ConnectionEvent, FullyNegotiatedInbound},
    },
};
use prost::Message;

use super::unread::Unread;

use crate::protocols::{
    rendezvous::packet::{MAX_RENDEZVOUS_REQUEST_BYTES, PROTOCOL, Packet, RENDEZVOUS_TIMEOUT},
    wire,
};

/// Streams of one connection that are served at a time. More are reset.
const MAX_RENDEZVOUS_STREAMS: usize = 4;
/// Questions on one stream: far more than a client asks before it has to be on its own again.
const MAX_QUESTIONS: usize = 256;

/// A question, and where its answer goes.
#[derive(Debug)]
pub struct Question {
    pub(super) peer: PeerId,
    pub(super) connection: ConnectionId,
    pub(super) packet: Packet,
    pub(super) reply: Reply,
}

impl Question {
    /// Returns the connection that it came by.
    #[must_use]
    pub const fn connection(&self) -> ConnectionId {
        self.connection
    }
}

/// Takes an answer, or nothing where there is none to give.
#[derive(Debug)]
pub struct Reply(oneshot::Sender<Option<Answer>>);

/// An answer on its way, with what counts it until it has been read, and cuts it off.
#[derive(Debug)]
struct Answer {
    packet: Packet,
    unread: Unread,
}

impl Reply {
    /// What `unread` makes is held until the answer is written, or cannot be.
    pub(super) fn send(self, packet: Option<Packet>, unread: impl FnOnce() -> Unread) {
        let answer = packet.map(|packet| Answer {
            packet,
            unread: unread(),
        });
        // An error means that whoever asked is gone.
        let _ = self.0.send(answer);
    }
}

/// What the streams of all connections ask.
#[derive(Debug, Default)]
pub struct Behaviour {
    questions: std::collections::VecDeque<Question>,
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = Handler;
    type ToSwarm = Question;

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(Handler::new())
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(Handler::new())
    }

    fn on_swarm_event(&mut self, _: FromSwarm<'_>) {}

    fn on_connection_handler_event(
        &mut self,
        peer: PeerId,
        connection: ConnectionId,
        (packet, reply): THandlerOutEvent<Self>,
    ) {
        self.questions.push_back(Question {
            peer,
            connection,
            packet,
            reply,
        });
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Question, THandlerInEvent<Self>>> {
        match self.questions.pop_front() {
            Some(question) => Poll::Ready(ToSwarm::GenerateEvent(question)),
            None => Poll::Pending,
        }
    }
}

type Asked = (Packet, Reply);

/// The streams of one connection.
pub struct Handler {
    streams: FuturesUnordered<BoxFuture<'static, io::Result<()>>>,
    /// At most one question of each stream is in it.
    asked: mpsc::Receiver<Asked>,
    to_asked: mpsc::Sender<Asked>,
}

impl Handler {
    fn new() -> Self {
        let (to_asked, asked) = mpsc::channel(MAX_RENDEZVOUS_STREAMS);
        Self {
            streams: FuturesUnordered::new(),
            asked,
            to_asked,
        }
    }
}

impl ConnectionHandler for Handler {
    type FromBehaviour = Infallible;
    type ToBehaviour = Asked;
    type InboundProtocol = ReadyUpgrade<StreamProtocol>;
    type OutboundProtocol = ReadyUpgrade<StreamProtocol>;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = ();

    fn listen_protocol(&self) -> SubstreamProtocol<Self::InboundProtocol> {
        SubstreamProtocol::new(ReadyUpgrade::new(PROTOCOL), ())
    }

    fn on_behaviour_event(&mut self, never: Infallible) {
        match never {}
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<ConnectionHandlerEvent<Self::OutboundProtocol, (), Self::ToBehaviour>> {
        while let Poll::Ready(Some(ended)) = self.streams.poll_next_unpin(cx) {
            if let Err(e) = ended {
                tracing::debug!("rendezvous stream: {e}");
            }
        }
        match self.asked.poll_next_unpin(cx) {
            Poll::Ready(Some(asked)) => Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(asked)),
            Poll::Ready(None) | Poll::Pending => Poll::Pending,
        }
    }

    fn on_connection_event(
        &mut self,
        event: ConnectionEvent<'_, Self::InboundProtocol, Self::OutboundProtocol>,
    ) {
        if let ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound {
            protocol: stream,
            ..
        }) = event
            && self.streams.len() < MAX_RENDEZVOUS_STREAMS
        {
            self.streams
                .push(serve(stream, self.to_asked.clone()).boxed());
        }
    }
}

impl std::fmt::Debug for Handler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Handler")
            .field("streams", &self.streams.len())
            .finish_non_exhaustive()
    }
}

/// Passes questions on and writes their answers, until the client closes the stream.
async fn serve(mut stream: Stream, mut to_asked: mpsc::Sender<Asked>) -> io::Result<()> {
    for _ in 0..MAX_QUESTIONS {
        let question = wire::read::<Packet>(&mut stream, MAX_RENDEZVOUS_REQUEST_BYTES);
        let packet = match within_time(question).await {
            Ok(packet) => packet,
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => break,
            Err(e) => return Err(e),
        };
        let (reply, answer) = oneshot::channel();
        // An error means that the connection is gone.
        let passed_on = futures::SinkExt::send(&mut to_asked, (packet, Reply(reply))).await;
        let (Ok(()), Ok(answer)) = (passed_on, answer.await) else {
            break;
        };
        if let Some(answer) = answer {
            let bytes = answer.packet.encode_length_delimited_to_vec();
            let written = within_time(async {
                stream.write_all(&bytes).await?;
                stream.flush().await
            });
            match future::select(std::pin::pin!(written), answer.unread).await {
                Either::Left((result, _)) => result?,
                // Others wait for an answer, too. Dropping the stream resets it.
                Either::Right(_) => return Err(io::ErrorKind::ConnectionAborted.into()),
            }
        }
    }
    within_time(stream.close()).await
}

async fn within_time<T>(work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    let work = std::pin::pin!(work);
    match future::select(work, Delay::new(RENDEZVOUS_TIMEOUT)).await {
        Either::Left((result, _)) => result,
        Either::Right(_) => Err(io::ErrorKind::TimedOut.into()),
    }
}
