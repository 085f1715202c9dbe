//! Delivery receipts: one for each typed line, once it is known what became of all its messages.
//!
//! A line becomes one message for each receiver. [`Receipts::add`] gives the line a number, [`Receipts::update`]
//! takes each change of a message, and [`Receipts::take`] returns the receipts that are due, where consecutive lines
//! with the same outcome share one.

use std::collections::{BTreeMap, HashMap};

use libp2p::PeerId;
use punchline::event::DeliveryState;

/// A message: its receiver, and the id that is unique for this receiver.
type Key = (PeerId, u64);

/// The lines that were sent, and what became of their messages so far.
#[derive(Debug, Default)]
pub(crate) struct Receipts {
    /// The number of the latest line.
    latest: u64,
    pending: BTreeMap<u64, Pending>,
    line_of: HashMap<Key, u64>,
    /// The state of messages whose line has not been added yet: an event can overtake it.
    early: HashMap<Key, DeliveryState>,
    /// Receipts that have not been taken.
    due: Vec<Receipt>,
}

/// A line whose outcome is not known for every receiver.
#[derive(Debug)]
struct Pending {
    receivers: usize,
    acked: usize,
    failed: usize,
    /// Messages that were written to a path, and not acked.
    sent: Vec<Key>,
}

/// The outcome of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Receipt {
    line: u64,
    receivers: usize,
    acked: usize,
    /// Receivers that it was sent to by a protocol without acks.
    unconfirmed: usize,
}

impl Receipts {
    /// Adds a line that was sent as these messages, and returns its number.
    pub(crate) fn add(&mut self, messages: &[Key]) -> u64 {
        self.latest += 1;
        let pending = Pending {
            receivers: messages.len(),
            acked: 0,
            failed: 0,
            sent: Vec::new(),
        };
        self.pending.insert(self.latest, pending);
        for message in messages {
            self.line_of.insert(*message, self.latest);
            if let Some(state) = self.early.remove(message) {
                self.apply(*message, state);
            }
        }
        self.latest
    }

    /// Takes a message's new state. Returns the number of its line, if the line has been added.
    pub(crate) fn update(&mut self, to: PeerId, id: u64, state: DeliveryState) -> Option<u64> {
        let line = self.line_of.get(&(to, id)).copied();
        if line.is_some() {
            self.apply((to, id), state);
        } else {
            self.early.insert((to, id), state);
        }
        line
    }

    /// Completes lines whose messages were sent and not acked. For when the node waits for no more acks.
    pub(crate) fn expect_no_more_acks(&mut self) {
        let settled = self.pending.iter().filter(|(_, line)| line.is_settled());
        let lines: Vec<_> = settled.map(|(line, _)| *line).collect();
        for line in lines {
            self.complete(line);
        }
    }

    /// Takes the receipts that are due, as text.
    pub(crate) fn take(&mut self) -> Vec<String> {
        let receipts = std::mem::take(&mut self.due);
        let runs = receipts.chunk_by(|a, b| a.line + 1 == b.line && a.has_outcome_of(b));
        runs.filter_map(|run| Some(run.first()?.text(run.last()?.line)))
            .collect()
    }

    fn apply(&mut self, message: Key, state: DeliveryState) {
        let Some(line) = self.line_of.get(&message).copied() else {
            return;
        };
        let Some(pending) = self.pending.get_mut(&line) else {
            return;
        };
        match state {
            DeliveryState::Queued => return,
            DeliveryState::Sent => return pending.sent.push(message),
            DeliveryState::Acked => pending.acked += 1,
            DeliveryState::Failed => pending.failed += 1,
        }
        pending.sent.retain(|sent| *sent != message);
        self.line_of.remove(&message);
        if pending.acked + pending.failed == pending.receivers {
            self.complete(line);
        }
    }

    fn complete(&mut self, line: u64) {
        let Some(pending) = self.pending.remove(&line) else {
            return;
        };
        for message in &pending.sent {
            self.line_of.remove(message);
        }
        let receipt = Receipt {
            line,
            receivers: pending.receivers,
            acked: pending.acked,
            unconfirmed: pending.sent.len(),
        };
        // Each failure has been reported by itself, with its reason.
        if receipt.acked + receipt.unconfirmed > 0 {
            self.due.push(receipt);
        }
    }
}

impl Pending {
    const fn is_settled(&self) -> bool {
        self.acked + self.failed + self.sent.len() == self.receivers
    }
}

impl Receipt {
    fn has_outcome_of(&self, other: &Self) -> bool {
        Self { line: 0, ..*self } == Self { line: 0, ..*other }
    }

    /// The text for the lines from this one to `last`.
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
    fn a_line_has_a_receipt_once_every_receiver_acked() {
        let (a, b) = (PeerId::random(), PeerId::random());
        let mut receipts = Receipts::default();
        assert_eq!(receipts.add(&[(a, 1), (b, 1)]), 1);
        receipts.update(a, 1, Sent);
        receipts.update(a, 1, Acked);
        assert!(receipts.take().is_empty());
        assert_eq!(receipts.update(b, 1, Acked), Some(1));
        assert_eq!(receipts.take(), ["✓ #1 delivered to 2 of 2"]);
        assert!(receipts.take().is_empty());
        assert!(receipts.line_of.is_empty() && receipts.pending.is_empty());
    }

    #[test]
    fn consecutive_lines_share_a_receipt() {
        let a = PeerId::random();
        let mut receipts = Receipts::default();
        for id in 1..=5 {
            receipts.add(&[(a, id)]);
            receipts.update(a, id, if id == 3 { Failed } else { Acked });
        }
        assert_eq!(receipts.take(), ["✓ #1–#2 delivered", "✓ #4–#5 delivered"]);
    }

    #[test]
    fn an_ack_may_overtake_its_line() {
        let a = PeerId::random();
        let mut receipts = Receipts::default();
        assert_eq!(receipts.update(a, 1, Sent), None);
        assert_eq!(receipts.update(a, 1, Acked), None);
        receipts.add(&[(a, 1)]);
        assert_eq!(receipts.take(), ["✓ #1 delivered"]);
        assert!(receipts.early.is_empty());
    }

    #[test]
    fn a_line_without_acks_is_reported_as_sent() {
        let (a, b) = (PeerId::random(), PeerId::random());
        let mut receipts = Receipts::default();
        receipts.add(&[(a, 1)]);
        receipts.update(a, 1, Sent);
        receipts.add(&[(a, 2), (b, 1)]);
        receipts.expect_no_more_acks();
        assert_eq!(receipts.take(), ["→ #1 sent; no ack can be expected"]);
    }
}
