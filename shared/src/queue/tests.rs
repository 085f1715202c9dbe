//! Bounds and wake-ups of the event queue.

use std::sync::atomic::{AtomicUsize, Ordering};

use futures::{FutureExt, StreamExt, executor::block_on, task};
use libp2p::PeerId;

use super::*;
use crate::{event::Scope, name::PeerName, path::Path, reason::Reason};

#[test]
fn events_come_out_in_order_and_then_the_end() {
    let (sender, mut events) = new();
    sender.push(Event::Ready {});
    sender.extend([message(1), message(2)]);
    sender.close();
    let all = block_on(events.by_ref().collect::<Vec<_>>());
    assert_eq!(all, [Event::Ready {}, message(1), message(2)]);
    assert_eq!(block_on(events.next()), None, "and stays at its end");
}

#[test]
fn one_ack_for_many_is_an_event_for_each() {
    let (sender, mut events) = new();
    let to = PeerId::random();
    let state = DeliveryState::Failed;
    sender.deliveries(to, 3..3, DeliveryState::Acked, None);
    let cause = Cause::new(Reason::TooMany, "gone");
    sender.deliveries(to, 7..9, state, Some(&cause));
    sender.push(Event::Ready {});
    sender.close();
    let all = block_on(events.by_ref().collect::<Vec<_>>());
    let reason = Some("gone".into());
    let failed = [7, 8].map(|id| Event::Delivery {
        to,
        id,
        state,
        code: Some(Reason::TooMany),
        reason: reason.clone(),
    });
    assert_eq!(all[..2], failed);
    assert_eq!(all[2..], [Event::Ready {}]);
}

#[test]
fn each_of_many_deliveries_takes_room() {
    let (sender, mut events) = new();
    let last = EVENT_QUEUE_LEN as u64;
    sender.deliveries(PeerId::random(), 1..last, DeliveryState::Acked, None);
    assert!(sender.has_room());
    sender.push(Event::Ready {});
    assert!(!sender.has_room());
    assert!(poll(&Arc::default(), &mut events).is_ready());
    assert!(sender.has_room());
}

#[test]
fn a_reader_is_woken_by_an_event_and_by_the_end() {
    let (sender, mut events) = new();
    let woken = Arc::new(Count::default());
    assert!(poll(&woken, &mut events).is_pending());
    sender.push(Event::Ready {});
    assert_eq!(woken.take(), 1);
    assert_eq!(
        poll(&woken, &mut events),
        Poll::Ready(Some(Event::Ready {}))
    );
    assert!(poll(&woken, &mut events).is_pending());
    sender.close();
    assert_eq!(woken.take(), 1);
    assert_eq!(poll(&woken, &mut events), Poll::Ready(None));
}

#[test]
fn there_is_room_for_so_many_events() {
    let (sender, mut events) = new();
    let woken = Arc::new(Count::default());
    sender.extend((1..EVENT_QUEUE_LEN).map(|_| Event::Ready {}));
    assert!(sender.has_room());
    sender.push(Event::Ready {});
    assert!(!sender.has_room());
    assert!(has_room(&woken, &sender).is_pending());
    assert!(has_room(&woken, &sender).is_pending(), "registers once");
    assert!(poll(&Arc::default(), &mut events).is_ready());
    assert_eq!(woken.take(), 1);
    assert!(has_room(&woken, &sender).is_ready());
}

#[test]
fn there_is_room_for_so_many_bytes() {
    let (sender, mut events) = new();
    let body = "x".repeat(EVENT_QUEUE_BYTES / 4);
    for _ in 0..4 {
        assert!(sender.has_room());
        sender.push(Event::Message {
            from: PeerId::random(),
            name: name(),
            id: 1,
            body: body.clone(),
            path: Path::Direct,
            scope: Scope::Room,
        });
    }
    assert!(!sender.has_room());
    assert!(poll(&Arc::default(), &mut events).is_ready());
    assert!(sender.has_room());
}

#[test]
fn every_writer_that_waits_is_woken() {
    let (sender, mut events) = new();
    sender.extend((0..EVENT_QUEUE_LEN).map(|_| Event::Ready {}));
    let writers: Vec<_> = (0..10).map(|_| Arc::new(Count::default())).collect();
    for writer in &writers {
        assert!(has_room(writer, &sender).is_pending());
    }
    assert!(poll(&Arc::default(), &mut events).is_ready());
    assert!(writers.iter().all(|writer| writer.take() == 1));
}

#[test]
fn the_nodes_own_events_get_in_until_it_stands_still() {
    let (sender, mut events) = new();
    sender.extend((1..EVENT_QUEUE_HARD_LEN).map(|_| Event::Ready {}));
    assert!(sender.settled().now_or_never().is_some());
    sender.push(Event::Ready {});
    assert!(sender.settled().now_or_never().is_none());
    let woken = Arc::new(Count::default());
    let waker = task::waker(woken.clone());
    let mut settled = Box::pin(sender.settled());
    let mut cx = Context::from_waker(&waker);
    assert!(settled.poll_unpin(&mut cx).is_pending());
    assert!(poll(&Arc::default(), &mut events).is_ready());
    assert_eq!(woken.take(), 1);
    assert!(settled.poll_unpin(&mut cx).is_ready());
}

#[test]
fn a_reader_that_is_gone_holds_nobody_up() {
    let (sender, events) = new();
    sender.extend((0..EVENT_QUEUE_HARD_LEN).map(|_| Event::Ready {}));
    let woken = Arc::new(Count::default());
    assert!(has_room(&woken, &sender).is_pending());
    drop(events);
    assert_eq!(woken.take(), 1);
    sender.extend((0..EVENT_QUEUE_HARD_LEN).map(|_| Event::Ready {}));
    assert!(sender.has_room());
    assert!(sender.settled().now_or_never().is_some());
    assert!(sender.shared.lock().queued.is_empty(), "nothing is kept");
}

/// Counts how often a task is woken.
#[derive(Default)]
struct Count(AtomicUsize);

impl Count {
    fn take(&self) -> usize {
        self.0.swap(0, Ordering::SeqCst)
    }
}

impl task::ArcWake for Count {
    fn wake_by_ref(this: &Arc<Self>) {
        this.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn poll(woken: &Arc<Count>, events: &mut Events) -> Poll<Option<Event>> {
    let waker = task::waker(woken.clone());
    events.poll_next_unpin(&mut Context::from_waker(&waker))
}

fn has_room(woken: &Arc<Count>, sender: &EventSender) -> Poll<()> {
    let waker = task::waker(woken.clone());
    sender.poll_room(&Context::from_waker(&waker))
}

fn name() -> PeerName {
    PeerName::chosen("Anna").unwrap()
}

fn message(id: u64) -> Event {
    Event::Message {
        from: PeerId::from_bytes(&[0, 1, 7]).unwrap(),
        name: name(),
        id,
        body: format!("line {id}"),
        path: Path::Direct,
        scope: Scope::Room,
    }
}
