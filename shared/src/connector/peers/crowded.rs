//! Peers that cannot be reached because a relay has no more circuits: who is in a large room should know that he does not
//! see all of it.

use std::time::Duration;

use web_time::Instant;

use super::Peers;
use crate::reason::Reason;

/// What fails in this time is said in one sentence.
const GATHER: Duration = Duration::from_secs(2);
/// And there is another sentence after this time at the earliest, if there are more.
const REPEAT: Duration = Duration::from_secs(60);

/// When to say it.
#[derive(Debug, Default)]
pub(super) struct Crowded {
    due: Option<Instant>,
    /// The most that was said, and when it was last looked at.
    said: Option<(usize, Instant)>,
}

impl Crowded {
    /// One more peer could not be reached.
    pub(super) fn note(&mut self, now: Instant) {
        let earliest = self.said.map(|(_, at)| at + REPEAT);
        let soon = now + GATHER;
        self.due
            .get_or_insert(earliest.map_or(soon, |at| at.max(soon)));
    }

    pub(super) const fn timeout(&self) -> Option<Instant> {
        self.due
    }
}

impl Peers {
    pub(super) fn report_crowded(&mut self, now: Instant) {
        if self.shared.crowded.due.is_none_or(|due| due > now) {
            return;
        }
        self.shared.crowded.due = None;
        let crowded = self.peers.values().filter(|peer| peer.crowded_out).count();
        let before = self.shared.crowded.said.map_or(0, |(count, _)| count);
        // A few more or less of the same are no news; that it is over is.
        let known = if crowded == 0 { 0 } else { crowded.max(before) };
        self.shared.crowded.said = Some((known, now));
        if crowded > before {
            let plural = if crowded == 1 { "" } else { "s" };
            let message = format!(
                "cannot reach {crowded} peer{plural}: the relay has no more circuits; retrying"
            );
            self.shared.error(Reason::RelayFull, message);
        }
    }
}
