//! Our relays: one supervisor for each, which gets a reservation and a registration there, keeps both, and
//! asks who else is there.
//!
//! # How it is driven
//!
//! The [`super::Connector`] passes in an [`Input`] for whatever concerns relays: what the application wants,
//! how dials ended, connections that came and went, answers of relays, and the paths that peers have, some of which
//! lead through a relay. It calls [`Relays::handle_timeout`] at [`Relays::poll_timeout`], and takes the
//! [outputs](Output) after each call. A supervisor ([`Relay`]) goes through these states, and begins again
//! whenever something is lost:
//!
//! ```text
//!              due                    connected             it is a relay
//!  ┌─► Waiting ────► Dialling ──────────────► Identifying ────────────────► Reserving
//!  │      │   ▲                                    ▲                            │ accepted
//!  │      │   │ closed, refused, no answer         │                            ▼
//!  │      │   └────────────── from every state     │                        Standing ◄─┐ renewed
//!  │      └── a usable connection stands already ──┘                            │   └──┘
//!  │                                                                            ├─ registers, and again
//!  └─ after 200 to 500 ms, then with jittered back-off up to 30 s, for ever     └─ discovers, and again
//! ```
//!
//! - [`dialling`]: QUIC has a head start, then TCP, then whatever else there is.
//! - [`reservation`]: by the [circuit relay specification]; renewed by our own clock.
//! - [`rendezvous`]: by the [rendezvous specification]; the circuit that a reservation will give is registered together with
//!   the request for it, and withdrawn if there is none.
//! - [`claim`]: a registration before there is a reservation.
//! - [`doubt`]: one whose answer is late is dialled beside the connection that stands.
//! - [`observation`]: a relay sees where we are over QUIC and over TCP, which hole punching needs.
//! - [`status`] for who asks how relays are; [`readiness`] for [`Event::Ready`].
//!
//! What others may know of a relay comes out as [`Output::Known`], whenever that changes.
//!
//! # Limits
//!
//! [`MAX_RELAYS`](super::known_relay::MAX_RELAYS) supervisors, with [`MAX_ADDRESSES_PER_PEER`](crate::config::MAX_ADDRESSES_PER_PEER) addresses
//! each. A path is remembered for each peer that has one. Answers of a rendezvous point are cut to
//! [`MAX_FOUND`] peers, cookies to 1 KiB, times to live to what the specification allows.
//!
//! [circuit relay specification]: https://github.com/libp2p/specs/blob/master/relay/circuit-v2.md
//! [rendezvous specification]: https://github.com/libp2p/specs/blob/master/rendezvous/README.md

mod claim;
pub(super) mod dialling;
pub(super) mod discovery;
mod doubt;
mod io;
mod observation;
mod readiness;
pub(super) mod relay;
pub(super) mod rendezvous;
pub(super) mod reservation;
mod shared;
pub(super) mod status;
mod supervised;
#[cfg(test)]
mod tests;
pub(super) mod twin;

use libp2p::{Multiaddr, PeerId};
use web_time::Instant;

pub(super) use self::io::{Input, Output};
use self::{
    readiness::Readiness,
    relay::Relay,
    shared::{PathOfPeer, Shared},
};
use super::{DialId, RelayId, RelayInfo, context::Context};
use crate::{config::NodeConfig, event::Event, path::ConnId, reason::Cause, table::Table};

/// Peers in one answer of a rendezvous point that are looked at.
const MAX_FOUND: usize = 1_024;

/// The machine: all supervisors, and what they share.
#[derive(Debug)]
pub(super) struct Relays {
    relays: Table<RelayId, Relay>,
    /// Numbers that were given to relays.
    count: u32,
    readiness: Readiness,
    shared: Shared,
}

