//! What one peer has yet to ack.

use std::{
    collections::VecDeque,
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use web_time::Instant;

use super::frames::MAX_SEQ;
use crate::config::{MAX_OUTBOX_BYTES, MAX_OUTBOX_MESSAGES, MAX_OUTBOXES_BYTES};

/// The messages to one peer that are not acked yet, in order.
///
/// Sequence numbers start at 1, or after those of outboxes that have been forgotten, and count the
/// messages of this process to this peer; they are the ids that applications see.
///
/// Where a message is, by its number:
///
/// ```text
///         base                     base + cursor                next_seq
///  acked    |  written to this path       |   not written to it    |   not sent yet
/// ----------+-----------------------------+------------------------+---------------
///           |<----------------------- entries --------------------->|
/// ```
///
/// [`Outbox::ack`] and [`Outbox::expire`] move `base`, [`Outbox::next_to_write`] moves the cursor, and
/// [`Outbox::rewind`] sets it back for another path, which begins with [`Outbox::resume`].
/// At most [`MAX_OUTBOX_MESSAGES`] messages and [`MAX_OUTBOX_BYTES`] of bodies are kept, and [`MAX_OUTBOXES_BYTES`] in all
/// outboxes together.
#[derive(Debug)]
pub(crate) struct Outbox {
    entries: VecDeque<Entry>,
    bytes: usize,
    /// The sequence number of the first entry, or of the next message if there is none.
    base: u64,
    /// Entries before this one have been written to the present path.
    cursor: usize,
    /// Entries before this one have been written to an earlier path, at least in part.
    written: usize,
    /// Entries before this one have been reported as sent.
    reported: usize,
    /// Messages before each of these were queued by then, the oldest first. The clock is read now
    /// and then, not for every message.
    queued_by: VecDeque<(u64, Instant)>,
    /// Where `base` was when it was looked at last, and since when it has been there with messages to take.
    progress: Option<(u64, Instant)>,
    /// What all outboxes hold together.
    total: Arc<AtomicUsize>,
    /// Takes nothing more.
    closed: bool,
}

/// What an entry costs beside its frame.
const ENTRY_BYTES: usize = 64;

#[derive(Debug)]
struct Entry {
    frame: Bytes,
    body_len: usize,
}

/// Why an outbox does not take a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// It has no room until some are acked.
    Full,
    /// It takes none any more.
    Closed,
}

/// A remote acked or resumed at a message that we have not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("acked up to message {claimed}, though {sent} is the last one sent")]
pub(crate) struct BogusAck {
    claimed: u64,
    sent: u64,
}

impl Default for Outbox {
    fn default() -> Self {
        Self {
            entries: VecDeque::new(),
            bytes: 0,
            base: 1,
            cursor: 0,
            written: 0,
            reported: 0,
            queued_by: VecDeque::new(),
            progress: None,
            total: Arc::default(),
            closed: false,
        }
    }
}

impl Outbox {
    /// Makes an outbox whose first message has this sequence number. `total` counts the bytes of all.
    #[must_use]
    pub(crate) fn starting_at(seq: u64, total: Arc<AtomicUsize>) -> Self {
        let mut outbox = Self::default();
        (outbox.base, outbox.total) = (seq, total);
        outbox
    }

    /// Checks whether a message with a body of this many bytes would be taken.
    pub(crate) fn check(&self, body_len: usize) -> Result<(), Refused> {
        if self.closed {
            return Err(Refused::Closed);
        }
        let fits = self.bytes + body_len <= MAX_OUTBOX_BYTES
            && self.total.load(Ordering::Relaxed) + body_len <= MAX_OUTBOXES_BYTES;
        let has_room = self.entries.len() < MAX_OUTBOX_MESSAGES
            && (fits || self.entries.is_empty())
            && self.next_seq() < MAX_SEQ;
        if has_room { Ok(()) } else { Err(Refused::Full) }
    }

    /// Returns the sequence number of the next message.
    #[must_use]
    pub(crate) fn next_seq(&self) -> u64 {
        self.base + self.entries.len() as u64
    }

    /// Appends the frame of message [`Self::next_seq`].
    pub(crate) fn push(&mut self, frame: Bytes, body_len: usize) -> Result<(), Refused> {
        self.check(body_len)?;
        self.bytes += body_len;
        let cost = frame.len() + ENTRY_BYTES;
        self.total.fetch_add(cost, Ordering::Relaxed);
        self.entries.push_back(Entry { frame, body_len });
        Ok(())
    }

    /// Counts the messages that are not acked.
    #[must_use]
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether every message is acked.
    #[must_use]
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Returns the first message that is not acked, or the next one if all are: what a hello says.
    #[must_use]
    pub(crate) const fn base(&self) -> u64 {
        self.base
    }

