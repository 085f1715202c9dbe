//! The Punchline peer: protocols and node logic, the same in a terminal and in a browser tab.

pub mod address;
pub mod command;
pub mod config;
pub mod connector;
pub mod delivery;
pub mod error;
pub mod event;
pub mod node;
pub mod path;
pub mod platform;
pub mod protocols;
mod queue;
pub mod reason;
mod table;
pub mod tally;
