//! From a circuit to a direct path. Each new circuit makes libp2p punch a hole once; when that
//! failed, we make a new circuit now and then.

use std::time::Duration;

use libp2p::{Multiaddr, PeerId};
use web_time::Instant;

use super::{
    ConnId, Connector, DialId, Purpose, RelayId, addresses,
    backoff::{Backoff, Next, STABLE},
    connections::Conn,
};
use crate::reason::{Cause, Reason};
use crate::{
    path::{Path, Transport},
    platform::HOLE_PUNCH,
};

/// A hole punch that is heard nothing of for this long has failed. Only one side is told.
pub(super) const PUNCH_TIMEOUT: Duration = Duration::from_secs(30);
/// A failed one is repeated after this time at the earliest.
pub(super) const UPGRADE_RETRY_MIN: Duration = Duration::from_secs(30);
/// There was a direct path not long ago: what broke it may soon be over.
pub(super) const UPGRADE_AGAIN_MIN: Duration = Duration::from_secs(5);
/// And no later than after this.
pub(super) const UPGRADE_RETRY_MAX: Duration = Duration::from_secs(600);
/// What changed for the better is used this soon: both sides have to hear of it.
pub(super) const UPGRADE_SOON: Duration = Duration::from_secs(1);
/// How long the relay has to observe us over the other transport.
const OTHER_KIND_TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(super) struct Upgrade {
    stage: Stage,
    backoff: Backoff,
    /// The relay that is to observe us over the other transport first.
    awaits: Option<RelayId>,
    /// It has been asked for, for this peer.
    other_kind_tried: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// There is no circuit, or something better.
    Off,
    /// A hole is being punched.
    Punching(Instant),
    /// Until the next try.
    Waiting(Instant),
}

impl Upgrade {
    pub(super) const fn new() -> Self {
        Self {
            stage: Stage::Off,
            backoff: Backoff::new(UPGRADE_RETRY_MIN, UPGRADE_RETRY_MAX),
            awaits: None,
            other_kind_tried: false,
        }
    }

    pub(super) const fn timeout(&self) -> Option<Instant> {
        match self.stage {
            Stage::Off => None,
            Stage::Punching(at) | Stage::Waiting(at) => Some(at),
        }
    }

    /// The last path is gone.
    pub(super) const fn end(&mut self, lost: Path) {
        *self = Self::new();
        if matches!(lost, Path::Direct) {
            self.backoff.set_min(UPGRADE_AGAIN_MIN);
        }
    }

    pub(super) fn hurry(&mut self, now: Instant) {
        if let Stage::Waiting(at) = &mut self.stage {
            self.backoff.reset();
            *at = now.min(*at);
        }
    }
}

impl Connector {
    /// The path to a peer is of some kind now; `old` it was before, since `old_since`.
    pub(super) fn path_of_kind(
        &mut self,
        id: PeerId,
        old: Option<Path>,
        old_since: Option<Instant>,
    ) {
        if !self.hole_punch {
            return;
        }
        let now = self.now;
        let Some(peer) = self.peers.get_mut(&id) else {
            return;
        };
        let kind = peer.kind();
        let upgrade = &mut peer.upgrade;
        match (old, kind) {
            (_, Some(Path::Direct) | None) => upgrade.stage = Stage::Off,
            (Some(Path::Relayed), _) => {}
            (None, _) => upgrade.stage = Stage::Punching(now + PUNCH_TIMEOUT),
            // The circuit was there before: nothing punches unless we ask for it.
            (Some(Path::Direct), _) => {
                let stood = old_since.map(|since| now.saturating_duration_since(since));
                let mut delay = UPGRADE_SOON;
                upgrade.backoff.set_min(UPGRADE_AGAIN_MIN);
                if stood < Some(STABLE) {
                    delay = upgrade.backoff.next(&mut self.rng);
                } else {
                    upgrade.backoff.reset();
                }
                upgrade.stage = Stage::Waiting(now + delay);
            }
        }
    }

