//! Signalling on one circuit, both ways.

use std::{
    convert::Infallible,
    fmt,
    future::poll_fn,
    task::{Context, Poll},
    time::Duration,
};

use futures::{
    FutureExt,
    channel::{mpsc, oneshot},
    future::{BoxFuture, Either, select},
};
use libp2p::{
    Multiaddr, PeerId, Stream, StreamProtocol,
    core::upgrade::ReadyUpgrade,
    swarm::{
        ConnectionHandler, ConnectionHandlerEvent, StreamUpgradeError, SubstreamProtocol,
        handler::ConnectionEvent,
    },
};

use web_time::Instant;

use crate::{
    Error, SIGNALLING_PROTOCOL,
    backend::{Backend, Role},
    glare::{Attempt, Glare},
    muxer::Connection,
    negotiation::{deadline, negotiate},
    transport::Incoming,
};

/// Attempts of a remote that follow one another faster are refused: each makes sockets, and sends packets.
pub const PAUSE: Duration = Duration::from_secs(1);

/// Where the result of a dial goes.
pub(crate) type Reply<B> = oneshot::Sender<Result<Connection<<B as Backend>::Connection>, Error>>;

/// A dial.
#[derive(Debug)]
pub struct Dial<B: Backend> {
    reply: Reply<B>,
    attempt: Attempt,
}

/// Carries the signalling of a circuit: at most one attempt each way at a time.
pub struct Handler<B: Backend> {
    backend: B,
    glare: Glare,
    remote: PeerId,
    /// Of connections that come by this circuit.
    address: Multiaddr,
    incoming: mpsc::Sender<Incoming<B::Connection>>,
    /// A dial that has no stream yet.
    dial: Option<Dial<B>>,
    /// The stream for it has been asked for.
    opening: bool,
    /// When the last attempt of the remote came.
    answered: Option<Instant>,
    inbound: Option<BoxFuture<'static, ()>>,
    outbound: Option<BoxFuture<'static, ()>>,
}

/// Who gets the result of an attempt.
enum Outcome<B: Backend> {
    Dialled(Reply<B>),
    Answered(mpsc::Sender<Incoming<B::Connection>>, PeerId, Multiaddr),
}

impl<B: Backend> Handler<B> {
    pub(crate) fn new(
        backend: B,
        glare: Glare,
        remote: PeerId,
        address: Multiaddr,
        incoming: mpsc::Sender<Incoming<B::Connection>>,
    ) -> Self {
        Self {
            backend,
            glare,
            remote,
            address,
            incoming,
            dial: None,
            opening: false,
            answered: None,
            inbound: None,
            outbound: None,
        }
    }

    /// Answers an offer that is about to come. An earlier one is worth nothing any more: the remote has begun anew.
    fn answer(&mut self, stream: Stream) {
        let now = Instant::now();
        let before = self.answered.replace(now);
        if before.is_some_and(|before| now.duration_since(before) < PAUSE) {
            return tracing::debug!(peer = %self.remote, "its attempt is refused: it comes too soon");
        }
        self.inbound = None;
        let Some(attempt) = self.glare.answer(self.remote) else {
            // The stream is reset: the remote sees its attempt fail.
            return tracing::debug!(peer = %self.remote, "its attempt is refused: ours counts");
        };
        let incoming = self.incoming.clone();
        let outcome = Outcome::Answered(incoming, self.remote, self.address.clone());
        self.inbound = self.attempt(stream, Role::Answerer, outcome, attempt);
    }

    fn offer(&mut self, stream: Stream, dial: Dial<B>) {
        let outcome = Outcome::Dialled(dial.reply);
        self.outbound = self.attempt(stream, Role::Offerer, outcome, dial.attempt);
    }

