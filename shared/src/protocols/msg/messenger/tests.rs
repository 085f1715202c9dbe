//! What is remembered of peers that are gone.

use std::{sync::Barrier, thread};

use futures::{FutureExt, StreamExt, executor::block_on};
use libp2p::swarm::ConnectionId;

use super::*;
use crate::{
    config::{DEFAULT_MESSAGE_TIMEOUT, MAX_OUTBOX_MESSAGES, MAX_OUTBOXES_BYTES, STALL_TIMEOUT},
    event::Event,
    path::Path,
    protocols::msg::conversation::ROOM_MEMORY,
    queue,
};

#[test]
fn a_forgotten_peer_gets_new_numbers_when_it_returns() {
    let (messenger, _events) = messenger();
    let peer = PeerId::random();
    connect(&messenger, peer);
    assert_eq!(messenger.send(peer, Scope::Private, "first".into()), Ok(1));
    ack_all(&messenger, peer);
    let left = Instant::now();
    messenger
        .conversation(&peer)
        .unwrap()
        .set_active(None, left);
    messenger.tick(left + DEFAULT_MESSAGE_TIMEOUT);
    assert!(messenger.conversation(&peer).is_none(), "forgotten");
    connect(&messenger, peer);
    assert_eq!(
        messenger.send(peer, Scope::Private, "second".into()),
        Ok(2),
        "it remembers our session"
    );
}

#[test]
fn a_peer_that_is_pushed_out_gets_new_numbers_too() {
    let (messenger, _events) = messenger();
    let peer = PeerId::random();
    connect(&messenger, peer);
    for seq in 1..=3 {
        assert_eq!(messenger.send(peer, Scope::Private, "lost".into()), Ok(seq));
    }
    messenger
        .conversation(&peer)
        .unwrap()
        .set_active(None, Instant::now());
    // The others are connected: a handler of theirs holds the conversation.
    let _others: Vec<_> = (0..MAX_KNOWN_PEERS)
        .map(|_| messenger.conversation_or_new(PeerId::random()))
        .collect();
    assert!(messenger.conversation(&peer).is_none(), "pushed out");
    assert_eq!(messenger.unacked(), 0, "its messages failed");
    connect(&messenger, peer);
    assert_eq!(messenger.send(peer, Scope::Private, "again".into()), Ok(4));
}

#[test]
fn a_peer_with_unacked_messages_is_not_forgotten() {
    let (messenger, _events) = messenger();
    let peer = PeerId::random();
    connect(&messenger, peer);
    messenger.send(peer, Scope::Private, "kept".into()).unwrap();
    let now = Instant::now();
    messenger.conversation(&peer).unwrap().set_active(None, now);
    messenger.tick(now + ROOM_MEMORY * 2);
    assert_eq!(messenger.unacked_by(&peer), 1);
    assert!(messenger.here(now + ROOM_MEMORY / 2).contains(&peer));
    assert!(!messenger.here(now + ROOM_MEMORY * 2).contains(&peer));
}

/// A moment that is as long ago as a peer may take nothing.
fn long_ago() -> Instant {
    Instant::now()
        .checked_sub(STALL_TIMEOUT)
        .expect("the clock")
}

#[test]
fn a_peer_that_takes_nothing_makes_room_at_its_own_cost() {
    let (messenger, mut events) = messenger();
    let [silent, other] = [(); 2].map(|()| PeerId::random());
    connect(&messenger, silent);
    connect(&messenger, other);
    let line = |to, n: usize| messenger.send(to, Scope::Private, format!("line {n}"));
    for n in 0..MAX_OUTBOX_MESSAGES {
        line(silent, n).unwrap();
        line(other, n).unwrap();
        ack_all(&messenger, other);
    }
    // It may be slow, or busy.
    assert_eq!(line(silent, 0), Err(SendError::OutboxFull(silent)));
    messenger.tick(long_ago());
    let first = MAX_OUTBOX_MESSAGES as u64 + 1;
    assert_eq!(line(silent, 0), Ok(first));
    assert_eq!(line(silent, 0), Ok(first + 1));
    assert_eq!(line(other, 0), Ok(first));
    assert_eq!(messenger.unacked_by(&silent), MAX_OUTBOX_MESSAGES);
    let failed = std::iter::from_fn(|| events.next().now_or_never().flatten());
    let failed = failed.filter_map(|event| match event {
        Event::Delivery {
            to,
            id,
            state: DeliveryState::Failed,
            ..
        } => Some((to, id)),
        _ => None,
    });
    assert_eq!(failed.collect::<Vec<_>>(), [(silent, 1), (silent, 2)]);
}

#[test]
fn one_that_takes_some_is_waited_for() {
    let (messenger, _events) = messenger();
    let slow = PeerId::random();
    connect(&messenger, slow);
    while messenger.send(slow, Scope::Private, "line".into()).is_ok() {}
    messenger.tick(long_ago());
    let conversation = messenger.conversation(&slow).unwrap();
    {
        let mut state = conversation.lock();
        state.outbox.next_to_write();
        let acked = state.outbox.ack(2).unwrap();
        messenger.acked(slow, acked);
    }
    assert!(messenger.send(slow, Scope::Private, "line".into()).is_ok());
    let full = messenger.send(slow, Scope::Private, "line".into());
    assert_eq!(full, Err(SendError::OutboxFull(slow)));
}

