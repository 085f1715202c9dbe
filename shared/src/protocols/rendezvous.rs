//! libp2p's rendezvous protocol: peers register at a rendezvous point, and discover who else has.
//!
//! Specification: <https://github.com/libp2p/specs/blob/master/rendezvous/README.md>; docs/protocol.md has our bounds.
//! Both sides are our own: `client` and `server` say why. `packet` is what they send each other, and `registry` what
//! the server remembers; `news` when it tells whom that somebody has come.

pub(crate) mod client;
mod news;
mod packet;
mod registry;
pub mod server;

pub use self::packet::{Codec, Packet};