    fn attempt(
        &self,
        stream: Stream,
        role: Role,
        mut outcome: Outcome<B>,
        attempt: Attempt,
    ) -> Option<BoxFuture<'static, ()>> {
        let backend = match self.backend.open() {
            Ok(backend) => backend,
            Err(error) => {
                outcome.resolve(Err(error));
                return None;
            }
        };
        let run = async move {
            let negotiation = std::pin::pin!(negotiate(stream, backend, role, deadline()));
            let given_up = poll_fn(|cx| outcome.poll_given_up(cx));
            let result = match select(negotiation, given_up).await {
                Either::Left((result, _)) => result,
                Either::Right(_) => Err(Error::Closed),
            };
            drop(attempt);
            outcome.resolve(result);
        };
        Some(run.boxed())
    }

    const fn is_dialling(&self) -> bool {
        self.dial.is_some() || self.opening || self.outbound.is_some()
    }
}

impl<B: Backend> Outcome<B> {
    fn poll_given_up(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self {
            Self::Dialled(reply) => reply.poll_canceled(cx),
            Self::Answered(..) => Poll::Pending,
        }
    }

    fn resolve(self, result: Result<Connection<B::Connection>, Error>) {
        match (self, result) {
            (Self::Dialled(reply), result) => answer_dial(reply, result),
            (Self::Answered(mut incoming, peer, address), Ok(connection)) => {
                // If there is no room it is dropped, which closes it: the remote notices.
                let _ = incoming.try_send(Incoming {
                    peer,
                    address,
                    connection,
                });
            }
            (Self::Answered(_, peer, _), Err(error)) => {
                tracing::debug!(%peer, %error, "no connection came of an offer");
            }
        }
    }
}

/// Whoever dialled may have given up.
fn answer_dial<T>(reply: oneshot::Sender<Result<T, Error>>, result: Result<T, Error>) {
    let _ = reply.send(result);
}

impl<B: Backend> fmt::Debug for Handler<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handler")
            .field("remote", &self.remote)
            .finish_non_exhaustive()
    }
}

impl<B: Backend> ConnectionHandler for Handler<B> {
    type FromBehaviour = Reply<B>;
    type ToBehaviour = Infallible;
    type InboundProtocol = ReadyUpgrade<StreamProtocol>;
    type OutboundProtocol = ReadyUpgrade<StreamProtocol>;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = Dial<B>;

    fn listen_protocol(&self) -> SubstreamProtocol<Self::InboundProtocol> {
        SubstreamProtocol::new(ReadyUpgrade::new(SIGNALLING_PROTOCOL), ())
    }

    fn connection_keep_alive(&self) -> bool {
        self.is_dialling() || self.inbound.is_some()
    }

    fn on_behaviour_event(&mut self, reply: Reply<B>) {
        if self.is_dialling() {
            return answer_dial(reply, Err(Error::Busy));
        }
        match self.glare.dial(self.remote) {
            Some(attempt) => self.dial = Some(Dial { reply, attempt }),
            None => answer_dial(reply, Err(Error::Glare)),
        }
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<ConnectionHandlerEvent<Self::OutboundProtocol, Dial<B>, Infallible>> {
        if let Some(dial) = self.dial.take() {
            self.opening = true;
            let protocol = SubstreamProtocol::new(ReadyUpgrade::new(SIGNALLING_PROTOCOL), dial);
            return Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest { protocol });
        }
        for attempt in [&mut self.inbound, &mut self.outbound] {
            if let Some(running) = attempt
                && running.poll_unpin(cx).is_ready()
            {
                *attempt = None;
            }
        }
        Poll::Pending
    }

    fn on_connection_event(
        &mut self,
        event: ConnectionEvent<'_, Self::InboundProtocol, Self::OutboundProtocol, (), Dial<B>>,
    ) {
        match event {
            ConnectionEvent::FullyNegotiatedInbound(inbound) => self.answer(inbound.protocol),
            ConnectionEvent::FullyNegotiatedOutbound(outbound) => {
                self.opening = false;
                self.offer(outbound.protocol, outbound.info);
            }
            ConnectionEvent::DialUpgradeError(failed) => {
                self.opening = false;
                let error = match failed.error {
                    StreamUpgradeError::NegotiationFailed => Error::Unsupported,
                    other => Error::Signalling(other.to_string()),
                };
                answer_dial(failed.info.reply, Err(error));
            }
            _ => {}
        }
    }
}
