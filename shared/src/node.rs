//! The handle to a node, and the loop that runs it: the only code that touches a swarm.

use std::time::Duration;

use futures::Stream;
use libp2p::{Multiaddr, PeerId, identity::Keypair};
use serde::{Deserialize, Serialize};

use crate::{
    config::{NodeConfig, RelayAddress},
    error::{SendError, StartError, Stopped},
    event::{Event, Path, Transport},
};

/// A handle to a running node. Clones are handles to the same node.
#[derive(Debug, Clone)]
pub struct Node {}

/// What happens to a node, in order. A [`Stream`] of [`Event`]s that ends when the node has stopped.
#[derive(Debug)]
pub struct Events {}

/// Runs a node. Whoever starts the node polls it: a tokio task, or `spawn_local`.
#[derive(Debug)]
pub struct EventLoop {}

/// A peer of the room, for `/peers`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PeerInfo {
    /// Who.
    pub peer: PeerId,
    /// Its path; `None` while there is none.
    pub path: Option<Path>,
    /// What the path runs over.
    pub transport: Option<Transport>,
    /// The remote's address on the path.
    pub address: Option<Multiaddr>,
    /// The last measured round trip on the path.
    pub rtt: Option<Duration>,
    /// Messages that it has not acked yet.
    pub unacked: usize,
}

/// Makes a node. Nothing happens until the [`EventLoop`] runs.
pub fn new(_config: NodeConfig, _key: Keypair) -> Result<(Node, Events, EventLoop), StartError> {
    unimplemented!()
}

impl Node {
    /// Our own peer id.
    #[must_use]
    pub fn peer_id(&self) -> PeerId {
        unimplemented!()
    }

    /// Puts a message into the outbox of a peer, and returns its id at once.
    pub fn send(&self, _to: PeerId, _body: impl Into<String>) -> Result<u64, SendError> {
        unimplemented!()
    }

    /// As [`Self::send`], but waits while the outbox is full.
    pub async fn send_when_ready(
        &self,
        _to: PeerId,
        _body: impl Into<String>,
    ) -> Result<u64, SendError> {
        unimplemented!()
    }

    /// The peers that a broadcast goes to: connected ones, and those that were a moment ago.
    #[must_use]
    pub fn room(&self) -> Vec<PeerId> {
        unimplemented!()
    }

    /// Messages, to all peers together, that are neither acked nor failed.
    #[must_use]
    pub fn unacked(&self) -> usize {
        unimplemented!()
    }

    /// Waits until [`Self::unacked`] is 0.
    pub async fn drained(&self) {
        unimplemented!()
    }

    /// Dials a peer, and greets it when greetings are on. How it went comes as an event.
    pub async fn dial(&self, _address: Multiaddr) -> Result<(), Stopped> {
        unimplemented!()
    }

    /// Uses one more relay from now on.
    pub async fn add_relay(&self, _relay: RelayAddress) -> Result<(), Stopped> {
        unimplemented!()
    }

    /// The peers of the room.
    pub async fn peers(&self) -> Result<Vec<PeerInfo>, Stopped> {
        unimplemented!()
    }

    /// Unregisters, waits for acks (2 s at most), closes, and returns when the node has stopped.
    pub async fn shutdown(&self) {
        unimplemented!()
    }
}

impl EventLoop {
    /// Runs the node until [`Node::shutdown`], or until every handle is gone.
    pub async fn run(self) {
        unimplemented!()
    }
}

impl Stream for Events {
    type Item = Event;

    fn poll_next(
        self: std::pin::Pin<&mut Self>,
        _cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Event>> {
        unimplemented!()
    }
}
