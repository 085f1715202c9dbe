//! The Punchline peer: protocols and node logic, the same in a terminal and in a browser tab.

pub mod config;
pub mod error;
pub mod event;
pub mod node;
pub mod session;
