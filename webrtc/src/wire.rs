//! What is on the wire, as messages: signalling, and the frames of a data channel.
//!
//! Specification: <https://github.com/libp2p/specs/blob/master/webrtc/webrtc.md>, and for frames
//! <https://github.com/libp2p/specs/blob/master/webrtc/README.md>.

use std::marker::PhantomData;

use bytes::Bytes;
use prost::{Enumeration, Message};

/// A frame with its length before it; receivers refuse longer ones.
pub const MAX_FRAME: usize = 16 * 1024;
/// What a frame of data has beside its payload: its length (2), the payload's tag and length (3).
const OVERHEAD: usize = 5;
/// The payload of one frame.
pub const MAX_PAYLOAD: usize = MAX_FRAME - OVERHEAD;
/// A signalling message: descriptions are some KiB.
pub const MAX_SIGNAL: usize = 64 * 1024;

/// A message of `/webrtc-signaling/0.0.1`.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct Signal {
    /// What `data` is. Optional, so that the first kind is written, too: js-libp2p wants it.
    #[prost(enumeration = "SignalKind", optional, tag = "1")]
    pub(crate) kind: Option<i32>,
    /// A session description, or a candidate in JSON.
    #[prost(string, optional, tag = "2")]
    pub(crate) data: Option<String>,
}

/// The kinds of signalling messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enumeration)]
#[repr(i32)]
pub(crate) enum SignalKind {
    /// What the side that dialled offers.
    SdpOffer = 0,
    /// What the other side answers.
    SdpAnswer = 1,
    /// A candidate, as `RTCIceCandidate.toJSON()` has it.
    IceCandidate = 2,
}

impl Signal {
    pub(crate) fn new(kind: SignalKind, data: String) -> Self {
        Self {
            kind: Some(kind.into()),
            data: Some(data),
        }
    }

    /// Its kind and data; `None` if this version knows neither.
    pub(crate) fn into_parts(self) -> Option<(SignalKind, String)> {
        let kind = SignalKind::try_from(self.kind?).ok()?;
        Some((kind, self.data.unwrap_or_default()))
    }
}

/// A frame of a stream.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct Frame {
    /// What is to become of the stream.
    #[prost(enumeration = "Flag", optional, tag = "1")]
    pub(crate) flag: Option<i32>,
    /// Bytes of the stream.
    #[prost(bytes = "bytes", optional, tag = "2")]
    pub(crate) message: Option<Bytes>,
}

/// What is to become of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enumeration)]
#[repr(i32)]
pub(crate) enum Flag {
    /// The sender sends nothing more.
    Fin = 0,
    /// The sender reads nothing more.
    StopSending = 1,
    /// The sender gives up what it sent.
    ResetStream = 2,
    /// The sender has all that there was until FIN.
    FinAck = 3,
}

impl Frame {
    pub(crate) fn of_flag(flag: Flag) -> Self {
        Self {
            flag: Some(flag.into()),
            message: None,
        }
    }

    /// As many bytes as fit into one frame, from the beginning of these.
    pub(crate) fn of_payload(payload: &[u8]) -> Self {
        let fitting = payload.len().min(MAX_PAYLOAD);
        Self {
            flag: None,
            message: Some(Bytes::copy_from_slice(&payload[..fitting])),
        }
    }

    pub(crate) fn encode(&self) -> Bytes {
        self.encode_length_delimited_to_vec().into()
    }
}

/// Messages behind their lengths, out of the pieces that they come in.
///
/// A message of a data channel is most often one frame; but it may be a part of one, or hold several.
#[derive(Debug)]
pub(crate) struct Messages<M, const MAX: usize> {
    /// What has not become a message yet: less than one, once [`Self::next`] has returned `None`.
    rest: Bytes,
    of: PhantomData<M>,
}

/// Of a data channel.
pub(crate) type Frames = Messages<Frame, MAX_FRAME>;
/// Of a signalling stream.
pub(crate) type Signals = Messages<Signal, MAX_SIGNAL>;

/// What came is no message, or too long for one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NoMessage;

impl<M: Message + Default, const MAX: usize> Messages<M, MAX> {
    pub(crate) fn push(&mut self, piece: Bytes) {
        if self.rest.is_empty() {
            self.rest = piece;
        } else {
            self.rest = [&self.rest[..], &piece].concat().into();
        }
    }

    pub(crate) fn next(&mut self) -> Result<Option<M>, NoMessage> {
        let mut after = &self.rest[..];
        let Ok(len) = prost::decode_length_delimiter(&mut after) else {
            let may_go_on = self.rest.len() < MAX_LENGTH_BYTES;
            return if may_go_on { Ok(None) } else { Err(NoMessage) };
        };
        if len > MAX {
            return Err(NoMessage);
        }
        if after.len() < len {
            return Ok(None);
        }
        let prefix = self.rest.len() - after.len();
        let message = self.rest.split_to(prefix + len).split_off(prefix);
        M::decode(message).map(Some).map_err(|_| NoMessage)
    }
}

impl<M, const MAX: usize> Default for Messages<M, MAX> {
    fn default() -> Self {
        Self {
            rest: Bytes::new(),
            of: PhantomData,
        }
    }
}

/// The length of the longest message has this many bytes.
const MAX_LENGTH_BYTES: usize = 3;

#[cfg(test)]
mod tests;
