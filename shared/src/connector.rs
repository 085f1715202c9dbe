//! What a node does about its relays and its peers, as a pure state machine.
//!
//! No I/O and no clock of its own: the event loop (or a test) passes [`Input`]s with the time they
//! happened at, takes [`Output`]s until there are none, and calls [`Connector::handle_timeout`] at
//! [`Connector::poll_timeout`].

mod addresses;
mod backoff;
mod connections;
mod context;
mod dials;
mod greetings;
mod io;
mod network;
mod paths;
mod peer;
mod peers;
mod relay;
mod relay_dial;
mod rendezvous;
mod reservation;
mod status;
mod surplus;
mod targets;
mod upgrade;

#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use libp2p::PeerId;
use rand::{SeedableRng, rngs::StdRng};
use web_time::Instant;

use self::{
    connections::Connections,
    context::Context,
    dials::{Dial, Purpose},
    greetings::Greetings,
    peer::Peer,
    relay::Relay,
    targets::{Target, TargetId},
};
pub use self::{
    io::{DialId, Input, News, Output, RelayId},
    status::{RelayInfo, RelayState},
};
use crate::{
    config::NodeConfig,
    event::Event,
    path::{ActivePath, ConnId},
    platform,
    reason::Reason,
    table::Table,
};

/// The state machine. It lives as long as its node.
#[derive(Debug)]
pub struct Connector {
    local: PeerId,
    namespace: String,
    hole_punch: bool,
    rng: StdRng,
    started: Instant,
    /// The time of the input that is being handled.
    now: Instant,
    conns: Connections,
    dials: Table<DialId, Dial>,
    dial_count: u64,
    relays: Table<RelayId, Relay>,
    relay_count: u32,
    /// Relays of the configuration that have yet to be added.
    pending_relays: usize,
    peers: Table<PeerId, Peer>,
    targets: Table<TargetId, Target>,
    greetings: Greetings,
    target_count: u64,
    /// When those that wait for their turn to dial ask again.
    next_turn: Instant,
    listeners_ready: bool,
    ready: bool,
    stopped: bool,
    outputs: VecDeque<Output>,
}

impl Connector {
    /// A session that dials its relays once the listeners are ready, and the peers to dial at once.
    ///
    /// All its randomness comes from `seed`.
    #[must_use]
    pub fn new(config: &NodeConfig, local: PeerId, seed: u64, now: Instant) -> Self {
        let mut connector = Self {
            local,
            namespace: config.namespace.clone(),
            hole_punch: config.hole_punch,
            rng: StdRng::seed_from_u64(seed),
            started: now,
            now,
            conns: Connections::default(),
            dials: Table::new(),
            dial_count: 0,
            relays: Table::new(),
            relay_count: 0,
            pending_relays: config.pending_relays,
            peers: Table::new(),
            targets: Table::new(),
            greetings: Greetings::new(config.greet_interval),
            target_count: 0,
            next_turn: now,
            listeners_ready: false,
            ready: false,
            stopped: false,
            outputs: VecDeque::new(),
        };
        for relay in &config.relays {
            connector.add_relay(relay, true, !config.listen.is_empty());
        }
        for address in &config.dial {
            connector.order_dial(address.clone());
        }
        connector.run();
        connector
    }

    /// Takes in what happened at `now`.
    pub fn handle(&mut self, now: Instant, input: Input) {
        self.now = now;
        if self.stopped {
            return self.handle_stopped(input);
        }
        self.forget_peers();
        self.dispatch(input);
        self.run();
    }

