//! What happens on one connection: requests of its peer, and calls to it.
//!
//! ```text
//!   peer ── HOP: RESERVE or CONNECT ──► Request ──► behaviour ──► answer ──► STATUS
//!                                                                   │
//!   callee ◄── STOP: CONNECT, STATUS ◄── In::Call ◄── behaviour ◄───┘ of a CONNECT, which then becomes a circuit
//! ```

use std::{
    collections::VecDeque,
    io,
    task::{Context, Poll},
    time::Duration,
};

use futures::{
    FutureExt, SinkExt, StreamExt,
    channel::{mpsc, oneshot},
    future::BoxFuture,
    stream::FuturesUnordered,
};
use libp2p::{
    PeerId, Stream, StreamProtocol,
    core::upgrade::ReadyUpgrade,
    swarm::{
        ConnectionHandler, ConnectionHandlerEvent, SubstreamProtocol,
        handler::{
            ConnectionEvent, DialUpgradeError, FullyNegotiatedInbound, FullyNegotiatedOutbound,
        },
    },
};
use punchline::protocols::wire;
use tokio::time;

use super::{
    circuit::{self, Grant},
    messages::{HOP, HopMessage, HopType, Limit, MAX_MESSAGE_BYTES, STOP, Status, StopMessage},
};

/// Requests of one connection under way: twice what one of our peers asks for at a time. More are reset.
const MAX_REQUESTS: usize = 64;
/// Calls of one connection that wait for their answer: libp2p-relay 0.22.0 takes ten at a time, and drops any more. The
/// others wait their turn.
const MAX_CALLS: usize = 8;
/// How long a request may take to come, and its answer to be read.
const MESSAGE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a callee may take to answer a call.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);

/// What a peer asks.
#[derive(Debug)]
pub(crate) enum Request {
    Reserve(oneshot::Sender<HopMessage>),
    Connect(PeerId, oneshot::Sender<Result<Granted, Status>>),
}

/// A circuit that may be, once its callee has answered.
#[derive(Debug)]
pub(crate) struct Granted {
    pub(super) grant: Grant,
    pub(super) limit: Limit,
    pub(super) callee: oneshot::Receiver<Result<Stream, Status>>,
}

/// What the behaviour has to say.
#[derive(Debug)]
pub(crate) enum In {
    /// Somebody calls.
    Call(Call),
    /// The connection has a reservation, or no longer.
    Reserved(bool),
}

#[derive(Debug)]
pub(crate) struct Call {
    pub(super) from: PeerId,
    pub(super) limit: Limit,
    pub(super) answer: oneshot::Sender<Result<Stream, Status>>,
}

pub(crate) struct Handler {
    requests: FuturesUnordered<BoxFuture<'static, io::Result<()>>>,
    /// Each request under way has sent one at most.
    asked: mpsc::Receiver<Request>,
    to_asked: mpsc::Sender<Request>,
    /// No more than one peer may have circuits.
    calls: VecDeque<Call>,
    calling: FuturesUnordered<BoxFuture<'static, ()>>,
    /// Streams for calls that have been asked for.
    opening: usize,
    /// A connection with a reservation is kept, whatever else happens on it.
    is_reserved: bool,
}

impl Handler {
    pub(super) fn new() -> Self {
        let (to_asked, asked) = mpsc::channel(MAX_REQUESTS);
        Self {
            requests: FuturesUnordered::new(),
            asked,
            to_asked,
            calls: VecDeque::new(),
            calling: FuturesUnordered::new(),
            opening: 0,
            is_reserved: false,
        }
    }
}

impl ConnectionHandler for Handler {
    type FromBehaviour = In;
    type ToBehaviour = Request;
    type InboundProtocol = ReadyUpgrade<StreamProtocol>;
    type OutboundProtocol = ReadyUpgrade<StreamProtocol>;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = Call;

    fn listen_protocol(&self) -> SubstreamProtocol<Self::InboundProtocol> {
        SubstreamProtocol::new(ReadyUpgrade::new(HOP), ())
    }

    fn connection_keep_alive(&self) -> bool {
        self.is_reserved
    }

    fn on_behaviour_event(&mut self, event: In) {
        match event {
            In::Call(call) => self.calls.push_back(call),
            In::Reserved(is_reserved) => self.is_reserved = is_reserved,
        }
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<ConnectionHandlerEvent<Self::OutboundProtocol, Call, Request>> {
        while let Poll::Ready(Some(())) = self.calling.poll_next_unpin(cx) {}
        if self.opening + self.calling.len() < MAX_CALLS
            && let Some(call) = self.calls.pop_front()
        {
            self.opening += 1;
            let protocol = SubstreamProtocol::new(ReadyUpgrade::new(STOP), call);
            let protocol = protocol.with_timeout(MESSAGE_TIMEOUT);
            return Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest { protocol });
        }
        while let Poll::Ready(Some(ended)) = self.requests.poll_next_unpin(cx) {
            if let Err(error) = ended {
                tracing::debug!(%error, "request to the relay");
            }
        }
        match self.asked.poll_next_unpin(cx) {
            Poll::Ready(Some(asked)) => Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(asked)),
            Poll::Ready(None) | Poll::Pending => Poll::Pending,
        }
    }

    fn on_connection_event(
        &mut self,
        event: ConnectionEvent<'_, Self::InboundProtocol, Self::OutboundProtocol, (), Call>,
    ) {
        match event {
            ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound {
                protocol: stream,
                ..
            }) if self.requests.len() < MAX_REQUESTS => {
                let request = serve(stream, self.to_asked.clone());
                self.requests.push(request.boxed());
            }
            ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound {
                protocol: stream,
                info: call,
            }) => {
                self.opening -= 1;
                self.calling.push(make(call, stream).boxed());
            }
            ConnectionEvent::DialUpgradeError(DialUpgradeError { info: call, .. }) => {
                self.opening -= 1;
                // An error means that the caller is gone.
                let _ = call.answer.send(Err(Status::ConnectionFailed));
            }
            _ => {}
        }
    }
}

