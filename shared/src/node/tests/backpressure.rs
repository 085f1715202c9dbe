//! An application that stops reading its events.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use super::harness::{TestNode, messages, patiently};
use crate::{
    config::{MAX_BODY_BYTES, MAX_OUTBOX_BYTES, MAX_OUTBOX_MESSAGES, PROBE_INTERVAL},
    event::{Event, Scope},
    protocols::msg::HELLO_TIMEOUT,
    queue::{EVENT_QUEUE_BYTES, EVENT_QUEUE_LEN},
};

/// Memory outside the two queues: a batch, the stream's window and buffers.
const SLACK_BYTES: usize = 24 * 1024 * 1024;

#[tokio::test]
async fn a_slow_application_slows_its_peer_down_and_loses_nothing() {
    const COUNT: usize = 1_000;
    let (mut receiver, mut sender) = pair().await;
    let (to, accepted) = (receiver.peer_id, Arc::new(AtomicUsize::new(0)));
    let (node, counter) = (sender.node.clone(), accepted.clone());
    let sending = tokio::spawn(async move {
        for i in 0..COUNT {
            let body = format!("{}{i:08}", "0".repeat(MAX_BODY_BYTES - 8));
            node.send_when_ready(to, Scope::Private, body)
                .await
                .unwrap();
            counter.fetch_add(1, Ordering::SeqCst);
        }
    });
    // Longer than a path may stay silent: this one does not count as dead.
    let pause = HELLO_TIMEOUT + 2 * PROBE_INTERVAL;
    let quiet = tokio::time::timeout(pause, async {
        let end = sender.until(|e| matches!(e, Event::Disconnected { .. }));
        panic!("{:?}", end.await);
    });
    assert!(quiet.await.is_err());
    let bytes = accepted.load(Ordering::SeqCst) * MAX_BODY_BYTES;
    assert!(
        bytes <= EVENT_QUEUE_BYTES + MAX_OUTBOX_BYTES + SLACK_BYTES,
        "{bytes}"
    );
    let from = sender.peer_id;
    let drain = tokio::spawn(sender.drain());
    for i in 0..COUNT {
        let event = receiver.until_from(from).await;
        assert_eq!(super::scene::body_of(&event).parse(), Ok(i));
    }
    patiently(sending).await.unwrap();
    drain.abort();
}

#[tokio::test]
async fn small_messages_wait_too() {
    const COUNT: usize = 20_000;
    let (mut receiver, sender) = pair().await;
    let (to, accepted) = (receiver.peer_id, Arc::new(AtomicUsize::new(0)));
    let (node, counter) = (sender.node.clone(), accepted.clone());
    let sending = tokio::spawn(async move {
        for i in 0..COUNT {
            node.send_when_ready(to, Scope::Private, i.to_string())
                .await
                .unwrap();
            counter.fetch_add(1, Ordering::SeqCst);
        }
    });
    let drain = tokio::spawn(sender.drain());
    until_it_stops(&accepted).await;
    let stopped_at = accepted.load(Ordering::SeqCst);
    assert!(
        stopped_at <= EVENT_QUEUE_LEN + MAX_OUTBOX_MESSAGES + 1_024,
        "{stopped_at}"
    );
    let expected: Vec<_> = (0..COUNT).map(|i| i.to_string()).collect();
    assert_eq!(messages(&mut receiver, COUNT).await, expected);
    patiently(sending).await.unwrap();
    drain.abort();
}

/// A sender that reads none of its own events is held up by them, and then goes on.
#[tokio::test]
async fn a_sender_that_does_not_read_what_became_of_its_messages_waits() {
    const COUNT: usize = 10_000;
    let (mut receiver, sender) = pair().await;
    let (node, to) = (sender.node.clone(), receiver.peer_id);
    let accepted = Arc::new(AtomicUsize::new(0));
    let counter = accepted.clone();
    let sending = tokio::spawn(async move {
        for i in 0..COUNT {
            node.send_when_ready(to, Scope::Private, i.to_string())
                .await
                .unwrap();
            counter.fetch_add(1, Ordering::SeqCst);
        }
    });
    let receiving = tokio::spawn(async move { messages(&mut receiver, COUNT).await });
    until_it_stops(&accepted).await;
    assert!(accepted.load(Ordering::SeqCst) < COUNT);
    let drain = tokio::spawn(sender.drain());
    let expected: Vec<_> = (0..COUNT).map(|i| i.to_string()).collect();
    assert_eq!(patiently(receiving).await.unwrap(), expected);
    patiently(sending).await.unwrap();
    drain.abort();
}

async fn pair() -> (TestNode, TestNode) {
    let receiver = TestNode::listening().await;
    let mut sender = TestNode::dialling(&receiver.address).await;
    sender.until_connected(receiver.peer_id).await;
    (receiver, sender)
}

/// Waits until a number has not changed for a moment. Whoever is slower than that is stopped, too,
/// as far as the bounds are concerned.
async fn until_it_stops(number: &AtomicUsize) {
    let mut moments = tokio::time::interval(Duration::from_millis(500));
    let mut before = 0;
    loop {
        moments.tick().await;
        let now = number.load(Ordering::SeqCst);
        if now > 0 && now == before {
            return;
        }
        before = now;
    }
}