    pub(super) fn upgrade_failed(&mut self, id: PeerId) {
        let stage = self.peers.get(&id).map(|peer| peer.upgrade.stage);
        if !matches!(stage, Some(Stage::Punching(_))) {
            return;
        }
        let awaits = self.try_other_kind(id);
        let Some(peer) = self.peers.get_mut(&id) else {
            return;
        };
        let delay = match awaits {
            Some(_) => OTHER_KIND_TIMEOUT,
            None => peer.upgrade.backoff.next(&mut self.rng),
        };
        peer.upgrade.awaits = awaits;
        peer.upgrade.stage = Stage::Waiting(self.now + delay);
    }

    pub(super) fn run_upgrade(&mut self, id: PeerId) {
        let now = self.now;
        match self.peers.get(&id).map(|peer| peer.upgrade.stage) {
            Some(Stage::Punching(at)) if at <= now => self.upgrade_failed(id),
            Some(Stage::Waiting(at)) if at <= now => self.punch_again(id),
            _ => {}
        }
    }

    /// A new circuit, if that is on us.
    fn punch_again(&mut self, id: PeerId) {
        let on_us = self.is_upgrader(id);
        let circuits = self.circuits_for_upgrade(id);
        let Some(peer) = self.peers.get_mut(&id) else {
            return;
        };
        peer.upgrade.awaits = None;
        if !on_us || circuits.is_empty() || peer.next != Next::Idle {
            let delay = peer.upgrade.backoff.next(&mut self.rng);
            peer.upgrade.stage = Stage::Waiting(self.now + delay);
            return;
        }
        peer.upgrade.stage = Stage::Punching(self.now + PUNCH_TIMEOUT);
        let dial = self.dial(Purpose::Upgrade(id), Some(id), circuits);
        if let Some(peer) = self.peers.get_mut(&id) {
            peer.next = Next::Dialling(dial);
        }
    }

    /// Whether we, not the peer, make new circuits: who dialled the present one does. When both
    /// have dialled one, the smaller peer id.
    fn is_upgrader(&self, id: PeerId) -> bool {
        let path = self.peers.get(&id).and_then(|peer| peer.path());
        let Some(active) = path.and_then(|path| self.conns.get(path.conn)) else {
            return false;
        };
        let dialled_too = self.conns.of(id).any(|conn| conn.relayed && !conn.outbound);
        active.relayed && active.outbound && (!dialled_too || self.local < id)
    }

    /// The way of the present circuit, or else any.
    fn circuits_for_upgrade(&self, id: PeerId) -> Vec<Multiaddr> {
        let path = self.peers.get(&id).and_then(|peer| peer.path());
        let present = path.map(|path| addresses::with_peer(&path.address, id));
        let is_circuit = |a: &Multiaddr| addresses::relay_of(a).is_some();
        match present.filter(is_circuit) {
            Some(address) => vec![address],
            None => self.circuits_to(id),
        }
    }

    pub(super) fn upgrade_dialled(&mut self, id: PeerId, dial: DialId) {
        let at = self.now + PUNCH_TIMEOUT;
        self.peer_dialled(id, dial);
        let stage = self.peers.get_mut(&id).map(|peer| &mut peer.upgrade.stage);
        if let Some(Stage::Punching(until)) = stage {
            *until = at;
        }
    }

    pub(super) fn upgrade_dial_failed(&mut self, id: PeerId, dial: DialId) {
        let Some(peer) = self.peers.get_mut(&id) else {
            return;
        };
        if matches!(peer.upgrade.stage, Stage::Punching(_)) {
            let delay = peer.upgrade.backoff.next(&mut self.rng);
            peer.upgrade.stage = Stage::Waiting(self.now + delay);
        }
        peer.end_dial(dial);
        if peer.ordered || peer.active().is_none() {
            let text = "the circuit could not be set up again";
            self.peer_dial_failed(id, dial, &Cause::new(Reason::Unreachable, text));
        }
    }

    /// Punching needs to know where others see us, over QUIC and over TCP: a relay that we are
    /// connected to by one only is dialled by the other, too. Returns the relay to wait for.
    fn try_other_kind(&mut self, id: PeerId) -> Option<RelayId> {
        let relay_id = self.relay_to(id)?;
        let peer = self.peers.get_mut(&id)?;
        if std::mem::replace(&mut peer.upgrade.other_kind_tried, true) {
            return None;
        }
        self.observe(relay_id);
        let relay = self.relays.get(&relay_id)?;
        (!relay.other_kinds.is_empty()).then_some(relay_id)
    }

