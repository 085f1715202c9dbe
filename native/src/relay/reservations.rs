//! Who has a reservation, and who may have one. No I/O, no clock.
//!
//! libp2p-relay 0.22.0 refuses a renewal, too, when all reservations are given out: those who are there
//! would lose theirs one by one, though nobody gains from it (not reported as far as known, 2026-11).
//! Its events don't say how many a peer has, either: `ReservationClosed` comes for every connection that
//! closes, with or without a reservation. So the relay counts by itself. Without that
//! `who_has_a_reservation_can_renew_it_when_there_are_no_more` (tests/relay_clients.rs) fails.
//!
//! libp2p's relay asks [`Reservations::admit`] for every request. What becomes of it the relay learns
//! from events, which lead to [`Reservations::accepted`], [`Reservations::timed_out`] and
//! [`Reservations::connection_closed`].

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use libp2p::PeerId;

use super::report::RelayEvent;

/// The reservations, as far as libp2p's events show. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Reservations {
    /// How many connections of a peer hold one: 0 while the peer's first request is under way.
    held: Arc<Mutex<HashMap<PeerId, u32>>>,
    max: usize,
}

impl Reservations {
    /// No reservations yet, and at most `max` of them.
    pub(crate) fn new(max: u32) -> Self {
        Self {
            held: Arc::default(),
            max: max as usize,
        }
    }

    /// Whether a peer's request is let through. A peer that has a reservation may renew it, or have one
    /// more for another connection: how many connections a peer has is bounded elsewhere.
    pub(crate) fn admit(&self, peer: PeerId) -> bool {
        let mut held = self.lock();
        if held.contains_key(&peer) {
            return true;
        }
        let taken: usize = held.values().map(|n| (*n).max(1) as usize).sum();
        let admitted = taken < self.max;
        if admitted {
            held.insert(peer, 0);
        }
        admitted
    }

    /// How many peers have a reservation.
    pub(crate) fn peers(&self) -> usize {
        self.lock().values().filter(|n| **n > 0).count()
    }

    /// A reservation was given or renewed.
    pub(crate) fn accepted(&self, peer: PeerId, renewed: bool) -> RelayEvent {
        let mut held = self.lock();
        let connections = held.entry(peer).or_default();
        let renewed = renewed && *connections > 0;
        if !renewed {
            *connections += 1;
        }
        RelayEvent::ReservationAccepted { peer, renewed }
    }

    /// A reservation was not renewed in time.
    pub(crate) fn timed_out(&self, peer: PeerId) -> Option<RelayEvent> {
        let left = self.lock().get(&peer)?.checked_sub(1)?;
        self.at_most(peer, left)
    }

    /// A connection is gone, and its reservation with it. libp2p does not say which connections have
    /// one, but a peer can't have more reservations than connections.
    pub(crate) fn connection_closed(&self, peer: PeerId, remaining: u32) -> Option<RelayEvent> {
        self.at_most(peer, remaining)
    }

    fn at_most(&self, peer: PeerId, connections: u32) -> Option<RelayEvent> {
        let mut all = self.lock();
        let held = all.get_mut(&peer)?;
        let had = *held > 0;
        *held = (*held).min(connections);
        let is_under_way = !had && connections > 0;
        if *held > 0 || is_under_way {
            return None;
        }
        all.remove(&peer);
        had.then_some(RelayEvent::ReservationEnded { peer })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<PeerId, u32>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(peer: PeerId) -> Option<RelayEvent> {
        Some(RelayEvent::ReservationEnded { peer })
    }

    #[test]
    fn a_reservation_ends_with_the_last_connection() {
        let (all, peer) = (Reservations::new(9), PeerId::random());
        assert_eq!(all.connection_closed(peer, 0), None);
        all.accepted(peer, false);
        all.accepted(peer, true);
        assert_eq!(all.peers(), 1);
        assert_eq!(all.connection_closed(peer, 1), None);
        assert_eq!(all.connection_closed(peer, 0), ended(peer));
        assert_eq!(all.connection_closed(peer, 0), None);
    }

    #[test]
    fn a_reservation_ends_when_it_times_out() {
        let (all, peer) = (Reservations::new(9), PeerId::random());
        all.accepted(peer, false);
        all.accepted(peer, false);
        assert_eq!(all.timed_out(peer), None);
        assert_eq!(all.timed_out(peer), ended(peer));
        assert_eq!(all.timed_out(peer), None);
    }

    #[test]
    fn whoever_has_one_keeps_it_when_there_are_no_more() {
        let (all, [a, b, c]) = (Reservations::new(2), [(); 3].map(|()| PeerId::random()));
        for peer in [a, b] {
            assert!(all.admit(peer));
            all.accepted(peer, false);
        }
        assert!(!all.admit(c));
        assert!(all.admit(a));
        all.accepted(a, true);
        all.connection_closed(b, 0);
        assert!(all.admit(c));
    }

    #[test]
    fn requests_under_way_count() {
        let (all, [a, b]) = (Reservations::new(1), [(); 2].map(|()| PeerId::random()));
        assert!(all.admit(a));
        assert!(!all.admit(b));
        assert_eq!(all.peers(), 0);
        // Another connection of a peer says nothing of its request.
        assert_eq!(all.connection_closed(a, 1), None);
        assert!(!all.admit(b));
        assert_eq!(all.connection_closed(a, 0), None);
        assert!(all.admit(b));
    }
}
