//! What applications, the behaviour, and the handlers and drivers of all connections share.
//!
//! A message goes from the application straight into its peer's outbox and wakes the one driver
//! that may write it; a received one goes from the driver straight into the event queue. Neither
//! passes through the swarm, which would cost more than everything else together.

#[cfg(test)]
mod tests;

use std::{
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use libp2p::PeerId;
use parking_lot::Mutex;
use tokio::sync::Notify;
use web_time::Instant;

use super::{
    driver::Drivers,
    link::{Link, LinkState},
};
use crate::reason::{Cause, Reason};
use crate::{
    config::MAX_BODY_BYTES,
    delivery::{
        Outbox, Refused,
        frames::{Data, Kind},
    },
    error::SendError,
    event::DeliveryState,
    queue::EventSender,
    table::Table,
};

/// Peers whose delivery state is kept; beyond it the longest absent one with an empty outbox goes.
const MAX_KNOWN_PEERS: usize = 1_024;

/// The links of all peers.
#[derive(Debug, Default)]
struct Links {
    of: Table<PeerId, Arc<Link>>,
    /// The node has stopped: every outbox is closed, and one that is made from now on begins closed.
    stopped: bool,
}

/// The delivery state of all peers.
#[derive(Debug)]
pub(crate) struct Hub {
    /// Tells this process from an earlier one of the same identity.
    pub(crate) session: u64,
    pub(crate) events: EventSender,
    pub(crate) drivers: Drivers,
    message_timeout: Duration,
    links: Mutex<Links>,
    unacked: AtomicUsize,
    /// Where new outboxes start: after what has been sent to any peer that was forgotten since. A
    /// peer that returns remembers our session, and expects no number twice.
    first_seq: AtomicU64,
    /// How often all paths were to be probed at once.
    probes_asked_for: AtomicU64,
    /// Notified when messages leave an outbox.
    left_outbox: Notify,
}

impl Hub {
    pub(crate) fn new(session: u64, events: EventSender, message_timeout: Duration) -> Self {
        Self {
            session,
            events,
            drivers: Drivers::default(),
            message_timeout,
            links: Mutex::default(),
            unacked: AtomicUsize::new(0),
            first_seq: AtomicU64::new(1),
            probes_asked_for: AtomicU64::new(0),
            left_outbox: Notify::new(),
        }
    }

    /// Puts a message into the outbox of a peer, and returns its sequence number.
    pub(crate) fn send(&self, to: PeerId, body: String) -> Result<u64, SendError> {
        if body.len() > MAX_BODY_BYTES {
            return Err(SendError::TooLong(body.len()));
        }
        let refused = |refused| match refused {
            Refused::Full => SendError::OutboxFull(to),
            Refused::Closed => SendError::Stopped,
        };
        let link = self.link_to(to)?;
        let mut state = link.lock();
        let len = body.len();
        state.outbox.check(len).map_err(refused)?;
        let seq = state.outbox.next_seq();
        let frame = Kind::Data(Data {
            session: 0,
            seq,
            body,
        })
        .into_frame();
        // A stop that came meanwhile has closed the outbox: only the outbox itself knows.
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

    /// Messages to all peers that are neither acked nor failed.
    pub(crate) fn unacked(&self) -> usize {
        self.unacked.load(Ordering::Relaxed)
    }

    /// Messages to one peer that are neither acked nor failed.
    pub(crate) fn unacked_by(&self, peer: &PeerId) -> usize {
        self.link(peer).map_or(0, |link| link.lock().outbox.len())
    }

    /// The peers that are connected, or were a moment ago.
    pub(crate) fn room(&self, now: Instant) -> Vec<PeerId> {
        let links = self.links.lock();
        let mut room: Vec<_> = links
            .of
            .values()
            .filter(|link| link.lock().in_room(now))
            .map(|link| link.peer)
            .collect();
        room.sort_unstable();
        room
    }

    pub(crate) fn link(&self, peer: &PeerId) -> Option<Arc<Link>> {
        self.links.lock().of.get(peer).cloned()
    }

    fn link_to(&self, peer: PeerId) -> Result<Arc<Link>, SendError> {
        let links = self.links.lock();
        if links.stopped {
            return Err(SendError::Stopped);
        }
        links
            .of
            .get(&peer)
            .cloned()
            .ok_or(SendError::UnknownPeer(peer))
    }

    /// The link of a peer that has a connection.
    pub(crate) fn link_or_new(&self, peer: PeerId) -> Arc<Link> {
        let mut links = self.links.lock();
        if !links.of.contains_key(&peer) && links.of.len() >= MAX_KNOWN_PEERS {
            self.forget_one(&mut links.of);
        }
        let stopped = links.stopped;
        links
            .of
            .get_or_insert_with(peer, || {
                let first_seq = self.first_seq.load(Ordering::Relaxed);
                let mut outbox = Outbox::starting_at(first_seq);
                if stopped {
                    outbox.close();
                }
                Arc::new(Link::new(peer, outbox))
            })
            .clone()
    }

    /// Fails what is too old and forgets peers that are gone for good. To be called now and then.
    pub(crate) fn tick(&self, now: Instant) {
        let links: Vec<_> = self.links.lock().of.values().cloned().collect();
        for link in links {
            let mut state = link.lock();
            let expired = state.outbox.expire(now, self.message_timeout);
            if expired.is_empty() {
                continue;
            }
            // The other side must hear of the new base before the next message.
            state.epoch += 1;
            let text = format!(
                "not acked within {} s; it may have arrived all the same",
                self.message_timeout.as_secs()
            );
            self.failed(link.peer, expired, &Cause::new(Reason::NotAcked, text));
            state.wake_writers();
        }
        self.links.lock().of.retain(|_, link| {
            if Arc::strong_count(link) > 1 {
                return true;
            }
            let state = link.lock();
            let forget = state.is_forgettable(now, self.message_timeout);
            if forget {
                self.forgotten(&state);
            }
            !forget
        });
    }

    /// Takes no more messages, and fails those that are not acked.
    pub(crate) fn stop(&self) {
        let links: Vec<_> = {
            let mut links = self.links.lock();
            links.stopped = true;
            links.of.values().cloned().collect()
        };
        for link in links {
            let failed = link.lock().outbox.close();
            let cause = Cause::new(Reason::Stopped, "the node was stopped");
            self.failed(link.peer, failed, &cause);
        }
        self.left_outbox.notify_waiters();
    }

    /// Asks on every path at once whether it still works.
    pub(crate) fn probe(&self) {
        self.probes_asked_for.fetch_add(1, Ordering::Relaxed);
        for link in self.links.lock().of.values() {
            link.lock().wake_all();
        }
    }

    pub(crate) fn probes_asked_for(&self) -> u64 {
        self.probes_asked_for.load(Ordering::Relaxed)
    }

    /// Messages left the outbox because the peer has them.
    pub(crate) fn acked(&self, to: PeerId, ids: Range<u64>) {
        self.left(to, ids, DeliveryState::Acked, None);
    }

    /// Messages left the outbox because the peer will never say that it has them.
    pub(crate) fn sent_without_ack(&self, to: PeerId, ids: Range<u64>) {
        self.left(to, ids, DeliveryState::Sent, None);
    }

    /// Messages left the outbox because they are given up.
    pub(crate) fn failed(&self, to: PeerId, ids: Range<u64>, cause: &Cause) {
        self.left(to, ids, DeliveryState::Failed, Some(cause));
    }

    /// Messages were written to a path for the first time.
    pub(crate) fn sent(&self, to: PeerId, ids: Range<u64>) {
        if !ids.is_empty() {
            self.events.deliveries(to, ids, DeliveryState::Sent, None);
        }
    }

    /// Makes room by forgetting the peer that has been away longest, if possible one that has
    /// everything.
    fn forget_one(&self, links: &mut Table<PeerId, Arc<Link>>) {
        let longest_away = links
            .values()
            .filter(|link| Arc::strong_count(link) == 1)
            .map(|link| {
                let state = link.lock();
                (!state.outbox.is_empty(), state.left_at, link.peer)
            })
            .min();
        let Some(link) = longest_away.and_then(|(_, _, peer)| links.remove(&peer)) else {
            return;
        };
        let mut state = link.lock();
        let failed = state.outbox.close();
        self.forgotten(&state);
        let text = "too many other peers came since it left";
        self.failed(link.peer, failed, &Cause::new(Reason::TooMany, text));
    }

    fn forgotten(&self, state: &LinkState) {
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
