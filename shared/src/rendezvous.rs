//! The client's side of libp2p's rendezvous protocol: register, unregister, discover.
//!
//! libp2p's own client adds an unchecked time to live from the wire to the clock, keeps a timer for
//! each registration it ever heard of, and reads only the peer records of rust-libp2p. This one
//! keeps nothing, and reads the standard ones too. The server at the other end is libp2p's.

use std::io;

use futures::{AsyncRead, AsyncWrite};
use libp2p::{
    Multiaddr, PeerId, StreamProtocol,
    core::{PeerRecord, SignedEnvelope},
    identity::Keypair,
    request_response::{self as rr, OutboundRequestId, ProtocolSupport},
};
use prost::Message;

use crate::{
    config::{MAX_ADDRESSES_PER_PEER, MAX_REGISTRATIONS, MAX_RENDEZVOUS_BYTES, RENDEZVOUS_TIMEOUT},
    session::Input,
    table::Table,
    wire,
};

const PROTOCOL: StreamProtocol = StreamProtocol::new("/rendezvous/1.0.0");

/// The behaviour.
pub(crate) type Behaviour = rr::Behaviour<Codec>;
/// Its events.
pub(crate) type Event = rr::Event<Packet, Packet>;

pub(crate) fn new() -> Behaviour {
    let config = rr::Config::default().with_request_timeout(RENDEZVOUS_TIMEOUT);
    Behaviour::with_codec(Codec, [(PROTOCOL, ProtocolSupport::Outbound)], config)
}

/// What has been asked of rendezvous points, and what their answers mean.
#[derive(Debug)]
pub(crate) struct Client {
    namespace: String,
    asked: Table<OutboundRequestId, Question>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Question {
    Register,
    Discover,
}

impl Client {
    pub(crate) fn new(namespace: String) -> Self {
        Self {
            namespace,
            asked: Table::new(),
        }
    }

    /// Registers these addresses for the rendezvous point's default time.
    pub(crate) fn register(
        &mut self,
        behaviour: &mut Behaviour,
        key: &Keypair,
        addresses: Vec<Multiaddr>,
        relay: PeerId,
    ) -> Result<(), String> {
        if addresses.is_empty() {
            return Err("no address of ours is known yet".into());
        }
        let record = PeerRecord::new(key, addresses).map_err(|e| e.to_string())?;
        let packet = Packet {
            kind: Some(Kind::Register as i32),
            register: Some(Register {
                namespace: Some(self.namespace.clone()),
                record: Some(record.into_signed_envelope().into_protobuf_encoding()),
                ttl: None,
            }),
            ..Packet::default()
        };
        let id = behaviour.send_request(&relay, packet);
        self.asked.insert(id, Question::Register);
        Ok(())
    }

    /// Takes our registration back. There is no answer to this.
    pub(crate) fn unregister(&self, behaviour: &mut Behaviour, relay: PeerId) {
        let packet = Packet {
            kind: Some(Kind::Unregister as i32),
            unregister: Some(Unregister {
                namespace: Some(self.namespace.clone()),
            }),
            ..Packet::default()
        };
        behaviour.send_request(&relay, packet);
    }

    /// Asks who has registered since the cookie was given.
    pub(crate) fn discover(
        &mut self,
        behaviour: &mut Behaviour,
        cookie: Option<Vec<u8>>,
        relay: PeerId,
    ) {
        let packet = Packet {
            kind: Some(Kind::Discover as i32),
            discover: Some(Discover {
                namespace: Some(self.namespace.clone()),
                limit: Some(MAX_REGISTRATIONS as u64),
                cookie,
            }),
            ..Packet::default()
        };
        let id = behaviour.send_request(&relay, packet);
        self.asked.insert(id, Question::Discover);
    }

    /// What an event means for the session.
    pub(crate) fn on_event(&mut self, event: Event) -> Option<Input> {
        match event {
            rr::Event::Message {
                peer,
                message:
                    rr::Message::Response {
                        request_id,
                        response,
                    },
                ..
            } => {
                let question = self.asked.remove(&request_id)?;
                Some(question.answered(peer, response, &self.namespace))
            }
            rr::Event::OutboundFailure {
                peer,
                request_id,
                error,
                ..
            } => {
                let question = self.asked.remove(&request_id)?;
                // No answer is the session's to notice: it has a clock, and may have asked again.
                let none = matches!(
                    error,
                    rr::OutboundFailure::Timeout | rr::OutboundFailure::ConnectionClosed
                );
                (!none).then(|| question.failed(peer, error.to_string()))
            }
            _ => None,
        }
    }
}

impl Question {
    fn answered(self, relay: PeerId, packet: Packet, namespace: &str) -> Input {
        match (self, packet.register_response, packet.discover_response) {
            (Self::Register, Some(answer), _) => match refusal(answer.status) {
                None => Input::Registered {
                    relay,
                    ttl: answer.ttl.unwrap_or_default(),
                },
                Some(reason) => self.failed(relay, reason),
            },
            (Self::Discover, _, Some(answer)) => match refusal(answer.status) {
                None => Input::Discovered {
                    relay,
                    peers: read_registrations(relay, answer.registrations, namespace),
                    cookie: answer.cookie.unwrap_or_default(),
                },
                Some(reason) => self.failed(relay, reason),
            },
            _ => self.failed(relay, "it answered something else".into()),
        }
    }

