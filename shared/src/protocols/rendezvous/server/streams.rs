//! The streams of a rendezvous point: each carries as many questions as the client likes, one after the other, as the
//! specification has it. libp2p's request-response closes a stream after the first.
//!
//! ```text
//!   stream ── read a question ──► Question ──► Server ──► Reply ──► write the answer ──┐
//!      ▲                                                                               │
//!      └───────────────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! To a client that speaks [`NEWS_PROTOCOL`] a stream is opened when there is news, one at a time: it carries who has come, or,
//! when there is more to say, an empty packet, and whoever gets that asks.
//!
//! A connection has [`MAX_RENDEZVOUS_STREAMS`], each stream one question at a time and [`MAX_QUESTIONS`] in all; one on
//! which nothing happens for [`RENDEZVOUS_TIMEOUT`] is closed.

use std::{
    collections::{BTreeMap, VecDeque},
    io,
    sync::Arc,
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
        NetworkBehaviour, NotifyHandler, SubstreamProtocol, THandler, THandlerInEvent,
        THandlerOutEvent, ToSwarm,
        handler::{
            ConnectionEvent, FullyNegotiatedInbound, FullyNegotiatedOutbound, ProtocolsChange,
        },
    },
};
use prost::Message;

use super::unread::Unread;

use crate::protocols::{
    rendezvous::packet::{
        MAX_RENDEZVOUS_REQUEST_BYTES, NEWS_PROTOCOL, PROTOCOL, Packet, RENDEZVOUS_TIMEOUT,
    },
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
    /// Returns who asks.
    #[must_use]
    pub const fn peer(&self) -> PeerId {
        self.peer
    }

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
    questions: VecDeque<Question>,
    /// Who is to be told what.
    told: BTreeMap<PeerId, Tell>,
}

impl Behaviour {
    /// Has the peers of a namespace told that there is news, those of them who want to hear of it.
    pub fn tell(&mut self, word: Word) {
        for peer in word.to {
            let what = self.told.entry(peer);
            what.and_modify(|what| *what = Tell::to_ask())
                .or_insert_with(|| Tell(word.packet.clone()));
        }
    }
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
        if let Some(question) = self.questions.pop_front() {
            return Poll::Ready(ToSwarm::GenerateEvent(question));
        }
        match self.told.pop_first() {
            Some((peer_id, event)) => Poll::Ready(ToSwarm::NotifyHandler {
                peer_id,
                handler: NotifyHandler::Any,
                event,
            }),
            None => Poll::Pending,
        }
    }
}

type Asked = (Packet, Reply);

/// News for the peers of a namespace.
#[derive(Debug)]
pub struct Word {
    pub(super) to: Vec<PeerId>,
    pub(super) packet: Arc<[u8]>,
}

impl Word {
    pub(super) fn new(to: Vec<PeerId>, packet: &Packet) -> Self {
        let packet = packet.encode_length_delimited_to_vec().into();
        Self { to, packet }
    }
}

/// The client is told this: an encoded packet.
#[derive(Debug, Clone)]
pub struct Tell(Arc<[u8]>);

impl Tell {
    /// There is more news than one packet holds.
    fn to_ask() -> Self {
        Self(Packet::default().encode_length_delimited_to_vec().into())
    }
}

/// Telling the client.
#[derive(Default)]
enum Telling {
    #[default]
    No,
    /// A stream is wanted, for this.
    Wanted(Tell),
    Opening(Tell),
    Writing(BoxFuture<'static, io::Result<()>>),
}

/// The streams of one connection.
pub struct Handler {
    streams: FuturesUnordered<BoxFuture<'static, io::Result<()>>>,
    /// At most one question of each stream is in it.
    asked: mpsc::Receiver<Asked>,
    to_asked: mpsc::Sender<Asked>,
    /// The client speaks [`NEWS_PROTOCOL`].
    hears: bool,
    telling: Telling,
    /// There was more news since.
    tell_again: bool,
}

impl Handler {
    fn new() -> Self {
        let (to_asked, asked) = mpsc::channel(MAX_RENDEZVOUS_STREAMS);
        Self {
            streams: FuturesUnordered::new(),
            asked,
            to_asked,
            hears: false,
            telling: Telling::No,
            tell_again: false,
        }
    }

    fn tell(&mut self, what: Tell) {
        match &mut self.telling {
            Telling::No if self.hears => self.telling = Telling::Wanted(what),
            Telling::No => {}
            Telling::Wanted(before) | Telling::Opening(before) => *before = Tell::to_ask(),
            Telling::Writing(_) => self.tell_again = true,
        }
    }

    fn told(&mut self) {
        self.telling = Telling::No;
        if std::mem::take(&mut self.tell_again) {
            self.tell(Tell::to_ask());
        }
    }
}

impl ConnectionHandler for Handler {
    type FromBehaviour = Tell;
    type ToBehaviour = Asked;
    type InboundProtocol = ReadyUpgrade<StreamProtocol>;
    type OutboundProtocol = ReadyUpgrade<StreamProtocol>;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = ();

    fn listen_protocol(&self) -> SubstreamProtocol<Self::InboundProtocol> {
        SubstreamProtocol::new(ReadyUpgrade::new(PROTOCOL), ())
    }

    fn on_behaviour_event(&mut self, what: Tell) {
        self.tell(what);
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
        if let Telling::Writing(writing) = &mut self.telling
            && let Poll::Ready(ended) = writing.poll_unpin(cx)
        {
            if let Err(e) = ended {
                tracing::debug!("telling of news: {e}");
            }
            self.told();
        }
        if let Telling::Wanted(what) = &self.telling {
            self.telling = Telling::Opening(what.clone());
            return Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest {
                protocol: SubstreamProtocol::new(ReadyUpgrade::new(NEWS_PROTOCOL), ()),
            });
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
        match event {
            ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound {
                protocol: stream,
                ..
            }) if self.streams.len() < MAX_RENDEZVOUS_STREAMS => {
                self.streams
                    .push(serve(stream, self.to_asked.clone()).boxed());
            }
            ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound {
                protocol: stream,
                ..
            }) => {
                if let Telling::Opening(Tell(packet)) = std::mem::take(&mut self.telling) {
                    self.telling = Telling::Writing(tell(stream, packet).boxed());
                }
            }
            ConnectionEvent::DialUpgradeError(_) => self.told(),
            ConnectionEvent::RemoteProtocolsChange(change) => match change {
                ProtocolsChange::Added(mut added) => {
                    self.hears |= added.any(|protocol| *protocol == NEWS_PROTOCOL);
                }
                ProtocolsChange::Removed(mut removed) => {
                    self.hears &= !removed.any(|protocol| *protocol == NEWS_PROTOCOL);
                }
            },
            _ => {}
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

async fn tell(mut stream: Stream, packet: Arc<[u8]>) -> io::Result<()> {
    stream.ignore_for_keep_alive();
    within_time(async {
        stream.write_all(&packet).await?;
        stream.close().await?;
        wire::wait_for_end(&mut stream).await
    })
    .await
}

async fn within_time<T>(work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    let work = std::pin::pin!(work);
    match future::select(work, Delay::new(RENDEZVOUS_TIMEOUT)).await {
        Either::Left((result, _)) => result,
        Either::Right(_) => Err(io::ErrorKind::TimedOut.into()),
    }
}