impl Relays {
    /// Supervisors for the relays of the configuration, which wait a moment for listeners if there are any.
    pub(super) fn new(cx: &Context<'_>, config: &NodeConfig) -> Self {
        let mut relays = Self {
            relays: Table::new(),
            count: 0,
            readiness: Readiness::new(config.pending_relays),
            shared: Shared::new(config),
        };
        for relay in &config.relays {
            let id = relays.add(cx, relay, !config.listen.is_empty());
            if let Some(relay) = id.and_then(|id| relays.relays.get_mut(&id)) {
                relay.is_awaited = true;
            }
        }
        relays
    }

    pub(super) fn handle(&mut self, cx: &mut Context<'_>, input: Input) {
        match input {
            Input::Add(relay) => {
                let id = self.add(cx, &relay, !cx.listening);
                if let Some(relay) = id.and_then(|id| self.relays.get_mut(&id)) {
                    relay.only_found = false;
                }
            }
            Input::Found { place, relay } => self.found(cx, place, &relay),
            Input::Drop(peer) => self.drop_relay(peer),
            Input::ListenersReady | Input::Wake => self.hurry(cx),
            Input::DialFailed { relay, dial, cause } => {
                self.with(relay, |relay, shared| {
                    relay.dial_failed(cx, shared, dial, &cause);
                });
            }
            Input::ObservationFailed { relay, dial } => self.observation_failed(relay, dial),
            Input::Connected { conn, dial } => self.connected(cx, conn, dial),
            Input::Closed { conn, cause } => self.closed(cx, conn, &cause),
            Input::Identified {
                conn,
                listen_addresses,
            } => self.identified(cx, conn, listen_addresses),
            Input::ReservationAccepted { relay, address } => self.with(relay, |relay, shared| {
                relay.reservation_accepted(cx, shared, address);
            }),
            Input::ReservationLost { relay, cause } => self.with(relay, |relay, shared| {
                relay.reservation_lost(cx, shared, &cause);
            }),
            Input::Stranger { point } => self.with_point(point, |relay, shared| {
                relay.met_stranger(cx, shared);
            }),
            Input::Registered { point, ttl } => self.with_point(point, |relay, shared| {
                relay.registered(cx, shared, ttl);
            }),
            Input::RegisterFailed { point, cause } => self.with_point(point, |relay, shared| {
                relay.register_failed(cx, shared, &cause);
            }),
            Input::Discovered {
                point,
                peers,
                cookie,
            } => self.with_point(point, |relay, shared| {
                relay.discovered(cx, shared, peers, cookie);
            }),
            Input::News { point, peers } => self.with_point(point, |relay, shared| {
                relay.heard_news(cx.now, shared, peers);
            }),
            Input::DiscoverFailed { point, cause } => self.with_point(point, |relay, shared| {
                relay.discover_failed(cx, shared, &cause);
            }),
            Input::Path {
                peer,
                conn,
                relayed,
                via,
            } => {
                let path = PathOfPeer { conn, relayed, via };
                self.shared.paths.insert(peer, path);
            }
            Input::PathLost { peer } => {
                self.shared.paths.remove(&peer);
            }
            Input::Answered { conn, rtt } => self.answered(cx, conn, rtt),
            Input::Silent { peer, conn, dead } => self.silent(cx, peer, conn, dead),
            Input::Observe { relay, peer } => self.observe_for(cx, relay, peer),
            Input::Leave => self.leave(),
        }
        self.publish();
    }

    pub(super) fn handle_timeout(&mut self, cx: &mut Context<'_>) {
        for relay in self.relays.values_mut() {
            if relay.timeout().is_some_and(|at| at <= cx.now) {
                relay.run(cx, &mut self.shared);
            }
        }
        self.check_ready(cx);
        self.publish();
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.relays.values().filter_map(Relay::timeout).min()
    }

    pub(super) fn take_outputs(&mut self) -> Vec<Output> {
        std::mem::take(&mut self.shared.outputs)
    }

    /// Whether this peer is one of our relays.
    pub(super) fn is_relay(&self, peer: PeerId) -> bool {
        self.of(peer).is_some()
    }

