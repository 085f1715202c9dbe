//! Who is greeted, and when: every peer that the application ordered to be dialled, as soon as there is
//! a path to it, and again at each interval for as long as both last.
//!
//! The [`super::Connector`] passes in what changes: whether a peer is [ordered](Input::Ordered), whether it
//! has a [path](Input::Path), and what other peers say. It calls [`Greetings::handle_timeout`] at
//! [`Greetings::poll_timeout`], and after each call takes the [outputs](Output).
//!
//! ```text
//!            ordered, path                    interval is over
//!   silent ────────────────► greets at once ◄──────────────────┐
//!     ▲                          │                             │
//!     │ path lost, or            └────────► waits ─────────────┘
//!     └── no longer ordered ───────────────────┘
//! ```
//!
//! Limits: an entry is kept for a peer that is ordered or has a path, so there are no more than
//! [`MAX_PEERS`](super::peers::MAX_PEERS), and one for each address that a person typed.
//! The wire format is in docs/protocol.md.

#[cfg(test)]
mod tests;

use std::time::Duration;

use libp2p::{Multiaddr, PeerId};
use web_time::Instant;

use super::context::Context;
use crate::{event::Event, table::Table};

/// What changes for the machine.
#[derive(Debug)]
pub(super) enum Input {
    /// Whether the application wants this very peer.
    Ordered { peer: PeerId, ordered: bool },
    /// Whether there is a path to a peer.
    Path { peer: PeerId, connected: bool },
    /// A peer greeted us.
    Greeting { peer: PeerId, message: String },
    /// A peer answered a greeting of ours, and says where it sees us.
    Reply {
        peer: PeerId,
        message: String,
        address: Multiaddr,
    },
}

/// What is to be done.
#[derive(Debug, PartialEq)]
pub(super) enum Output {
    Greet { peer: PeerId, message: String },
    Emit(Event),
}

/// The machine.
#[derive(Debug)]
pub(super) struct Greetings {
    /// `None`: nobody is ever greeted.
    interval: Option<Duration>,
    peers: Table<PeerId, Greeted>,
    outputs: Vec<Output>,
}

/// A peer that may have to be greeted.
#[derive(Debug, Default)]
struct Greeted {
    ordered: bool,
    connected: bool,
    next: Option<Instant>,
    /// Where the peer last said it sees us.
    seen_at: Option<Multiaddr>,
}

impl Greetings {
    pub(super) fn new(interval: Option<Duration>) -> Self {
        Self {
            interval: interval.filter(|interval| !interval.is_zero()),
            peers: Table::new(),
            outputs: Vec::new(),
        }
    }

    pub(super) fn handle(&mut self, cx: &Context<'_>, input: Input) {
        match input {
            Input::Ordered { peer, ordered } => {
                self.change(cx, peer, |greeted| greeted.ordered = ordered);
            }
            Input::Path { peer, connected } => {
                self.change(cx, peer, |greeted| greeted.path(connected));
            }
            Input::Greeting { peer, message } => {
                let from = peer;
                self.outputs
                    .push(Output::Emit(Event::Greeting { from, message }));
            }
            Input::Reply {
                peer,
                message,
                address,
            } => self.reply(peer, message, address),
        }
    }

    pub(super) fn handle_timeout(&mut self, cx: &Context<'_>) {
        let due = |greeted: &Greeted| greeted.next.is_some_and(|at| at <= cx.now);
        let due = self.peers.iter().filter(|(_, greeted)| due(greeted));
        let due: Vec<_> = due.map(|(peer, _)| *peer).collect();
        for peer in due {
            self.greet(cx, peer);
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.peers.values().filter_map(|greeted| greeted.next).min()
    }

    pub(super) fn take_outputs(&mut self) -> Vec<Output> {
        std::mem::take(&mut self.outputs)
    }

    fn change(&mut self, cx: &Context<'_>, peer: PeerId, change: impl FnOnce(&mut Greeted)) {
        let greeted = self.peers.get_or_insert_with(peer, Greeted::default);
        change(greeted);
        if !greeted.ordered && !greeted.connected {
            self.peers.remove(&peer);
        } else if greeted.ordered && greeted.connected && greeted.next.is_none() {
            self.greet(cx, peer);
        }
    }

    fn greet(&mut self, cx: &Context<'_>, peer: PeerId) {
        let Some(greeted) = self.peers.get_mut(&peer) else {
            return;
        };
        let interval = self.interval.filter(|_| greeted.ordered);
        greeted.next = interval.map(|interval| cx.now + interval);
        if greeted.next.is_some() {
            let message = greeted.message();
            self.outputs.push(Output::Greet { peer, message });
        }
    }

    fn reply(&mut self, from: PeerId, message: String, address: Multiaddr) {
        if let Some(greeted) = self.peers.get_mut(&from) {
            greeted.seen_at = Some(address.clone());
        }
        self.outputs.push(Output::Emit(Event::GreetingReply {
            from,
            message,
            address,
        }));
    }
}

impl Greeted {
    /// Without a path there is nobody to greet, and where the peer saw us may be wrong by the next one.
    fn path(&mut self, connected: bool) {
        self.connected = connected;
        if !connected {
            self.next = None;
            self.seen_at = None;
        }
    }

    fn message(&self) -> String {
        match &self.seen_at {
            None => "Hello from".into(),
            Some(address) => format!("Hello from {address}"),
        }
    }
}
