//! The greet protocol: a greeting, answered by one that says where the greeter is seen.
//!
//! docs/protocol.md, section "greet", is its specification. The behaviour is libp2p's
//! request-response with our codec: its owner sends requests, and answers those that come as events. A greeting has at
//! most [`MAX_GREETING_BYTES`], and [`MAX_GREETING_STREAMS`] of a connection are answered at a time.

#[cfg(test)]
mod tests;

use std::{io, time::Duration};

use futures::{AsyncRead, AsyncWrite};
use libp2p::{
    Multiaddr, StreamProtocol,
    request_response::{self, ProtocolSupport},
};
use prost::Message;

use crate::protocols::wire;

/// The protocol's name.
pub(crate) const GREET_PROTOCOL: StreamProtocol = StreamProtocol::new("/punchline/greet/1.0.0");

/// The largest greeting.
const MAX_GREETING_BYTES: usize = 4 * 1024;
/// How long a greeting may take.
const GREETING_TIMEOUT: Duration = Duration::from_secs(10);
/// Greetings of one connection that are answered at a time.
pub(crate) const MAX_GREETING_STREAMS: usize = 16;

/// Carries greetings and their answers.
pub(crate) type Behaviour = request_response::Behaviour<Codec>;
/// A greeting or an answer that came, or what became of ours.
pub(crate) type Event = request_response::Event<Request, Response>;

/// A greeting.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct Request {
    #[prost(string, tag = "1")]
    pub(crate) message: String,
}

/// Its answer.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct Response {
    #[prost(string, tag = "1")]
    pub(crate) message: String,
    /// The address that the greeter is seen at, in binary.
    #[prost(bytes = "vec", tag = "2")]
    address: Vec<u8>,
}

impl Response {
    pub(crate) fn new(message: String, address: &Multiaddr) -> Self {
        Self {
            message,
            address: address.to_vec(),
        }
    }

    pub(crate) fn address(&self) -> Option<Multiaddr> {
        Multiaddr::try_from(self.address.clone()).ok()
    }
}

pub(crate) fn new() -> Behaviour {
    let config = request_response::Config::default()
        .with_request_timeout(GREETING_TIMEOUT)
        .with_max_concurrent_streams(MAX_GREETING_STREAMS);
    Behaviour::with_codec(Codec, [(GREET_PROTOCOL, ProtocolSupport::Full)], config)
}

/// Reads and writes greetings.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Codec;

impl request_response::Codec for Codec {
    type Protocol = StreamProtocol;
    type Request = Request;
    type Response = Response;

    async fn read_request<T>(&mut self, _: &StreamProtocol, stream: &mut T) -> io::Result<Request>
    where
        T: AsyncRead + Unpin + Send,
    {
        wire::read(stream, MAX_GREETING_BYTES).await
    }

    async fn read_response<T>(&mut self, _: &StreamProtocol, stream: &mut T) -> io::Result<Response>
    where
        T: AsyncRead + Unpin + Send,
    {
        wire::read(stream, MAX_GREETING_BYTES).await
    }

    async fn write_request<T>(
        &mut self,
        _: &StreamProtocol,
        stream: &mut T,
        request: Request,
    ) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        wire::write(stream, request).await
    }

    async fn write_response<T>(
        &mut self,
        _: &StreamProtocol,
        stream: &mut T,
        response: Response,
    ) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        wire::write(stream, response).await
    }
}
