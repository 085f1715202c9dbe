//! What a node does about its relays and its peers, as a pure state machine: no I/O, and no clock or
//! randomness of its own.
//!
//! # How it is driven
//!
//! The event loop (or a test) passes each [`Input`], with the time it happened at, to [`Connector::handle`], and
//! calls [`Connector::handle_timeout`] at [`Connector::poll_timeout`]. After each of these calls it takes
//! [`Output`]s from [`Connector::poll_output`] until there are none, carries them out, and passes in what came of
//! it. What a native peer's own network reports goes to [`Connector::handle_network`]. After [`Input::Shutdown`]
//! only events of paths and greetings still come out.
//!
//! # What it is made of
//!
//! Four machines, each with a state, inputs, outputs and tests of its own. None knows another; what one needs
//! of another it is given as an input, and keeps. The `Connector` decides nothing: it keeps the table of
//! `connections`, turns an input into inputs of machines, and carries each output of a machine to
//! whom it concerns.
//!
//! ```text
//!                     ┌──────────────────── Connector ────────────────────┐
//!           Input ──► │  dials ── outcome, to who asked ──► relays, peers │
//!                     │                                                   │
//!  NetworkInput ────► │  relays ── known relays, listed peers ──► peers   │ ──► Output
//!                     │  relays ◄── paths, wish to be observed ── peers   │
//!     poll_timeout ◄─ │                                                   │
//!                     │  peers ── who is ordered, has a path ► greetings  │
//!                     └───────────────────────────────────────────────────┘
//! ```
//!
//! - `dials`: what each running dial is for, and when it has taken too long.
//! - `relays`: a supervisor for each relay: reservation, registration, discovery.
//! - `peers`: who is known, dialled where, and by which paths reached; hole punches.
//! - `greetings`: who is greeted, and when.
//!
//! The outputs of a machine are carried on right after each call to it, so what comes out keeps its order.

mod addresses;
mod backoff;
mod connections;
mod context;
mod dials;
mod greetings;
mod io;
mod known_relay;
mod peers;
mod purpose;
mod relays;
mod routing;

#[cfg(test)]
mod tests;

use std::{collections::VecDeque, time::Duration};

use libp2p::PeerId;
use rand::{SeedableRng, rngs::StdRng};
use web_time::Instant;

pub(crate) use self::io::{DialId, Input, NetworkInput, Output, RelayId};
pub use self::relays::status::{RelayInfo, RelayState};
use self::{
    connections::Connections, context::Context, dials::Dials, greetings::Greetings, peers::Peers,
    relays::Relays,
};
use crate::{budget::Budget, config::NodeConfig, reason::Cause};

/// The state machine, which lives as long as its node; [the module](self) says how it is driven.
#[derive(Debug)]
pub(crate) struct Connector {
    facts: Facts,
    dials: Dials,
    relays: Relays,
    peers: Peers,
    greetings: Greetings,
    stopped: bool,
    outputs: VecDeque<Output>,
}

/// What every machine may read, and what it draws from.
#[derive(Debug)]
struct Facts {
    /// The time of the input that is being handled.
    now: Instant,
    local: PeerId,
    listening: bool,
    rng: StdRng,
    connections: Connections,
    dial_count: u64,
}

impl Connector {
    /// A connector that dials its relays once the listeners are ready, and the peers to dial at once.
    ///
    /// All its randomness comes from `seed`.
    #[must_use]
    pub(crate) fn new(config: &NodeConfig, local: PeerId, seed: u64, now: Instant) -> Self {
        let mut facts = Facts {
            now,
            local,
            listening: false,
            rng: StdRng::seed_from_u64(seed),
            connections: Connections::default(),
            dial_count: 0,
        };
        let mut connector = Self {
            dials: Dials::default(),
            relays: Relays::new(&facts.context(), config),
            peers: Peers::new(&facts.context()),
            greetings: Greetings::new(config.greet_interval),
            stopped: false,
            outputs: VecDeque::new(),
            facts,
        };
        connector.drain_relays();
        let cx = connector.facts.context();
        connector.peers.remember(&cx, &config.remembered);
        for address in &config.dial {
            connector.pass_to_peers(peers::Input::Order(address.clone()));
        }
        connector.run();
        connector
    }

