//! Who is connected and which relays hold our reservations, as values that others can wait on.
//!
//! A [`ConnectivityTracker`] is given every event and keeps the values current.

use std::collections::{BTreeMap, BTreeSet};

use libp2p::{Multiaddr, PeerId};
use punchline::{address, event::Event};
use tokio::sync::watch;

/// The relays that hold a reservation of ours. It closes when the node has stopped.
pub(crate) type Reservations = watch::Receiver<BTreeSet<PeerId>>;

/// Keeps [`ConnectedPeers`] and [`Reservations`] current.
#[derive(Debug)]
pub(crate) struct ConnectivityTracker {
    connected: watch::Sender<BTreeMap<PeerId, Multiaddr>>,
    reservations: watch::Sender<BTreeSet<PeerId>>,
}

/// The peers that are connected, with the address of each.
#[derive(Debug, Clone)]
pub(crate) struct ConnectedPeers {
    connected: watch::Receiver<BTreeMap<PeerId, Multiaddr>>,
}

/// A tracker and what it tracks, before the first event.
pub(crate) fn track() -> (ConnectivityTracker, ConnectedPeers, Reservations) {
    let (connected_tx, connected) = watch::channel(BTreeMap::new());
    let (reservations_tx, reservations) = watch::channel(BTreeSet::new());
    let tracker = ConnectivityTracker {
        connected: connected_tx,
        reservations: reservations_tx,
    };
    (tracker, ConnectedPeers { connected }, reservations)
}

impl ConnectivityTracker {
    /// Takes an event into account.
    pub(crate) fn on_event(&self, event: &Event) {
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
                self.reservations.send_if_modified(|all| all.insert(*relay));
            }
            Event::ReservationLost { relay, .. } => {
                self.reservations.send_if_modified(|all| all.remove(relay));
            }
            _ => {}
        }
    }
}

impl ConnectedPeers {
    /// Whether this peer is connected.
    pub(crate) fn contains(&self, peer: &PeerId) -> bool {
        self.connected.borrow().contains_key(peer)
    }

    /// Waits until a condition holds. It is evaluated now and whenever a peer connects or disconnects.
    pub(crate) async fn until(&mut self, mut condition: impl FnMut() -> bool) {
        if self.connected.wait_for(|_| condition()).await.is_err() {
            // The node has stopped, which ends the program.
            std::future::pending::<()>().await;
        }
    }

    /// Waits until every peer that was dialled is connected. One without a peer id is recognised by its address.
    pub(crate) async fn until_all(&mut self, dialled: &[Multiaddr]) {
        let all_connected = |all: &BTreeMap<PeerId, Multiaddr>| {
            dialled
                .iter()
                .all(|dialled| match address::peer_of(dialled) {
                    Some(peer) => all.contains_key(&peer),
                    None => all.values().any(|address| address == dialled),
                })
        };
        if self
            .connected
            .wait_for(|all| all_connected(all))
            .await
            .is_err()
        {
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use punchline::{
        name::PeerName,
        path::{Path, Transport},
        reason::Reason,
    };

    use super::*;

    fn connected(peer: PeerId, address: &str) -> Event {
        Event::Connected {
            peer,
            name: PeerName::of(&peer),
            in_room: true,
            path: Path::Direct,
            transport: Transport::Tcp,
            address: address.parse().unwrap(),
            after_ms: 7,
        }
    }

    #[test]
    fn dialled_peers_are_known_by_id_or_address() {
        let (tracker, mut connected_peers, _) = track();
        let (a, b) = (PeerId::random(), PeerId::random());
        let dialled = [
            "/ip4/192.0.2.1/tcp/1".parse().unwrap(),
            format!("/ip4/192.0.2.2/tcp/1/p2p/{b}").parse().unwrap(),
        ];
        tracker.on_event(&connected(a, &format!("/ip4/192.0.2.1/tcp/1/p2p/{a}")));
        assert!(connected_peers.contains(&a));
        assert!(connected_peers.until_all(&dialled).now_or_never().is_none());
        tracker.on_event(&connected(b, "/ip4/10.0.0.1/tcp/9"));
        assert!(connected_peers.until_all(&dialled).now_or_never().is_some());
        tracker.on_event(&Event::Disconnected {
            peer: b,
            code: Reason::Other,
            reason: String::new(),
            left: false,
        });
        assert!(!connected_peers.contains(&b));
    }

    #[test]
    fn a_reservation_lasts_until_it_is_lost() {
        let (tracker, _, reservations) = track();
        let relay = PeerId::random();
        tracker.on_event(&Event::Reserved {
            relay,
            address: "/ip4/192.0.2.1/tcp/1".parse().unwrap(),
        });
        assert!(reservations.borrow().contains(&relay));
        tracker.on_event(&Event::ReservationLost {
            relay,
            code: Reason::Other,
            reason: String::new(),
        });
        assert!(reservations.borrow().is_empty());
    }
}
