//! Greeting the peers that the application dialled, and telling of greetings.

use libp2p::{Multiaddr, PeerId};
use web_time::Instant;

use super::{Connector, Output};
use crate::event::Event;

#[derive(Debug, Default)]
pub(super) struct Greetings {
    next: Option<Instant>,
    /// Where the peer last said it sees us.
    seen_at: Option<Multiaddr>,
}

impl Greetings {
    pub(super) const fn timeout(&self) -> Option<Instant> {
        self.next
    }

    fn message(&self) -> String {
        match &self.seen_at {
            None => "Hello from".into(),
            Some(address) => format!("Hello from {address}"),
        }
    }
}

impl Connector {
    /// The first greeting of a peer that is connected and was asked for, unless it was greeted.
    pub(super) fn begin_greetings(&mut self, id: PeerId) {
        let explicit = self.is_explicit(id);
        let now = self.now;
        let Some(peer) = self.peers.get_mut(&id).filter(|_| explicit) else {
            return;
        };
        if peer.active().is_some() && peer.greetings.next.is_none() {
            peer.greetings.next = Some(now);
            self.run_greetings(id);
        }
    }

    pub(super) fn run_greetings(&mut self, id: PeerId) {
        let now = self.now;
        let explicit = self.is_explicit(id);
        let Some(peer) = self.peers.get_mut(&id) else {
            return;
        };
        if peer.greetings.next.is_none_or(|at| at > now) {
            return;
        }
        peer.greetings.next = self
            .greet_interval
            .filter(|_| explicit)
            .map(|every| now + every);
        if peer.greetings.next.is_some() {
            let message = peer.greetings.message();
            self.push(Output::Greet { peer: id, message });
        }
    }

    pub(super) fn greeted(&mut self, from: PeerId, message: String) {
        self.emit(Event::Greeting { from, message });
    }

    pub(super) fn greeting_replied(&mut self, from: PeerId, message: String, address: Multiaddr) {
        if let Some(peer) = self.peers.get_mut(&from) {
            peer.greetings.seen_at = Some(address.clone());
        }
        self.emit(Event::GreetingReply {
            from,
            message,
            address,
        });
    }
}
