//! How often peers register at the rendezvous point. No I/O, no clock.
//!
//! The relay calls [`RegistrationRates::is_exceeded`] for each registration that it answered, and
//! disconnects the peer when that is so.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use libp2p::PeerId;

/// Registrations of one peer within a [`WINDOW`]. Each costs the check of a signature.
const MAX_REGISTRATIONS: u32 = 64;
const WINDOW: Duration = Duration::from_secs(60);
/// Peers whose registrations are counted at a time.
const MAX_PEERS: usize = 16_384;

/// The registrations of each peer since its window began.
#[derive(Debug, Default)]
pub(crate) struct RegistrationRates(HashMap<PeerId, Count>);

#[derive(Debug)]
struct Count {
    since: Instant,
    registrations: u32,
}

impl RegistrationRates {
    /// Counts a registration. Returns whether its peer has registered too often.
    pub(crate) fn is_exceeded(&mut self, peer: PeerId, now: Instant) -> bool {
        if self.0.len() >= MAX_PEERS {
            self.0.retain(|_, count| !count.is_over(now));
        }
        if self.0.len() >= MAX_PEERS && !self.0.contains_key(&peer) {
            // So many peers are a flood of another kind, which a newcomer is not to blame for.
            return false;
        }
        let new = Count {
            since: now,
            registrations: 0,
        };
        let count = self.0.entry(peer).or_insert(new);
        if count.is_over(now) {
            (count.since, count.registrations) = (now, 0);
        }
        count.registrations += 1;
        count.registrations > MAX_REGISTRATIONS
    }
}

impl Count {
    fn is_over(&self, now: Instant) -> bool {
        now.duration_since(self.since) >= WINDOW
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_peers_shuts_nobody_out() {
        let (mut rates, start) = (RegistrationRates::default(), Instant::now());
        for _ in 0..MAX_PEERS + 10 {
            assert!(!rates.is_exceeded(PeerId::random(), start));
        }
        assert_eq!(rates.0.len(), MAX_PEERS);
        rates.is_exceeded(PeerId::random(), start + WINDOW);
        assert_eq!(rates.0.len(), 1);
    }

    #[test]
    fn a_flood_of_registrations_is_noticed_and_forgiven() {
        let (mut rates, peer) = (RegistrationRates::default(), PeerId::random());
        let start = Instant::now();
        for _ in 0..MAX_REGISTRATIONS {
            assert!(!rates.is_exceeded(peer, start));
        }
        assert!(rates.is_exceeded(peer, start));
        assert!(!rates.is_exceeded(peer, start + WINDOW));
    }
}
