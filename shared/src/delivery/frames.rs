//! The frames of `/punchline/msg/1.0.0`: an unsigned varint that says how long the frame is, then a protobuf
//! message. docs/protocol.md has them field by field.
//!
//! The codec works on bytes that are there already; reading and writing streams is up to `protocols::msg`.

#[cfg(test)]
mod tests;

use bytes::Bytes;
use prost::Message;

use crate::{config::MAX_BODY_BYTES, event::Scope};

/// The largest frame: a body and room for the fields around it.
pub(crate) const MAX_FRAME_BYTES: usize = MAX_BODY_BYTES + 64;
/// The longest length prefix that can announce a frame of that size.
pub(crate) const MAX_PREFIX_BYTES: usize = 3;
/// Sequence numbers stay below this, so that they are exact in JavaScript.
pub(crate) const MAX_SEQ: u64 = 1 << 53;

/// A frame as it is on the wire; see docs/protocol.md.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct Frame {
    #[prost(oneof = "Kind", tags = "1, 2, 3, 4, 5")]
    pub(crate) kind: Option<Kind>,
}

#[derive(Clone, PartialEq, Eq, prost::Oneof)]
pub(crate) enum Kind {
    #[prost(message, tag = "1")]
    Hello(Hello),
    #[prost(message, tag = "2")]
    Resume(Resume),
    #[prost(message, tag = "3")]
    Data(Data),
    #[prost(message, tag = "4")]
    Ack(Ack),
    #[prost(message, tag = "5")]
    Bye(Bye),
}

/// "My process `session` sends here; `base` is its first unacked message. This is my room, and my name."
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct Hello {
    #[prost(fixed64, tag = "1")]
    pub(crate) session: u64,
    #[prost(uint64, tag = "2")]
    pub(crate) base: u64,
    #[prost(uint64, tag = "3")]
    pub(crate) nonce: u64,
    /// [`Room::proof`](super::Room::proof) from the sender of the frame to its receiver.
    #[prost(bytes = "bytes", tag = "4")]
    pub(crate) proof: Bytes,
    /// Empty: the sender has chosen none.
    #[prost(string, tag = "5")]
    pub(crate) name: String,
}

/// The answer to a hello: "go on at `next`. This is my room, and my name."
///
/// A sender writes no message before it, so it knows by then who of the room it talks to.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct Resume {
    #[prost(uint64, tag = "1")]
    pub(crate) next: u64,
    #[prost(uint64, tag = "2")]
    pub(crate) nonce: u64,
    /// As in a hello.
    #[prost(bytes = "bytes", tag = "3")]
    pub(crate) proof: Bytes,
    /// As in a hello.
    #[prost(string, tag = "4")]
    pub(crate) name: String,
}

/// A message.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct Data {
    /// 0, as we write it: that of the stream's hello.
    #[prost(fixed64, tag = "1")]
    pub(crate) session: u64,
    #[prost(uint64, tag = "2")]
    pub(crate) seq: u64,
    #[prost(string, tag = "3")]
    pub(crate) body: String,
    /// A number that is not known yet means [`WireScope::Private`].
    #[prost(enumeration = "WireScope", tag = "4")]
    pub(crate) scope: i32,
}

/// Whom a message is for. Without a word it is for its receiver alone: an answer then goes to nobody else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub(crate) enum WireScope {
    Private = 0,
    Room = 1,
}

/// "I have everything before `next`."
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub(crate) struct Ack {
    #[prost(uint64, tag = "1")]
    pub(crate) next: u64,
}

/// "I leave for good: nothing is to wait for me."
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub(crate) struct Bye {}

impl Data {
    /// Makes a message of the stream's session.
    pub(crate) fn new(seq: u64, scope: Scope, body: String) -> Self {
        let scope = match scope {
            Scope::Room => WireScope::Room,
            Scope::Private => WireScope::Private,
        };
        Self {
            session: 0,
            seq,
            body,
            scope: scope.into(),
        }
    }

    pub(crate) fn scope_of(&self) -> Scope {
        match self.scope() {
            WireScope::Room => Scope::Room,
            WireScope::Private => Scope::Private,
        }
    }
}

/// What a remote can do wrong with a frame.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FrameError {
    #[error("a frame of {0} bytes; at most {MAX_FRAME_BYTES} are allowed")]
    TooLong(u64),
    #[error("a message of {0} bytes; at most {MAX_BODY_BYTES} are allowed")]
    BodyTooLong(usize),
    #[error("invalid length prefix")]
    BadVarint,
    #[error("invalid protobuf: {0}")]
    BadProtobuf(#[from] prost::DecodeError),
    #[error("a frame without content")]
    Empty,
    #[error("sequence number {0} is out of range")]
    SeqOutOfRange(u64),
}

impl Kind {
    /// Encodes the whole frame, length prefix included.
    pub(crate) fn into_frame(self) -> Bytes {
        Frame { kind: Some(self) }
            .encode_length_delimited_to_vec()
            .into()
    }

    /// Decodes the first frame of these bytes, and returns it with its length. `None` means that it is not
    /// complete yet.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Option<(Self, usize)>, FrameError> {
        let Some((len, prefix)) = decode_prefix(bytes)? else {
            return Ok(None);
        };
        let Some(content) = bytes.get(prefix..prefix + len) else {
            return Ok(None);
        };
        Ok(Some((Self::from_content(content)?, prefix + len)))
    }

    fn from_content(bytes: &[u8]) -> Result<Self, FrameError> {
        let kind = Frame::decode(bytes)?.kind.ok_or(FrameError::Empty)?;
        let seq = match &kind {
            Self::Hello(hello) => hello.base,
            Self::Resume(resume) => resume.next,
            Self::Data(data) => data.seq,
            Self::Ack(ack) => ack.next,
            Self::Bye(_) => return Ok(kind),
        };
        if let Self::Data(data) = &kind
            && data.body.len() > MAX_BODY_BYTES
        {
            return Err(FrameError::BodyTooLong(data.body.len()));
        }
        if seq == 0 || seq > MAX_SEQ {
            return Err(FrameError::SeqOutOfRange(seq));
        }
        Ok(kind)
    }
}

/// Returns the length that the prefix announces, and how long the prefix itself is.
fn decode_prefix(bytes: &[u8]) -> Result<Option<(usize, usize)>, FrameError> {
    let mut len = 0u64;
    for (at, byte) in bytes.iter().take(MAX_PREFIX_BYTES).enumerate() {
        len |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            if at > 0 && *byte == 0 {
                return Err(FrameError::BadVarint);
            }
            if len > MAX_FRAME_BYTES as u64 {
                return Err(FrameError::TooLong(len));
            }
            return Ok(Some((len as usize, at + 1)));
        }
    }
    if bytes.len() >= MAX_PREFIX_BYTES {
        return Err(FrameError::BadVarint);
    }
    Ok(None)
}
