//! Who makes room for a newcomer.
//!
//! Peer ids cost nothing: whoever makes up many could take all circuits of a relay, or all of one peer, for good. So when
//! there are no more, a newcomer may take the place of a circuit that
//!
//! - belongs to the network that has the most of them, if that has at least two more than the newcomer's, or
//! - has carried nothing for [`SPARE_AFTER`].
//!
//! Of those it is the one that has carried nothing for longest. Peers in rooms ask each other for signs of life more often
//! than that.

use std::{
    collections::HashMap,
    net::IpAddr,
    time::{Duration, Instant},
};

use libp2p::PeerId;
use punchline::networks::Network;

use super::{Circuit, CircuitId, Ledger};

/// A circuit that has carried nothing for so long may be cut for a newcomer.
pub(super) const SPARE_AFTER: Duration = Duration::from_secs(60);

impl Ledger {
    /// Whether a peer may have one more circuit, with somebody at that address; `Some(Some(id))` if that one is cut.
    pub(super) fn room_of_peer(
        &self,
        now: Instant,
        peer: PeerId,
        other: Option<IpAddr>,
    ) -> Option<Option<CircuitId>> {
        let Some(ids) = self.of_peer.get(&peer) else {
            return Some(None);
        };
        if ids.len() < self.limits.max_circuits_per_peer {
            return Some(None);
        }
        let of_peer = ids.iter().filter_map(|id| {
            let circuit = self.circuits.get(id)?;
            Some((*id, circuit, circuit.other_ip(peer)))
        });
        self.victim(now, of_peer, other).map(Some)
    }

    /// Which of these circuits makes room for a newcomer at that address. Each comes with the address that it counts for.
    pub(super) fn victim<'a>(
        &self,
        now: Instant,
        circuits: impl Iterator<Item = (CircuitId, &'a Circuit, Option<IpAddr>)>,
        newcomer: Option<IpAddr>,
    ) -> Option<CircuitId> {
        let mut networks = HashMap::<Option<Network>, (usize, Duration, CircuitId)>::new();
        for (id, circuit, ip) in circuits {
            let last = circuit.activity.last();
            let most_idle = networks.entry(ip.map(Network::of)).or_insert((0, last, id));
            most_idle.0 += 1;
            if last < most_idle.1 {
                (most_idle.1, most_idle.2) = (last, id);
            }
        }
        let newcomers = networks.get(&newcomer.map(Network::of)).map_or(0, |n| n.0);
        let (largest, _, of_largest) = networks.values().max_by_key(|n| n.0)?;
        if *largest >= newcomers + 2 {
            return Some(*of_largest);
        }
        let (_, last, id) = networks.values().min_by_key(|n| n.1)?;
        let idle = now.saturating_duration_since(self.start + *last);
        (idle >= SPARE_AFTER).then_some(*id)
    }
}

impl Circuit {
    /// Where the other side of one of its peers is.
    fn other_ip(&self, peer: PeerId) -> Option<IpAddr> {
        if peer == self.to {
            self.from.ip
        } else {
            self.to_ip
        }
    }
}
