//! The protocols that a peer or a relay speaks on its connections, one folder each.
//!
//! Each is a libp2p behaviour that emits its own events and knows no other: what they mean for one another is
//! decided elsewhere, by the node or the relay that owns the swarm.

pub(crate) mod greet;
pub mod limits;
pub mod msg;
pub mod ping;
pub mod rendezvous;
pub(crate) mod webrtc;
pub mod wire;

// A browser has no sockets of its own to do these with.
#[cfg(not(target_family = "wasm"))]
pub(crate) mod lan;
#[cfg(not(target_family = "wasm"))]
pub(crate) mod port_mapping;
#[cfg(not(target_family = "wasm"))]
pub(crate) mod punch;
