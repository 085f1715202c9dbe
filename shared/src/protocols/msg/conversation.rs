//! The delivery state of one peer. It outlives the peer's connections.

use std::{
    ops::Range,
    task::{Context, Waker},
    time::Duration,
};

use libp2p::{PeerId, swarm::ConnectionId};
use parking_lot::{Mutex, MutexGuard};
use web_time::Instant;

use crate::{
    delivery::{Inbox, Outbox, Pace},
    event::{Event, Scope},
    name::PeerName,
    queue::EventSender,
    remote::{Membership, Remote},
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

#[derive(Debug)]
pub(crate) struct ConversationState {
    pub(crate) outbox: Outbox,
    pub(crate) inbox: Inbox,
    /// How fast its messages are taken.
    pub(crate) pace: Pace,
    /// Who it is, by its last word on the active connection.
    pub(crate) remote: Remote,
    /// It counts as one of the room although it cannot prove it.
    counts_as_member: bool,
    /// It said goodbye, and has not come back.
    gone: bool,
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

/// What [`ConversationState::meet`] has changed.
#[derive(Debug)]
#[must_use]
pub(crate) struct Met {
    pub(crate) is_news: bool,
    pub(crate) given_up: Range<u64>,
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
    pub(crate) fn new(peer: PeerId, outbox: Outbox, pace: Pace) -> Self {
        let state = ConversationState {
            outbox,
            inbox: Inbox::default(),
            pace,
            remote: Remote {
                name: PeerName::of(&peer),
                membership: Membership::Unproven,
            },
            counts_as_member: false,
            gone: false,
            oneshots: 0,
            active: None,
            epoch: 0,
            announced: false,
            shown: Vec::new(),
            left_at: None,
            wakers: Vec::new(),
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
        state.gone &= active.is_none();
        state.wake_all();
    }

    /// Lets lines to everybody be written to a connection on which the peer has not answered yet, unless it has said before
    /// that it is of another room.
    pub(crate) fn expect(&self, conn: ConnectionId, now: Instant) {
        let mut state = self.lock();
        if state.active.is_some() || state.remote.membership == Membership::Guest {
            return;
        }
        state.counts_as_member = true;
        drop(state);
        self.set_active(Some(conn), now);
    }

    /// Lets messages be shown: the application knows that this peer is connected. `in_room`: it counts as one of the
    /// room if it cannot prove it.
    pub(crate) fn admit(&self, in_room: bool) {
        let mut state = self.lock();
        state.announced = state.active.is_some();
        state.counts_as_member = in_room;
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

    /// Takes in who the remote is by its last word on `conn`. Returns whether that is news, and the messages that are
    /// given up as it has gone to another room. What it says on another connection than the active one may be older.
    pub(crate) fn meet(&mut self, conn: ConnectionId, remote: &Remote) -> Met {
        let is_news = self.active.is_none_or(|active| active == conn) && self.remote != *remote;
        let mut given_up = 0..0;
        if is_news {
            let was_member = self.is_member();
            self.remote = remote.clone();
            if was_member && !self.is_member() {
                given_up = self.outbox.give_up();
                self.epoch += 1;
            }
        }
        Met { is_news, given_up }
    }

    /// The remote leaves for good. Returns the messages that it has not got.
    pub(crate) fn bye(&mut self) -> Range<u64> {
        self.gone = true;
        self.outbox.give_up()
    }

    /// Whether lines to everybody are for it.
    pub(crate) const fn is_member(&self) -> bool {
        match self.remote.membership {
            Membership::Member => true,
            Membership::Guest => false,
            Membership::Unproven => self.counts_as_member,
        }
    }

    /// Whom a message of the one-shot form is for, which does not say so.
    pub(crate) const fn oneshot_scope(&self) -> Scope {
        if self.is_member() {
            Scope::Room
        } else {
            Scope::Private
        }
    }

    /// Whether a message of this scope may be queued.
    pub(crate) const fn takes(&self, scope: Scope) -> bool {
        match scope {
            Scope::Room => self.is_member(),
            Scope::Private => true,
        }
    }

    /// Whether it said goodbye.
    pub(crate) const fn is_gone(&self) -> bool {
        self.gone
    }

    /// Connected, or was a moment ago and did not say goodbye.
    pub(crate) fn is_here(&self, now: Instant) -> bool {
        let is_recent = |at| now.saturating_duration_since(at) < ROOM_MEMORY;
        !self.gone && (self.active.is_some() || self.left_at.is_some_and(is_recent))
    }

    pub(crate) fn is_forgettable(&self, now: Instant, message_timeout: Duration) -> bool {
        let long_ago = self
            .left_at
            .is_none_or(|at| now.saturating_duration_since(at) >= message_timeout.max(ROOM_MEMORY));
        self.active.is_none() && self.outbox.is_empty() && long_ago
    }
}
