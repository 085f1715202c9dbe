//! The one place where native and browser differ: transports, and what follows from them.

#[cfg(not(target_family = "wasm"))]
mod native;
#[cfg(target_family = "wasm")]
mod wasm;

#[cfg(not(target_family = "wasm"))]
pub(crate) use native::HAS_INTERFACES;
#[cfg(not(target_family = "wasm"))]
pub use native::{HOLE_PUNCH, OwnNetwork, build_swarm, can_dial, default_listen, reason_of};
#[cfg(target_family = "wasm")]
pub(crate) use wasm::HAS_INTERFACES;
#[cfg(target_family = "wasm")]
pub use wasm::{HOLE_PUNCH, OwnNetwork, build_swarm, can_dial, default_listen, reason_of};
