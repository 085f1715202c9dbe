//! The one place where a native build and a browser's differ: their transports, and what follows from those.
//!
//! Both sides offer the same names, but for `trust`: a browser trusts as its user has it. What a protocol needs a socket for is left out of a browser's build in
//! `protocols.rs`, by one line each.

#[cfg(not(target_family = "wasm"))]
mod native;
#[cfg(target_family = "wasm")]
mod wasm;

#[cfg(not(target_family = "wasm"))]
pub(crate) use native::{HAS_INTERFACES, rtc};
#[cfg(not(target_family = "wasm"))]
pub use native::{
    HOLE_PUNCH, Rtc, WebRtc, build_swarm, can_dial, default_listen, reason_of, room_name, trust,
};
#[cfg(target_family = "wasm")]
pub(crate) use wasm::{HAS_INTERFACES, has_webrtc, rtc};
#[cfg(target_family = "wasm")]
pub use wasm::{
    HOLE_PUNCH, Rtc, WebRtc, build_swarm, can_dial, default_listen, reason_of, room_name,
};
