//! Which addresses relays are asked to dial, and what they say.

use std::time::Duration;

use libp2p::{Multiaddr, autonat::v2::client};
use tokio::time::Instant;

use super::kind_of;
use crate::doctor::seen::{Reach, ReachAnswer};

/// How long a relay that was asked to dial us may take. One whose packets are dropped says nothing
/// before its own limit of 10 s; one that comes through needs a few round trips.
const REACH_TIMEOUT: Duration = Duration::from_secs(4);
/// Addresses that are tested from outside: QUIC and TCP, IPv4 and IPv6, as they are seen and with
/// the port that we listen at.
pub(super) const MAX_CANDIDATES: usize = 8;

/// The addresses, and whether there is anybody to ask.
#[derive(Debug, Default)]
pub(super) struct Asked {
    /// Whether any relay offers to dial us.
    pub(super) has_server: bool,
    addresses: Vec<(Multiaddr, Option<ReachAnswer>)>,
    last: Option<Instant>,
}

impl Asked {
    /// One more; returns whether it is new.
    pub(super) fn add(&mut self, address: Multiaddr, now: Instant) -> bool {
        let is_known = self.addresses.iter().any(|(known, _)| *known == address);
        if is_known || self.addresses.len() >= MAX_CANDIDATES {
            return false;
        }
        self.addresses.push((address, None));
        self.last = Some(now);
        true
    }

    pub(super) fn on_answer(&mut self, event: &client::Event) {
        let mut all = self.addresses.iter_mut();
        if let Some((_, answer)) = all.find(|(address, _)| *address == event.tested_addr) {
            *answer = Some(match event.result {
                Ok(()) => ReachAnswer::Reached,
                Err(_) => ReachAnswer::Failed,
            });
        }
    }

    /// Until when to wait for answers; `None`: there are none to wait for.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let mut open = self.addresses.iter().filter(|(_, answer)| answer.is_none());
        let waits = self.has_server && open.any(|asked| !self.is_moot(asked));
        self.last.filter(|_| waits).map(|last| last + REACH_TIMEOUT)
    }

    /// Where one address is reached, another one like it need not be.
    fn is_moot(&self, (address, answer): &(Multiaddr, Option<ReachAnswer>)) -> bool {
        let is_alike = |a: &Multiaddr| kind_of(a) == kind_of(address);
        let mut all = self.addresses.iter();
        answer.is_none() && all.any(|(a, r)| is_alike(a) && *r == Some(ReachAnswer::Reached))
    }

    pub(super) fn results(&self) -> Vec<Reach> {
        let all = self.addresses.iter().filter(|_| self.has_server);
        all.filter(|asked| !self.is_moot(asked))
            .map(|(address, answer)| Reach {
                address: address.clone(),
                answer: answer.unwrap_or(ReachAnswer::Silence),
            })
            .collect()
    }
}
