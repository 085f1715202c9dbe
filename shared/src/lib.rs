//! The Punchline peer as a library: the same in a terminal and in a browser tab.
//!
//! A peer finds others in a *namespace* at a relay, talks to them through it at once, punches through NATs to a
//! direct path, and keeps talking when the relay is gone. Messages arrive in order and once, whatever happens to
//! the paths between two peers.
//!
//! # How a node is driven
//!
//! [`node::new`] takes a [`NodeConfig`](config::NodeConfig) and a key, binds the listeners and returns three parts:
//!
//! | part | what to do with it |
//! | --- | --- |
//! | [`EventLoop`](node::EventLoop) | poll [`run`](node::EventLoop::run) until it ends: in a task of tokio, or with `spawn_local` in a browser. This library spawns nothing |
//! | [`Events`](node::Events) | read it: a stream of [`Event`](event::Event)s, which ends when the node has stopped. A reader that falls behind slows the senders down; nothing is lost |
//! | [`Node`](node::Node) | a handle to clone and share: [`send`](node::Node::send), [`dial`](node::Node::dial), [`peers`](node::Node::peers), [`shutdown`](node::Node::shutdown) |
//!
//! What becomes of a message comes as [`Event::Delivery`](event::Event::Delivery): sent, acked, or failed with a
//! [`Reason`](reason::Reason). The node stops when [`shutdown`](node::Node::shutdown) is called or the last handle is dropped.
//!
//! ```
//! use futures::StreamExt;
//! use punchline::{
//!     config::NodeConfig,
//!     event::{Event, Scope},
//!     node,
//! };
//!
//! # fn key() -> libp2p::identity::Keypair { libp2p::identity::Keypair::generate_ed25519() }
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let listen = vec!["/ip4/127.0.0.1/tcp/0".parse()?];
//! let (_alice, mut heard, event_loop) = node::new(NodeConfig { listen, ..NodeConfig::default() }, key())?;
//! tokio::spawn(event_loop.run());
//! let address = loop {
//!     if let Some(Event::Listening { address }) = heard.next().await {
//!         break address;
//!     }
//! };
//!
//! let (bob, mut events, event_loop) = node::new(NodeConfig { dial: vec![address], ..NodeConfig::default() }, key())?;
//! tokio::spawn(event_loop.run());
//! while let Some(event) = events.next().await {
//!     if let Event::Connected { peer, .. } = event {
//!         bob.send(peer, Scope::Private, "Hello from Rust")?;
//!         break;
//!     }
//! }
//! while let Some(event) = heard.next().await {
//!     if let Event::Message { body, .. } = event {
//!         assert_eq!(body, "Hello from Rust");
//!         break;
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Where to look
//!
//! [`config`] says what a node can be asked for, [`event`] what it reports, [`error`] and [`reason`] what can go
//! wrong. [`command`] reads the lines that a person types. For a program with a swarm of its own, such as a
//! relay, [`protocols`] has the behaviours that it needs, and [`platform`] the transports.
//! ARCHITECTURE.md in the repository shows how the rooms of this crate depend on one another.

pub mod address;
mod budget;
pub mod command;
pub mod config;
mod connector;
pub mod counts;
mod delivery;
pub mod error;
pub mod event;
mod foreign;
mod hash;
pub mod name;
pub mod networks;
pub mod node;
pub mod path;
pub mod platform;
pub mod poll_on_wake;
pub mod protocols;
mod queue;
pub mod reason;
mod remote;
mod table;

/// The examples in README.md compile.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