    /// Has a relay observe us over whatever we are not connected to it by.
    pub(super) fn observe(&mut self, relay_id: RelayId) {
        // A constant, which leaves all this out where no holes are punched.
        if !HOLE_PUNCH || !self.hole_punch {
            return;
        }
        let relay = self.relays.get(&relay_id);
        if relay.is_none_or(|relay| !relay.other_kinds.is_empty()) {
            return;
        }
        for kind in [Transport::Quic, Transport::Tcp] {
            self.observe_over(relay_id, kind);
        }
    }

    /// Whether this connection shows a relay what no other one does.
    pub(super) fn may_observe(&self, relay: RelayId, id: ConnId) -> bool {
        let kind_of = |conn: &Conn| {
            let kinds = [Transport::Quic, Transport::Tcp];
            let mut kinds = kinds.into_iter();
            kinds.find(|kind| {
                addresses::is_plain(&conn.address, *kind) && !addresses::is_ip6(&conn.address)
            })
        };
        let Some(conn) = self.conns.get(id).filter(|conn| conn.leads_to_relay()) else {
            return false;
        };
        let kind = kind_of(conn);
        let same =
            |other: &Conn| other.id != id && other.leads_to_relay() && kind_of(other) == kind;
        HOLE_PUNCH
            && self.hole_punch
            && kind.is_some()
            && self.relay_of(conn.peer) == Some(relay)
            && !self.conns.of(conn.peer).any(same)
    }

    /// IPv4 only: nobody translates IPv6 addresses, so our own are what others see.
    fn observe_over(&mut self, relay_id: RelayId, kind: Transport) {
        let fits =
            |address: &Multiaddr| addresses::is_plain(address, kind) && !addresses::is_ip6(address);
        let Some((relay, peer)) = self
            .relays
            .get(&relay_id)
            .and_then(|relay| Some((relay, relay.peer?)))
        else {
            return;
        };
        let by_that = |conn: &Conn| conn.leads_to_relay() && fits(&conn.address);
        if self.conns.of(peer).any(by_that) {
            return;
        }
        let known = relay.addresses.iter().chain(&relay.claimed);
        let mut addresses = Vec::new();
        for address in known.filter(|address| fits(address)) {
            addresses::push_new(&mut addresses, addresses::with_peer(address, peer));
        }
        if addresses.is_empty() {
            return;
        }
        let dial = self.dial(Purpose::OtherKind(relay_id), Some(peer), addresses);
        if let Some(relay) = self.relays.get_mut(&relay_id) {
            relay.other_kinds.push(dial);
        }
    }

    /// The relay that a peer is reached by, as far as we know.
    fn relay_to(&self, id: PeerId) -> Option<RelayId> {
        let peer = self.peers.get(&id)?;
        if let Some(relay) = peer
            .path()
            .and_then(|path| addresses::relay_of(&path.address))
        {
            return self.relay_of(relay);
        }
        let mut standing = self.relays.iter().filter(|(_, relay)| relay.is_standing());
        standing
            .find(|(_, relay)| relay.peer.is_some_and(|relay| peer.is_listed_by(relay)))
            .or_else(|| self.relays.iter().find(|(_, relay)| relay.is_standing()))
            .map(|(id, _)| *id)
    }

    pub(super) fn other_kind_connected(&mut self, relay: RelayId, dial: DialId) {
        if let Some(relay) = self.relays.get_mut(&relay) {
            relay.other_kinds.retain(|running| *running != dial);
        }
    }

    pub(super) fn other_kind_identified(&mut self, relay: RelayId) {
        let at = self.now + UPGRADE_SOON;
        for peer in self.peers.values_mut() {
            if peer.upgrade.awaits == Some(relay) {
                peer.upgrade.awaits = None;
                peer.upgrade.stage = Stage::Waiting(at);
            }
        }
    }

    pub(super) fn other_kind_failed(&mut self, relay: RelayId, dial: DialId) {
        self.other_kind_connected(relay, dial);
        for peer in self.peers.values_mut() {
            if peer.upgrade.awaits == Some(relay) {
                let delay = peer.upgrade.backoff.next(&mut self.rng);
                peer.upgrade.awaits = None;
                peer.upgrade.stage = Stage::Waiting(self.now + delay);
            }
        }
    }
}
