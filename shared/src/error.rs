//! What an operation can fail with, one type for each operation.
//!
//! What fails later, while the node runs, comes as an event with a [`Reason`](crate::reason::Reason).

use libp2p::{Multiaddr, PeerId};

use crate::config::{MAX_BODY_BYTES, MAX_OUTBOX_BYTES, MAX_OUTBOX_MESSAGES};

/// Why a node could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address to listen on cannot be had.
    #[error("cannot listen on {address}: {reason}")]
    Listen {
        /// The address.
        address: Multiaddr,
        /// Why the transport could not.
        reason: String,
    },
    /// The namespace is longer than the rendezvous protocol allows.
    #[error("the namespace has {0} bytes; at most 255 are allowed")]
    Namespace(usize),
    /// A transport could not be set up.
    #[error("cannot set up {what}: {reason}")]
    Transport {
        /// The transport.
        what: &'static str,
        /// Why it could not.
        reason: String,
    },
}

/// Why a message was not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The body is longer than a frame can be.
    #[error("the message has {0} bytes; at most {MAX_BODY_BYTES} are allowed")]
    TooLong(usize),
    /// No such peer is connected, nor was within the last minutes; or it has left for good.
    #[error("{0} is not here")]
    UnknownPeer(PeerId),
    /// The peer is connected, but belongs to another room: lines to everybody are not for it.
    #[error("{0} belongs to another room: it can only be written to one to one")]
    NotInRoom(PeerId),
    /// The outbox of the peer is full. There is room again when the peer has acked something.
    #[error(
        "the outbox for {0} is full ({MAX_OUTBOX_MESSAGES} messages or {MAX_OUTBOX_BYTES} bytes); wait until some are delivered"
    )]
    OutboxFull(PeerId),
    /// The node has been stopped.
    #[error("the node has been stopped")]
    Stopped,
}

/// The node has been stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the node has been stopped")]
pub struct Stopped;
