//! Two that dial each other at the same time: one attempt is enough, and both have to agree which.

use std::sync::Arc;

use libp2p::PeerId;
use parking_lot::Mutex;

/// The attempts under way, on whatever circuit.
///
/// An attempt of the remote that came before ours is the one that counts; of two that cross each other, that of the smaller
/// peer id. So in whatever order they come, one is left:
///
/// ```text
///                                   we have dialled, and are the smaller    otherwise
///   an attempt of the remote comes:      refused                             answered
///   we are asked to dial:                fails while one is being answered
/// ```
#[derive(Debug, Clone)]
pub(crate) struct Glare {
    me: PeerId,
    attempts: Arc<Mutex<Vec<(PeerId, Direction)>>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    Dialled,
    Answered,
}

impl Glare {
    pub(crate) fn new(me: PeerId) -> Self {
        Self {
            me,
            attempts: Arc::default(),
        }
    }

    /// Begins to dial; `None` if the remote's attempt is being answered.
    pub(crate) fn dial(&self, remote: PeerId) -> Option<Attempt> {
        self.begin(remote, Direction::Dialled, Direction::Answered)
    }

    /// Begins to answer; `None` if our own attempt is the one that counts.
    pub(crate) fn answer(&self, remote: PeerId) -> Option<Attempt> {
        let unless = match self.me < remote {
            true => Direction::Dialled,
            // Of its own only one is answered at a time.
            false => Direction::Answered,
        };
        self.begin(remote, Direction::Answered, unless)
    }

    fn begin(&self, remote: PeerId, as_: Direction, unless: Direction) -> Option<Attempt> {
        let mut attempts = self.attempts.lock();
        if attempts.contains(&(remote, unless)) {
            return None;
        }
        attempts.push((remote, as_));
        Some(Attempt {
            glare: self.clone(),
            which: (remote, as_),
        })
    }
}

/// Stands for an attempt that is under way.
#[derive(Debug)]
pub(crate) struct Attempt {
    glare: Glare,
    which: (PeerId, Direction),
}

impl Drop for Attempt {
    fn drop(&mut self) {
        let mut attempts = self.glare.attempts.lock();
        if let Some(at) = attempts.iter().position(|which| *which == self.which) {
            attempts.swap_remove(at);
        }
    }
}

#[cfg(test)]
mod tests;
