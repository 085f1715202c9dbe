//! DCUtR on one circuit: candidates are exchanged, and the moment to dial agreed on.
//!
//! Specification: <https://github.com/libp2p/specs/blob/master/relay/DCUtR.md>
//!
//! Beside it, with the circuit's first data, the early exchange of docs/protocol.md: candidates one way and back.

use std::{
    collections::VecDeque,
    io,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures::{AsyncWriteExt, FutureExt};
use futures_bounded::FuturesSet;
use futures_timer::Delay;
use libp2p::{
    Multiaddr, Stream, StreamProtocol,
    core::upgrade::ReadyUpgrade,
    swarm::{
        ConnectionHandler, ConnectionHandlerEvent, StreamUpgradeError, SubstreamProtocol,
        handler::{ConnectionEvent, FullyNegotiatedInbound, FullyNegotiatedOutbound},
    },
};
use prost::Message;
use web_time::Instant;

use super::candidates::Candidates;
use crate::protocols::wire;

const PROTOCOL: StreamProtocol = StreamProtocol::new("/libp2p/dcutr");
const EARLY_PROTOCOL: StreamProtocol = StreamProtocol::new("/punchline/punch/1.0.0");
/// As the specification has it.
const MAX_MESSAGE_BYTES: usize = 4 * 1024;
/// The whole exchange takes one and a half round trips.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Exchanges of one circuit at a time: the running one, and the next.
const MAX_EXCHANGES: usize = 2;

/// Who is who on a circuit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// Was dialled through the relay, and begins.
    Initiator,
    /// Dialled, and answers.
    Responder,
}

/// What a stream that we open is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exchange {
    Dcutr,
    Early,
}

/// How an exchange ended.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// Now is the moment.
    Agreed {
        /// What we offered.
        ours: Vec<Multiaddr>,
        /// What the peer offered.
        theirs: Vec<Multiaddr>,
    },
    /// Each side has the other's candidates, the initiator half a round trip before the responder: its packets over UDP have
    /// opened its NAT when the responder dials.
    Early {
        /// What we offered.
        ours: Vec<Multiaddr>,
        /// What the peer offered.
        theirs: Vec<Multiaddr>,
    },
    /// There was no agreement.
    Failed(String),
}

/// Runs exchanges on one circuit.
pub(crate) struct Handler {
    role: Role,
    candidates: Arc<Candidates>,
    to_open: u8,
    exchanges: FuturesSet<io::Result<Outcome>>,
    /// The early exchange is to begin (the responder's), or may come (the initiator's): once a circuit.
    early_due: bool,
    early: FuturesSet<io::Result<Outcome>>,
    outcomes: VecDeque<Outcome>,
}

impl Handler {
    /// `early`: this is the first way to the peer, so a responder begins at once.
    pub(super) fn new(role: Role, candidates: Arc<Candidates>, early: bool) -> Self {
        let timer = || futures_bounded::Delay::futures_timer(TIMEOUT);
        Self {
            role,
            candidates,
            to_open: 0,
            exchanges: FuturesSet::new(timer, MAX_EXCHANGES),
            early_due: early || role == Role::Initiator,
            early: FuturesSet::new(timer, 1),
            outcomes: VecDeque::new(),
        }
    }

    fn begin(&mut self, stream: Stream) {
        let candidates = self.candidates.clone();
        let exchange = match self.role {
            Role::Initiator => initiate(stream, candidates).boxed(),
            Role::Responder => respond(stream, candidates).boxed(),
        };
        // One too many is dropped, and its stream with it.
        let _ = self.exchanges.try_push(exchange);
    }

    /// The responder offers, the initiator answers.
    fn begin_early(&mut self, stream: Stream) {
        let candidates = self.candidates.clone();
        let exchange = match self.role {
            Role::Responder => offer(stream, candidates).boxed(),
            Role::Initiator if !std::mem::take(&mut self.early_due) => return,
            Role::Initiator => accept(stream, candidates).boxed(),
        };
        let _ = self.early.try_push(exchange);
    }