    fn failed(self, relay: PeerId, reason: String) -> Input {
        match self {
            Self::Register => Input::RegisterFailed { relay, reason },
            Self::Discover => Input::DiscoverFailed { relay, reason },
        }
    }
}

/// The registrations that are signed by the peers they are of; the others are left out.
fn read_registrations(
    relay: PeerId,
    registrations: Vec<Register>,
    namespace: &str,
) -> Vec<(PeerId, Vec<Multiaddr>)> {
    registrations
        .into_iter()
        .take(MAX_REGISTRATIONS)
        .filter(|registration| registration.namespace.as_deref() == Some(namespace))
        .filter_map(|registration| {
            let record = read_record(&registration.record.unwrap_or_default());
            if record.is_none() {
                tracing::debug!(%relay, "a registration without a valid peer record");
            }
            let record = record?;
            let addresses = record.addresses().iter().take(MAX_ADDRESSES_PER_PEER);
            Some((record.peer_id(), addresses.cloned().collect()))
        })
        .collect()
}

fn read_record(bytes: &[u8]) -> Option<PeerRecord> {
    let envelope = SignedEnvelope::from_protobuf_encoding(bytes).ok()?;
    PeerRecord::from_signed_envelope(envelope.clone())
        .or_else(|_| PeerRecord::from_signed_envelope_interop(envelope))
        .ok()
}

/// Why a rendezvous point refused, in words; `None` when it did not.
fn refusal(status: Option<i32>) -> Option<String> {
    let reason = match status {
        Some(0) => return None,
        Some(100) => "it does not allow this namespace",
        Some(101) => "it does not accept our peer record",
        Some(102) => "it does not allow this time to live",
        Some(103) => "it does not know the cookie",
        Some(200) => "it does not allow us to",
        Some(300) => "it has an internal error",
        Some(400) => "it has no room",
        Some(other) => return Some(format!("it answered with the unknown status {other}")),
        None => "it answered without a status",
    };
    Some(reason.into())
}

/// Every message of the protocol, requests and answers.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Packet {
    #[prost(enumeration = "Kind", optional, tag = "1")]
    kind: Option<i32>,
    #[prost(message, optional, tag = "2")]
    register: Option<Register>,
    #[prost(message, optional, tag = "3")]
    register_response: Option<RegisterResponse>,
    #[prost(message, optional, tag = "4")]
    unregister: Option<Unregister>,
    #[prost(message, optional, tag = "5")]
    discover: Option<Discover>,
    #[prost(message, optional, tag = "6")]
    discover_response: Option<DiscoverResponse>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
enum Kind {
    Register = 0,
    RegisterResponse = 1,
    Unregister = 2,
    Discover = 3,
    DiscoverResponse = 4,
}

#[derive(Clone, PartialEq, Eq, Message)]
struct Register {
    #[prost(string, optional, tag = "1")]
    namespace: Option<String>,
    #[prost(bytes = "vec", optional, tag = "2")]
    record: Option<Vec<u8>>,
    #[prost(uint64, optional, tag = "3")]
    ttl: Option<u64>,
}

#[derive(Clone, PartialEq, Eq, Message)]
struct RegisterResponse {
    #[prost(int32, optional, tag = "1")]
    status: Option<i32>,
    #[prost(uint64, optional, tag = "3")]
    ttl: Option<u64>,
}

#[derive(Clone, PartialEq, Eq, Message)]
struct Unregister {
    #[prost(string, optional, tag = "1")]
    namespace: Option<String>,
}

#[derive(Clone, PartialEq, Eq, Message)]
struct Discover {
    #[prost(string, optional, tag = "1")]
    namespace: Option<String>,
    #[prost(uint64, optional, tag = "2")]
    limit: Option<u64>,
    #[prost(bytes = "vec", optional, tag = "3")]
    cookie: Option<Vec<u8>>,
}

#[derive(Clone, PartialEq, Message)]
struct DiscoverResponse {
    #[prost(message, repeated, tag = "1")]
    registrations: Vec<Register>,
    #[prost(bytes = "vec", optional, tag = "2")]
    cookie: Option<Vec<u8>>,
    #[prost(int32, optional, tag = "3")]
    status: Option<i32>,
}

/// Reads and writes packets.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Codec;

impl rr::Codec for Codec {
    type Protocol = StreamProtocol;
    type Request = Packet;
    type Response = Packet;

    async fn read_request<T>(&mut self, _: &StreamProtocol, stream: &mut T) -> io::Result<Packet>
    where
        T: AsyncRead + Unpin + Send,
    {
        wire::read(stream, MAX_RENDEZVOUS_BYTES).await
    }

    async fn read_response<T>(&mut self, _: &StreamProtocol, stream: &mut T) -> io::Result<Packet>
    where
        T: AsyncRead + Unpin + Send,
    {
        wire::read(stream, MAX_RENDEZVOUS_BYTES).await
    }

    async fn write_request<T>(
        &mut self,
        _: &StreamProtocol,
        stream: &mut T,
        packet: Packet,
    ) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        wire::write(stream, &packet).await
    }

    async fn write_response<T>(
        &mut self,
        _: &StreamProtocol,
        stream: &mut T,
        packet: Packet,
    ) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        wire::write(stream, &packet).await
    }
}
