//! One supervisor for each relay: dial, identify, reserve; and again, whenever it is lost.

use std::time::Duration;

use libp2p::{Multiaddr, PeerId};
use web_time::Instant;

use super::{
    ConnId, Connector, DialId, Output, Purpose, RelayId, addresses,
    backoff::{Backoff, STABLE},
    connections::Conn,
    earliest,
    relay_dial::Dialling,
    rendezvous::Rendezvous,
};
use crate::reason::{Cause, Reason};
use crate::{config::RelayAddress, event::Event};

/// Relays of one node. Each costs a connection and a request every few seconds.
pub(super) const MAX_RELAYS: usize = 16;
/// Dialling relays before we listen would lose the reuse of ports, which hole punching needs; but
/// a listener that never comes up must not keep us from our relays.
pub(super) const LISTEN_WAIT: Duration = Duration::from_secs(2);
/// A relay that restarts is back at once, and so are all its peers: not in the same instant.
const FIRST_RETRY: std::ops::Range<Duration> =
    Duration::from_millis(200)..Duration::from_millis(500);

/// One address that goes makes several events; what was made since the first is not stale.
pub(super) const FRESH: Duration = Duration::from_millis(250);

#[derive(Debug)]
pub(super) struct Relay {
    /// The peer id it was configured with.
    pub(super) pinned: Option<PeerId>,
    /// That one, or else who answered last.
    pub(super) peer: Option<PeerId>,
    pub(super) addresses: Vec<Multiaddr>,
    /// [`Event::Ready`] waits for it.
    pub(super) at_start: bool,
    pub(super) stage: Stage,
    backoff: Backoff,
    /// What ended the last attempt.
    pub(super) cause: Option<Cause>,
    pub(super) reported: Reported,
    /// Where it listens, by its own word.
    pub(super) claimed: Vec<Multiaddr>,
    /// Dials to be observed over the other of QUIC and TCP, while they run.
    pub(super) other_kinds: Vec<DialId>,
    pub(super) rendezvous: Rendezvous,
}

#[derive(Debug)]
pub(super) enum Stage {
    Waiting(Instant),
    Dialling(Dialling),
    Identifying {
        conn: ConnId,
        until: Instant,
    },
    Reserving {
        conn: ConnId,
        until: Instant,
    },
    Standing {
        conn: ConnId,
        since: Instant,
        /// When the reservation is renewed.
        renew: Instant,
    },
}

/// What the application has been told and need not be told again before it was better.
#[derive(Debug, Default)]
pub(super) struct Reported {
    pub(super) unreachable: bool,
    pub(super) no_relay: bool,
    pub(super) refused: bool,
}

/// How far an attempt got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trouble {
    Unreachable,
    Refused,
}

impl Relay {
    fn new(pinned: Option<PeerId>, addresses: Vec<Multiaddr>, at_start: bool, at: Instant) -> Self {
        Self {
            pinned,
            peer: pinned,
            addresses,
            at_start,
            stage: Stage::Waiting(at),
            backoff: Backoff::fast_first(FIRST_RETRY),
            cause: None,
            reported: Reported::default(),
            claimed: Vec::new(),
            other_kinds: Vec::new(),
            rendezvous: Rendezvous::default(),
        }
    }

    pub(super) fn timeout(&self) -> Option<Instant> {
        match &self.stage {
            Stage::Waiting(at) => Some(*at),
            Stage::Dialling(dialling) => dialling.next_at,
            Stage::Identifying { until, .. } | Stage::Reserving { until, .. } => Some(*until),
            Stage::Standing { renew, .. } => {
                let [register, discover] = self.rendezvous.timeouts();
                earliest([Some(*renew), register, discover])
            }
        }
    }

    pub(super) const fn is_standing(&self) -> bool {
        matches!(self.stage, Stage::Standing { .. })
    }

    pub(super) const fn lets_be_ready(&self) -> bool {
        !self.at_start || (self.is_standing() && self.rendezvous.is_registered())
    }

    /// The connection that all is done on.
    pub(super) const fn conn(&self) -> Option<ConnId> {
        match self.stage {
            Stage::Waiting(_) | Stage::Dialling(_) => None,
            Stage::Identifying { conn, .. }
            | Stage::Reserving { conn, .. }
            | Stage::Standing { conn, .. } => Some(conn),
        }
    }

    /// What a person knows it by.
    pub(super) fn name(&self) -> String {
        self.addresses.first().map_or_else(String::new, |address| {
            self.pinned
                .map_or_else(
                    || address.clone(),
                    |peer| addresses::with_peer(address, peer),
                )
                .to_string()
        })
    }
}

