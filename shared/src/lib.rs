//! The Punchline peer: protocols and node logic, the same in a terminal and in a browser tab.

pub mod address;
mod behaviour;
pub mod config;
pub mod connections;
pub mod error;
pub mod event;
mod gate;
pub mod greet;
pub mod msg;
pub mod node;
pub mod ping;
pub mod platform;
mod queue;
pub mod rendezvous;
pub mod session;
mod table;
pub mod tally;
mod wire;