    /// Whether the present path has more to write.
    #[cfg(test)]
    pub(crate) fn has_unwritten(&self) -> bool {
        self.cursor < self.entries.len()
    }

    /// Takes the next message to write to the present path.
    pub(crate) fn next_to_write(&mut self) -> Option<&Bytes> {
        let entry = self.entries.get(self.cursor)?;
        self.cursor += 1;
        Some(&entry.frame)
    }

    /// Whether some message has been written to a path and may have arrived.
    #[must_use]
    pub(crate) const fn has_unacked_writes(&self) -> bool {
        self.cursor > 0 || self.written > 0
    }

    /// Returns the messages that were written for the first time since the last call.
    pub(crate) fn newly_sent(&mut self) -> Range<u64> {
        let from = self.base + self.reported as u64;
        self.reported = self.reported.max(self.cursor);
        from..self.base + self.reported as u64
    }

    /// Takes in an ack: the other side has everything before `next`. Returns the messages that this acks.
    pub(crate) fn ack(&mut self, next: u64) -> Result<Range<u64>, BogusAck> {
        let sent = self.base + self.cursor.max(self.written) as u64;
        if next > sent {
            return Err(BogusAck {
                claimed: next,
                sent: sent - 1,
            });
        }
        let from = self.base;
        while self.base < next {
            self.pop();
        }
        Ok(from..self.base)
    }

    /// Takes in where the other side wants to go on, on a path that has just begun. Returns the messages that this
    /// acks.
    pub(crate) fn resume(&mut self, next: u64) -> Result<Range<u64>, BogusAck> {
        let acked = self.ack(next)?;
        self.rewind();
        Ok(acked)
    }

    /// Begins anew for another path, to which nothing is written yet.
    pub(crate) fn rewind(&mut self) {
        self.written = self.written.max(self.cursor);
        self.cursor = 0;
    }

    /// Drops the messages that were there `timeout` or longer ago, and returns them. To be called
    /// now and then: a message's age counts from the first of these calls after it was queued.
    pub(crate) fn expire(&mut self, now: Instant, timeout: Duration) -> Range<u64> {
        let from = self.base;
        let next = self.next_seq();
        self.queued_by.retain(|(before, _)| *before > from);
        if self.queued_by.back().map_or(from, |(before, _)| *before) < next {
            self.queued_by.push_back((next, now));
        }
        while let Some((before, at)) = self.queued_by.front().copied()
            && now.saturating_duration_since(at) >= timeout
        {
            while self.base < before {
                self.give_up_oldest();
            }
            self.queued_by.pop_front();
        }
        from..self.base
    }

    /// Drops everything, and takes nothing more. Returns what was dropped.
    pub(crate) fn close(&mut self) -> Range<u64> {
        self.closed = true;
        self.give_up()
    }

    /// Drops everything: whoever it was for is not there any more. Returns what was dropped.
    pub(crate) fn give_up(&mut self) -> Range<u64> {
        let from = self.base;
        while !self.entries.is_empty() {
            self.give_up_oldest();
        }
        from..self.base
    }

    /// Drops the oldest message, which is no progress. Returns what was dropped.
    pub(crate) fn give_up_oldest(&mut self) -> Range<u64> {
        let (from, stalled) = (self.base, self.stalled_since());
        self.pop();
        self.progress = stalled.map(|since| (self.base, since));
        from..self.base
    }

    /// Notes whether anything was taken since the last call. To be called now and then.
    pub(crate) fn note_progress(&mut self, now: Instant) {
        let stands = self.progress.is_some_and(|(base, _)| base == self.base);
        if self.entries.is_empty() {
            self.progress = None;
        } else if !stands {
            self.progress = Some((self.base, now));
        }
    }

    /// Since when the other side has taken nothing, though there is something to take.
    pub(crate) fn stalled_since(&self) -> Option<Instant> {
        let (base, since) = self.progress?;
        (base == self.base).then_some(since)
    }

    /// Returns how many bytes of bodies there are.
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    fn pop(&mut self) {
        if let Some(entry) = self.entries.pop_front() {
            self.bytes -= entry.body_len;
            let cost = entry.frame.len() + ENTRY_BYTES;
            self.total.fetch_sub(cost, Ordering::Relaxed);
            self.base += 1;
            self.cursor = self.cursor.saturating_sub(1);
            self.written = self.written.saturating_sub(1);
            self.reported = self.reported.saturating_sub(1);
        }
    }
}

impl Drop for Outbox {
    fn drop(&mut self) {
        self.give_up();
    }
}