    fn failed(&mut self, reason: String) {
        self.outcomes.push_back(Outcome::Failed(reason));
    }
}

impl ConnectionHandler for Handler {
    type FromBehaviour = ();
    type ToBehaviour = Outcome;
    type InboundProtocol = ReadyUpgrade<StreamProtocol>;
    type OutboundProtocol = ReadyUpgrade<StreamProtocol>;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = Exchange;

    fn listen_protocol(&self) -> SubstreamProtocol<Self::InboundProtocol> {
        let protocol = match self.role {
            Role::Responder => PROTOCOL,
            Role::Initiator => EARLY_PROTOCOL,
        };
        SubstreamProtocol::new(ReadyUpgrade::new(protocol), ())
    }

    fn connection_keep_alive(&self) -> bool {
        self.to_open > 0 || !self.exchanges.is_empty() || !self.early.is_empty()
    }

    fn on_behaviour_event(&mut self, (): ()) {
        self.to_open = 1;
    }

    fn on_connection_event(
        &mut self,
        event: ConnectionEvent<'_, Self::InboundProtocol, Self::OutboundProtocol, (), Exchange>,
    ) {
        match event {
            ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound {
                protocol: stream,
                ..
            }) => match self.role {
                Role::Responder => self.begin(stream),
                Role::Initiator => self.begin_early(stream),
            },
            ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound {
                protocol: stream,
                info,
            }) => match info {
                Exchange::Dcutr => self.begin(stream),
                Exchange::Early => self.begin_early(stream),
            },
            // Then it speaks only DCUtR, and begins.
            ConnectionEvent::DialUpgradeError(e) if e.info == Exchange::Early => {}
            ConnectionEvent::DialUpgradeError(e) => self.failed(match e.error {
                StreamUpgradeError::NegotiationFailed => "it does not speak DCUtR".into(),
                StreamUpgradeError::Timeout => "it does not answer".into(),
                StreamUpgradeError::Io(e) => e.to_string(),
                StreamUpgradeError::Apply(never) => match never {},
            }),
            _ => {}
        }
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<ConnectionHandlerEvent<Self::OutboundProtocol, Exchange, Outcome>> {
        if let Some(outcome) = self.outcomes.pop_front() {
            return Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(outcome));
        }
        if std::mem::take(&mut self.to_open) > 0 {
            return Poll::Ready(open(PROTOCOL, Exchange::Dcutr));
        }
        if self.role == Role::Responder && std::mem::take(&mut self.early_due) {
            return Poll::Ready(open(EARLY_PROTOCOL, Exchange::Early));
        }
        // One that fails is no news: DCUtR follows.
        while let Poll::Ready(ended) = self.early.poll_unpin(cx) {
            if let Ok(Ok(outcome)) = ended {
                return Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(outcome));
            }
        }
        self.exchanges.poll_unpin(cx).map(|ended| {
            let outcome = match ended {
                Ok(Ok(outcome)) => outcome,
                Ok(Err(e)) => Outcome::Failed(e.to_string()),
                Err(timeout) => Outcome::Failed(timeout.to_string()),
            };
            ConnectionHandlerEvent::NotifyBehaviour(outcome)
        })
    }
}

fn open(
    protocol: StreamProtocol,
    info: Exchange,
) -> ConnectionHandlerEvent<ReadyUpgrade<StreamProtocol>, Exchange, Outcome> {
    let protocol = SubstreamProtocol::new(ReadyUpgrade::new(protocol), info);
    ConnectionHandlerEvent::OutboundSubstreamRequest { protocol }
}

async fn offer(mut stream: Stream, candidates: Arc<Candidates>) -> io::Result<Outcome> {
    let ours = candidates.to_offer();
    send(&mut stream, &HolePunch::connect(&ours)).await?;
    let theirs = receive(&mut stream, Kind::Connect).await?.addresses();
    Ok(Outcome::Early { ours, theirs })
}