    /// Does what is due at `now`.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.now = now;
        if !self.stopped {
            self.forget_peers();
            self.run();
        }
    }

    /// When to call [`Self::handle_timeout`], if nothing happens before.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.stopped {
            return None;
        }
        let dials = self.dials.values().map(|dial| dial.until);
        let relays = self.relays.values().filter_map(Relay::timeout);
        let peers = self.peers.values().filter_map(Peer::timeout);
        let targets = self.targets.values().filter_map(Target::timeout);
        let greetings = self.greetings.poll_timeout();
        let all = dials.chain(relays).chain(peers).chain(targets);
        all.chain(greetings).min()
    }

    /// The next thing to do. To be called until there is none, after every other call.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Whether [`Input::Shutdown`] was handled. What is left are outputs to take.
    #[must_use]
    pub const fn is_stopped(&self) -> bool {
        self.stopped
    }

    /// Whether this peer is one of our relays.
    #[must_use]
    pub fn is_relay(&self, peer: PeerId) -> bool {
        self.relay_of(peer).is_some()
    }

    fn dispatch(&mut self, input: Input) {
        match input {
            Input::AddRelay(relay) => {
                let at_start = self.pending_relays > 0;
                self.pending_relays = self.pending_relays.saturating_sub(1);
                self.add_relay(&relay, at_start, !self.listeners_ready);
            }
            Input::DropRelay(relay) => self.drop_relay(relay),
            Input::Dial(address) => self.order_dial(address),
            Input::ListenersReady => self.listeners_ready(),
            Input::DialFailed { dial, cause } => self.dial_failed(dial, &cause),
            Input::Connected { .. } => self.connected(input),
            Input::Closed { conn, cause, .. } => self.closed(conn, &cause),
            Input::Identified { .. } => self.identified(input),
            Input::ReservationAccepted { relay, address } => {
                self.reservation_accepted(relay, address);
            }
            Input::ReservationLost { relay, cause } => self.reservation_lost(relay, &cause),
            Input::Registered { relay, ttl } => self.registered(relay, ttl),
            Input::RegisterFailed { relay, cause } => self.register_failed(relay, &cause),
            Input::Discovered {
                relay,
                peers,
                cookie,
            } => self.discovered(relay, peers, cookie),
            Input::DiscoverFailed { relay, .. } => self.discover_failed(relay),
            Input::Path { peer, path, cause } => self.path(peer, path, cause),
            Input::Drained { peer, conn } => self.drained(peer, conn),
            Input::Silent { peer, conn, dead } => self.silent(peer, conn, dead),
            Input::UpgradeFailed { peer, .. } => self.upgrade_failed(peer),
            Input::Greeting { peer, message } => {
                self.greet(greetings::Input::Greeting { peer, message });
            }
            Input::GreetingReply {
                peer,
                message,
                address,
            } => self.greet(greetings::Input::Reply {
                peer,
                message,
                address,
            }),
            Input::Network(news, by) => self.network_told(news, by),
            Input::Wake => self.wake(),
            Input::NetworkChanged { lost } if platform::HAS_INTERFACES => {
                self.network_changed(lost);
            }
            Input::NetworkChanged { .. } => {}
            Input::Shutdown => self.shutdown(),
        }
    }

    /// Messages may still come and go while the node finishes; nothing else matters any more.
    fn handle_stopped(&mut self, input: Input) {
        if matches!(
            input,
            Input::Path { .. } | Input::Greeting { .. } | Input::GreetingReply { .. }
        ) {
            self.dispatch(input);
        }
    }

    fn run(&mut self) {
        self.expire_dials();
        self.run_relays();
        self.run_peers();
        self.run_targets();
        self.run_greetings();
        self.check_ready();
    }

    fn context(&mut self) -> (Context<'_>, &mut Greetings) {
        let context = Context {
            now: self.now,
            local: self.local,
            listening: self.listeners_ready,
            rng: &mut self.rng,
            connections: &self.conns,
            dial_count: &mut self.dial_count,
        };
        (context, &mut self.greetings)
    }

    fn greet(&mut self, input: greetings::Input) {
        let (context, greetings) = self.context();
        greetings.handle(&context, input);
        self.carry_greetings();
    }

    fn run_greetings(&mut self) {
        let (context, greetings) = self.context();
        greetings.handle_timeout(&context);
        self.carry_greetings();
    }

    fn carry_greetings(&mut self) {
        for output in self.greetings.take_outputs() {
            self.push(match output {
                greetings::Output::Greet { peer, message } => Output::Greet { peer, message },
                greetings::Output::Emit(event) => Output::Emit(event),
            });
        }
    }

    fn greetings_of_path(&mut self, peer: PeerId, connected: bool) {
        self.greet(greetings::Input::Path { peer, connected });
    }

    fn report_order(&mut self, peer: PeerId) {
        let ordered = self.is_explicit(peer);
        self.greet(greetings::Input::Ordered { peer, ordered });
    }

    fn push(&mut self, output: Output) {
        if !self.stopped || matches!(output, Output::Emit(_)) {
            self.outputs.push_back(output);
        }
    }

    fn emit(&mut self, event: Event) {
        self.push(Output::Emit(event));
    }

    fn error(&mut self, code: Reason, message: String) {
        self.emit(Event::Error { code, message });
    }

    fn listeners_ready(&mut self) {
        if !self.listeners_ready {
            self.listeners_ready = true;
            self.hurry_relays();
        }
    }

    fn check_ready(&mut self) {
        let relays_ready =
            self.pending_relays == 0 && self.relays.values().all(Relay::lets_be_ready);
        if self.listeners_ready && !self.ready && relays_ready {
            self.ready = true;
            self.emit(Event::Ready {});
        }
    }

    fn wake(&mut self) {
        self.hurry_relays();
        self.hurry_peers();
        self.hurry_targets();
    }

    /// What began at another address of ours is tried again from the new one.
    fn network_changed(&mut self, lost: bool) {
        // At first every address is a new one.
        if !self.listeners_ready {
            return;
        }
        self.move_relays(lost);
        self.hurry_peers();
        self.hurry_targets();
    }

    fn shutdown(&mut self) {
        self.leave_relays();
        self.dials.clear();
        self.stopped = true;
    }
}

/// The earliest of the times there are.
fn earliest(times: impl IntoIterator<Item = Option<Instant>>) -> Option<Instant> {
    times.into_iter().flatten().min()
}