#[test]
fn all_outboxes_together_are_bounded_and_who_reads_loses_nothing() {
    let (messenger, _events) = messenger();
    let reader = PeerId::random();
    connect(&messenger, reader);
    let big = || "x".repeat(MAX_BODY_BYTES);
    let silent: Vec<_> = (0..64).map(|_| PeerId::random()).collect();
    for peer in &silent {
        connect(&messenger, *peer);
        while messenger.send(*peer, Scope::Private, big()).is_ok() {}
        let held = messenger.queued_bytes.load(Ordering::Relaxed);
        assert!(
            held <= MAX_OUTBOXES_BYTES + 64 * 2 * MAX_BODY_BYTES,
            "{held}"
        );
    }
    // The first is the only one in its outbox; then it waits for the others, until they are known to take nothing.
    assert!(messenger.send(reader, Scope::Private, big()).is_ok());
    let full = messenger.send(reader, Scope::Private, big());
    assert_eq!(full, Err(SendError::OutboxFull(reader)));
    ack_all(&messenger, reader);
    messenger.tick(long_ago());
    for id in 2..20 {
        assert_eq!(messenger.send(reader, Scope::Private, big()), Ok(id));
    }
    assert_eq!(messenger.unacked_by(&reader), 18);
    let left: usize = silent.iter().map(|peer| messenger.unacked_by(peer)).sum();
    assert!(left > 0, "not all had to go");
}

#[test]
fn messages_that_cannot_be_taken_are_refused_at_once() {
    let (messenger, _events) = messenger();
    let peer = PeerId::random();
    assert_eq!(
        messenger.send(peer, Scope::Private, "hi".into()),
        Err(SendError::UnknownPeer(peer))
    );
    connect(&messenger, peer);
    let long = "x".repeat(MAX_BODY_BYTES + 1);
    assert_eq!(
        messenger.send(peer, Scope::Private, long),
        Err(SendError::TooLong(MAX_BODY_BYTES + 1))
    );
    for _ in 0..MAX_OUTBOX_MESSAGES {
        messenger.send(peer, Scope::Private, "hi".into()).unwrap();
    }
    assert_eq!(
        messenger.send(peer, Scope::Private, "hi".into()),
        Err(SendError::OutboxFull(peer))
    );
    messenger.stop();
    assert_eq!(
        messenger.send(peer, Scope::Private, "hi".into()),
        Err(SendError::Stopped)
    );
    assert_eq!(messenger.unacked(), 0);
}

#[test]
fn a_message_that_races_a_stop_is_refused_or_fails() {
    for _ in 0..2_000 {
        let (messenger, _events) = messenger();
        let peer = PeerId::random();
        connect(&messenger, peer);
        let start = Barrier::new(2);
        let sent = thread::scope(|scope| {
            let sending = scope.spawn(|| {
                start.wait();
                messenger.send(peer, Scope::Private, "now or never".into())
            });
            start.wait();
            messenger.stop();
            sending.join().unwrap()
        });
        assert_eq!(
            messenger.unacked(),
            0,
            "{sent:?}, and nobody will ever ack it"
        );
    }
}

fn messenger() -> (Messenger, queue::Events) {
    let (sender, events) = queue::new();
    let config = NodeConfig::default();
    (Messenger::new(PeerId::random(), &config, 1, sender), events)
}

fn connect(messenger: &Messenger, peer: PeerId) {
    let conn = ConnectionId::new_unchecked(1);
    messenger
        .conversation_or_new(peer)
        .set_active(Some(conn), Instant::now());
}

fn ack_all(messenger: &Messenger, peer: PeerId) {
    let conversation = messenger.conversation(&peer).unwrap();
    let mut state = conversation.lock();
    while state.outbox.next_to_write().is_some() {}
    let next = state.outbox.next_seq();
    let acked = state.outbox.ack(next).unwrap();
    messenger.acked(peer, acked);
}

#[test]
fn messages_of_two_connections_are_shown_in_the_order_of_their_acceptance() {
    let (messenger, mut events) = messenger();
    let conversation = messenger.conversation_or_new(PeerId::random());
    let accept = |id| {
        let (from, body) = (conversation.peer, String::new());
        let path = Path::Direct;
        let message = Event::Message {
            from,
            name: PeerName::of(&from),
            id,
            body,
            path,
            scope: Scope::Private,
        };
        conversation.lock().shown.push(message);
    };
    accept(1);
    // Another connection accepts the next one and passes it on first.
    accept(2);
    conversation.lock().show(&messenger.events);
    conversation.lock().show(&messenger.events);
    messenger.events.close();
    let shown = block_on(events.by_ref().collect::<Vec<_>>());
    let ids: Vec<_> = shown.iter().filter_map(id_of).collect();
    assert_eq!(ids, [1, 2]);
}

const fn id_of(event: &Event) -> Option<u64> {
    match event {
        Event::Message { id, .. } => Some(*id),
        _ => None,
    }
}
