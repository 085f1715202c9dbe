//! Tests whether this machine can be reached: the addresses that relays are asked to dial, and the results.

use std::time::Duration;

use libp2p::{Multiaddr, autonat::v2::client};
use tokio::time::Instant;

use super::attempts::kind_of;
use crate::doctor::observations::{ReachResult, ReachTest};

/// How long a test may take. A relay that gets through needs a few round trips; one whose packets are dropped answers
/// only after its own limit of 10 s.
const REACH_TIMEOUT: Duration = Duration::from_secs(4);
/// How many addresses are tested: for QUIC and TCP, over IPv4 and IPv6, the observed one and the one with the port
/// that is listened on.
pub(super) const MAX_CANDIDATES: usize = 8;

/// The tests of one run.
#[derive(Debug, Default)]
pub(super) struct ReachTests {
    /// Whether any relay offers tests.
    pub(super) has_server: bool,
    tests: Vec<(Multiaddr, Option<ReachResult>)>,
    last: Option<Instant>,
}

impl ReachTests {
    /// Adds an address; returns whether it is new and there is room for it.
    pub(super) fn add(&mut self, address: Multiaddr, now: Instant) -> bool {
        let is_known = self.tests.iter().any(|(known, _)| *known == address);
        if is_known || self.tests.len() >= MAX_CANDIDATES {
            return false;
        }
        self.tests.push((address, None));
        self.last = Some(now);
        true
    }

    /// Takes a relay's answer.
    pub(super) fn on_answer(&mut self, event: &client::Event) {
        let mut all = self.tests.iter_mut();
        if let Some((_, answer)) = all.find(|(address, _)| *address == event.tested_addr) {
            *answer = Some(match event.result {
                Ok(()) => ReachResult::Reached,
                Err(_) => ReachResult::Failed,
            });
        }
    }

    /// Until when to wait for answers; `None` if there are none to wait for.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let mut open = self.tests.iter().filter(|(_, answer)| answer.is_none());
        let waits = self.has_server && open.any(|asked| !self.is_moot(asked));
        self.last.filter(|_| waits).map(|last| last + REACH_TIMEOUT)
    }

    /// Whether a test without an answer is not needed: another address of its transport and family was reached.
    fn is_moot(&self, (address, answer): &(Multiaddr, Option<ReachResult>)) -> bool {
        let is_alike = |a: &Multiaddr| kind_of(a) == kind_of(address);
        let mut all = self.tests.iter();
        answer.is_none() && all.any(|(a, r)| is_alike(a) && *r == Some(ReachResult::Reached))
    }

    /// The results, where a test without an answer in time is silence.
    pub(super) fn results(&self) -> Vec<ReachTest> {
        let all = self.tests.iter().filter(|_| self.has_server);
        all.filter(|asked| !self.is_moot(asked))
            .map(|(address, answer)| ReachTest {
                address: address.clone(),
                result: answer.unwrap_or(ReachResult::Silence),
            })
            .collect()
    }
}
