//! Who announces itself on our network, and how a namespace shows in it.

use libp2p::{Multiaddr, PeerId, multiaddr::Protocol};

use crate::{address, config::DEFAULT_NAMESPACE, hash::fnv1a, table::Table};

/// Peers that announce themselves and are listened to. Each may be dialled again and again.
pub(super) const MAX_NEIGHBOURS: usize = 128;
/// Addresses of one of them: a few interfaces, two transports.
pub(super) const MAX_NEIGHBOUR_ADDRESSES: usize = 8;

/// Whose announcements concern us.
///
/// mDNS knows no namespaces. In the default one, addresses are announced as they are. In any other they
/// end with a mark that is made of its name: others cannot dial that, and so leave us alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Room(Option<u64>);

impl Room {
    pub(super) fn new(namespace: &str) -> Self {
        Self((namespace != DEFAULT_NAMESPACE).then(|| fnv1a(namespace.as_bytes())))
    }

    /// Returns an address of ours as it is announced, if it is to be.
    pub(super) fn announced(self, address: &Multiaddr) -> Option<Multiaddr> {
        let mark = self.0.map(Protocol::Memory);
        is_near(address).then(|| address.iter().chain(mark).collect())
    }

    /// Returns an announced address as it can be dialled, if it is of our room.
    fn dialled(self, announced: &Multiaddr) -> Option<Multiaddr> {
        let mut address = address::without_peer(announced.clone());
        if let Some(mark) = self.0
            && address.pop() != Some(Protocol::Memory(mark))
        {
            return None;
        }
        is_near(&address).then_some(address)
    }
}

/// Whether this is QUIC or TCP (with a WebSocket or without) to another machine, and nothing more.
fn is_near(address: &Multiaddr) -> bool {
    let Some(ip) = address::ip_of(address) else {
        return false;
    };
    let mut parts = address.iter().skip(1);
    let transport = match parts.next() {
        Some(Protocol::Udp(port)) if port > 0 => parts.next() == Some(Protocol::QuicV1),
        Some(Protocol::Tcp(port)) => port > 0,
        _ => false,
    };
    let more = parts.any(|part| !matches!(part, Protocol::Ws(_)));
    transport && !more && !(ip.is_loopback() || ip.is_unspecified() || ip.is_multicast())
}

/// Everyone who announces itself, and where. A network can announce thousands; few are kept.
#[derive(Debug)]
pub(super) struct Neighbours {
    room: Room,
    all: Table<PeerId, Vec<Multiaddr>>,
    full: bool,
}

impl Neighbours {
    pub(super) const fn new(room: Room) -> Self {
        Self {
            room,
            all: Table::new(),
            full: false,
        }
    }

    /// Takes in what was announced. Returns who has more addresses now than before.
    pub(super) fn found(&mut self, records: Vec<(PeerId, Multiaddr)>) -> Vec<PeerId> {
        let mut changed = Vec::new();
        for (peer, announced) in records {
            let Some(address) = self.room.dialled(&announced) else {
                tracing::debug!(%peer, "announces itself elsewhere");
                continue;
            };
            if self.add(peer, address) && !changed.contains(&peer) {
                changed.push(peer);
            }
        }
        changed
    }

    fn add(&mut self, peer: PeerId, address: Multiaddr) -> bool {
        if !self.all.contains_key(&peer) && self.all.len() >= MAX_NEIGHBOURS {
            if !std::mem::replace(&mut self.full, true) {
                tracing::warn!("more than {MAX_NEIGHBOURS} peers on this network: ignoring others");
            }
            return false;
        }
        let addresses = self.all.get_or_insert_with(peer, Vec::new);
        let new = addresses.len() < MAX_NEIGHBOUR_ADDRESSES && !addresses.contains(&address);
        if new {
            addresses.push(address);
        }
        new
    }

    /// Takes back what is announced no more. Returns who has fewer addresses now than before.
    pub(super) fn expired(&mut self, records: &[(PeerId, Multiaddr)]) -> Vec<PeerId> {
        let mut changed = Vec::new();
        for (peer, announced) in records {
            let (Some(address), Some(addresses)) =
                (self.room.dialled(announced), self.all.get_mut(peer))
            else {
                continue;
            };
            let before = addresses.len();
            addresses.retain(|known| *known != address);
            if addresses.len() < before && !changed.contains(peer) {
                changed.push(*peer);
            }
            if addresses.is_empty() {
                self.all.remove(peer);
            }
        }
        changed
    }

    /// Forgets everyone, and returns who it was.
    pub(super) fn forget(&mut self) -> Vec<PeerId> {
        let all = self.all.iter().map(|(peer, _)| *peer).collect();
        self.all = Table::new();
        self.full = false;
        all
    }

    /// Returns everywhere that a peer says it is.
    pub(super) fn addresses_of(&self, peer: PeerId) -> Vec<Multiaddr> {
        self.all.get(&peer).cloned().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
