//! Who has a reservation, which circuits there are, and who may have one more. A pure state machine: no I/O, no clock.
//! [`room`] says who makes room when there is none.

mod room;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use libp2p::{PeerId, swarm::ConnectionId};
use punchline::networks::{Network, Share, Shares};

use super::{messages::Status, rates::Rates};
use crate::relay::limits::Rate;

/// What a relay gives out.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) max_reservations: usize,
    pub(crate) max_reservations_per_peer: usize,
    pub(crate) reservation_duration: Duration,
    pub(crate) reservation_rate_per_peer: Rate,
    pub(crate) reservation_rate_per_network: Rate,
    pub(crate) max_circuits: usize,
    pub(crate) max_circuits_per_peer: usize,
    pub(crate) circuits_of_network: Share,
    pub(crate) circuit_rate_per_peer: Rate,
    pub(crate) circuit_rate_per_network: Rate,
}

/// A connection that asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Source {
    pub(super) peer: PeerId,
    pub(super) connection: ConnectionId,
    pub(super) ip: Option<IpAddr>,
}

/// Numbers circuits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct CircuitId(u64);

#[cfg(test)]
impl CircuitId {
    pub(super) const fn first() -> Self {
        Self(1)
    }
}

/// When a circuit carried something last, as it notes itself.
#[derive(Debug, Clone, Default)]
pub(super) struct Activity(Arc<AtomicU64>);

impl Activity {
    pub(super) fn note(&self, since_start: Duration) {
        let millis = u64::try_from(since_start.as_millis()).unwrap_or(u64::MAX);
        self.0.store(millis, Ordering::Relaxed);
    }

    fn last(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::Relaxed))
    }
}

/// A request for a circuit that was let through.
#[derive(Debug)]
pub(super) struct Admitted {
    pub(super) id: CircuitId,
    /// The callee's connection.
    pub(super) to: ConnectionId,
    pub(super) activity: Activity,
    /// What had to go for it.
    pub(super) cut: Vec<Cut>,
}

/// A circuit that is cut, and between whom it was if it was open.
pub(super) type Cut = (CircuitId, Option<(PeerId, PeerId)>);

/// A refusal: what the peer is told, and what the operator reads. `what` is a plural; none is worth a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: Status,
    pub(super) what: Option<&'static str>,
}

impl Refusal {
    pub(super) const fn limit(what: &'static str) -> Self {
        Self {
            status: Status::ResourceLimitExceeded,
            what: Some(what),
        }
    }
}

/// The machine.
#[derive(Debug)]
pub(super) struct Ledger {
    limits: Limits,
    start: Instant,
    /// Until when the connections of a peer hold one.
    reservations: BTreeMap<PeerId, BTreeMap<ConnectionId, Held>>,
    expiries: BTreeSet<(Instant, PeerId, ConnectionId)>,
    circuits: BTreeMap<CircuitId, Circuit>,
    of_peer: HashMap<PeerId, BTreeSet<CircuitId>>,
    networks: Shares,
    last: u64,
    rates: AllRates,
}

#[derive(Debug)]
struct AllRates {
    reservations_of_peer: Rates<PeerId>,
    reservations_of_network: Rates<Network>,
    circuits_of_peer: Rates<PeerId>,
    circuits_of_network: Rates<Network>,
}

#[derive(Debug, Clone, Copy)]
struct Held {
    until: Instant,
    from: Option<IpAddr>,
}

#[derive(Debug)]
struct Circuit {
    from: Source,
    to: PeerId,
    to_ip: Option<IpAddr>,
    opened: bool,
    activity: Activity,
}

impl Ledger {
    pub(super) fn new(limits: Limits, start: Instant) -> Self {
        Self {
            limits,
            start,
            reservations: BTreeMap::new(),
            expiries: BTreeSet::new(),
            circuits: BTreeMap::new(),
            of_peer: HashMap::new(),
            networks: Shares::new(limits.circuits_of_network),
            last: 0,
            rates: AllRates {
                reservations_of_peer: Rates::new(limits.reservation_rate_per_peer),
                reservations_of_network: Rates::new(limits.reservation_rate_per_network),
                circuits_of_peer: Rates::new(limits.circuit_rate_per_peer),
                circuits_of_network: Rates::new(limits.circuit_rate_per_network),
            },
        }
    }

    /// Counts the peers that have a reservation.
    pub(super) fn peers(&self) -> usize {
        self.reservations.len()
    }

    /// Whether a peer has a reservation.
    pub(super) fn is_reserved(&self, peer: &PeerId) -> bool {
        self.reservations.contains_key(peer)
    }

    /// Whether a peer has a circuit, or waits for one.
    pub(super) fn has_circuits(&self, peer: &PeerId) -> bool {
        self.of_peer.get(peer).is_some_and(|of| !of.is_empty())
    }

    /// Counts the open circuits.
    pub(super) fn open_circuits(&self) -> usize {
        self.circuits.values().filter(|c| c.opened).count()
    }

    /// A connection asks for a reservation, or to have its own for longer. Returns whether it had one.
    pub(super) fn reserve(&mut self, now: Instant, from: Source) -> Result<bool, Refusal> {
        let of_peer = self.reservations.get(&from.peer);
        let renewed = of_peer.is_some_and(|held| held.contains_key(&from.connection));
        let held = of_peer.map_or(0, BTreeMap::len);
        if !renewed && held >= self.limits.max_reservations_per_peer {
            return Err(Refusal::limit("reservations of one peer"));
        }
        let taken = self.expiries.len();
        if held == 0 && taken >= self.limits.max_reservations {
            return Err(Refusal::limit("reservations"));
        }
        let often = Refusal::limit("requests for reservations, too often,");
        if !self.rates.reservations_of_peer.take(from.peer, now) {
            return Err(often);
        }
        // Who is here already is no newcomer, and not to wait behind them.
        let network = from.ip.map(Network::of).filter(|_| held == 0);
        if network.is_some_and(|n| !self.rates.reservations_of_network.take(n, now)) {
            return Err(often);
        }
        let until = now + self.limits.reservation_duration;
        self.end_reservation(from.peer, from.connection);
        let ip = from.ip;
        let of_peer = self.reservations.entry(from.peer).or_default();
        of_peer.insert(from.connection, Held { until, from: ip });
        self.expiries.insert((until, from.peer, from.connection));
        Ok(renewed)
    }

