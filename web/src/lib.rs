//! The Punchline peer for a browser tab: the package `shared` for JavaScript and TypeScript.
//!
//! This package takes no decisions about networking. It turns strings into addresses, events into objects, errors into
//! `Error`s, and a panic into the last event.

#![cfg(target_family = "wasm")]

mod config;
mod error;
mod events;
mod panic;
mod peer;
mod promise;
mod qr;
#[cfg(test)]
mod tests;
mod turns;
mod types;

pub use self::{peer::Peer, qr::qr};
