//! How a relay that is to stop lets its peers go: those that talk through it have time to end, or to find another path.
//!
//! Nothing new is let in: no connections, reservations or circuits. Who has no circuit is disconnected, and goes to
//! another relay if he knows one; who has one, when it has ended or the time is over. HTTP and STUN answer until the end;
//! `/readyz` says that others should be asked.

use std::time::Duration;

use tokio::time;

use super::{Relay, report::RelayEvent};
use crate::{common::every, watch::State};

/// How often to look who has no circuit any more.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

impl Relay {
    /// Waits until nobody talks through the relay any more, but for no longer than it may.
    pub(super) async fn drain(&mut self, time: Duration) {
        self.watch.set_state(State::Stopping);
        self.swarm.behaviour_mut().0.access.close();
        self.swarm.behaviour_mut().0.hop.close();
        self.let_go();
        let circuits = self.counts().circuits;
        let seconds = time.as_secs();
        self.report(RelayEvent::Draining { circuits, seconds });
        let over = time::sleep(time);
        tokio::pin!(over);
        let mut look = every(LOOK_INTERVAL);
        while self.counts().circuits > 0 {
            tokio::select! {
                () = self.work() => {}
                _ = look.tick() => self.let_go(),
                () = &mut over => return,
            }
        }
    }

    /// Disconnects who has no circuit.
    fn let_go(&mut self) {
        let hop = &self.swarm.behaviour().0.hop;
        let peers = self.swarm.connected_peers().copied();
        let idle: Vec<_> = peers.filter(|peer| !hop.has_circuits(peer)).collect();
        for peer in idle {
            let _ = self.swarm.disconnect_peer_id(peer);
        }
    }
}
