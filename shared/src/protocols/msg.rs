//! The msg protocol: messages between two peers, in order and once, over whatever path is best.
//!
//! `delivery` is the contract without I/O, `hub` what all sides share, `handler` what negotiates
//! streams on a connection, `driver` what runs them, `behaviour` what chooses between connections.
//! docs/protocol.md has the wire format.

pub(crate) mod behaviour;
mod connection;
mod driver;
pub(crate) mod framing;
pub(crate) mod handler;
pub(crate) mod hub;
mod inbound;
mod link;
pub(crate) mod oneshot;
mod outbound;

use std::time::Duration;

use libp2p::StreamProtocol;

/// A stream that does not say hello within this time is reset, and a one-shot stream that is not done.
pub(crate) const HELLO_TIMEOUT: Duration = Duration::from_secs(10);

/// Messages with acks.
pub const MSG_PROTOCOL: StreamProtocol = StreamProtocol::new("/punchline/msg/1.0.0");
/// The older form: a stream a message, no acks.
pub const ONESHOT_PROTOCOL: StreamProtocol = StreamProtocol::new("/p2p/msg/1.0.0");
