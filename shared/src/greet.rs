//! The greet protocol: a greeting, answered by one that says where the greeter is seen.

#[cfg(test)]
mod tests;

use std::io;

use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use libp2p::{
    Multiaddr, StreamProtocol,
    request_response::{self, ProtocolSupport},
};
use prost::Message;

use crate::config::{GREETING_TIMEOUT, MAX_GREETING_BYTES, MAX_GREETING_STREAMS};

/// The protocol's name.
pub const GREET_PROTOCOL: StreamProtocol = StreamProtocol::new("/punchline/greet/1.0.0");

/// The greet behaviour.
pub(crate) type Behaviour = request_response::Behaviour<Codec>;
/// Its events.
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
        read(stream).await
    }

    async fn read_response<T>(&mut self, _: &StreamProtocol, stream: &mut T) -> io::Result<Response>
    where
        T: AsyncRead + Unpin + Send,
    {
        read(stream).await
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
        write(stream, &request).await
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
        write(stream, &response).await
    }
}

async fn read<M: Message + Default>(stream: &mut (impl AsyncRead + Unpin + Send)) -> io::Result<M> {
    let mut bytes = Vec::new();
    stream
        .take(MAX_GREETING_BYTES as u64 + 1)
        .read_to_end(&mut bytes)
        .await?;
    if bytes.len() > MAX_GREETING_BYTES {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("a greeting of more than {MAX_GREETING_BYTES} bytes"),
        ));
    }
    M::decode_length_delimited(bytes.as_slice())
        .map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))
}

async fn write(
    stream: &mut (impl AsyncWrite + Unpin + Send),
    message: &impl Message,
) -> io::Result<()> {
    let bytes = message.encode_length_delimited_to_vec();
    stream.write_all(&bytes).await?;
    stream.close().await
}
