//! What there is on this platform. Nothing else asks which one it is.

#[cfg(target_family = "wasm")]
pub mod browser;
#[cfg(not(target_family = "wasm"))]
pub mod native;
