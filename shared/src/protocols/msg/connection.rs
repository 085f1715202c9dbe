//! Shared between the handler of a connection and the drivers of its streams.

use std::{
    sync::{
        Arc,
        atomic::{
            AtomicBool, AtomicU32,
            Ordering::{Acquire, Relaxed, Release},
        },
    },
    task::{Context, Poll},
    time::Duration,
};

use futures::task::AtomicWaker;
use libp2p::{Stream, swarm::ConnectionId};
use parking_lot::Mutex;

use super::{
    conversation::{Conversation, ConversationState},
    messenger::Messenger,
};
use crate::{
    path::Transport,
    reason::{Cause, Reason},
    remote::{Membership, Remote},
};

/// One connection, as msg sees it: what its handler and its drivers need to know of it and of each other.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) id: ConnectionId,
    pub(crate) transport: Transport,
    pub(crate) messenger: Arc<Messenger>,
    pub(crate) conversation: Arc<Conversation>,
    /// The remote's stream, on its way to its driver.
    pub(crate) inbound: StreamHandover,
    /// Ours.
    pub(crate) outbound: StreamHandover,
    /// Who the remote is, as it said last on this connection.
    remote: Mutex<Option<Remote>>,
    /// On their way from the drivers to the handler.
    reports: Mutex<Reports>,
    handler: AtomicWaker,
    /// The remote gave a sign of life since the last probe interval.
    heard: AtomicBool,
    /// A message went one way or the other since the last probe interval.
    carried_data: AtomicBool,
    /// The remote speaks only the one-shot form.
    oneshots_only: AtomicBool,
    faults: AtomicU32,
}

/// What the drivers report to the handler. Of several answers the last one counts, so there is no queue.
#[derive(Debug, Default)]
pub(crate) struct Reports {
    /// The remote said its first hello on a stream.
    pub(crate) greeted: bool,
    /// The remote answered on our stream, in this time.
    pub(crate) answered: Option<Duration>,
    /// The remote has been silent since it was asked.
    pub(crate) silent: bool,
    /// Our stream is gone, and why.
    pub(crate) outbound_ended: Option<Cause>,
    /// And with it the path: the remote has been silent for too long.
    pub(crate) dead: bool,
    /// No message was carried for a while.
    pub(crate) drained: bool,
    /// The remote has another name, or belongs to another room.
    pub(crate) introduced: bool,
    /// The remote left for good.
    pub(crate) left: bool,
}

impl Connection {
    pub(crate) fn new(
        id: ConnectionId,
        transport: Transport,
        messenger: Arc<Messenger>,
        conversation: Arc<Conversation>,
    ) -> Self {
        Self {
            id,
            transport,
            messenger,
            conversation,
            inbound: StreamHandover::default(),
            outbound: StreamHandover::default(),
            remote: Mutex::new(None),
            reports: Mutex::default(),
            handler: AtomicWaker::new(),
            heard: AtomicBool::new(false),
            carried_data: AtomicBool::new(false),
            oneshots_only: AtomicBool::new(false),
            faults: AtomicU32::new(0),
        }
    }

    /// Notes that the remote gave a sign of life.
    pub(crate) fn heard(&self) {
        self.heard.store(true, Relaxed);
    }

    pub(crate) fn take_heard(&self) -> bool {
        self.heard.swap(false, Relaxed)
    }

    /// Notes that a message went one way or the other.
    pub(crate) fn carried_data(&self) {
        self.carried_data.store(true, Relaxed);
    }

    pub(crate) fn take_carried_data(&self) -> bool {
        self.carried_data.swap(false, Relaxed)
    }

    /// Notes whether the remote speaks only the one-shot form: our msg stream writes nothing then, and what it has written
    /// along with a hello that will be refused counts for nothing.
    pub(crate) fn set_oneshots_only(&self, only: bool) {
        let mut state = self.conversation.lock();
        if self.oneshots_only.swap(only, Relaxed) != only && state.active == Some(self.id) {
            state.outbox.rewind();
            state.epoch += 1;
        }
    }

    /// Whether the remote speaks only the one-shot form. To be asked while the conversation is locked.
    pub(crate) fn is_oneshots_only(&self) -> bool {
        self.oneshots_only.load(Relaxed)
    }

