//! libp2p's rendezvous protocol: peers register at a rendezvous point, and discover who else has.
//!
//! Both sides are our own; ARCHITECTURE.md says why, docs/protocol.md what they do.

pub(crate) mod client;
mod packet;
mod registry;
pub mod server;

pub use self::packet::{Codec, Packet};