    /// A connection is gone. Returns whether the last reservation of its peer went with it.
    pub(super) fn connection_closed(&mut self, peer: PeerId, connection: ConnectionId) -> bool {
        self.end_reservation(peer, connection) && !self.reservations.contains_key(&peer)
    }

    pub(super) fn next_expiry(&self) -> Option<Instant> {
        self.expiries.first().map(|(until, ..)| *until)
    }

    /// Ends a reservation that was not renewed in time. Returns whose and on which connection, and whether it was the
    /// peer's last.
    pub(super) fn expired(&mut self, now: Instant) -> Option<(PeerId, ConnectionId, bool)> {
        let (until, peer, connection) = *self.expiries.first()?;
        if until > now {
            return None;
        }
        self.end_reservation(peer, connection);
        Some((peer, connection, !self.reservations.contains_key(&peer)))
    }

    fn end_reservation(&mut self, peer: PeerId, connection: ConnectionId) -> bool {
        let Some(of_peer) = self.reservations.get_mut(&peer) else {
            return false;
        };
        let Some(held) = of_peer.remove(&connection) else {
            return false;
        };
        if of_peer.is_empty() {
            self.reservations.remove(&peer);
        }
        self.expiries.remove(&(held.until, peer, connection))
    }

    /// A connection asks for a circuit to a peer. It counts from then on, since its callee may take long to answer.
    pub(super) fn connect(
        &mut self,
        now: Instant,
        from: Source,
        to: PeerId,
    ) -> Result<Admitted, Refusal> {
        // The newest connection: older ones may be dead and not know it yet.
        let held = self
            .reservations
            .get(&to)
            .and_then(BTreeMap::last_key_value);
        let Some((connection, held)) = held.map(|(connection, held)| (*connection, *held)) else {
            return Err(Refusal {
                status: Status::NoReservation,
                what: None,
            });
        };
        let often = Refusal::limit("requests for circuits, too often,");
        let network = from.ip.map(Network::of);
        if !self.rates.circuits_of_peer.take(from.peer, now)
            || network.is_some_and(|n| !self.rates.circuits_of_network.take(n, now))
        {
            return Err(often);
        }
        if from
            .ip
            .is_some_and(|ip| self.networks.exhausted(ip).is_some())
        {
            return Err(Refusal::limit("circuits of one network"));
        }
        let mut cut = Vec::new();
        for (peer, other) in [(from.peer, held.from), (to, from.ip)] {
            let room = self.room_of_peer(now, peer, other);
            cut.extend(room.ok_or(Refusal::limit("circuits of one peer"))?);
        }
        if cut.is_empty() && self.circuits.len() >= self.limits.max_circuits {
            let all = self.circuits.iter().map(|(id, c)| (*id, c, c.from.ip));
            let victim = self.victim(now, all, from.ip);
            cut.push(victim.ok_or(Refusal::limit("circuits"))?);
        }
        let cut = cut.into_iter().map(|id| (id, self.ended(id))).collect();
        Ok(self.insert(now, from, (to, connection), held.from, cut))
    }

    fn insert(
        &mut self,
        now: Instant,
        from: Source,
        (to, connection): (PeerId, ConnectionId),
        to_ip: Option<IpAddr>,
        cut: Vec<Cut>,
    ) -> Admitted {
        self.last += 1;
        let id = CircuitId(self.last);
        let activity = Activity::default();
        activity.note(now.saturating_duration_since(self.start));
        for peer in [from.peer, to] {
            self.of_peer.entry(peer).or_default().insert(id);
        }
        if let Some(ip) = from.ip {
            self.networks.add(ip);
        }
        let circuit = Circuit {
            from,
            to,
            to_ip,
            opened: false,
            activity: activity.clone(),
        };
        self.circuits.insert(id, circuit);
        Admitted {
            id,
            to: connection,
            activity,
            cut,
        }
    }

    /// A request has led to a circuit. Returns between whom.
    pub(super) fn opened(&mut self, id: CircuitId) -> Option<(PeerId, PeerId)> {
        let circuit = self.circuits.get_mut(&id)?;
        circuit.opened = true;
        Some((circuit.from.peer, circuit.to))
    }

    /// A circuit has ended, or never came about. Returns between whom it was, if it was.
    pub(super) fn ended(&mut self, id: CircuitId) -> Option<(PeerId, PeerId)> {
        let circuit = self.circuits.remove(&id)?;
        for peer in [circuit.from.peer, circuit.to] {
            if let Some(of_peer) = self.of_peer.get_mut(&peer) {
                of_peer.remove(&id);
                if of_peer.is_empty() {
                    self.of_peer.remove(&peer);
                }
            }
        }
        if let Some(ip) = circuit.from.ip {
            self.networks.subtract(ip);
        }
        circuit.opened.then_some((circuit.from.peer, circuit.to))
    }

    #[cfg(test)]
    fn assert_empty(&self) {
        assert!(self.reservations.is_empty() && self.expiries.is_empty());
        assert!(self.circuits.is_empty() && self.of_peer.is_empty() && self.networks.is_empty());
    }
}
