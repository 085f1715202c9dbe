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
//! [`connections`], turns an input into inputs of machines, and carries each output of a machine to
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
//! - [`dials`]: what each running dial is for, and when it has taken too long.
//! - [`relays`]: a supervisor for each relay: reservation, registration, discovery.
//! - [`peers`]: who is known, dialled where, and by which paths reached; hole punches.
//! - [`greetings`]: who is greeted, and when.
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

#[cfg(test)]
mod tests;

use std::{collections::VecDeque, time::Duration};

use libp2p::PeerId;
use rand::{SeedableRng, rngs::StdRng};
use web_time::Instant;

use self::{
    connections::Connections,
    context::Context,
    dials::Dials,
    greetings::Greetings,
    peers::Peers,
    purpose::{NewDial, Purpose},
    relays::Relays,
};
pub use self::{
    io::{DialId, Input, NetworkInput, Output, RelayId},
    relays::status::{RelayInfo, RelayState},
};
use crate::{config::NodeConfig, event::Event, path::ConnId, reason::Cause};

/// The state machine, which lives as long as its node; [the module](self) says how it is driven.
#[derive(Debug)]
pub struct Connector {
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
    pub fn new(config: &NodeConfig, local: PeerId, seed: u64, now: Instant) -> Self {
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
            peers: Peers::new(&facts.context(), config),
            greetings: Greetings::new(config.greet_interval),
            stopped: false,
            outputs: VecDeque::new(),
            facts,
        };
        connector.from_relays();
        for address in &config.dial {
            connector.to_peers(peers::Input::Order(address.clone()));
        }
        connector.run();
        connector
    }

    /// Takes in what happened at `now`.
    pub fn handle(&mut self, now: Instant, input: Input) {
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
    pub fn handle_network(&mut self, now: Instant, input: NetworkInput) {
        self.facts.now = now;
        if !self.stopped {
            self.route_network(input);
            self.run();
        }
    }

    /// Does what is due at `now`.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.facts.now = now;
        self.run();
    }

    /// When to call [`Self::handle_timeout`], if nothing happens before.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
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
        self.relays.is_relay(peer)
    }

    /// The relays, in the order in which they were added.
    #[must_use]
    pub fn relays(&self, now: Instant) -> Vec<RelayInfo> {
        self.relays.infos(now)
    }

    /// Why the path to a peer is still relayed, once a hole punch has failed.
    #[must_use]
    pub fn punch_failure(&self, peer: PeerId) -> Option<&Cause> {
        self.peers.punch_failure(peer)
    }

    fn route(&mut self, input: Input) {
        match input {
            Input::AddRelay(relay) => self.to_relays(relays::Input::Add(relay)),
            Input::RelayFound { place, relay } => {
                self.to_relays(relays::Input::Found { place, relay });
            }
            Input::DropRelay(peer) => self.to_relays(relays::Input::Drop(peer)),
            Input::Dial(address) => self.to_peers(peers::Input::Order(address)),
            Input::ListenersReady => {
                if !std::mem::replace(&mut self.facts.listening, true) {
                    self.to_relays(relays::Input::ListenersReady);
                }
            }
            Input::DialFailed { dial, cause } => {
                self.to_dials(dials::Input::Failed { dial, cause })
            }
            Input::Connected {
                peer,
                conn,
                address,
                transport,
                outbound,
                dial,
            } => self.to_dials(dials::Input::Connected(dials::Connected {
                conn,
                peer,
                address,
                transport,
                outbound,
                dial,
            })),
            Input::Closed { conn, cause, .. } => self.closed(conn, cause),
            Input::Identified { .. } => self.identified(input),
            Input::ReservationAccepted { relay, address } => {
                self.to_relays(relays::Input::ReservationAccepted { relay, address });
            }
            Input::ReservationLost { relay, cause } => {
                self.to_relays(relays::Input::ReservationLost { relay, cause });
            }
            Input::Registered { point, ttl } => {
                self.to_relays(relays::Input::Registered { point, ttl });
            }
            Input::RegisterFailed { point, cause } => {
                self.to_relays(relays::Input::RegisterFailed { point, cause });
            }
            Input::Discovered {
                point,
                peers,
                cookie,
            } => self.to_relays(relays::Input::Discovered {
                point,
                peers,
                cookie,
            }),
            Input::DiscoverFailed { point, cause } => {
                self.to_relays(relays::Input::DiscoverFailed { point, cause });
            }
            Input::Path { peer, path, cause } => {
                if let Some(path) = &path {
                    self.facts.connections.set_drained(path.conn, peer, false);
                }
                self.to_peers(peers::Input::Path { peer, path, cause });
            }
            Input::Drained { peer, conn } => {
                if self.facts.connections.set_drained(conn, peer, true) {
                    self.to_peers(peers::Input::Drained { peer });
                }
            }
            Input::Silent { peer, conn, dead } => {
                self.to_peers(peers::Input::Silent { peer, conn, dead });
                self.to_relays(relays::Input::Silent { peer, conn, dead });
            }
            Input::UpgradeFailed { peer, cause } => {
                self.to_peers(peers::Input::UpgradeFailed { peer, cause });
            }
            Input::Greeting { peer, message } => {
                self.to_greetings(greetings::Input::Greeting { peer, message });
            }
            Input::GreetingReply {
                peer,
                message,
                address,
            } => self.to_greetings(greetings::Input::Reply {
                peer,
                message,
                address,
            }),
            Input::Wake => {
                self.to_relays(relays::Input::Wake);
                self.to_peers(peers::Input::Wake);
            }
            Input::Shutdown => {
                self.to_relays(relays::Input::Leave);
                self.stopped = true;
            }
        }
    }

    fn closed(&mut self, conn: ConnId, cause: Cause) {
        if let Some(closed) = self.facts.connections.remove(conn) {
            self.to_relays(relays::Input::Closed {
                conn,
                cause: cause.clone(),
            });
            let peer = closed.peer;
            self.to_peers(peers::Input::Closed { peer, cause });
        }
    }

    fn identified(&mut self, input: Input) {
        let Input::Identified {
            peer,
            conn,
            compatible,
            is_relay,
            protocols,
            listen_addresses,
        } = input
        else {
            return;
        };
        let connections = &mut self.facts.connections;
        if connections.identified(conn, peer, is_relay, compatible) {
            self.to_relays(relays::Input::Identified {
                conn,
                listen_addresses,
            });
            self.to_peers(peers::Input::Identified { conn, protocols });
        }
    }

    fn route_network(&mut self, input: NetworkInput) {
        match input {
            NetworkInput::Announced { peer, addresses } => {
                self.peers
                    .announced(&mut self.facts.context(), peer, addresses);
                self.from_peers();
            }
            NetworkInput::Mapped { address } => {
                self.relays.mapped(&self.facts.context(), address);
                self.from_relays();
            }
            NetworkInput::Failed { cause } => self.push(Output::Emit(Event::Error {
                code: cause.code,
                message: cause.text,
            })),
            // At first every address is a new one.
            NetworkInput::Changed { .. } if !self.facts.listening => {}
            NetworkInput::Changed { lost } => {
                self.relays.network_changed(&mut self.facts.context(), lost);
                self.from_relays();
                self.peers.network_changed(&self.facts.context());
                self.from_peers();
            }
        }
    }

    fn run(&mut self) {
        if self.stopped {
            return;
        }
        self.dials.handle_timeout(&self.facts.context());
        self.from_dials();
        self.relays.handle_timeout(&mut self.facts.context());
        self.from_relays();
        self.peers.handle_timeout(&mut self.facts.context());
        self.from_peers();
        self.greetings.handle_timeout(&self.facts.context());
        self.from_greetings();
    }

    fn to_dials(&mut self, input: dials::Input) {
        self.dials.handle(&self.facts.context(), input);
        self.from_dials();
    }

    fn to_relays(&mut self, input: relays::Input) {
        self.relays.handle(&mut self.facts.context(), input);
        self.from_relays();
    }

    fn to_peers(&mut self, input: peers::Input) {
        self.peers.handle(&mut self.facts.context(), input);
        self.from_peers();
    }

    fn to_greetings(&mut self, input: greetings::Input) {
        self.greetings.handle(&self.facts.context(), input);
        self.from_greetings();
    }

    fn from_dials(&mut self) {
        for output in self.dials.take_outputs() {
            match output {
                dials::Output::Accepted { conn: new, dial } => {
                    let conn = new.id;
                    self.facts.connections.insert(new);
                    self.to_relays(relays::Input::Connected { conn, dial });
                    self.to_peers(peers::Input::Connected { conn, dial });
                }
                dials::Output::Close(conn) => self.close(conn),
                dials::Output::Failed {
                    dial,
                    purpose,
                    cause,
                } => self.dial_failed(dial, purpose, cause),
            }
        }
    }

    fn from_relays(&mut self) {
        for output in self.relays.take_outputs() {
            match output {
                relays::Output::Dial(dial) => self.dial(dial),
                relays::Output::Close(conn) => self.close(conn),
                relays::Output::Reserve { relay, address } => {
                    self.push(Output::Reserve { relay, address });
                }
                relays::Output::Unreserve { relay } => self.push(Output::Unreserve { relay }),
                relays::Output::Register { point } => self.push(Output::Register { point }),
                relays::Output::Unregister { point } => self.push(Output::Unregister { point }),
                relays::Output::Discover { point, cookie } => {
                    self.push(Output::Discover { point, cookie });
                }
                relays::Output::Emit(event) => self.push(Output::Emit(event)),
                relays::Output::Known { relay, known } => {
                    self.to_peers(peers::Input::Known { relay, known });
                }
                relays::Output::Listed {
                    point,
                    peers,
                    is_news,
                } => self.to_peers(peers::Input::Listed {
                    point,
                    peers,
                    is_news,
                }),
                relays::Output::KeptForObservation { relay, conn } => {
                    let purpose = Purpose::Observation(relay);
                    self.facts.connections.set_purpose(conn, purpose);
                }
                relays::Output::Observed { relay } => {
                    self.to_peers(peers::Input::Observed { relay });
                }
                relays::Output::NotObserved { relay } => {
                    self.to_peers(peers::Input::NotObserved { relay });
                }
                relays::Output::NothingToObserve { peer } => {
                    self.to_peers(peers::Input::NothingToObserve { peer });
                }
            }
        }
    }

    fn from_peers(&mut self) {
        for output in self.peers.take_outputs() {
            match output {
                peers::Output::Dial(dial) => self.dial(dial),
                peers::Output::Close(conn) => self.close(conn),
                peers::Output::Emit(event) => self.push(Output::Emit(event)),
                peers::Output::Path {
                    peer,
                    conn,
                    relayed,
                    via,
                } => {
                    self.to_relays(relays::Input::Path {
                        peer,
                        conn,
                        relayed,
                        via,
                    });
                    let connected = true;
                    self.to_greetings(greetings::Input::Path { peer, connected });
                }
                peers::Output::PathLost { peer } => {
                    self.to_relays(relays::Input::PathLost { peer });
                    let connected = false;
                    self.to_greetings(greetings::Input::Path { peer, connected });
                }
                peers::Output::Ordered { peer, ordered } => {
                    self.to_greetings(greetings::Input::Ordered { peer, ordered });
                }
                peers::Output::Observe { relay, peer } => {
                    self.to_relays(relays::Input::Observe { relay, peer });
                }
            }
        }
    }

    fn from_greetings(&mut self) {
        for output in self.greetings.take_outputs() {
            self.push(match output {
                greetings::Output::Greet { peer, message } => Output::Greet { peer, message },
                greetings::Output::Emit(event) => Output::Emit(event),
            });
        }
    }

    fn dial(&mut self, new: NewDial) {
        self.to_dials(dials::Input::Started {
            dial: new.id,
            purpose: new.purpose,
        });
        self.push(Output::Dial {
            dial: new.id,
            peer: new.peer,
            addresses: new.addresses,
        });
    }

    fn dial_failed(&mut self, dial: DialId, purpose: Purpose, cause: Cause) {
        match purpose {
            Purpose::Relay(relay) => {
                self.to_relays(relays::Input::DialFailed { relay, dial, cause });
            }
            Purpose::Observation(relay) => {
                self.to_relays(relays::Input::ObservationFailed { relay, dial });
            }
            Purpose::Peer(_) | Purpose::Upgrade(_) | Purpose::Target(_) => {
                self.to_peers(peers::Input::DialFailed {
                    dial,
                    purpose,
                    cause,
                });
            }
        }
    }

    fn close(&mut self, conn: ConnId) {
        if self.facts.connections.close(conn) {
            self.push(Output::Close { conn });
        }
    }

    fn push(&mut self, output: Output) {
        if !self.stopped || matches!(output, Output::Emit(_)) {
            self.outputs.push_back(output);
        }
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
