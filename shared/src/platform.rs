//! The one place where native and browser differ: transports, and what follows from them.

#[cfg(not(target_family = "wasm"))]
mod native;
#[cfg(target_family = "wasm")]
mod wasm;

#[cfg(not(target_family = "wasm"))]
pub(crate) use native::{Behaviour, HAS_INTERFACES, behaviour, hole_punch_hint, told};
#[cfg(not(target_family = "wasm"))]
pub use native::{HOLE_PUNCH, OwnNetwork, build_swarm, can_dial, default_listen};
#[cfg(target_family = "wasm")]
pub(crate) use wasm::{Behaviour, HAS_INTERFACES, behaviour, hole_punch_hint, told};
#[cfg(target_family = "wasm")]
pub use wasm::{HOLE_PUNCH, OwnNetwork, build_swarm, can_dial, default_listen};