impl Connector {
    pub(super) fn add_relay(&mut self, relay: &RelayAddress, at_start: bool, wait: bool) {
        let found = addresses::of_relay(relay.peer, &relay.addresses, self.local);
        let (peer, addresses) = match found {
            Ok(good) => good,
            Err(e) => {
                let address = relay.addresses.first().map(ToString::to_string);
                let address = address.unwrap_or_default();
                let message = format!("cannot use relay {address}: {e}");
                return self.error(Reason::InvalidAddress, message);
            }
        };
        if let Some(known) = peer.and_then(|peer| self.relay_of(peer)) {
            return self.merge_relay(known, addresses, at_start);
        }
        if self.relays.len() >= MAX_RELAYS {
            let message = format!("more than {MAX_RELAYS} relays are too many");
            return self.error(Reason::TooMany, message);
        }
        let at = self.now + if wait { LISTEN_WAIT } else { Duration::ZERO };
        let id = RelayId(self.relay_count);
        self.relay_count += 1;
        let relay = Relay::new(peer, addresses, at_start, at);
        self.relays.insert(id, relay);
    }

    /// It restarted with another key. Where it was another one is now, which has a supervisor of its own.
    pub(super) fn drop_relay(&mut self, peer: PeerId) {
        if let Some(id) = self.relay_of(peer)
            && self.relays.get(&id).is_some_and(|r| r.conn().is_none())
        {
            self.relays.remove(&id);
        }
    }

    /// Two configured relays turned out to be one.
    pub(super) fn merge_relay(&mut self, into: RelayId, addresses: Vec<Multiaddr>, at_start: bool) {
        let now = self.now;
        let Some(relay) = self.relays.get_mut(&into) else {
            return;
        };
        relay.at_start |= at_start;
        for address in addresses {
            addresses::push_new(&mut relay.addresses, address);
        }
        if let Stage::Waiting(at) = &mut relay.stage {
            *at = now.min(*at);
        }
    }

    pub(super) fn relay_of(&self, peer: PeerId) -> Option<RelayId> {
        let mut relays = self.relays.iter();
        relays
            .find(|(_, relay)| relay.peer == Some(peer))
            .map(|(id, _)| *id)
    }

    /// Where we are connected to a relay that stands: what others' circuits are dialled by.
    pub(super) fn way_to_relay(&self, id: RelayId) -> Option<Multiaddr> {
        let relay = self.relays.get(&id).filter(|relay| relay.is_standing())?;
        let conn = self.conns.get(relay.conn()?)?;
        Some(addresses::circuit(&conn.address, conn.peer))
    }

    /// Whether a supervisor needs this connection.
    pub(super) fn relay_needs(&self, id: ConnId) -> bool {
        let kept = |purpose| matches!(purpose, Some(Purpose::OtherKind(_)));
        self.relays.values().any(|relay| relay.conn() == Some(id))
            || self.conns.get(id).is_some_and(|conn| kept(conn.purpose))
    }

    pub(super) fn run_relays(&mut self) {
        let now = self.now;
        let due = |relay: &Relay| relay.timeout().is_some_and(|at| at <= now);
        let due: Vec<_> = self
            .relays
            .iter()
            .filter(|(_, relay)| due(relay))
            .map(|(id, _)| *id)
            .collect();
        for id in due {
            self.run_relay(id);
        }
    }

    fn run_relay(&mut self, id: RelayId) {
        let Some(relay) = self.relays.get(&id) else {
            return;
        };
        match relay.stage {
            Stage::Waiting(_) => self.relay_start(id),
            Stage::Dialling(_) => self.relay_dial_next(id),
            Stage::Identifying { conn, .. } => {
                let cause = Cause::new(Reason::NoAnswer, "it did not identify itself in time");
                self.relay_unanswered(id, conn, &cause);
            }
            Stage::Reserving { conn, .. } => {
                let text = "it did not answer the request for a reservation";
                self.relay_unanswered(id, conn, &Cause::new(Reason::NoAnswer, text));
            }
            Stage::Standing { conn, renew, .. } => {
                if renew <= self.now {
                    self.renew(id, conn);
                }
                self.run_rendezvous(id);
            }
        }
    }

    /// A connection that answers nothing is not worth keeping.
    pub(super) fn relay_unanswered(&mut self, id: RelayId, conn: ConnId, cause: &Cause) {
        self.close_unless_in_use(conn);
        self.relay_failed(id, cause, Trouble::Unreachable);
    }

