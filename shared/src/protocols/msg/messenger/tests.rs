//! What is remembered of peers that are gone.

use std::{sync::Barrier, thread};

use futures::{StreamExt, executor::block_on};
use libp2p::swarm::ConnectionId;

use super::*;
use crate::{
    config::{DEFAULT_MESSAGE_TIMEOUT, MAX_OUTBOX_MESSAGES},
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