    /// The relays, in the order in which they were added.
    pub(super) fn infos(&self, now: Instant) -> Vec<RelayInfo> {
        self.relays.values().map(|relay| relay.info(now)).collect()
    }

    /// The gateway lets others reach us at one more address, which is worth a registration.
    ///
    /// This and [`Self::network_changed`] are no inputs, so that a browser's program can do without them.
    pub(super) fn mapped(&mut self, cx: &Context<'_>, address: Multiaddr) {
        self.shared.emit(Event::ExternalAddress { address });
        for relay in self.relays.values_mut() {
            if relay.is_standing() {
                relay.register(cx, &mut self.shared);
            }
        }
    }

    /// This machine has moved. A connection that began at an address which is gone is dead without a
    /// word; over QUIC it may live on, but the relay saw us where we are no more.
    ///
    /// Until the listeners are up every address is a new one, and means nothing.
    pub(super) fn network_changed(&mut self, cx: &mut Context<'_>, lost: bool) {
        if !cx.listening {
            return;
        }
        for relay in self.relays.values_mut() {
            if lost {
                relay.leave_old_connections(cx, &mut self.shared);
            }
            relay.retry_now(cx.now);
        }
        self.publish();
    }

    fn with(&mut self, relay: RelayId, act: impl FnOnce(&mut Relay, &mut Shared)) {
        if let Some(relay) = self.relays.get_mut(&relay) {
            act(relay, &mut self.shared);
        }
    }

    fn with_point(&mut self, point: PeerId, act: impl FnOnce(&mut Relay, &mut Shared)) {
        if let Some(relay) = self.of(point) {
            self.with(relay, act);
        }
    }

    fn of(&self, peer: PeerId) -> Option<RelayId> {
        let mut relays = self.relays.iter();
        relays
            .find(|(_, relay)| relay.peer == Some(peer))
            .map(|(id, _)| *id)
    }

    fn hurry(&mut self, cx: &Context<'_>) {
        for relay in self.relays.values_mut() {
            relay.hurry(cx.now);
        }
    }

    fn connected(&mut self, cx: &mut Context<'_>, conn: ConnId, dial: Option<DialId>) {
        if self.dialled(cx, conn, dial) {
            self.use_connection(cx, conn);
        }
    }

    fn closed(&mut self, cx: &mut Context<'_>, conn: ConnId, cause: &Cause) {
        let mut relays = self.relays.values_mut();
        if let Some(relay) = relays.find(|relay| relay.conn() == Some(conn)) {
            relay.closed(cx, &mut self.shared, cause);
            relay.leave_observations(cx, &mut self.shared);
        }
    }

    /// While a path is silent, so may be every relay: one more silence is enough. What is dead is left,
    /// unless messages come by it: a ping only waits in line behind them.
    fn silent(&mut self, cx: &mut Context<'_>, peer: PeerId, conn: ConnId, dead: bool) {
        if dead {
            let mut relays = self.relays.values_mut();
            if let Some(relay) = relays.find(|relay| relay.conn() == Some(conn))
                && !self.shared.carries_a_path(relay.peer)
            {
                relay.fell_silent(cx, &mut self.shared);
            }
        } else if self.shared.is_path(peer, conn) {
            for relay in self.relays.values_mut() {
                relay.rendezvous.suspect(cx.now);
            }
        }
    }

    fn leave(&mut self) {
        for relay in self.relays.values() {
            relay.leave(&mut self.shared);
        }
    }

    /// Reports what others may know, where it changed.
    fn publish(&mut self) {
        for relay in self.relays.values_mut() {
            let known = relay.known();
            if relay.published.as_ref() != Some(&known) {
                relay.published = Some(known.clone());
                self.shared.outputs.push(Output::Known {
                    relay: relay.id,
                    known: Some(known),
                });
            }
        }
    }
}
