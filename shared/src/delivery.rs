//! The delivery contract, without I/O: what to send, what to show, what to send again.
//!
//! An [`Outbox`] numbers the messages to one peer and keeps each until it is acked. An [`Inbox`]
//! lets each message of one peer through once and in order. Neither knows of paths: a driver that
//! (re)starts sending on a path asks the other side where to resume and rewinds the outbox to that.

pub(crate) mod frames;
pub(crate) mod silence;
#[cfg(test)]
mod tests;

use std::{collections::VecDeque, ops::Range, time::Duration};

use bytes::Bytes;
use web_time::Instant;

use crate::config::{MAX_OUTBOX_BYTES, MAX_OUTBOX_MESSAGES, MAX_SESSIONS_PER_PEER};

/// The messages to one peer that are not acked yet.
///
/// Sequence numbers start at 1, or after those of outboxes that have been forgotten, and count the
/// messages of this process to this peer; they are the ids that applications see.
#[derive(Debug)]
pub struct Outbox {
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
}

#[derive(Debug)]
struct Entry {
    frame: Bytes,
    body_len: usize,
}

/// The outbox has no room for this message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full;

/// A remote acked or resumed at a message that we have not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("acked up to message {claimed}, though {sent} is the last one sent")]
pub struct BogusAck {
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
        }
    }
}

impl Outbox {
    /// An outbox whose first message has this sequence number.
    #[must_use]
    pub fn starting_at(seq: u64) -> Self {
        Self {
            base: seq,
            ..Self::default()
        }
    }

    /// Whether a message of this size has room.
    #[must_use]
    pub fn has_room(&self, len: usize) -> bool {
        self.entries.len() < MAX_OUTBOX_MESSAGES
            && (self.bytes + len <= MAX_OUTBOX_BYTES || self.entries.is_empty())
    }

    /// The sequence number of the next message.
    #[must_use]
    pub fn next_seq(&self) -> u64 {
        self.base + self.entries.len() as u64
    }

    /// Appends the frame of message [`Self::next_seq`].
    pub fn push(&mut self, frame: Bytes, body_len: usize) -> Result<(), Full> {
        if !self.has_room(body_len) {
            return Err(Full);
        }
        self.bytes += body_len;
        self.entries.push_back(Entry { frame, body_len });
        Ok(())
    }

    /// Messages that are not acked.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether every message is acked.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The first message that is not acked, or the next one if all are: what a hello says.
    #[must_use]
    pub const fn base(&self) -> u64 {
        self.base
    }

    /// Whether the present path has more to write.
    #[must_use]
    pub fn has_unwritten(&self) -> bool {
        self.cursor < self.entries.len()
    }

    /// Takes the next message to write to the present path.
    pub fn next_to_write(&mut self) -> Option<&Bytes> {
        let entry = self.entries.get(self.cursor)?;
        self.cursor += 1;
        Some(&entry.frame)
    }

    /// Whether some message has been written to a path and may have arrived.
    #[must_use]
    pub const fn has_unacked_writes(&self) -> bool {
        self.cursor > 0 || self.written > 0
    }

    /// The messages that were written for the first time since the last call.
    pub fn newly_sent(&mut self) -> Range<u64> {
        let from = self.base + self.reported as u64;
        self.reported = self.reported.max(self.cursor);
        from..self.base + self.reported as u64
    }

    /// The other side has everything before `next`. Returns the messages that are acked by it now.
    pub fn ack(&mut self, next: u64) -> Result<Range<u64>, BogusAck> {
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

    /// The other side wants to go on at `next`, on a path that has just begun.
    pub fn resume(&mut self, next: u64) -> Result<Range<u64>, BogusAck> {
        let acked = self.ack(next)?;
        self.rewind();
        Ok(acked)
    }

    /// The present path is gone: nothing is written to the next one yet.
    pub fn rewind(&mut self) {
        self.written = self.written.max(self.cursor);
        self.cursor = 0;
    }

    /// Drops the messages that were there `timeout` or longer ago, and returns them. To be called
    /// now and then: only these calls tell how old a message is.
    pub fn expire(&mut self, now: Instant, timeout: Duration) -> Range<u64> {
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
                self.pop();
            }
            self.queued_by.pop_front();
        }
        from..self.base
    }

    /// Drops everything, and returns it.
    pub fn clear(&mut self) -> Range<u64> {
        let from = self.base;
        while !self.entries.is_empty() {
            self.pop();
        }
        from..self.base
    }

    fn pop(&mut self) {
        if let Some(entry) = self.entries.pop_front() {
            self.bytes -= entry.body_len;
            self.base += 1;
            self.cursor = self.cursor.saturating_sub(1);
            self.written = self.written.saturating_sub(1);
            self.reported = self.reported.saturating_sub(1);
        }
    }
}

/// How far each of a peer's last processes has been heard.
#[derive(Debug, Default)]
pub struct Inbox {
    /// The session heard last is at the back.
    sessions: VecDeque<Heard>,
}

#[derive(Debug)]
struct Heard {
    session: u64,
    next: u64,
}

/// What to do with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Show it.
    New,
    /// It has been shown already.
    Duplicate,
}

/// A message that does not belong where it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OutOfPlace {
    /// No hello announced this session.
    #[error("unknown session {0:016x}")]
    UnknownSession(u64),
    /// Messages before this one are missing.
    #[error("message {got} came where {expected} was due")]
    Gap {
        /// Its sequence number.
        got: u64,
        /// The one that was due.
        expected: u64,
    },
}

impl Inbox {
    /// A hello: the peer's process `session` is going to send, and `base` is its first unacked
    /// message. Returns where it is to go on.
    pub fn hello(&mut self, session: u64, base: u64) -> u64 {
        let mut heard = match self
            .sessions
            .iter()
            .position(|heard| heard.session == session)
        {
            Some(at) => self.sessions.remove(at),
            None => None,
        }
        .unwrap_or(Heard { session, next: 1 });
        // What lies before `base` was acked by an earlier process of ours, or given up.
        heard.next = heard.next.max(base);
        let next = heard.next;
        if self.sessions.len() == MAX_SESSIONS_PER_PEER {
            self.sessions.pop_front();
        }
        self.sessions.push_back(heard);
        next
    }

    /// A message.
    pub fn accept(&mut self, session: u64, seq: u64) -> Result<Verdict, OutOfPlace> {
        let heard = self
            .sessions
            .iter_mut()
            .rev()
            .find(|heard| heard.session == session)
            .ok_or(OutOfPlace::UnknownSession(session))?;
        if seq < heard.next {
            return Ok(Verdict::Duplicate);
        }
        if seq > heard.next {
            return Err(OutOfPlace::Gap {
                got: seq,
                expected: heard.next,
            });
        }
        heard.next += 1;
        Ok(Verdict::New)
    }

    /// The cumulative ack for a session: everything before this has been shown.
    #[must_use]
    pub fn next(&self, session: u64) -> Option<u64> {
        self.sessions
            .iter()
            .rev()
            .find(|heard| heard.session == session)
            .map(|heard| heard.next)
    }
}
