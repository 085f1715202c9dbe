//! The delivery state of one peer. It outlives the peer's connections.

use std::{
    task::{Context, Waker},
    time::Duration,
};

use libp2p::{PeerId, swarm::ConnectionId};
use parking_lot::{Mutex, MutexGuard};
use web_time::Instant;

use crate::{
    delivery::{Inbox, Outbox},
    event::Event,
    queue::EventSender,
};

/// A peer that left this recently still belongs to the room: broadcasts queue for it.
pub(super) const ROOM_MEMORY: Duration = Duration::from_secs(120);

/// What has been said between us and one peer, and is to be said.
///
/// The [`super::messenger::Messenger`] makes it with the peer's first connection, and forgets it a while after the
/// last. The behaviour names the connection that writes the outbox ([`Conversation::set_active`]); the drivers of all
/// the peer's connections lock it, and register to be woken.
#[derive(Debug)]
pub(crate) struct Conversation {
    pub(crate) peer: PeerId,
    state: Mutex<ConversationState>,
}

#[derive(Debug, Default)]
pub(crate) struct ConversationState {
    pub(crate) outbox: Outbox,
    pub(crate) inbox: Inbox,
    /// One-shot messages received; their ids.
    pub(crate) oneshots: u64,
    /// The connection whose driver writes the outbox.
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
    wakers: Vec<(ConnectionId, Role, Waker)>,
}

/// What a task that waits here does on its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// Reads the remote's msg stream.
    Reader,
    /// Writes ours.
    Writer,
    /// Reads and writes one-shot streams.
    Oneshots,
}

impl Conversation {
    pub(crate) fn new(peer: PeerId, outbox: Outbox) -> Self {
        let state = ConversationState {
            outbox,
            ..ConversationState::default()
        };
        Self {
            peer,
            state: Mutex::new(state),
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, ConversationState> {
        self.state.lock()
    }

    /// Lets another connection's driver write the outbox from now on, or none.
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

    /// Lets messages be shown: the application knows that this peer is connected.
    pub(crate) fn announce(&self) {
        let mut state = self.lock();
        state.announced = state.active.is_some();
        state.wake_all();
    }
}

impl ConversationState {
    /// Wakes this task when the connection has something to do.
    pub(crate) fn register(&mut self, conn: ConnectionId, role: Role, cx: &Context<'_>) {
        let mut wakers = self.wakers.iter_mut();
        match wakers.find(|(id, r, _)| *id == conn && *r == role) {
            Some((_, _, waker)) => waker.clone_from(cx.waker()),
            None => self.wakers.push((conn, role, cx.waker().clone())),
        }
    }

    /// Forgets the tasks of a connection that is gone.
    pub(crate) fn unregister(&mut self, conn: ConnectionId) {
        self.wakers.retain(|(id, ..)| *id != conn);
    }

    /// Passes the accepted messages on to the application.
    pub(crate) fn show(&mut self, events: &EventSender) {
        events.extend(self.shown.drain(..));
    }

    /// Wakes whoever writes the outbox.
    pub(crate) fn wake_writers(&mut self) {
        let active = self.active;
        let writes = |(id, role, _): &mut (ConnectionId, Role, Waker)| {
            Some(*id) == active && *role != Role::Reader
        };
        for (_, _, waker) in self.wakers.extract_if(.., writes) {
            waker.wake();
        }
    }

    pub(crate) fn wake_all(&mut self) {
        for (_, _, waker) in self.wakers.drain(..) {
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
