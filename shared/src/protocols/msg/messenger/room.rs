//! Room in outboxes that are full because somebody takes nothing: it is made at his cost, and nobody else waits for him.

use std::sync::Arc;

use web_time::Instant;

use super::{
    super::conversation::{Conversation, ConversationState},
    Messenger,
};
use crate::{
    config::STALL_TIMEOUT,
    reason::{Cause, Reason},
};

/// Whether a peer has taken nothing for so long that nobody waits for it.
pub(super) fn is_stalled(state: &ConversationState, now: Instant) -> bool {
    let since = state.outbox.stalled_since();
    since.is_some_and(|since| now.saturating_duration_since(since) >= STALL_TIMEOUT)
}

impl Messenger {
    /// Makes room for a message of so many bytes, if this peer takes nothing, or another one that does not holds the room of
    /// all.
    pub(super) fn make_room(&self, conversation: &Conversation, len: usize) {
        let now = Instant::now();
        let mut state = conversation.lock();
        let next = state.outbox.base();
        if is_stalled(&state, now) {
            let mut end = next;
            while state.outbox.check(len).is_err() && !state.outbox.is_empty() {
                end = state.outbox.give_up_oldest().end;
            }
            return self.gave_up(conversation, &mut state, next..end);
        }
        drop(state);
        while conversation.lock().outbox.check(len).is_err() && self.give_up_largest(now) {}
    }

    /// Gives up what the largest of the outboxes holds that nobody takes. Says whether there was one.
    fn give_up_largest(&self, now: Instant) -> bool {
        let conversations = self.conversations.lock();
        let stalled = conversations.of.values().filter_map(|conversation| {
            let state = conversation.lock();
            let bytes = state.outbox.bytes();
            is_stalled(&state, now).then_some((bytes, Arc::clone(conversation)))
        });
        let largest = stalled.max_by_key(|(bytes, _)| *bytes);
        drop(conversations);
        let Some((_, conversation)) = largest else {
            return false;
        };
        let mut state = conversation.lock();
        let given_up = state.outbox.give_up();
        self.gave_up(&conversation, &mut state, given_up);
        true
    }

    fn gave_up(
        &self,
        conversation: &Conversation,
        state: &mut ConversationState,
        ids: std::ops::Range<u64>,
    ) {
        if ids.is_empty() {
            return;
        }
        // The other side has to learn of the new base before the next message.
        state.epoch += 1;
        let text = format!(
            "not acked: it has taken nothing for {} s, and there is no room for more; it may have arrived all the same",
            STALL_TIMEOUT.as_secs()
        );
        self.failed(conversation.peer, ids, &Cause::new(Reason::NotAcked, text));
        state.wake_writers();
    }
}
