//! Where peers were reached directly the last time, in this run or an earlier one. They are dialled there beside whatever else
//! leads to them: once when we start, and once when somebody says that they have come. If both sides remember, each opens its
//! NAT for the other, and they meet without a circuit, or without a relay.

use std::time::Duration;

use libp2p::{Multiaddr, PeerId};
use web_time::Instant;

use super::{Peers, peer::Peer, shared::Shared};
use crate::{
    connector::{addresses, context::Context, purpose::Purpose},
    path::{ActivePath, Path, Transport},
    table::Table,
};

/// Peers whose address is remembered; the oldest makes room.
pub(in crate::connector) const MAX_REMEMBERED: usize = 64;
/// Those of them that are dialled when we start, the newest.
pub(in crate::connector) const MAX_AT_START: usize = 16;
/// A relay may say as often as it likes that a peer has come: that one is dialled no sooner again.
pub(in crate::connector) const PAUSE: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(super) struct Remembered {
    places: Table<PeerId, Place>,
    /// Numbers that were given to places.
    count: u64,
    started: bool,
}

#[derive(Debug)]
struct Place {
    address: Multiaddr,
    /// The larger, the later.
    number: u64,
    dialled: Option<Instant>,
    is_dialling: bool,
}

impl Remembered {
    pub(super) const fn new() -> Self {
        Self {
            places: Table::new(),
            count: 0,
            started: false,
        }
    }

    pub(super) fn place_of(&self, peer: PeerId) -> Option<&Multiaddr> {
        self.places.get(&peer).map(|place| &place.address)
    }

    /// A dial of a remembered peer is over, however it went.
    pub(super) fn dialled(&mut self, peer: PeerId) {
        if let Some(place) = self.places.get_mut(&peer) {
            place.is_dialling = false;
        }
    }

    fn insert(&mut self, peer: PeerId, address: Multiaddr) {
        self.count += 1;
        let number = self.count;
        if let Some(known) = self.places.get_mut(&peer) {
            known.address = address;
            known.number = number;
            return;
        }
        if self.places.len() >= MAX_REMEMBERED {
            let oldest = self.places.iter().min_by_key(|(_, place)| place.number);
            if let Some(oldest) = oldest.map(|(peer, _)| *peer) {
                self.places.remove(&oldest);
            }
        }
        let place = Place {
            address,
            number,
            dialled: None,
            is_dialling: false,
        };
        self.places.insert(peer, place);
    }

    fn newest(&self) -> impl Iterator<Item = PeerId> + use<> {
        let mut all: Vec<_> = self.places.iter().map(|(id, p)| (p.number, *id)).collect();
        all.sort_unstable_by(|a, b| b.cmp(a));
        all.into_iter().map(|(_, id)| id).take(MAX_AT_START)
    }
}

impl Peers {
    /// Remembers places of an earlier run, the newest last.
    pub(in crate::connector) fn remember(&mut self, cx: &Context<'_>, places: &[Multiaddr]) {
        for address in places {
            if let Ok(Some(peer)) = addresses::check(address, cx.local)
                && !addresses::has_circuit(address)
            {
                self.shared.remembered.insert(peer, address.clone());
            }
        }
    }

    /// Dials whoever is remembered, once we listen: the same ports as then are the best.
    pub(super) fn dial_remembered(&mut self, cx: &mut Context<'_>) {
        if cx.listening && !std::mem::replace(&mut self.shared.remembered.started, true) {
            for peer in self.shared.remembered.newest() {
                self.shared.dial_remembered(cx, peer);
            }
        }
    }
}

impl Shared {
    /// Dials a peer where it was the last time, unless it is here. Nobody waits for what comes of it.
    pub(super) fn dial_remembered(&mut self, cx: &mut Context<'_>, peer: PeerId) {
        let Some(place) = self.remembered.places.get_mut(&peer) else {
            return;
        };
        let since = place.dialled.map(|at| cx.now.saturating_duration_since(at));
        let too_soon = since.is_some_and(|since| since < PAUSE);
        if too_soon
            || place.is_dialling
            || !cx.listening
            || cx.connections.of(peer).next().is_some()
        {
            return;
        }
        place.dialled = Some(cx.now);
        place.is_dialling = true;
        let address = place.address.clone();
        self.dial(cx, Purpose::Remembered(peer), Some(peer), vec![address]);
    }
}

impl Peer {
    /// A direct path is remembered, if the peer may be dialled at its other end: where we dialled it, or, over QUIC, from where
    /// it dialled us, for a peer does that from the port that it listens on.
    pub(super) fn remember(&self, cx: &Context<'_>, shared: &mut Shared, path: &ActivePath) {
        let conn = cx.connections.get(path.conn);
        let dialled = conn.is_some_and(|conn| conn.outbound);
        if path.kind == Path::Direct && (dialled || path.transport == Transport::Quic) {
            let address = addresses::with_peer(&path.address, self.id);
            shared.remembered.insert(self.id, address);
        }
    }
}
