//! What becomes of the lines that were typed: one mark a line when all its receivers have it.

use std::collections::{BTreeMap, HashMap};

use libp2p::PeerId;
use punchline::event::DeliveryState;

/// A message as the node knows it: its receiver, and the id that is unique for that one.
type Key = (PeerId, u64);

/// Numbers lines, and counts the copies of each that have arrived.
#[derive(Debug, Default)]
pub(crate) struct Marks {
    lines: u64,
    open: BTreeMap<u64, Open>,
    line_of: HashMap<Key, u64>,
    /// What became of copies before the line they belong to was entered.
    early: HashMap<Key, DeliveryState>,
    /// Complete, and not shown yet.
    complete: Vec<Mark>,
}

/// A line on its way.
#[derive(Debug)]
struct Open {
    receivers: usize,
    acked: usize,
    failed: usize,
    /// Written to a path, not acked.
    sent: Vec<Key>,
}

/// What became of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Mark {
    line: u64,
    receivers: usize,
    acked: usize,
    /// Some receivers got it by a protocol that has no acks.
    unconfirmed: usize,
}

impl Marks {
    /// Enters a line that was sent as these copies, and returns its number.
    pub(crate) fn enter(&mut self, copies: &[Key]) -> u64 {
        self.lines += 1;
        let open = Open {
            receivers: copies.len(),
            acked: 0,
            failed: 0,
            sent: Vec::new(),
        };
        self.open.insert(self.lines, open);
        for copy in copies {
            self.line_of.insert(*copy, self.lines);
            if let Some(state) = self.early.remove(copy) {
                self.apply(*copy, state);
            }
        }
        self.lines
    }

    /// A copy changed its state. Returns the number of its line, if that is known by now.
    pub(crate) fn changed(&mut self, to: PeerId, id: u64, state: DeliveryState) -> Option<u64> {
        let line = self.line_of.get(&(to, id)).copied();
        if line.is_some() {
            self.apply((to, id), state);
        } else {
            self.early.insert((to, id), state);
        }
        line
    }

    /// Nothing waits for an ack any more: what was sent and not acked never will be.
    pub(crate) fn settle(&mut self) {
        let sent: Vec<_> = self
            .open
            .iter()
            .filter(|(_, open)| open.is_settled())
            .collect();
        let lines: Vec<_> = sent.into_iter().map(|(line, _)| *line).collect();
        for line in lines {
            self.complete(line);
        }
    }

    /// Takes the marks that are due, in words.
    pub(crate) fn take(&mut self) -> Vec<String> {
        let marks = std::mem::take(&mut self.complete);
        let runs = marks.chunk_by(|a, b| a.line + 1 == b.line && a.is_like(b));
        runs.filter_map(|run| Some(run.first()?.text(run.last()?.line)))
            .collect()
    }

    fn apply(&mut self, copy: Key, state: DeliveryState) {
        let Some(line) = self.line_of.get(&copy).copied() else {
            return;
        };
        let Some(open) = self.open.get_mut(&line) else {
            return;
        };
        match state {
            DeliveryState::Queued => return,
            DeliveryState::Sent => return open.sent.push(copy),
            DeliveryState::Acked => open.acked += 1,
            DeliveryState::Failed => open.failed += 1,
        }
        open.sent.retain(|sent| *sent != copy);
        self.line_of.remove(&copy);
        if open.acked + open.failed == open.receivers {
            self.complete(line);
        }
    }

    fn complete(&mut self, line: u64) {
        let Some(open) = self.open.remove(&line) else {
            return;
        };
        for copy in &open.sent {
            self.line_of.remove(copy);
        }
        let mark = Mark {
            line,
            receivers: open.receivers,
            acked: open.acked,
            unconfirmed: open.sent.len(),
        };
        // Failures were told one by one, with their reasons.
        if mark.acked + mark.unconfirmed > 0 {
            self.complete.push(mark);
        }
    }
}

impl Open {
    const fn is_settled(&self) -> bool {
        self.acked + self.failed + self.sent.len() == self.receivers
    }
}

impl Mark {
    fn is_like(&self, other: &Self) -> bool {
        Self { line: 0, ..*self } == Self { line: 0, ..*other }
    }

    fn text(&self, last: u64) -> String {
        let lines = if last == self.line {
            format!("#{last}")
        } else {
            format!("#{}–#{last}", self.line)
        };
        let delivered = self.acked + self.unconfirmed;
        let to = match self.receivers {
            1 => String::new(),
            receivers => format!(" to {delivered} of {receivers}"),
        };
        if self.acked == 0 {
            format!("→ {lines} sent{to}; no ack can be expected")
        } else {
            format!("✓ {lines} delivered{to}")
        }
    }
}

#[cfg(test)]
mod tests {
    use DeliveryState::{Acked, Failed, Sent};

    use super::*;

    #[test]
    fn a_line_is_marked_once_all_have_it() {
        let (a, b) = (PeerId::random(), PeerId::random());
        let mut marks = Marks::default();
        assert_eq!(marks.enter(&[(a, 1), (b, 1)]), 1);
        marks.changed(a, 1, Sent);
        marks.changed(a, 1, Acked);
        assert!(marks.take().is_empty());
        assert_eq!(marks.changed(b, 1, Acked), Some(1));
        assert_eq!(marks.take(), ["✓ #1 delivered to 2 of 2"]);
        assert!(marks.take().is_empty());
        assert!(marks.line_of.is_empty() && marks.open.is_empty());
    }

    #[test]
    fn marks_in_a_row_are_one() {
        let a = PeerId::random();
        let mut marks = Marks::default();
        for id in 1..=5 {
            marks.enter(&[(a, id)]);
            marks.changed(a, id, if id == 3 { Failed } else { Acked });
        }
        assert_eq!(marks.take(), ["✓ #1–#2 delivered", "✓ #4–#5 delivered"]);
    }

    #[test]
    fn an_ack_may_be_faster_than_the_line() {
        let a = PeerId::random();
        let mut marks = Marks::default();
        assert_eq!(marks.changed(a, 1, Sent), None);
        assert_eq!(marks.changed(a, 1, Acked), None);
        marks.enter(&[(a, 1)]);
        assert_eq!(marks.take(), ["✓ #1 delivered"]);
        assert!(marks.early.is_empty());
    }

    #[test]
    fn what_is_never_acked_is_said_to_be_sent() {
        let (a, b) = (PeerId::random(), PeerId::random());
        let mut marks = Marks::default();
        marks.enter(&[(a, 1)]);
        marks.changed(a, 1, Sent);
        marks.enter(&[(a, 2), (b, 1)]);
        marks.settle();
        assert_eq!(marks.take(), ["→ #1 sent; no ack can be expected"]);
    }
}