impl std::fmt::Debug for Handler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Handler")
            .field("requests", &self.requests.len())
            .field("is_reserved", &self.is_reserved)
            .finish_non_exhaustive()
    }
}

/// Reads a request, has it decided, and answers it.
async fn serve(mut stream: Stream, mut to_asked: mpsc::Sender<Request>) -> io::Result<()> {
    let request = wire::read::<HopMessage>(&mut stream, MAX_MESSAGE_BYTES);
    let request = match in_time(request).await {
        Ok(request) => request,
        Err(e) if e.kind() == io::ErrorKind::InvalidData => {
            return answer(&mut stream, HopMessage::ending(Status::MalformedMessage)).await;
        }
        Err(e) => return Err(e),
    };
    match HopType::try_from(request.r#type) {
        Ok(HopType::Reserve) => {
            let (reply, decided) = oneshot::channel();
            ask(&mut to_asked, Request::Reserve(reply)).await?;
            let decided = decided.await.map_err(io::Error::other)?;
            answer(&mut stream, decided).await
        }
        Ok(HopType::Connect) => {
            let peer = request.peer.and_then(|p| PeerId::from_bytes(&p.id).ok());
            match peer {
                Some(peer) => connect(stream, to_asked, peer).await,
                None => answer(&mut stream, HopMessage::ending(Status::MalformedMessage)).await,
            }
        }
        Ok(HopType::Status) | Err(_) => {
            answer(&mut stream, HopMessage::ending(Status::UnexpectedMessage)).await
        }
    }
}

/// Makes a circuit of the stream if it may be one and its callee agrees.
async fn connect(
    mut stream: Stream,
    mut to_asked: mpsc::Sender<Request>,
    to: PeerId,
) -> io::Result<()> {
    let (reply, decided) = oneshot::channel();
    ask(&mut to_asked, Request::Connect(to, reply)).await?;
    let granted = match decided.await.map_err(io::Error::other)? {
        Ok(granted) => granted,
        Err(status) => return answer(&mut stream, HopMessage::ending(status)).await,
    };
    let callee = time::timeout(CALL_TIMEOUT, granted.callee).await;
    let callee = match callee {
        Ok(Ok(Ok(callee))) => callee,
        Ok(Ok(Err(status))) => return answer(&mut stream, HopMessage::ending(status)).await,
        // Silent, or gone meanwhile.
        Ok(Err(_)) | Err(_) => {
            return answer(&mut stream, HopMessage::ending(Status::ConnectionFailed)).await;
        }
    };
    let mut agreed = HopMessage::ending(Status::Ok);
    agreed.limit = Some(granted.limit);
    in_time(wire::send(&mut stream, agreed)).await?;
    tokio::spawn(circuit::run(stream, callee, granted.grant));
    Ok(())
}

async fn ask(to: &mut mpsc::Sender<Request>, request: Request) -> io::Result<()> {
    to.send(request).await.map_err(io::Error::other)
}

async fn answer(stream: &mut Stream, message: HopMessage) -> io::Result<()> {
    in_time(wire::write(stream, message)).await
}

/// Tells the callee that somebody calls, and passes on what it says.
async fn make(call: Call, mut stream: Stream) {
    let message = StopMessage::call(call.from, call.limit);
    let agreed = async {
        wire::send(&mut stream, message).await?;
        wire::read::<StopMessage>(&mut stream, MAX_MESSAGE_BYTES).await
    };
    let status = match time::timeout(CALL_TIMEOUT, agreed).await {
        Ok(Ok(answer)) => answer.answer(),
        Ok(Err(_)) | Err(_) => Status::ConnectionFailed,
    };
    let answer = match status {
        Status::Ok => Ok(stream),
        // What a callee may say for itself; all else is its fault, not the caller's.
        Status::ResourceLimitExceeded | Status::PermissionDenied => Err(status),
        _ => Err(Status::ConnectionFailed),
    };
    // An error means that the caller is gone.
    let _ = call.answer.send(answer);
}

async fn in_time<T>(work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    match time::timeout(MESSAGE_TIMEOUT, work).await {
        Ok(result) => result,
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    }
}
