//! Who is connected, for those who wait for somebody.

use std::collections::{BTreeMap, BTreeSet};

use libp2p::{Multiaddr, PeerId};
use punchline::{address, event::Event};
use tokio::sync::watch;

use super::relays::Reserved;

/// Follows events.
#[derive(Debug)]
pub(crate) struct Tracker {
    connected: watch::Sender<BTreeMap<PeerId, Multiaddr>>,
    reserved: watch::Sender<BTreeSet<PeerId>>,
}

/// Who is connected.
#[derive(Debug, Clone)]
pub(crate) struct Presence {
    connected: watch::Receiver<BTreeMap<PeerId, Multiaddr>>,
}

/// Nobody is there, and no relay stands.
pub(crate) fn new() -> (Tracker, Presence, Reserved) {
    let (connected_tx, connected) = watch::channel(BTreeMap::new());
    let (reserved_tx, reserved) = watch::channel(BTreeSet::new());
    let tracker = Tracker {
        connected: connected_tx,
        reserved: reserved_tx,
    };
    (tracker, Presence { connected }, reserved)
}

impl Tracker {
    /// Takes an event into account.
    pub(crate) fn follow(&self, event: &Event) {
        match event {
            Event::Connected { peer, address, .. } => {
                let address = address::without_peer(address.clone());
                self.connected
                    .send_modify(|all| drop(all.insert(*peer, address)));
            }
            Event::Disconnected { peer, .. } => {
                self.connected.send_modify(|all| drop(all.remove(peer)));
            }
            Event::Reserved { relay, .. } => {
                self.reserved.send_if_modified(|all| all.insert(*relay));
            }
            Event::ReservationLost { relay, .. } => {
                self.reserved.send_if_modified(|all| all.remove(relay));
            }
            _ => {}
        }
    }
}

impl Presence {
    pub(crate) fn is_here(&self, peer: &PeerId) -> bool {
        self.connected.borrow().contains_key(peer)
    }

    /// Resolves when that is so. It is asked whenever somebody comes or leaves.
    pub(crate) async fn until(&mut self, mut so: impl FnMut() -> bool) {
        if self.connected.wait_for(|_| so()).await.is_err() {
            // The node has stopped; that ends everything.
            std::future::pending::<()>().await;
        }
    }

    /// Resolves when all of those that were dialled are here.
    pub(crate) async fn until_all(&mut self, dialled: &[Multiaddr]) {
        let here = |all: &BTreeMap<PeerId, Multiaddr>| {
            dialled
                .iter()
                .all(|dialled| match address::peer_of(dialled) {
                    Some(peer) => all.contains_key(&peer),
                    None => all.values().any(|address| address == dialled),
                })
        };
        if self.connected.wait_for(|all| here(all)).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use punchline::{
        path::{Path, Transport},
        reason::Reason,
    };

    use super::*;

    fn connected(peer: PeerId, address: &str) -> Event {
        Event::Connected {
            peer,
            path: Path::Direct,
            transport: Transport::Tcp,
            address: address.parse().unwrap(),
            after_ms: 7,
        }
    }

    #[test]
    fn dialled_peers_are_known_by_id_or_address() {
        let (tracker, mut presence, _) = new();
        let (a, b) = (PeerId::random(), PeerId::random());
        let dialled = [
            "/ip4/192.0.2.1/tcp/1".parse().unwrap(),
            format!("/ip4/192.0.2.2/tcp/1/p2p/{b}").parse().unwrap(),
        ];
        tracker.follow(&connected(a, &format!("/ip4/192.0.2.1/tcp/1/p2p/{a}")));
        assert!(presence.is_here(&a));
        assert!(presence.until_all(&dialled).now_or_never().is_none());
        tracker.follow(&connected(b, "/ip4/10.0.0.1/tcp/9"));
        assert!(presence.until_all(&dialled).now_or_never().is_some());
        tracker.follow(&Event::Disconnected {
            peer: b,
            code: Reason::Other,
            reason: String::new(),
        });
        assert!(!presence.is_here(&b));
    }

    #[test]
    fn relays_stand_from_reserved_to_lost() {
        let (tracker, _, reserved) = new();
        let relay = PeerId::random();
        tracker.follow(&Event::Reserved {
            relay,
            address: "/ip4/192.0.2.1/tcp/1".parse().unwrap(),
        });
        assert!(reserved.borrow().contains(&relay));
        tracker.follow(&Event::ReservationLost {
            relay,
            code: Reason::Other,
            reason: String::new(),
        });
        assert!(reserved.borrow().is_empty());
    }
}
