//! The bounded queue of events between a node and its application.
//!
//! Whoever reads messages from the wire asks for room first and stops reading when there is none,
//! so a slow application slows its peers down instead of filling memory. Events of the node itself
//! always get in: their number is bounded by what causes them.

#[cfg(test)]
mod tests;

use std::{
    collections::VecDeque,
    ops::Range,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use futures::Stream;
use libp2p::PeerId;
use parking_lot::Mutex;

use crate::event::{DeliveryState, Event};
use crate::reason::Cause;

/// Events that wait for the application before nodes stop reading messages from the wire.
pub(crate) const EVENT_QUEUE_LEN: usize = 4_096;
/// Bytes of message bodies in those events.
pub(crate) const EVENT_QUEUE_BYTES: usize = 8 * 1024 * 1024;
/// Beyond this many events of any kind the node stands still until some are read.
const EVENT_QUEUE_HARD_LEN: usize = 4 * EVENT_QUEUE_LEN;

/// Makes a queue: the sender is the node's, and the events are the application's.
pub(crate) fn new() -> (EventSender, Events) {
    let shared = Arc::new(Mutex::new(Queue::default()));
    let sender = EventSender {
        shared: shared.clone(),
    };
    let events = Events {
        shared,
        taken: VecDeque::new(),
    };
    (sender, events)
}

/// Where events go in.
#[derive(Debug, Clone)]
pub(crate) struct EventSender {
    shared: Arc<Mutex<Queue>>,
}

/// What happens to a node, in order. A [`Stream`] of [`Event`]s that ends when the node has stopped.
#[derive(Debug)]
pub struct Events {
    shared: Arc<Mutex<Queue>>,
    /// Taken out of the queue at once, to lock it less often.
    taken: VecDeque<Queued>,
}

/// An entry of the queue.
#[derive(Debug)]
enum Queued {
    Event(Event),
    /// An event for each of these messages: one ack is for many.
    Deliveries {
        to: PeerId,
        ids: Range<u64>,
        state: DeliveryState,
        cause: Option<Cause>,
    },
}

#[derive(Debug, Default)]
struct Queue {
    queued: VecDeque<Queued>,
    /// How many events that makes.
    len: usize,
    bytes: usize,
    reader: Option<Waker>,
    writers: Vec<Waker>,
    closed: bool,
    reader_gone: bool,
}

impl EventSender {
    /// Whether a message may be read from the wire. If not, the task is woken when it may.
    pub(crate) fn poll_room(&self, cx: &Context<'_>) -> Poll<()> {
        let mut queue = self.shared.lock();
        if queue.has_room() {
            return Poll::Ready(());
        }
        queue.wake_writer(cx);
        Poll::Pending
    }

    /// Resolves when the application has read enough for the node to go on.
    pub(crate) async fn settled(&self) {
        std::future::poll_fn(|cx| {
            let mut queue = self.shared.lock();
            if queue.len < EVENT_QUEUE_HARD_LEN {
                return Poll::Ready(());
            }
            queue.wake_writer(cx);
            Poll::Pending
        })
        .await;
    }

    /// Whether there is room for an event that a remote caused and that can be left out.
    pub(crate) fn has_room(&self) -> bool {
        self.shared.lock().has_room()
    }

    /// Appends events.
    pub(crate) fn extend(&self, events: impl IntoIterator<Item = Event>) {
        self.append(|queue| {
            for event in events {
                queue.bytes += body_len(&event);
                queue.len += 1;
                queue.queued.push_back(Queued::Event(event));
            }
        });
    }

    /// Appends the event that its state has changed, for each of these messages.
    pub(crate) fn deliveries(
        &self,
        to: PeerId,
        ids: Range<u64>,
        state: DeliveryState,
        cause: Option<&Cause>,
    ) {
        let cause = cause.cloned();
        self.append(|queue| {
            queue.len += usize::try_from(ids.end - ids.start).unwrap_or(usize::MAX);
            queue.queued.push_back(Queued::Deliveries {
                to,
                ids,
                state,
                cause,
            });
        });
    }

    fn append(&self, append: impl FnOnce(&mut Queue)) {
        let mut queue = self.shared.lock();
        if queue.reader_gone || queue.closed {
            return;
        }
        append(&mut queue);
        let reader = queue.reader.take();
        drop(queue);
        if let Some(reader) = reader {
            reader.wake();
        }
    }

    /// Appends one event.
    pub(crate) fn push(&self, event: Event) {
        self.extend([event]);
    }

    /// Ends the stream after the events that are in it.
    pub(crate) fn close(&self) {
        let mut queue = self.shared.lock();
        queue.closed = true;
        let reader = queue.reader.take();
        drop(queue);
        if let Some(reader) = reader {
            reader.wake();
        }
    }
}

impl Stream for Events {
    type Item = Event;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        if let Some(event) = self.next_taken() {
            return Poll::Ready(Some(event));
        }
        let this = &mut *self;
        let mut queue = this.shared.lock();
        if queue.queued.is_empty() {
            if queue.closed {
                return Poll::Ready(None);
            }
            queue.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        std::mem::swap(&mut this.taken, &mut queue.queued);
        queue.len = 0;
        queue.bytes = 0;
        let writers = std::mem::take(&mut queue.writers);
        drop(queue);
        for writer in writers {
            writer.wake();
        }
        Poll::Ready(self.next_taken())
    }
}

impl Events {
    fn next_taken(&mut self) -> Option<Event> {
        loop {
            if let Some(Queued::Deliveries {
                to,
                ids,
                state,
                cause,
            }) = self.taken.front_mut()
                && let Some(id) = ids.next()
            {
                return Some(Event::Delivery {
                    to: *to,
                    id,
                    state: *state,
                    code: cause.as_ref().map(|cause| cause.code),
                    reason: cause.as_ref().map(|cause| cause.text.clone()),
                });
            }
            if let Queued::Event(event) = self.taken.pop_front()? {
                return Some(event);
            }
        }
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        let mut queue = self.shared.lock();
        queue.reader_gone = true;
        queue.queued = VecDeque::new();
        queue.len = 0;
        queue.bytes = 0;
        let writers = std::mem::take(&mut queue.writers);
        drop(queue);
        for writer in writers {
            writer.wake();
        }
    }
}

impl Queue {
    fn has_room(&self) -> bool {
        self.len < EVENT_QUEUE_LEN && self.bytes < EVENT_QUEUE_BYTES
    }

    fn wake_writer(&mut self, cx: &Context<'_>) {
        if !self.writers.iter().any(|w| w.will_wake(cx.waker())) {
            self.writers.push(cx.waker().clone());
        }
    }
}

fn body_len(event: &Event) -> usize {
    match event {
        Event::Message { body, .. } => body.len(),
        _ => 0,
    }
}
