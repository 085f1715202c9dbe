//! What can go wrong, in words.

use std::{io, time::Duration};

/// Why there is no WebRTC connection, or not any more.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// This side has no WebRTC.
    #[error("there is no WebRTC here")]
    Unavailable,
    /// The browser or library said no.
    #[error("WebRTC failed: {0}")]
    Backend(String),
    /// ICE found no pair of candidates that works, or the connection has ended.
    #[error("no candidates of both sides reach each other")]
    NoPath,
    /// Nothing came of it in time.
    #[error("not connected within {} s", .0.as_secs())]
    Timeout(Duration),
    /// What the remote sent is against the protocol.
    #[error("the other side broke the protocol: it sent {0}")]
    Protocol(&'static str),
    /// The other side could not show who it is.
    #[error("the handshake failed: {0}")]
    Handshake(String),
    /// The signalling stream ended before both sides had described themselves.
    #[error("signalling ended too early: {0}")]
    Signalling(String),
    /// The remote does not speak the signalling protocol.
    #[error("the other side does not support WebRTC through a relay")]
    Unsupported,
    /// There is no circuit to the remote that could carry the signalling.
    #[error("no circuit to the other side: {0}")]
    NoCircuit(String),
    /// The other side is making a connection already.
    #[error("the other side is connecting at the same time")]
    Glare,
    /// An attempt is under way already, or there are too many to others.
    #[error("an attempt is under way already")]
    Busy,
    /// The connection has been closed.
    #[error("the connection is closed")]
    Closed,
}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        Self::new(io::ErrorKind::ConnectionReset, error)
    }
}
