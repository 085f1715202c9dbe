//! Negotiates msg's streams on one connection, and speaks the one-shot form.

mod oneshots;
#[cfg(test)]
mod tests;

use std::{
    collections::VecDeque,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures::FutureExt;
use futures_timer::Delay;
use libp2p::{
    Stream, StreamProtocol,
    core::upgrade::{ReadyUpgrade, SelectUpgrade},
    futures::future::Either,
    swarm::{
        ConnectionHandler, ConnectionHandlerEvent, ConnectionId, StreamUpgradeError,
        SubstreamProtocol,
        handler::{
            ConnectionEvent, DialUpgradeError, FullyNegotiatedInbound, FullyNegotiatedOutbound,
            ProtocolsChange,
        },
    },
};

use super::{
    MSG_PROTOCOL, ONESHOT_PROTOCOL,
    connection::{Connection, Reports},
    conversation::Conversation,
    messenger::Messenger,
    oneshot::{OneshotReceiver, OneshotSender},
};
use crate::path::Transport;
use crate::reason::{Cause, Reason};

/// The pause before a msg stream is opened again after a fault; it grows with each attempt.
const REOPEN_PAUSE: Duration = Duration::from_millis(500);
/// How often a connection's msg stream is opened again after a fault before the connection is left alone.
const MAX_STREAM_ATTEMPTS: u32 = 5;

/// What a handler reports to the behaviour.
#[derive(Debug)]
pub(crate) enum ToBehaviour {
    /// The path works: the remote answered on it, in this time if it was measured.
    Proven { rtt: Option<Duration> },
    /// The remote says hello on a new connection.
    Greeted,
    /// The path no longer works, or never did.
    Unproven { cause: Cause },
    /// The remote does not answer on the path: for a moment, or (`dead`) for too long.
    Silent { dead: bool },
    /// No message was carried for a while, and none is under way here.
    Drained,
    /// The remote has another name, or belongs to another room.
    Introduced,
    /// The remote left for good.
    Left,
}

/// What an outbound stream is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    Msg,
    Oneshot,
}

/// The handler of one connection.
///
/// It opens our msg stream as soon as identify says that the remote speaks msg, or its behaviour that it very likely does,
/// passes it to the driver, and opens another one when that breaks, [`MAX_STREAM_ATTEMPTS`] times in a row at most. An answer of the remote starts the
/// count again.
///
/// ```text
///             the remote speaks msg, or may  negotiated
///   Closed ------------------------> Opening -----------> Open
///     ^                                 ^  |               |
///     |                     REOPEN_PAUSE|  +-- refused --+ | the driver gave it up
///     |                                 |                v v
///     +---- MAX_STREAM_ATTEMPTS --------+------------- Waiting
/// ```
///
/// Streams of the remote go to the driver, and one-shot streams to [`OneshotReceiver`].
#[derive(Debug)]
pub(crate) struct Handler {
    conn: Arc<Connection>,
    remote_speaks_msg: bool,
    remote_speaks_oneshot: bool,
    outbound: OutboundState,
    /// Attempts to open our stream since it last worked.
    attempts: u32,
    oneshot_receiver: OneshotReceiver,
    /// Until a peer whose one-shot messages come too fast is read again.
    oneshot_pause: Option<Delay>,
    oneshot_sender: OneshotSender,
    pending: VecDeque<HandlerEvent>,
}

#[derive(Debug)]
enum OutboundState {
    Closed,
    Opening,
    Open,
    Waiting(Delay),
}

type HandlerEvent = ConnectionHandlerEvent<ReadyUpgrade<StreamProtocol>, Purpose, ToBehaviour>;

impl Handler {
    pub(crate) fn new(
        id: ConnectionId,
        transport: Transport,
        messenger: Arc<Messenger>,
        conversation: Arc<Conversation>,
    ) -> Self {
        let conn = Arc::new(Connection::new(id, transport, messenger, conversation));
        conn.messenger.drivers.add(&conn);
        Self {
            conn,
            remote_speaks_msg: false,
            remote_speaks_oneshot: false,
            outbound: OutboundState::Closed,
            attempts: 0,
            oneshot_receiver: OneshotReceiver::default(),
            oneshot_pause: None,
            oneshot_sender: OneshotSender::default(),
            pending: VecDeque::new(),
        }
    }

    fn notify(&mut self, event: ToBehaviour) {
        self.pending
            .push_back(ConnectionHandlerEvent::NotifyBehaviour(event));
    }

    fn request(&mut self, purpose: Purpose) {
        let protocol = match purpose {
            Purpose::Msg => MSG_PROTOCOL,
            Purpose::Oneshot => ONESHOT_PROTOCOL,
        };
        self.pending
            .push_back(ConnectionHandlerEvent::OutboundSubstreamRequest {
                protocol: SubstreamProtocol::new(ReadyUpgrade::new(protocol), purpose),
            });
    }

    /// Takes in what the drivers report.
    fn poll_drivers(&mut self, cx: &Context<'_>) {
        let Reports {
            answered,
            greeted,
            silent,
            outbound_ended,
            dead,
            drained,
            introduced,
            left,
        } = self.conn.take_reports(cx);
        if answered.is_some() {
            self.attempts = 0;
            self.notify(ToBehaviour::Proven { rtt: answered });
        }
        if greeted {
            self.on_hello();
        }
        if let Some(cause) = outbound_ended {
            self.outbound_failed(cause);
        }
        if silent || dead {
            self.notify(ToBehaviour::Silent { dead });
        }
        if drained {
            self.notify(ToBehaviour::Drained);
        }
        if introduced {
            self.notify(ToBehaviour::Introduced);
        }
        if left {
            self.notify(ToBehaviour::Left);
        }
    }

