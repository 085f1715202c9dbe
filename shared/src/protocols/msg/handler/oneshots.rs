//! The one-shot form on one connection: shows what comes, and writes the outbox of a peer that speaks nothing else.

use std::{
    io,
    task::{Context, Poll},
};

use futures::FutureExt;
use futures_timer::Delay;
use web_time::Instant;

use super::{Handler, Purpose};
use crate::{
    event::Event,
    protocols::msg::conversation::{ConversationState, Role},
    reason::{Cause, Reason},
};

impl Handler {
    pub(super) fn poll_oneshot_receiver(&mut self, cx: &mut Context<'_>) {
        while !self.oneshot_receiver.is_empty() {
            if self.conn.messenger.events.poll_room(cx).is_pending() {
                return;
            }
            let mut state = self.conn.conversation.lock();
            if !state.announced {
                state.register(self.conn.id, Role::Oneshots, cx);
                return;
            }
            let now = Instant::now();
            if let Some(wait) = state.pace.wait(now) {
                let pause = self.oneshot_pause.insert(Delay::new(wait));
                if pause.poll_unpin(cx).is_ready() {
                    cx.waker().wake_by_ref();
                }
                return;
            }
            let Poll::Ready(received) = self.oneshot_receiver.poll(cx) else {
                return;
            };
            match received {
                Ok(body) => {
                    state.oneshots += 1;
                    state.pace.take(now, body.len());
                    self.conn.messenger.events.push(Event::Message {
                        from: self.conn.conversation.peer,
                        name: state.remote.name.clone(),
                        id: state.oneshots,
                        body,
                        path: self.conn.transport.path(),
                        scope: state.oneshot_scope(),
                    });
                }
                Err(fault) => {
                    drop(state);
                    self.conn.fault("its one-shot stream", &fault);
                }
            }
        }
    }

    pub(super) fn poll_oneshot_sender(&mut self, cx: &mut Context<'_>) {
        if self.remote_speaks_msg || !self.remote_speaks_oneshot {
            return;
        }
        loop {
            let conversation = self.conn.conversation.clone();
            let mut state = conversation.lock();
            if let Poll::Ready(result) = self.oneshot_sender.poll(cx) {
                self.oneshot_done(&mut state, result.map_err(|e| cause_of(&e)));
            }
            state.register(self.conn.id, Role::Oneshots, cx);
            if state.active != Some(self.conn.id) || !self.oneshot_sender.is_idle() {
                return;
            }
            let Some(frame) = state.outbox.next_to_write() else {
                return;
            };
            match self.oneshot_sender.start(frame) {
                Ok(()) => self.request(Purpose::Oneshot),
                Err(e) => {
                    let cause = Cause::of_error(Reason::Other, &e);
                    self.oneshot_done(&mut state, Err(cause));
                }
            }
        }
    }

    /// Takes the message that was started out of the outbox: it was written, or cannot be.
    pub(super) fn oneshot_done(&self, state: &mut ConversationState, result: Result<(), Cause>) {
        let seq = self.oneshot_sender.seq();
        if seq != state.outbox.base() {
            // Given up, or written by another connection.
            return;
        }
        let Ok(ids) = state.outbox.ack(seq + 1) else {
            return;
        };
        match result {
            Ok(()) => self
                .conn
                .messenger
                .sent_without_ack(self.conn.conversation.peer, ids),
            Err(cause) => {
                self.conn
                    .messenger
                    .failed(self.conn.conversation.peer, ids, &cause);
            }
        }
    }
}

/// Returns why a packet was not written to its stream.
fn cause_of(error: &io::Error) -> Cause {
    let code = match error.kind() {
        io::ErrorKind::TimedOut => Reason::NoAnswer,
        _ => Reason::ConnectionClosed,
    };
    Cause::of_error(code, error)
}
