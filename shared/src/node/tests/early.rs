//! What goes along with the first hello, before the other side has answered it.

use libp2p::PeerId;

use super::{
    harness::{TestNode, deliveries, meddle, patiently},
    plain::{Frames, Inbound, Plain, ack, data_to_room, hello_with, resume, resume_with},
    scene::body_of,
};
use crate::{
    config::DEFAULT_NAMESPACE,
    delivery::{
        Room,
        frames::{Hello, Kind},
    },
    error::SendError,
    event::{DeliveryState, Event, Scope},
    protocols::msg::MSG_PROTOCOL,
};

/// A node, and a peer that has its hello and does not answer it.
async fn greeted() -> (TestNode, Plain, Inbound, Frames, Hello) {
    let node = TestNode::listening().await;
    let (plain, mut inbound) = Plain::start(MSG_PROTOCOL, Some(&node.address)).await;
    let (stream, hello) = next_hello(&mut inbound).await;
    (node, plain, inbound, stream, hello)
}

async fn next_hello(inbound: &mut Inbound) -> (Frames, Hello) {
    let mut stream = Frames::new(patiently(inbound.recv()).await.unwrap());
    match stream.read().await {
        Some(Kind::Hello(hello)) => (stream, hello),
        other => panic!("{other:?} instead of a hello"),
    }
}

/// As if a rendezvous point had listed it in the room.
async fn expect(node: &TestNode, peer: PeerId) {
    meddle(&node.node, move |swarm| {
        let msg = &swarm.behaviour().0.msg;
        msg.expect(&peer, msg.a_connection_to(&peer).unwrap());
    })
    .await;
}

async fn body_and_seq(stream: &mut Frames) -> (String, u64) {
    match stream.read().await {
        Some(Kind::Data(data)) => (data.body, data.seq),
        other => panic!("{other:?} instead of a message"),
    }
}

#[tokio::test]
async fn a_line_goes_along_to_who_is_listed_in_the_room() {
    let (mut node, plain, _inbound, mut stream, hello) = greeted().await;
    assert_eq!(node.node.room(), []);
    let refused = node.node.send(plain.peer_id, Scope::Room, "who are you?");
    assert_eq!(refused, Err(SendError::NotInRoom(plain.peer_id)));
    expect(&node, plain.peer_id).await;
    assert_eq!(node.node.room(), [plain.peer_id]);
    node.node.send(plain.peer_id, Scope::Room, "hi").unwrap();
    assert_eq!(body_and_seq(&mut stream).await, ("hi".into(), 1));
    // It has been answered after the message was written: nothing is written twice.
    let proof = Room::new(DEFAULT_NAMESPACE).proof(&plain.peer_id, &node.peer_id);
    stream.write(&resume_with(1, hello.nonce, &proof)).await;
    stream.write(&ack(2)).await;
    assert_eq!(deliveries(&mut node, DeliveryState::Acked, 1).await, [1]);
    node.node.send(plain.peer_id, Scope::Room, "again").unwrap();
    assert_eq!(body_and_seq(&mut stream).await, ("again".into(), 2));
}

#[tokio::test]
async fn what_went_along_goes_on_by_the_next_connection_and_once() {
    let (mut node, plain, mut inbound, mut stream, _) = greeted().await;
    expect(&node, plain.peer_id).await;
    for line in ["one", "two", "three"] {
        node.node.send(plain.peer_id, Scope::Room, line).unwrap();
    }
    for seq in 1..=3 {
        assert_eq!(body_and_seq(&mut stream).await.1, seq);
    }
    let peer = plain.peer_id;
    meddle(&node.node, move |swarm| swarm.disconnect_peer_id(peer))
        .await
        .unwrap();
    while plain.closed() == 0 {
        tokio::task::yield_now().await;
    }
    node.node.dial(plain.address.clone()).await.unwrap();
    let (mut stream, hello) = next_hello(&mut inbound).await;
    assert_eq!(hello.base, 1);
    // Two had arrived: it says so, and nothing comes before it does.
    let proof = Room::new(DEFAULT_NAMESPACE).proof(&peer, &node.peer_id);
    stream.write(&resume_with(3, hello.nonce, &proof)).await;
    node.until_connected(peer).await;
    // Now it is the path, and asked once more: a message may have taken another one meanwhile.
    let Some(Kind::Hello(hello)) = stream.read().await else {
        panic!("no hello");
    };
    stream.write(&resume_with(3, hello.nonce, &proof)).await;
    assert_eq!(body_and_seq(&mut stream).await, ("three".into(), 3));
}

#[tokio::test]
async fn who_turns_out_to_be_of_another_room_gets_no_more() {
    let (mut node, plain, _inbound, mut stream, hello) = greeted().await;
    expect(&node, plain.peer_id).await;
    node.node.send(plain.peer_id, Scope::Room, "hi").unwrap();
    assert_eq!(body_and_seq(&mut stream).await.1, 1);
    stream.write(&resume(1, hello.nonce)).await;
    assert_eq!(deliveries(&mut node, DeliveryState::Failed, 1).await, [1]);
    assert_eq!(node.node.room(), []);
    let refused = node.node.send(plain.peer_id, Scope::Room, "and now?");
    assert_eq!(refused, Err(SendError::NotInRoom(plain.peer_id)));
}

#[tokio::test]
async fn who_says_hello_is_connected_and_heard_before_it_has_answered_ours() {
    let (mut node, plain, _inbound, _unanswered, _) = greeted().await;
    let proof = Room::new(DEFAULT_NAMESPACE).proof(&plain.peer_id, &node.peer_id);
    let mut theirs = plain.open(node.peer_id, MSG_PROTOCOL).await;
    theirs.write(&hello_with(&proof, "")).await;
    theirs.write(&data_to_room(1, "hi")).await;
    let first = |e: &Event| matches!(e, Event::Connected { .. } | Event::Message { .. });
    let event = node.until(first).await;
    assert!(
        matches!(event, Event::Connected { in_room: true, .. }),
        "{event:?}"
    );
    assert_eq!(body_of(&node.until(first).await), "hi");
}