    pub(super) fn relay_conn_closed(&mut self, conn: ConnId, cause: &Cause) {
        let mut relays = self.relays.iter();
        let Some((id, relay)) = relays.find(|(_, relay)| relay.conn() == Some(conn)) else {
            return;
        };
        let what = match relay.stage {
            Stage::Identifying { .. } => "it closed the connection at once, as when it is full",
            _ => "the connection was closed",
        };
        let (id, cause) = (*id, Cause::new(cause.code, format!("{what}: {cause}")));
        self.relay_failed(id, &cause, Trouble::Unreachable);
    }

    /// One attempt, or what it had led to, is over: report it if it is news, and wait.
    pub(super) fn relay_failed(&mut self, id: RelayId, cause: &Cause, trouble: Trouble) {
        let Some(relay) = self.relays.get_mut(&id) else {
            return;
        };
        let stood = match relay.stage {
            Stage::Standing { since, .. } => Some(self.now.saturating_duration_since(since)),
            _ => None,
        };
        if stood >= Some(STABLE) {
            relay.backoff.reset();
        }
        let listening = matches!(
            relay.stage,
            Stage::Standing { .. } | Stage::Reserving { .. }
        );
        relay.stage = Stage::Waiting(self.now + relay.backoff.next(&mut self.rng));
        relay.cause = Some(cause.clone());
        relay.rendezvous.pause();
        let (peer, name) = (relay.peer, relay.name());
        let told = match trouble {
            Trouble::Unreachable => &mut relay.reported.unreachable,
            Trouble::Refused => &mut relay.reported.refused,
        };
        let is_news = stood.is_none() && !std::mem::replace(told, true);
        if let (Some(_), Some(relay)) = (stood, peer) {
            self.emit(Event::ReservationLost {
                relay,
                code: cause.code,
                reason: cause.text.clone(),
            });
        } else if is_news {
            let message = match trouble {
                Trouble::Unreachable => format!("cannot reach relay {name}: {cause}; retrying"),
                Trouble::Refused => format!("relay {name} gave no reservation: {cause}; retrying"),
            };
            self.error(cause.code, message);
        }
        if listening {
            self.push(Output::Unreserve { relay: id });
        }
    }

    pub(super) fn hurry_relays(&mut self) {
        for relay in self.relays.values_mut() {
            relay.backoff.reset();
            relay.rendezvous.hurry(self.now);
            match &mut relay.stage {
                Stage::Waiting(at) => *at = self.now.min(*at),
                Stage::Dialling(dialling) => {
                    dialling.next_at = dialling.next_at.map(|at| self.now.min(at));
                }
                _ => {}
            }
        }
    }

    /// This machine has moved. A connection that began at an address which is gone is dead without a
    /// word; over QUIC it may live on, but the relay saw us where we are no more.
    pub(super) fn move_relays(&mut self, lost: bool) {
        let old = |conn: &Conn| self.now.saturating_duration_since(conn.since) >= FRESH;
        let of_relay = |conn: &Conn| Some((self.relay_of(conn.peer)?, conn.id));
        let stale: Vec<_> = self
            .conns
            .iter()
            .filter(|conn| lost && conn.leads_to_relay() && old(conn))
            .filter_map(of_relay)
            .collect();
        for (relay, conn) in stale {
            self.close_unless_in_use(conn);
            if self.relays.get(&relay).and_then(Relay::conn) == Some(conn) {
                let text = "this machine's address has changed";
                let cause = Cause::new(Reason::NetworkChanged, text);
                self.relay_failed(relay, &cause, Trouble::Unreachable);
            }
        }
        for relay in self.relays.values_mut() {
            if let Stage::Waiting(at) = &mut relay.stage {
                relay.backoff.reset();
                *at = self.now.min(*at);
            }
        }
    }

    pub(super) fn leave_relays(&mut self) {
        let standing: Vec<_> = self
            .relays
            .iter()
            .filter(|(_, relay)| {
                matches!(
                    relay.stage,
                    Stage::Standing { .. } | Stage::Reserving { .. }
                )
            })
            .map(|(id, relay)| {
                (
                    *id,
                    relay.peer.filter(|_| relay.rendezvous.may_be_registered()),
                )
            })
            .collect();
        for (relay, registered) in standing {
            if let Some(peer) = registered {
                self.push(Output::Unregister { relay: peer });
            }
            self.push(Output::Unreserve { relay });
        }
    }
}
