//! The msg protocol: messages between two peers, in order and once, over whatever path is best.
//!
//! docs/protocol.md, sections "msg" and "One-shot", is its specification. `crate::delivery` is the contract without
//! I/O; this is what carries it out:
//!
//! ```text
//!   Node::send --> Messenger --> Conversation: outbox, inbox       one for each peer
//!                      ^              ^
//!                      |              |  read and written by the drivers of the active connection
//!   Events <-----------+       Driver (inbound), Driver (outbound)   two for each connection,
//!                                     ^   |                          polled by the node's own task
//!                             streams |   | reports
//!   Behaviour <-- ToBehaviour --- Handler                            one for each connection,
//!       |                                                            polled by the connection's task
//!       +--> Event: which path is active, which is silent, which has drained
//! ```
//!
//! `behaviour` chooses the connection that messages take, `handler` negotiates streams on one connection, `driver`
//! runs them (`inbound` the remote's, `outbound` ours, `framing` their buffers), `connection` is what those three
//! share, and `oneshot` is the older form. A message never passes through the swarm.
//!
//! # Instead of request-response or libp2p-stream
//!
//! libp2p-request-response 0.30.0 and libp2p-stream 0.5.0-alpha take any connection to a peer, relayed or not
//! (rust-libp2p #6238, open), and neither says which. Delivery has to know its path: to prefer the better one, to
//! prove that it works, and to say where to resume when it breaks. The tests of that are in `node::tests::paths`. This
//! may go when a stream can be opened on a connection by name.

pub(crate) mod behaviour;
mod connection;
mod conversation;
mod driver;
pub(crate) mod framing;
pub(crate) mod handler;
mod inbound;
pub(crate) mod messenger;
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