    /// Takes in what a hello or an answer of the remote says of it. Returns whether it belongs to our room.
    pub(crate) fn meet(
        &self,
        state: &mut ConversationState,
        proof: &[u8],
        name: &str,
    ) -> Membership {
        let remote = self
            .messenger
            .introduced(self.conversation.peer, proof, name);
        let membership = remote.membership;
        *self.remote.lock() = Some(remote);
        self.meet_again(state);
        membership
    }

    /// Takes in what the remote said of itself on this connection last: another connection may have been the active
    /// one by then.
    pub(crate) fn meet_again(&self, state: &mut ConversationState) {
        let remote = self.remote.lock();
        let Some(remote) = &*remote else {
            return;
        };
        let met = state.meet(self.id, remote);
        let cause = Cause::new(Reason::OtherRoom, "it is in another room now");
        self.messenger
            .failed(self.conversation.peer, met.given_up, &cause);
        if met.is_news {
            self.report(|reports| reports.introduced = true);
        }
    }

    /// The remote says goodbye: nothing waits for it any more.
    pub(crate) fn left(&self) {
        let given_up = self.conversation.lock().bye();
        let cause = Cause::new(Reason::Left, "it left");
        self.messenger
            .failed(self.conversation.peer, given_up, &cause);
        self.report(|reports| reports.left = true);
    }

    /// Whether writes have to be small: receivers of WebRTC in browsers buffer little.
    pub(crate) fn small_writes(&self) -> bool {
        matches!(self.transport, Transport::Webrtc | Transport::WebrtcDirect)
    }

    /// Logs a fault of the remote's, at warn a few times a connection: a remote cannot fill the log.
    pub(crate) fn fault(&self, stream: &str, fault: &(dyn std::error::Error + 'static)) {
        const LOGGED: u32 = 5;
        let peer = self.conversation.peer;
        // The connection broke under the stream: nobody's fault, and reported as the path's end.
        let broken = fault
            .source()
            .is_some_and(|source| source.is::<std::io::Error>());
        if broken {
            return tracing::debug!(%peer, %stream, "stream broken: {fault}");
        }
        if self.faults.fetch_add(1, Relaxed) < LOGGED {
            tracing::warn!(%peer, %stream, "stream reset: {fault}");
        } else {
            tracing::debug!(%peer, %stream, "stream reset: {fault}");
        }
    }

    /// Adds to the reports, and wakes the handler.
    pub(crate) fn report(&self, change: impl FnOnce(&mut Reports)) {
        change(&mut self.reports.lock());
        self.handler.wake();
    }

    /// Takes the reports. The handler is woken when there are more.
    pub(crate) fn take_reports(&self, cx: &Context<'_>) -> Reports {
        self.handler.register(cx.waker());
        std::mem::take(&mut self.reports.lock())
    }

    /// Ends the drivers of its streams: the connection is gone.
    pub(crate) fn close(&self) {
        self.inbound.close();
        self.outbound.close();
        self.conversation.lock().unregister(self.id);
    }
}

/// Hands over one stream. A later one takes the place of one that was not taken yet, so that a
/// remote that opens thousands has one in here.
#[derive(Debug, Default)]
pub(crate) struct StreamHandover {
    /// Looked at on each poll, so that the lock need not be taken.
    changed: AtomicBool,
    content: Mutex<Content>,
    driver: AtomicWaker,
}

#[derive(Debug, Default)]
struct Content {
    stream: Option<Stream>,
    closed: bool,
}

impl StreamHandover {
    pub(crate) fn put(&self, stream: Stream) {
        self.content.lock().stream = Some(stream);
        self.wake();
    }

    fn close(&self) {
        *self.content.lock() = Content {
            stream: None,
            closed: true,
        };
        self.wake();
    }

    fn wake(&self) {
        self.changed.store(true, Release);
        self.driver.wake();
    }

    /// Takes the stream that was put in; `None` when there will be none any more.
    pub(crate) fn poll_take(&self, cx: &Context<'_>) -> Poll<Option<Stream>> {
        self.driver.register(cx.waker());
        if !self.changed.swap(false, Acquire) {
            return Poll::Pending;
        }
        let mut content = self.content.lock();
        match content.stream.take() {
            Some(stream) => Poll::Ready(Some(stream)),
            None if content.closed => Poll::Ready(None),
            None => Poll::Pending,
        }
    }
}
