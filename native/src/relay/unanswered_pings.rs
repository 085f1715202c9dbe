//! Finds connections that do not answer pings any more.
//!
//! libp2p-ping 0.48.0 only reports that a ping failed, by design
//! (<https://github.com/libp2p/rust-libp2p/pull/3947>): a TCP connection whose other end is gone without
//! a word would stay, with its reservation, for as long as the system tries to send. The policy is
//! tested below; no test waits the two minutes that it takes a relay to close such a connection.
//!
//! The relay passes the outcome of each ping to [`UnansweredPings::on_ping`], and closes the connection
//! when that says so.

use std::collections::HashMap;

use libp2p::swarm::ConnectionId;

/// Pings in a row without an answer after which a connection is dead: some two minutes. QUIC notices by
/// itself, sooner.
const MAX_UNANSWERED: u32 = 3;

/// The pings in a row that each connection has left unanswered. A connection that answers has no entry.
#[derive(Debug, Default)]
pub(crate) struct UnansweredPings(HashMap<ConnectionId, u32>);

impl UnansweredPings {
    /// Counts a ping that was answered or not. Returns whether the connection is dead.
    pub(crate) fn on_ping(&mut self, connection: ConnectionId, answered: bool) -> bool {
        if answered {
            self.forget(connection);
            return false;
        }
        let unanswered = self.0.entry(connection).or_default();
        *unanswered += 1;
        let dead = *unanswered >= MAX_UNANSWERED;
        if dead {
            self.forget(connection);
        }
        dead
    }

    /// Forgets a connection that is closed.
    pub(crate) fn forget(&mut self, connection: ConnectionId) {
        self.0.remove(&connection);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_row_of_unanswered_pings_is_the_end() {
        let [a, b] = [1, 2].map(ConnectionId::new_unchecked);
        let mut pings = UnansweredPings::default();
        for _ in 0..2 * MAX_UNANSWERED {
            assert!(!pings.on_ping(a, false));
            assert!(!pings.on_ping(a, true));
        }
        for _ in 1..MAX_UNANSWERED {
            assert!(!pings.on_ping(a, false));
            assert!(!pings.on_ping(b, false));
        }
        assert!(pings.on_ping(a, false));
        pings.forget(b);
        assert!(pings.0.is_empty());
    }
}
