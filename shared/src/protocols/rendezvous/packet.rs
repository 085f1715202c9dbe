//! What both sides send: one packet as a question, one as its answer.

use std::{io, time::Duration};

use futures::{AsyncRead, AsyncWrite};
use libp2p::{
    StreamProtocol,
    core::{PeerRecord, SignedEnvelope},
    request_response as rr,
};
use prost::Message;

use crate::protocols::wire;

/// The largest answer of a rendezvous point, as libp2p's own server limits it.
pub(super) const MAX_RENDEZVOUS_BYTES: usize = 1024 * 1024;
/// The largest question to one: a record of [`MAX_RECORD_BYTES`], and the rest.
pub(super) const MAX_RENDEZVOUS_REQUEST_BYTES: usize = MAX_RECORD_BYTES + 1024;
/// The largest signed peer record that a rendezvous point keeps. One of sixteen circuit addresses has 2 KiB.
pub(super) const MAX_RECORD_BYTES: usize = 8 * 1024;
/// How long a rendezvous point may take for an answer.
pub(super) const RENDEZVOUS_TIMEOUT: Duration = Duration::from_secs(10);

pub(super) const PROTOCOL: StreamProtocol = StreamProtocol::new("/rendezvous/1.0.0");

/// The most records, and bytes of them, that come with a word of news; who is not told more asks.
pub(super) const MAX_NEWS: usize = 8;
pub(super) const MAX_NEWS_BYTES: usize = 8 * 1024;

/// What a rendezvous point tells its clients by: who has come, or that it is worth to ask again. docs/protocol.md has it.
pub(super) const NEWS_PROTOCOL: StreamProtocol =
    StreamProtocol::new("/punchline/rendezvous-news/1.0.0");

/// Every message of the protocol, requests and answers. Opaque to whoever carries it.
#[derive(Clone, PartialEq, Message)]
pub struct Packet {
    #[prost(enumeration = "Kind", optional, tag = "1")]
    pub(super) kind: Option<i32>,
    #[prost(message, optional, tag = "2")]
    pub(super) register: Option<Register>,
    #[prost(message, optional, tag = "3")]
    pub(super) register_response: Option<RegisterResponse>,
    #[prost(message, optional, tag = "4")]
    pub(super) unregister: Option<Unregister>,
    #[prost(message, optional, tag = "5")]
    pub(super) discover: Option<Discover>,
    #[prost(message, optional, tag = "6")]
    pub(super) discover_response: Option<DiscoverResponse>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub(super) enum Kind {
    Register = 0,
    RegisterResponse = 1,
    Unregister = 2,
    Discover = 3,
    DiscoverResponse = 4,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct Register {
    #[prost(string, optional, tag = "1")]
    pub(super) namespace: Option<String>,
    #[prost(bytes = "vec", optional, tag = "2")]
    pub(super) record: Option<Vec<u8>>,
    #[prost(uint64, optional, tag = "3")]
    pub(super) ttl: Option<u64>,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct RegisterResponse {
    #[prost(int32, optional, tag = "1")]
    pub(super) status: Option<i32>,
    #[prost(uint64, optional, tag = "3")]
    pub(super) ttl: Option<u64>,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct Unregister {
    #[prost(string, optional, tag = "1")]
    pub(super) namespace: Option<String>,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct Discover {
    #[prost(string, optional, tag = "1")]
    pub(super) namespace: Option<String>,
    #[prost(uint64, optional, tag = "2")]
    pub(super) limit: Option<u64>,
    #[prost(bytes = "vec", optional, tag = "3")]
    pub(super) cookie: Option<Vec<u8>>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct DiscoverResponse {
    #[prost(message, repeated, tag = "1")]
    pub(super) registrations: Vec<Register>,
    #[prost(bytes = "vec", optional, tag = "2")]
    pub(super) cookie: Option<Vec<u8>>,
    #[prost(int32, optional, tag = "3")]
    pub(super) status: Option<i32>,
}

/// What a rendezvous point says to a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub(super) enum Status {
    Ok = 0,
    InvalidNamespace = 100,
    InvalidRecord = 101,
    InvalidTtl = 102,
    InvalidCookie = 103,
    NotAuthorized = 200,
    InternalError = 300,
    Unavailable = 400,
}

/// Reads and writes packets.
#[derive(Debug, Clone, Copy)]
pub struct Codec;

impl rr::Codec for Codec {
    type Protocol = StreamProtocol;
    type Request = Packet;
    type Response = Packet;

    async fn read_request<T>(&mut self, _: &StreamProtocol, stream: &mut T) -> io::Result<Packet>
    where
        T: AsyncRead + Unpin + Send,
    {
        wire::read(stream, MAX_RENDEZVOUS_REQUEST_BYTES).await
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
        wire::write(stream, packet).await
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
        wire::write(stream, packet).await
    }
}

/// Returns what a peer signed, in either form: the standard one, or the older one of rust-libp2p.
pub(super) fn read_record(bytes: &[u8]) -> Option<PeerRecord> {
    let envelope = SignedEnvelope::from_protobuf_encoding(bytes).ok()?;
    PeerRecord::from_signed_envelope(envelope.clone())
        .or_else(|_| PeerRecord::from_signed_envelope_interop(envelope))
        .ok()
}
