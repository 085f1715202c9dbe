//! The frames of `/punchline/msg/1.0.0`, and buffers that read and write them.

#[cfg(test)]
mod tests;

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes, BytesMut};
use futures::{AsyncRead, AsyncWrite};
use prost::Message;

use crate::config::{MAX_BODY_BYTES, MAX_FRAME_BYTES};

/// Sequence numbers stay below this, so that they are exact in JavaScript.
pub(crate) const MAX_SEQ: u64 = 1 << 53;

/// A frame as it is on the wire; see docs/protocol.md.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct Frame {
    #[prost(oneof = "Kind", tags = "1, 2, 3, 4")]
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
}

/// "My process `session` sends here; `base` is its first unacked message."
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub(crate) struct Hello {
    #[prost(fixed64, tag = "1")]
    pub(crate) session: u64,
    #[prost(uint64, tag = "2")]
    pub(crate) base: u64,
    #[prost(uint64, tag = "3")]
    pub(crate) nonce: u64,
}

/// The answer to a hello: "go on at `next`".
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub(crate) struct Resume {
    #[prost(uint64, tag = "1")]
    pub(crate) next: u64,
    #[prost(uint64, tag = "2")]
    pub(crate) nonce: u64,
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
}

/// "I have everything before `next`."
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub(crate) struct Ack {
    #[prost(uint64, tag = "1")]
    pub(crate) next: u64,
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
    #[error("the stream ended inside a frame")]
    Truncated,
    #[error("{0}")]
    Io(#[from] io::Error),
}

impl Kind {
    /// The whole frame, length prefix included.
    pub(crate) fn into_frame(self) -> Bytes {
        Frame { kind: Some(self) }
            .encode_length_delimited_to_vec()
            .into()
    }

    fn from_frame(bytes: &[u8]) -> Result<Self, FrameError> {
        let kind = Frame::decode(bytes)?.kind.ok_or(FrameError::Empty)?;
        let seq = match &kind {
            Self::Hello(hello) => hello.base,
            Self::Resume(resume) => resume.next,
            Self::Data(data) => data.seq,
            Self::Ack(ack) => ack.next,
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

/// The longest length prefix that can announce a frame we accept.
const MAX_PREFIX_BYTES: usize = 3;
const MIN_READ_BYTES: usize = 2 * 1024;
const MAX_READ_BYTES: usize = 2 * (MAX_FRAME_BYTES + MAX_PREFIX_BYTES);

/// Reads frames. Its buffer starts small and grows with the traffic up to two frames.
#[derive(Debug)]
pub(crate) struct Reader {
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

impl Default for Reader {
    fn default() -> Self {
        Self {
            buffer: vec![0; MIN_READ_BYTES],
            start: 0,
            end: 0,
        }
    }
}

impl Reader {
    /// Takes the next frame that has been read completely.
    pub(crate) fn next_frame(&mut self) -> Result<Option<Kind>, FrameError> {
        let unread = &self.buffer[self.start..self.end];
        let Some((len, prefix)) = decode_prefix(unread)? else {
            return Ok(None);
        };
        if unread.len() < prefix + len {
            return Ok(None);
        }
        let kind = Kind::from_frame(&unread[prefix..prefix + len])?;
        self.start += prefix + len;
        Ok(Some(kind))
    }

    /// Reads what is there. `Ok(false)`: the remote has closed its side, between two frames.
    pub(crate) fn poll_fill(
        &mut self,
        cx: &mut Context<'_>,
        stream: Pin<&mut impl AsyncRead>,
    ) -> Poll<Result<bool, FrameError>> {
        self.make_room();
        let read = ready!(stream.poll_read(cx, &mut self.buffer[self.end..]))?;
        self.end += read;
        Poll::Ready(match read {
            0 if self.start < self.end => Err(FrameError::Truncated),
            read => Ok(read > 0),
        })
    }

    fn make_room(&mut self) {
        if self.start == self.end {
            self.start = 0;
            self.end = 0;
        }
        if self.end < self.buffer.len() {
            return;
        }
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        // The last read filled the buffer: the traffic deserves a larger one.
        let larger = (self.buffer.len() * 2).min(MAX_READ_BYTES);
        self.buffer.resize(larger, 0);
    }
}

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

/// Writes frames, several at a time.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    /// A large frame, which is written as it is. It goes before what is in the buffer.
    large: Bytes,
    buffer: BytesMut,
    dirty: bool,
}

impl Writer {
    /// Frames are collected up to this size before they are written.
    const BATCH_BYTES: usize = 64 * 1024;
    /// A frame of this size is not worth copying to share a write with others.
    const LARGE_BYTES: usize = 16 * 1024;
    /// Receivers in browsers buffer 16 KiB of a WebRTC stream.
    const MAX_WEBRTC_WRITE: usize = 8 * 1024;

    /// Whether more frames should be collected.
    pub(crate) fn has_room(&self) -> bool {
        self.large.is_empty() && self.buffer.len() < Self::BATCH_BYTES
    }

    /// Whether everything has been written.
    pub(crate) fn is_empty(&self) -> bool {
        self.large.is_empty() && self.buffer.is_empty()
    }

    /// Appends a frame.
    pub(crate) fn push(&mut self, frame: &Bytes) {
        if frame.len() >= Self::LARGE_BYTES && self.is_empty() {
            self.large = frame.clone();
        } else {
            self.buffer.extend_from_slice(frame);
        }
    }

    /// Writes everything.
    pub(crate) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        mut stream: Pin<&mut impl AsyncWrite>,
        small_writes: bool,
    ) -> Poll<io::Result<()>> {
        while !self.is_empty() {
            let next: &[u8] = if self.large.is_empty() {
                &self.buffer
            } else {
                &self.large
            };
            let most = if small_writes {
                next.len().min(Self::MAX_WEBRTC_WRITE)
            } else {
                next.len()
            };
            let wrote = ready!(stream.as_mut().poll_write(cx, &next[..most]))?;
            if wrote == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            if self.large.is_empty() {
                self.buffer.advance(wrote);
            } else {
                self.large.advance(wrote);
            }
            self.dirty = true;
        }
        Poll::Ready(Ok(()))
    }

    /// Flushes what has been written.
    pub(crate) fn poll_flush(
        &mut self,
        cx: &mut Context<'_>,
        stream: Pin<&mut impl AsyncWrite>,
    ) -> Poll<io::Result<()>> {
        if self.dirty {
            ready!(stream.poll_flush(cx))?;
            self.dirty = false;
        }
        Poll::Ready(Ok(()))
    }
}
