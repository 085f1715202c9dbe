//! Which connections do not answer pings any more. libp2p's ping only reports: a connection whose other
//! end is gone without a word would stay for ever.

use std::collections::HashMap;

use libp2p::swarm::ConnectionId;

/// Pings in a row without an answer after which a connection is dead: some two minutes. QUIC
/// notices by itself, sooner.
const MAX_UNANSWERED: u32 = 3;

/// The pings in a row that each connection has left unanswered.
#[derive(Debug, Default)]
pub(crate) struct Silent(HashMap<ConnectionId, u32>);

impl Silent {
    /// A ping was answered or not. Says whether the connection is dead.
    pub(crate) fn pinged(&mut self, connection: ConnectionId, answered: bool) -> bool {
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

    /// It is closed.
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
        let mut silent = Silent::default();
        for _ in 0..2 * MAX_UNANSWERED {
            assert!(!silent.pinged(a, false));
            assert!(!silent.pinged(a, true));
        }
        for _ in 1..MAX_UNANSWERED {
            assert!(!silent.pinged(a, false));
            assert!(!silent.pinged(b, false));
        }
        assert!(silent.pinged(a, false));
        silent.forget(b);
        assert!(silent.0.is_empty());
    }
}
