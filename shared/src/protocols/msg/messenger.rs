//! Shared between the application's handle, the behaviour, and the handlers and drivers of all connections.
//!
//! A message goes from the application straight into its peer's outbox and wakes the one driver
//! that may write it; a received one goes from the driver straight into the event queue. Neither
//! passes through the swarm, which would cost more than everything else together.

mod introductions;
mod room;
#[cfg(test)]
mod tests;

use std::{
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use libp2p::PeerId;
use parking_lot::Mutex;
use tokio::sync::Notify;
use web_time::Instant;

use self::room::is_stalled;
use super::{
    conversation::{Conversation, ConversationState},
    driver::Drivers,
};
use crate::{
    config::{MAX_BODY_BYTES, NodeConfig},
    delivery::{
        Outbox, Pace, Refused, Room,
        frames::{Data, Kind},
    },
    error::SendError,
    event::{DeliveryState, Scope},
    name::PeerName,
    queue::EventSender,
    reason::{Cause, Reason},
    remote::Membership,
    table::Table,
};

/// Peers whose delivery state is kept; beyond it the longest absent one with an empty outbox goes.
const MAX_KNOWN_PEERS: usize = 1_024;

/// The conversations with all peers.
#[derive(Debug, Default)]
struct Conversations {
    of: Table<PeerId, Arc<Conversation>>,
    /// The node has stopped: every outbox is closed, and one that is made from now on is so from the start.
    stopped: bool,
}

/// Sends messages, and knows what became of each.
///
/// [`Messenger::send`] is all that an application calls; the event loop calls [`Messenger::tick`] once a second and
/// [`Messenger::stop`] at the end. A message that was accepted is reported with one of these ends, whatever happens:
///
/// ```text
///   send --> queued --> written --SENT_REPORT_DELAY--> sent --+--> acked
///                |          |                                 |
///                +----------+---------------------------------+--> failed: too old, no room, forgotten peer, stopped
/// ```
///
/// At most [`MAX_KNOWN_PEERS`] conversations are kept, beside those with a connection.
#[derive(Debug)]
pub(crate) struct Messenger {
    local: PeerId,
    room: Room,
    /// What our person chose to be called.
    name: Mutex<Option<PeerName>>,
    /// Distinguishes this process from an earlier one of the same identity.
    pub(crate) session: u64,
    pub(crate) events: EventSender,
    pub(crate) drivers: Drivers,
    message_timeout: Duration,
    rate_of_peer: u64,
    conversations: Mutex<Conversations>,
    unacked: AtomicUsize,
    /// Bytes in all outboxes.
    queued_bytes: Arc<AtomicUsize>,
    /// Where new outboxes start: after what has been sent to any peer that was forgotten since. A
    /// peer that returns remembers our session, and expects no number twice.
    first_seq: AtomicU64,
    /// How often all paths were to be probed at once.
    probes_asked_for: AtomicU64,
    /// The node stops: each of our streams ends with a goodbye.
    leaving: AtomicBool,
    /// Notified when messages leave an outbox.
    left_outbox: Notify,
}

impl Messenger {
    /// `local` and `config` say who we are and in which room.
    pub(crate) fn new(
        local: PeerId,
        config: &NodeConfig,
        session: u64,
        events: EventSender,
    ) -> Self {
        Self {
            local,
            room: Room::new(&config.namespace),
            name: Mutex::new(config.name.clone()),
            session,
            events,
            drivers: Drivers::default(),
            message_timeout: config.message_timeout,
            rate_of_peer: config.rate_of_peer,
            conversations: Mutex::default(),
            unacked: AtomicUsize::new(0),
            queued_bytes: Arc::default(),
            first_seq: AtomicU64::new(1),
            probes_asked_for: AtomicU64::new(0),
            leaving: AtomicBool::new(false),
            left_outbox: Notify::new(),
        }
    }

    /// Puts a message into the outbox of a peer, and returns its sequence number.
    pub(crate) fn send(&self, to: PeerId, scope: Scope, body: String) -> Result<u64, SendError> {
        if body.len() > MAX_BODY_BYTES {
            return Err(SendError::TooLong(body.len()));
        }
        let refused = |refused| match refused {
            Refused::Full => SendError::OutboxFull(to),
            Refused::Closed => SendError::Stopped,
        };
        let conversation = self.conversation_to(to)?;
        let len = body.len();
        if conversation.lock().outbox.check(len) == Err(Refused::Full) {
            self.make_room(&conversation, len);
        }
        let mut state = conversation.lock();
        state.outbox.check(len).map_err(refused)?;
        if state.is_gone() {
            return Err(SendError::UnknownPeer(to));
        }
        if !state.takes(scope) {
            return Err(SendError::NotInRoom(to));
        }
        let seq = state.outbox.next_seq();
        let frame = Kind::Data(Data::new(seq, scope, body)).into_frame();
        // Only the outbox knows of a stop that came meanwhile: it is closed.
        state.outbox.push(frame, len).map_err(refused)?;
        self.unacked.fetch_add(1, Ordering::Relaxed);
        state.wake_writers();
        Ok(seq)
    }

    /// Resolves when messages have left an outbox after this call.
    pub(crate) fn left_outbox(&self) -> impl Future<Output = ()> + '_ {
        let mut notified = Box::pin(self.left_outbox.notified());
        notified.as_mut().enable();
        notified
    }

    /// Counts the messages to all peers that are neither acked nor failed.
    pub(crate) fn unacked(&self) -> usize {
        self.unacked.load(Ordering::Relaxed)
    }

    /// Counts the messages to one peer that are neither acked nor failed.
    pub(crate) fn unacked_by(&self, peer: &PeerId) -> usize {
        self.conversation(peer)
            .map_or(0, |conversation| conversation.lock().outbox.len())
    }

    /// Returns the peers of the room that are connected, or were a moment ago: lines to everybody go to them.
    pub(crate) fn room(&self, now: Instant) -> Vec<PeerId> {
        self.those(|state| state.is_member() && state.is_here(now))
    }

    /// Returns the peers that are connected, or were a moment ago, of whatever room.
    pub(crate) fn here(&self, now: Instant) -> Vec<PeerId> {
        self.those(|state| state.is_here(now))
    }

    /// Whether nothing leads to a peer at present.
    pub(crate) fn is_away(&self, peer: &PeerId) -> bool {
        let conversation = self.conversation(peer);
        conversation.is_none_or(|conversation| conversation.lock().active.is_none())
    }

    fn those(&self, are: impl Fn(&ConversationState) -> bool) -> Vec<PeerId> {
        let conversations = self.conversations.lock();
        let those = conversations.of.values();
        let those = those.filter(|conversation| are(&conversation.lock()));
        let mut those: Vec<_> = those.map(|conversation| conversation.peer).collect();
        those.sort_unstable();
        those
    }

    /// What a peer calls itself, or the words that its id gives; and whether it belongs to our room.
    pub(crate) fn remote(&self, peer: &PeerId) -> (PeerName, bool) {
        match self.conversation(peer) {
            Some(conversation) => {
                let state = conversation.lock();
                (state.remote.name.clone(), state.is_member())
            }
            None => (PeerName::of(peer), false),
        }
    }

    pub(crate) fn conversation(&self, peer: &PeerId) -> Option<Arc<Conversation>> {
        self.conversations.lock().of.get(peer).cloned()
    }

    fn conversation_to(&self, peer: PeerId) -> Result<Arc<Conversation>, SendError> {
        let conversations = self.conversations.lock();
        if conversations.stopped {
            return Err(SendError::Stopped);
        }
        conversations
            .of
            .get(&peer)
            .cloned()
            .ok_or(SendError::UnknownPeer(peer))
    }

    /// Returns the conversation with a peer that has a connection, or begins one.
    pub(crate) fn conversation_or_new(&self, peer: PeerId) -> Arc<Conversation> {
        let mut conversations = self.conversations.lock();
        if !conversations.of.contains_key(&peer) && conversations.of.len() >= MAX_KNOWN_PEERS {
            self.forget_one(&mut conversations.of);
        }
        let stopped = conversations.stopped;
        conversations
            .of
            .get_or_insert_with(peer, || {
                let first_seq = self.first_seq.load(Ordering::Relaxed);
                let mut outbox = Outbox::starting_at(first_seq, self.queued_bytes.clone());
                if stopped {
                    outbox.close();
                }
                let pace = Pace::new(self.rate_of_peer);
                Arc::new(Conversation::new(peer, outbox, pace))
            })
            .clone()
    }

    /// Fails messages that are too old, and forgets peers that are gone for good. To be called now and then.
    pub(crate) fn tick(&self, now: Instant) {
        let conversations: Vec<_> = self.conversations.lock().of.values().cloned().collect();
        for conversation in conversations {
            let mut state = conversation.lock();
            let expired = state.outbox.expire(now, self.message_timeout);
            state.outbox.note_progress(now);
            if is_stalled(&state, now) {
                // Whoever waits for room there need not.
                self.left_outbox.notify_waiters();
            }
            if expired.is_empty() {
                continue;
            }
            // The other side has to learn of the new base before the next message.
            state.epoch += 1;
            let text = format!(
                "not acked within {} s; it may have arrived all the same",
                self.message_timeout.as_secs()
            );
            self.failed(
                conversation.peer,
                expired,
                &Cause::new(Reason::NotAcked, text),
            );
            state.wake_writers();
        }
        self.conversations.lock().of.retain(|_, conversation| {
            if Arc::strong_count(conversation) > 1 {
                return true;
            }
            let state = conversation.lock();
            let forget = state.is_forgettable(now, self.message_timeout);
            if forget {
                self.forgotten(&state);
            }
            !forget
        });
    }

    /// Takes no more messages, and fails those that are not acked. A message that races this is refused, or fails:
    /// its outbox knows.
    pub(crate) fn stop(&self) {
        let conversations: Vec<_> = {
            let mut conversations = self.conversations.lock();
            conversations.stopped = true;
            conversations.of.values().cloned().collect()
        };
        for conversation in conversations {
            let failed = conversation.lock().outbox.close();
            let cause = Cause::new(Reason::Stopped, "the node was stopped");
            self.failed(conversation.peer, failed, &cause);
        }
        self.left_outbox.notify_waiters();
    }

    /// Shows nothing more of a peer, and fails what waits for it.
    pub(crate) fn block(&self, peer: &PeerId) {
        if let Some(conversation) = self.conversation(peer) {
            let mut state = conversation.lock();
            state.announced = false;
            let failed = state.bye();
            state.epoch += 1;
            self.failed(*peer, failed, &Cause::new(Reason::Blocked, "it is blocked"));
        }
    }

    /// Says goodbye on every path: nothing is to wait for us.
    pub(crate) fn leave(&self) {
        self.leaving.store(true, Ordering::Relaxed);
        self.probe();
    }

    pub(crate) fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::Relaxed)
    }

    /// Whether some peer that speaks msg is connected, and would notice a goodbye.
    pub(crate) fn has_company(&self) -> bool {
        let proven = |state: &ConversationState| {
            state.active.is_some() && state.remote.membership != Membership::Unproven
        };
        !self.those(proven).is_empty()
    }

    /// Asks on every path at once whether it still works.
    pub(crate) fn probe(&self) {
        self.probes_asked_for.fetch_add(1, Ordering::Relaxed);
        for conversation in self.conversations.lock().of.values() {
            conversation.lock().wake_all();
        }
    }

    pub(crate) fn probes_asked_for(&self) -> u64 {
        self.probes_asked_for.load(Ordering::Relaxed)
    }

    /// Reports messages that left the outbox because the peer has them.
    pub(crate) fn acked(&self, to: PeerId, ids: Range<u64>) {
        self.left(to, ids, DeliveryState::Acked, None);
    }

    /// Reports messages that left the outbox because the peer will never say that it has them.
    pub(crate) fn sent_without_ack(&self, to: PeerId, ids: Range<u64>) {
        self.left(to, ids, DeliveryState::Sent, None);
    }

    /// Reports messages that left the outbox because they are given up.
    pub(crate) fn failed(&self, to: PeerId, ids: Range<u64>, cause: &Cause) {
        self.left(to, ids, DeliveryState::Failed, Some(cause));
    }

    /// Reports messages that were written to a path for the first time.
    pub(crate) fn sent(&self, to: PeerId, ids: Range<u64>) {
        if !ids.is_empty() {
            self.events.deliveries(to, ids, DeliveryState::Sent, None);
        }
    }

    /// Makes room by forgetting the peer that has been away longest, if possible one that has
    /// everything.
    fn forget_one(&self, conversations: &mut Table<PeerId, Arc<Conversation>>) {
        let longest_away = conversations
            .values()
            .filter(|conversation| Arc::strong_count(conversation) == 1)
            .map(|conversation| {
                let state = conversation.lock();
                (!state.outbox.is_empty(), state.left_at, conversation.peer)
            })
            .min();
        let Some(conversation) = longest_away.and_then(|(_, _, peer)| conversations.remove(&peer))
        else {
            return;
        };
        let mut state = conversation.lock();
        let failed = state.outbox.close();
        self.forgotten(&state);
        let text = "too many other peers came since it left";
        self.failed(
            conversation.peer,
            failed,
            &Cause::new(Reason::TooMany, text),
        );
    }

    fn forgotten(&self, state: &ConversationState) {
        self.first_seq
            .fetch_max(state.outbox.next_seq(), Ordering::Relaxed);
    }

    fn left(&self, to: PeerId, ids: Range<u64>, state: DeliveryState, cause: Option<&Cause>) {
        if ids.is_empty() {
            return;
        }
        let count = usize::try_from(ids.end - ids.start).unwrap_or(usize::MAX);
        self.events.deliveries(to, ids, state, cause);
        self.unacked.fetch_sub(count, Ordering::Relaxed);
        self.left_outbox.notify_waiters();
    }
}