    /// Takes what is sent to places that strangers name from this budget, which others draw from as well.
    pub(crate) fn spend_from(&mut self, budget: Budget) {
        self.peers.spend_from(budget);
    }

    /// Has relayed paths upgraded by hole punches from now on. To be called before anything else, and not where
    /// there is nothing that punches them: a browser's program leaves out what only this leads to.
    pub(crate) fn punch_holes(&mut self) {
        self.relays.punch_holes();
        self.peers.punch_holes();
    }

    /// Takes in what happened at `now`.
    pub(crate) fn handle(&mut self, now: Instant, input: Input) {
        self.facts.now = now;
        if !self.stopped {
            self.route(input);
            self.run();
        } else if let Input::Path { .. } | Input::Greeting { .. } | Input::GreetingReply { .. } =
            input
        {
            // Messages may still come and go while the node finishes; nothing else matters any more.
            self.route(input);
        }
    }

    /// Takes in what our own network reports at `now`. Never called in a browser.
    #[allow(dead_code, reason = "a browser's program never calls it")]
    pub(crate) fn handle_network(&mut self, now: Instant, input: NetworkInput) {
        self.facts.now = now;
        if !self.stopped {
            self.route_network(input);
            self.run();
        }
    }

    /// Does what is due at `now`.
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        self.facts.now = now;
        self.run();
    }

    /// When to call [`Self::handle_timeout`], if nothing happens before.
    #[must_use]
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        if self.stopped {
            return None;
        }
        earliest([
            self.dials.poll_timeout(),
            self.relays.poll_timeout(),
            self.peers.poll_timeout(),
            self.greetings.poll_timeout(),
        ])
    }

    /// The next thing to do. To be called until there is none, after every other call.
    pub(crate) fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Whether [`Input::Shutdown`] was handled. What is left are outputs to take.
    #[cfg(test)]
    pub(crate) const fn is_stopped(&self) -> bool {
        self.stopped
    }

    /// Whether this peer is one of our relays.
    #[must_use]
    pub(crate) fn is_relay(&self, peer: PeerId) -> bool {
        self.relays.is_relay(peer)
    }

    /// Whether everybody who is listed, announced or ordered is connected, or could not be reached at first, and every
    /// relay has listed whom it knows, or could not be reached either.
    #[must_use]
    pub(crate) fn is_settled(&self) -> bool {
        self.relays.have_listed() && self.peers.are_settled(self.facts.now)
    }

    /// The relays, in the order in which they were added.
    #[must_use]
    pub(crate) fn relays(&self, now: Instant) -> Vec<RelayInfo> {
        self.relays.infos(now)
    }

    /// Why the path to a peer is still relayed, once a hole punch has failed.
    #[must_use]
    pub(crate) fn punch_failure(&self, peer: PeerId) -> Option<&Cause> {
        self.peers.punch_failure(peer)
    }

    fn run(&mut self) {
        if self.stopped {
            return;
        }
        self.dials.handle_timeout(&self.facts.context());
        self.drain_dials();
        self.relays.handle_timeout(&mut self.facts.context());
        self.drain_relays();
        self.peers.handle_timeout(&mut self.facts.context());
        self.drain_peers();
        self.greetings.handle_timeout(&self.facts.context());
        self.drain_greetings();
    }
}

impl Facts {
    const fn context(&mut self) -> Context<'_> {
        Context {
            now: self.now,
            local: self.local,
            listening: self.listening,
            rng: &mut self.rng,
            connections: &self.connections,
            dial_count: &mut self.dial_count,
        }
    }
}

/// The earliest of the times there are.
fn earliest(times: impl IntoIterator<Item = Option<Instant>>) -> Option<Instant> {
    times.into_iter().flatten().min()
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