async fn accept(mut stream: Stream, candidates: Arc<Candidates>) -> io::Result<Outcome> {
    let theirs = receive(&mut stream, Kind::Connect).await?.addresses();
    let ours = candidates.to_offer();
    send(&mut stream, &HolePunch::connect(&ours)).await?;
    // Not reset: what was sent is to be read.
    stream.close().await?;
    Ok(Outcome::Early { ours, theirs })
}

async fn initiate(mut stream: Stream, candidates: Arc<Candidates>) -> io::Result<Outcome> {
    let ours = candidates.to_offer();
    send(&mut stream, &HolePunch::connect(&ours)).await?;
    let sent = Instant::now();
    let theirs = receive(&mut stream, Kind::Connect).await?.addresses();
    let rtt = sent.elapsed();
    send(&mut stream, &HolePunch::sync()).await?;
    // By then the other side has read it, and dials as well.
    Delay::new(rtt / 2).await;
    Ok(Outcome::Agreed { ours, theirs })
}

async fn respond(mut stream: Stream, candidates: Arc<Candidates>) -> io::Result<Outcome> {
    let theirs = receive(&mut stream, Kind::Connect).await?.addresses();
    let ours = candidates.to_offer();
    send(&mut stream, &HolePunch::connect(&ours)).await?;
    receive(&mut stream, Kind::Sync).await?;
    Ok(Outcome::Agreed { ours, theirs })
}

async fn send(stream: &mut Stream, message: &HolePunch) -> io::Result<()> {
    stream
        .write_all(&message.encode_length_delimited_to_vec())
        .await?;
    stream.flush().await
}

async fn receive(stream: &mut Stream, wanted: Kind) -> io::Result<HolePunch> {
    let message: HolePunch = wire::read(stream, MAX_MESSAGE_BYTES).await?;
    if message.kind == i32::from(wanted) {
        return Ok(message);
    }
    let kind = message.kind;
    let error = format!("message of kind {kind} where {wanted:?} was due");
    Err(io::Error::new(io::ErrorKind::InvalidData, error))
}

#[derive(Clone, PartialEq, Eq, Message)]
struct HolePunch {
    #[prost(enumeration = "Kind", required, tag = "1")]
    kind: i32,
    #[prost(bytes = "vec", repeated, tag = "2")]
    addresses: Vec<Vec<u8>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
enum Kind {
    Connect = 100,
    Sync = 300,
}

impl HolePunch {
    fn connect(addresses: &[Multiaddr]) -> Self {
        Self {
            kind: Kind::Connect.into(),
            addresses: addresses.iter().map(Multiaddr::to_vec).collect(),
        }
    }

    fn sync() -> Self {
        Self {
            kind: Kind::Sync.into(),
            addresses: Vec::new(),
        }
    }

    /// Returns the addresses that make sense.
    fn addresses(self) -> Vec<Multiaddr> {
        let all = self.addresses.into_iter();
        all.filter_map(|bytes| bytes.try_into().ok()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_bytes() {
        let address: Multiaddr = "/ip4/1.2.3.4/tcp/5".parse().unwrap();
        let connect = HolePunch::connect(std::slice::from_ref(&address));
        let bytes = [0x08, 100, 0x12, 8, 4, 1, 2, 3, 4, 6, 0, 5];
        assert_eq!(connect.encode_to_vec(), bytes);
        assert_eq!(HolePunch::sync().encode_to_vec(), [0x08, 0xac, 0x02]);
        let decoded = HolePunch::decode(&bytes[..]).unwrap();
        assert_eq!(decoded.addresses(), [address]);
    }

    #[test]
    fn addresses_that_make_no_sense_are_left_out() {
        let message = HolePunch {
            kind: Kind::Connect.into(),
            addresses: vec![vec![0xff; 9], vec![4, 1]],
        };
        assert_eq!(message.addresses(), []);
    }
}