    fn poll_retry(&mut self, cx: &mut Context<'_>) {
        if let OutboundState::Waiting(delay) = &mut self.outbound
            && delay.poll_unpin(cx).is_ready()
        {
            self.open_outbound();
        }
    }

    /// Opens our msg stream without waiting for identify's word.
    pub(crate) fn open_outbound(&mut self) {
        self.outbound = OutboundState::Opening;
        self.request(Purpose::Msg);
    }

    /// Who says hello speaks msg, and can be answered.
    fn on_hello(&mut self) {
        self.notify(ToBehaviour::Greeted);
        self.remote_speaks_msg = true;
        if matches!(self.outbound, OutboundState::Closed) && self.attempts == 0 {
            self.open_outbound();
        }
    }

    fn outbound_failed(&mut self, cause: Cause) {
        self.attempts += 1;
        self.outbound = if self.remote_speaks_msg && self.attempts < MAX_STREAM_ATTEMPTS {
            OutboundState::Waiting(Delay::new(REOPEN_PAUSE * self.attempts))
        } else {
            OutboundState::Closed
        };
        // Who speaks only the one-shot form refuses the stream that was opened before that was known: nothing is lost.
        if self.remote_speaks_msg || !self.remote_speaks_oneshot {
            self.notify(ToBehaviour::Unproven { cause });
        }
    }

    fn on_remote_protocols(&mut self, change: &ProtocolsChange<'_>) {
        let (protocols, added): (Vec<_>, _) = match change {
            ProtocolsChange::Added(added) => (added.clone().collect(), true),
            ProtocolsChange::Removed(removed) => (removed.clone().collect(), false),
        };
        if protocols.contains(&&MSG_PROTOCOL) {
            self.remote_speaks_msg = added;
        }
        if protocols.contains(&&ONESHOT_PROTOCOL) {
            self.remote_speaks_oneshot = added;
        }
        self.act_on_protocols();
    }

    fn act_on_protocols(&mut self) {
        if self.remote_speaks_msg && matches!(self.outbound, OutboundState::Closed) {
            self.open_outbound();
        }
        let oneshots_only = self.remote_speaks_oneshot && !self.remote_speaks_msg;
        self.conn.set_oneshots_only(oneshots_only);
        if oneshots_only {
            self.notify(ToBehaviour::Proven { rtt: None });
        }
    }

    fn on_outbound_stream(&mut self, stream: Stream, purpose: Purpose) {
        match purpose {
            Purpose::Msg => {
                self.outbound = OutboundState::Open;
                self.conn.outbound.put(stream);
            }
            Purpose::Oneshot => self.oneshot_sender.opened(stream),
        }
    }

    fn on_no_outbound_stream(&mut self, purpose: Purpose, cause: Cause) {
        match purpose {
            Purpose::Msg => self.outbound_failed(cause),
            Purpose::Oneshot => {
                self.oneshot_sender.failed();
                let conversation = self.conn.conversation.clone();
                self.oneshot_done(&mut conversation.lock(), Err(cause));
            }
        }
    }

    fn on_inbound_stream(&mut self, stream: Either<Stream, Stream>) {
        match stream {
            Either::Left(stream) => self.conn.inbound.put(stream),
            Either::Right(stream) => {
                if !self.oneshot_receiver.push(stream) {
                    let fault = std::io::Error::other("too many at a time");
                    self.conn.fault("its one-shot stream", &fault);
                }
            }
        }
    }
}

impl ConnectionHandler for Handler {
    type FromBehaviour = std::convert::Infallible;
    type ToBehaviour = ToBehaviour;
    type InboundProtocol =
        SelectUpgrade<ReadyUpgrade<StreamProtocol>, ReadyUpgrade<StreamProtocol>>;
    type OutboundProtocol = ReadyUpgrade<StreamProtocol>;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = Purpose;

    fn listen_protocol(&self) -> SubstreamProtocol<Self::InboundProtocol> {
        let msg = ReadyUpgrade::new(MSG_PROTOCOL);
        let oneshot = ReadyUpgrade::new(ONESHOT_PROTOCOL);
        SubstreamProtocol::new(SelectUpgrade::new(msg, oneshot), ())
    }

    fn on_behaviour_event(&mut self, event: Self::FromBehaviour) {
        match event {}
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<HandlerEvent> {
        if self.pending.is_empty() {
            self.poll_drivers(cx);
            self.poll_retry(cx);
            self.poll_oneshot_receiver(cx);
            self.poll_oneshot_sender(cx);
        }
        match self.pending.pop_front() {
            Some(event) => Poll::Ready(event),
            None => Poll::Pending,
        }
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
        match event {
            ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound {
                protocol, ..
            }) => self.on_inbound_stream(protocol),
            ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound {
                protocol,
                info,
            }) => self.on_outbound_stream(protocol, info),
            ConnectionEvent::DialUpgradeError(DialUpgradeError { info, error }) => {
                let code = match &error {
                    StreamUpgradeError::NegotiationFailed => Reason::Incompatible,
                    StreamUpgradeError::Timeout => Reason::NoAnswer,
                    _ => Reason::ConnectionClosed,
                };
                self.on_no_outbound_stream(info, Cause::new(code, error.to_string()));
            }
            ConnectionEvent::RemoteProtocolsChange(change) => self.on_remote_protocols(&change),
            _ => {}
        }
    }
}

impl Drop for Handler {
    fn drop(&mut self) {
        self.conn.close();
    }
}
