//! Who has a reservation, who registers too often and which circuits there are, as far as libp2p tells.
//!
//! libp2p's own events need reading with care, which is what this does. No I/O, no clock.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use libp2p::PeerId;

use super::{
    circuits::{Admission, Circuits},
    event::{Counts, RelayEvent},
    limits::Limits,
    reservations::Reservations,
};

/// Registrations of one peer within [`RATE_WINDOW`]; beyond it the peer is disconnected.
/// Each costs us the check of a signature.
const MAX_REGISTRATIONS_PER_WINDOW: u32 = 64;
const RATE_WINDOW: Duration = Duration::from_secs(60);
/// Peers whose rate is remembered; what is older than the window goes first.
const MAX_RATES: usize = 16_384;

/// The book itself.
#[derive(Debug)]
pub(crate) struct Book {
    reservations: Reservations,
    circuits: Circuits,
    rates: HashMap<PeerId, (Instant, u32)>,
}

impl Book {
    /// Empty.
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            reservations: Reservations::new(limits.max_reservations),
            circuits: Circuits::new(limits.admission()),
            rates: HashMap::new(),
        }
    }

    /// What is to be asked before a reservation is given out.
    pub(crate) fn reservations(&self) -> Reservations {
        self.reservations.clone()
    }

    /// What is to be asked before a circuit is opened.
    pub(crate) fn admission(&self) -> Admission {
        self.circuits.admission()
    }

    /// How much there is.
    pub(crate) fn counts(&self, registrations: usize) -> Counts {
        Counts {
            registrations,
            reservations: self.reservations.peers(),
            circuits: self.circuits.len(),
        }
    }

    /// Whether a peer that registers just now does so far too often.
    pub(crate) fn registers_too_often(&mut self, peer: PeerId, now: Instant) -> bool {
        if self.rates.len() >= MAX_RATES {
            self.rates
                .retain(|_, (since, _)| now.duration_since(*since) < RATE_WINDOW);
        }
        if self.rates.len() >= MAX_RATES && !self.rates.contains_key(&peer) {
            // So many peers are a flood of another kind, which newcomers are not to blame for.
            return false;
        }
        let (since, count) = self.rates.entry(peer).or_insert((now, 0));
        if now.duration_since(*since) >= RATE_WINDOW {
            (*since, *count) = (now, 0);
        }
        *count += 1;
        *count > MAX_REGISTRATIONS_PER_WINDOW
    }

    /// A reservation, new or renewed.
    pub(crate) fn reserved(&self, peer: PeerId, renewed: bool) -> RelayEvent {
        self.reservations.accepted(peer, renewed)
    }

    /// One reservation of a peer was not renewed in time.
    pub(crate) fn reservation_timed_out(&self, peer: PeerId) -> Option<RelayEvent> {
        self.reservations.timed_out(peer)
    }

    /// A peer has one connection less.
    pub(crate) fn connection_closed(&self, peer: PeerId, remaining: u32) -> Option<RelayEvent> {
        self.reservations.connection_closed(peer, remaining)
    }

    /// Two peers talk.
    pub(crate) fn circuit_opened(&mut self, from: PeerId, to: PeerId) -> RelayEvent {
        self.circuits.opened(from, to);
        RelayEvent::CircuitOpened { from, to }
    }

    /// A peer that asked for a circuit, and was not refused for a limit, did not get one.
    pub(crate) fn circuit_failed(&mut self, from: PeerId) {
        self.circuits.failed(from);
    }

    /// They no longer do.
    pub(crate) fn circuit_closed(&mut self, from: PeerId, to: PeerId) -> Option<RelayEvent> {
        let was_open = self.circuits.closed(from, to);
        was_open.then_some(RelayEvent::CircuitClosed { from, to })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn book() -> Book {
        Book::new(&crate::cli::tests::relay(&[]).limits)
    }

    #[test]
    fn a_flood_of_peers_shuts_nobody_out() {
        let (mut book, start) = (book(), Instant::now());
        for _ in 0..MAX_RATES + 10 {
            assert!(!book.registers_too_often(PeerId::random(), start));
        }
        assert_eq!(book.rates.len(), MAX_RATES);
        book.registers_too_often(PeerId::random(), start + RATE_WINDOW);
        assert_eq!(book.rates.len(), 1);
    }

    #[test]
    fn a_flood_of_registrations_is_noticed_and_forgiven() {
        let (mut book, peer, start) = (book(), PeerId::random(), Instant::now());
        for _ in 0..MAX_REGISTRATIONS_PER_WINDOW {
            assert!(!book.registers_too_often(peer, start));
        }
        assert!(book.registers_too_often(peer, start));
        assert!(!book.registers_too_often(peer, start + RATE_WINDOW));
    }
}
