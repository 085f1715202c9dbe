//! Which messages of one peer are new.

use std::collections::VecDeque;

/// Sessions of one remote peer whose position is kept: its present process and a few before it, so that a
/// peer that makes up sessions costs nothing more.
pub(crate) const MAX_REMEMBERED_SESSIONS: usize = 4;

/// How far each of a peer's last processes has been heard.
///
/// A peer that restarts counts from 1 in a session of its own; one whose old stream still has something to
/// say goes on in the old session. The last `MAX_REMEMBERED_SESSIONS` are remembered.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    /// The session that said hello last is at the back.
    sessions: VecDeque<RemoteSession>,
}

#[derive(Debug)]
struct RemoteSession {
    id: u64,
    /// Everything before this message has been shown.
    next: u64,
}

/// What to do with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Acceptance {
    /// Show it.
    New,
    /// It has been shown already.
    Duplicate,
}

/// A message that does not belong where it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum OutOfPlace {
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
    /// Takes in a hello: the peer's process `session` is going to send, and `base` is its first unacked
    /// message. Returns where it is to go on.
    pub(crate) fn hello(&mut self, session: u64, base: u64) -> u64 {
        let known = self.sessions.iter().position(|known| known.id == session);
        let mut known = known
            .and_then(|at| self.sessions.remove(at))
            .unwrap_or(RemoteSession {
                id: session,
                next: 1,
            });
        // What lies before `base` was acked by an earlier process of ours, or given up.
        known.next = known.next.max(base);
        let next = known.next;
        if self.sessions.len() == MAX_REMEMBERED_SESSIONS {
            self.sessions.pop_front();
        }
        self.sessions.push_back(known);
        next
    }

    /// Takes in a message, and says whether it is to be shown.
    pub(crate) fn accept(&mut self, session: u64, seq: u64) -> Result<Acceptance, OutOfPlace> {
        let mut known = self.sessions.iter_mut().rev();
        let known = known
            .find(|known| known.id == session)
            .ok_or(OutOfPlace::UnknownSession(session))?;
        if seq < known.next {
            return Ok(Acceptance::Duplicate);
        }
        if seq > known.next {
            return Err(OutOfPlace::Gap {
                got: seq,
                expected: known.next,
            });
        }
        known.next += 1;
        Ok(Acceptance::New)
    }

    /// Counts the sessions that are remembered.
    #[cfg(test)]
    pub(crate) fn remembered(&self) -> usize {
        self.sessions.len()
    }

    /// Returns the cumulative ack for a session: everything before this message has been shown.
    #[must_use]
    pub(crate) fn next(&self, session: u64) -> Option<u64> {
        let mut known = self.sessions.iter().rev();
        known
            .find(|known| known.id == session)
            .map(|known| known.next)
    }
}
