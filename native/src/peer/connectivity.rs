//! Who is connected and which relays hold our reservations, as values that others can wait on.
//!
//! A [`ConnectivityTracker`] is given every event and keeps the values current.

use std::collections::BTreeSet;

use libp2p::PeerId;
use punchline::event::Event;
use tokio::sync::watch;

/// The relays that hold a reservation of ours. It closes when the node has stopped.
pub(crate) type Reservations = watch::Receiver<BTreeSet<PeerId>>;

/// Keeps [`ConnectedPeers`] and [`Reservations`] current.
#[derive(Debug)]
pub(crate) struct ConnectivityTracker {
    connected: watch::Sender<BTreeSet<PeerId>>,
    reservations: watch::Sender<BTreeSet<PeerId>>,
}

/// The peers that are connected.
#[derive(Debug, Clone)]
pub(crate) struct ConnectedPeers {
    connected: watch::Receiver<BTreeSet<PeerId>>,
}

/// A tracker and what it tracks, before the first event.
pub(crate) fn track() -> (ConnectivityTracker, ConnectedPeers, Reservations) {
    let (connected_tx, connected) = watch::channel(BTreeSet::new());
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
            Event::Connected { peer, .. } => {
                self.connected.send_if_modified(|all| all.insert(*peer));
            }
            Event::Disconnected { peer, .. } => {
                self.connected.send_if_modified(|all| all.remove(peer));
            }
            // Whoever waits for somebody of the room looks again.
            Event::Membership { .. } => self.connected.send_modify(|_| {}),
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
    /// Waits until a condition holds. It is evaluated now and whenever a peer connects or disconnects.
    pub(crate) async fn until(&mut self, mut condition: impl FnMut() -> bool) {
        if self.connected.wait_for(|_| condition()).await.is_err() {
            // The node has stopped, which ends the program.
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(test)]
mod tests {
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
    fn a_peer_is_connected_until_it_is_not() {
        let (tracker, connected_peers, _) = track();
        let peer = PeerId::random();
        tracker.on_event(&connected(peer, "/ip4/192.0.2.1/tcp/1"));
        assert!(connected_peers.connected.borrow().contains(&peer));
        tracker.on_event(&Event::Disconnected {
            peer,
            code: Reason::Other,
            reason: String::new(),
            left: false,
        });
        assert!(!connected_peers.connected.borrow().contains(&peer));
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
