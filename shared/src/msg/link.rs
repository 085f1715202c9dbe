//! The delivery state of one peer, whatever its connections.

use std::{
    task::{Context, Waker},
    time::Duration,
};

use libp2p::{PeerId, swarm::ConnectionId};
use parking_lot::{Mutex, MutexGuard};
use web_time::Instant;

use super::delivery::{Inbox, Outbox};
use crate::{config::ROOM_MEMORY, event::Event, queue::EventSender};

/// The delivery state of one peer.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) peer: PeerId,
    state: Mutex<LinkState>,
}

#[derive(Debug, Default)]
pub(crate) struct LinkState {
    pub(crate) outbox: Outbox,
    pub(crate) inbox: Inbox,
    /// One-shot messages received; their ids.
    pub(crate) oneshots: u64,
    /// The connection whose handler writes the outbox.
    pub(crate) active: Option<ConnectionId>,
    /// Counts changes of `active`, and other reasons to ask where to resume.
    pub(crate) epoch: u64,
    /// The application knows that this peer is connected, so it may be shown messages.
    pub(crate) announced: bool,
    /// Messages in the order of their acceptance, on their way to the application. Two connections
    /// share them: what one has accepted must not be overtaken by what the other accepts next.
    pub(crate) shown: Vec<Event>,
    /// Since when no path has been active; `None` while one is.
    pub(crate) left_at: Option<Instant>,
    wakers: Vec<(ConnectionId, Waker)>,
}

impl Link {
    pub(crate) fn new(peer: PeerId, outbox: Outbox) -> Self {
        let state = LinkState {
            outbox,
            ..LinkState::default()
        };
        Self {
            peer,
            state: Mutex::new(state),
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, LinkState> {
        self.state.lock()
    }

    /// Lets another connection's handler write the outbox from now on, or none.
    pub(crate) fn set_active(&self, active: Option<ConnectionId>, now: Instant) {
        let mut state = self.lock();
        if state.active == active {
            return;
        }
        state.active = active;
        state.epoch += 1;
        state.outbox.rewind();
        state.left_at = active.is_none().then_some(now);
        state.announced &= active.is_some();
        state.wake_all();
    }

    /// The application has been told that this peer is connected.
    pub(crate) fn announce(&self) {
        let mut state = self.lock();
        state.announced = state.active.is_some();
        state.wake_all();
    }
}

impl LinkState {
    /// Wakes this task when the connection has something to do.
    pub(crate) fn register(&mut self, conn: ConnectionId, cx: &Context<'_>) {
        match self.wakers.iter_mut().find(|(id, _)| *id == conn) {
            Some((_, waker)) => waker.clone_from(cx.waker()),
            None => self.wakers.push((conn, cx.waker().clone())),
        }
    }

    /// The connection is gone.
    pub(crate) fn unregister(&mut self, conn: ConnectionId) {
        self.wakers.retain(|(id, _)| *id != conn);
    }

    /// Passes the accepted messages on.
    pub(crate) fn show(&mut self, events: &EventSender) {
        events.extend(std::mem::take(&mut self.shown));
    }

    pub(crate) fn take_active_waker(&mut self) -> Option<Waker> {
        let at = self
            .wakers
            .iter()
            .position(|(id, _)| Some(*id) == self.active)?;
        Some(self.wakers.swap_remove(at).1)
    }

    fn wake_all(&mut self) {
        for (_, waker) in self.wakers.drain(..) {
            waker.wake();
        }
    }

    pub(crate) fn in_room(&self, now: Instant) -> bool {
        self.active.is_some()
            || self
                .left_at
                .is_some_and(|at| now.saturating_duration_since(at) < ROOM_MEMORY)
    }

    pub(crate) fn is_forgettable(&self, now: Instant, message_timeout: Duration) -> bool {
        let long_ago = self
            .left_at
            .is_none_or(|at| now.saturating_duration_since(at) >= message_timeout.max(ROOM_MEMORY));
        self.active.is_none() && self.outbox.is_empty() && long_ago
    }
}
