//! Who belongs to a room, what each is called, and how one leaves it.

use super::{
    harness::{TestNode, deliveries, patiently},
    plain::{Plain, data_to_room, hello_with},
    scene::{Scene, body_of},
};
use crate::{
    config::NodeConfig,
    delivery::{Room, frames::Kind},
    error::SendError,
    event::{DeliveryState, Event, Scope},
    name::PeerName,
    protocols::msg::MSG_PROTOCOL,
    reason::Reason,
};

/// A node in this room, which dials or not.
async fn in_room(room: &str, dial: Option<&TestNode>) -> TestNode {
    TestNode::start(NodeConfig {
        namespace: room.into(),
        dial: dial.map(|node| node.address.clone()).into_iter().collect(),
        ..NodeConfig::default()
    })
    .await
}

async fn connected(node: &mut TestNode, wanted: &TestNode) -> (PeerName, bool) {
    let peer_id = wanted.peer_id;
    let event = node
        .until(|e| matches!(e, Event::Connected { peer, .. } if *peer == peer_id))
        .await;
    match event {
        Event::Connected { name, in_room, .. } => (name, in_room),
        other => panic!("{other:?}"),
    }
}

fn scope_of(event: &Event) -> Scope {
    match event {
        Event::Message { scope, .. } => *scope,
        other => panic!("{other:?} is no message"),
    }
}

#[tokio::test]
async fn members_of_a_room_hear_each_other_and_know_who_else_hears_it() {
    let mut b = in_room("ours", None).await;
    let mut a = in_room("ours", Some(&b)).await;
    assert!(connected(&mut a, &b).await.1);
    assert!(connected(&mut b, &a).await.1);
    assert_eq!(a.node.room(), [b.peer_id]);
    a.node.send(b.peer_id, Scope::Room, "to all").unwrap();
    a.node.send(b.peer_id, Scope::Private, "to you").unwrap();
    let event = b.until_from(a.peer_id).await;
    assert_eq!((body_of(&event), scope_of(&event)), ("to all", Scope::Room));
    let event = b.until_from(a.peer_id).await;
    assert_eq!(
        (body_of(&event), scope_of(&event)),
        ("to you", Scope::Private)
    );
}

#[tokio::test]
async fn peers_of_two_rooms_talk_one_to_one_only() {
    let mut b = in_room("theirs", None).await;
    let mut a = in_room("ours", Some(&b)).await;
    assert!(!connected(&mut a, &b).await.1);
    assert!(!connected(&mut b, &a).await.1);
    assert_eq!((a.node.room(), b.node.room()), (vec![], vec![]));
    assert_eq!(
        (a.node.here(), b.node.here()),
        (vec![b.peer_id], vec![a.peer_id])
    );
    let refused = a.node.send(b.peer_id, Scope::Room, "to all");
    assert_eq!(refused, Err(SendError::NotInRoom(b.peer_id)));
    a.node.send(b.peer_id, Scope::Private, "to you").unwrap();
    let event = b.until_from(a.peer_id).await;
    assert_eq!(
        (body_of(&event), scope_of(&event)),
        ("to you", Scope::Private)
    );
}

#[tokio::test]
async fn a_line_to_the_room_from_a_stranger_costs_its_stream_and_is_not_shown() {
    let mut scene = Scene::around(in_room("rendezvous", None).await).await;
    let mut hostile = scene.hostile().await;
    let (node, me) = (scene.node.peer_id, hostile.peer.peer_id);
    let honest = scene.honest.peer_id;
    let room = Room::new("rendezvous");
    let proofs = [
        vec![],
        vec![7; 32],
        // Of another room; of the honest peer; what the node itself has proved to it.
        Room::new("other").proof(&me, &node).to_vec(),
        room.proof(&honest, &node).to_vec(),
        room.proof(&node, &me).to_vec(),
    ];
    for proof in proofs {
        let mut stream = hostile.peer.open(node, MSG_PROTOCOL).await;
        stream.write(&hello_with(&proof, "")).await;
        let next = match stream.read().await {
            Some(Kind::Resume(resume)) => resume.next,
            other => panic!("{other:?}"),
        };
        stream.write(&data_to_room(next, "let me in")).await;
        stream.ended().await;
        // It would have been shown before what comes now.
        scene.only_a_stream_was_lost(&mut hostile).await;
    }
    // With the proof it is one of us.
    let mut stream = hostile.peer.open(node, MSG_PROTOCOL).await;
    stream.write(&hello_with(&room.proof(&me, &node), "")).await;
    let next = match stream.read().await {
        Some(Kind::Resume(resume)) => resume.next,
        other => panic!("{other:?}"),
    };
    stream.write(&data_to_room(next, "it is me")).await;
    let event = scene.node.until_from(me).await;
    assert_eq!(
        (body_of(&event), scope_of(&event)),
        ("it is me", Scope::Room)
    );
}

#[tokio::test]
async fn a_node_proves_its_room_to_whom_it_talks_to_and_to_nobody_else() {
    let node = in_room("ours", None).await;
    let (plain, mut inbound) = Plain::start(MSG_PROTOCOL, Some(&node.address)).await;
    let mut stream = super::plain::Frames::new(patiently(inbound.recv()).await.unwrap());
    let Some(Kind::Hello(hello)) = stream.read().await else {
        panic!("no hello");
    };
    let (from, to) = (node.peer_id, plain.peer_id);
    assert!(Room::new("ours").is_proof(&hello.proof, &from, &to));
    assert!(!Room::new("ours").is_proof(&hello.proof, &to, &from));
}

#[tokio::test]
async fn names_come_with_the_connection_and_change_while_it_lasts() {
    let mut b = in_room("ours", None).await;
    let mut a = TestNode::start(NodeConfig {
        namespace: "ours".into(),
        name: Some(PeerName::chosen("Änne").unwrap()),
        dial: vec![b.address.clone()],
        ..NodeConfig::default()
    })
    .await;
    let (a_id, b_id) = (a.peer_id, b.peer_id);
    assert_eq!(connected(&mut a, &b).await.0, PeerName::of(&b_id));
    assert_eq!(&*connected(&mut b, &a).await.0, "Änne");
    a.node.set_name(Some(PeerName::chosen("Bea").unwrap()));
    let renamed = |peer, name: &str| Event::Renamed {
        peer,
        name: PeerName::chosen(name).unwrap(),
    };
    let expected = renamed(a_id, "Bea");
    a.until(|e| *e == expected).await;
    b.until(|e| *e == expected).await;
    a.node.send(b_id, Scope::Room, "hi").unwrap();
    match b.until_from(a_id).await {
        Event::Message { name, .. } => assert_eq!(&*name, "Bea"),
        other => panic!("{other:?}"),
    }
    a.node.set_name(None);
    let expected = Event::Renamed {
        peer: a_id,
        name: PeerName::of(&a_id),
    };
    b.until(|e| *e == expected).await;
}

#[tokio::test]
async fn a_name_that_cannot_be_shown_is_none() {
    let mut scene = Scene::new().await;
    let hostile = scene.hostile().await;
    let (node, me) = (scene.node.peer_id, hostile.peer.peer_id);
    for (name, shown) in [
        ("\u{1b}[2Jevil", PeerName::of(&me).to_string()),
        (&*"x".repeat(65), PeerName::of(&me).to_string()),
        ("a\u{202e}b", PeerName::of(&me).to_string()),
        ("fine", "fine".into()),
    ] {
        let mut stream = hostile.peer.open(node, MSG_PROTOCOL).await;
        stream.write(&hello_with(&[], name)).await;
        let next = match stream.read().await {
            Some(Kind::Resume(resume)) => resume.next,
            other => panic!("{other:?}"),
        };
        stream.write(&super::plain::data(next, "hi")).await;
        match scene.node.until_from(me).await {
            Event::Message { name, .. } => assert_eq!(*name, *shown),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn who_stops_has_left_at_once_and_nothing_waits_for_it() {
    let mut b = in_room("ours", None).await;
    let mut a = in_room("ours", Some(&b)).await;
    connected(&mut a, &b).await;
    connected(&mut b, &a).await;
    let a_id = a.peer_id;
    let node = a.node.clone();
    let stop = tokio::spawn(async move { node.shutdown().await });
    a.until_end().await;
    patiently(stop).await.unwrap();
    let event = b.until(|e| matches!(e, Event::Disconnected { .. })).await;
    assert!(
        matches!(&event, Event::Disconnected { peer, code: Reason::Left, left: true, .. } if *peer == a_id),
        "{event:?}"
    );
    assert_eq!(b.node.here(), []);
    let refused = b.node.send(a_id, Scope::Private, "too late");
    assert_eq!(refused, Err(SendError::UnknownPeer(a_id)));
}

#[tokio::test]
async fn what_was_on_its_way_to_one_that_leaves_fails_at_once() {
    let mut node = in_room("ours", None).await;
    let (plain, mut inbound) = Plain::start(MSG_PROTOCOL, Some(&node.address)).await;
    let mut ours = super::plain::Frames::new(patiently(inbound.recv()).await.unwrap());
    let Some(Kind::Hello(hello)) = ours.read().await else {
        panic!("no hello");
    };
    ours.write(&super::plain::resume(1, hello.nonce)).await;
    node.until_connected(plain.peer_id).await;
    node.node
        .send(plain.peer_id, Scope::Private, "never acked")
        .unwrap();
    let (mut stream, _) = plain.open_msg(node.peer_id).await;
    stream.write(&super::plain::bye()).await;
    assert_eq!(deliveries(&mut node, DeliveryState::Failed, 1).await, [1]);
    assert_eq!(node.node.unacked(), 0);
}

#[tokio::test]
async fn a_blocked_peer_is_neither_heard_nor_written_to_until_it_is_unblocked() {
    let mut b = in_room("ours", None).await;
    let mut a = in_room("ours", Some(&b)).await;
    connected(&mut a, &b).await;
    connected(&mut b, &a).await;
    b.node.block(a.peer_id).await.unwrap();
    let id = a.peer_id;
    b.until(|e| matches!(e, Event::Disconnected { peer, .. } if *peer == id))
        .await;
    assert_eq!(b.node.here(), []);
    let refused = b.node.send(a.peer_id, Scope::Private, "not to you");
    assert!(refused.is_err(), "{refused:?}");
    // It was asked to be dialled, so that it tries again and again, and what it says waits.
    a.node.send(b.peer_id, Scope::Private, "later").unwrap();
    b.node.unblock(a.peer_id).await.unwrap();
    a.node.wake().await.unwrap();
    connected(&mut b, &a).await;
    assert_eq!(body_of(&b.until_from(a.peer_id).await), "later");
}

#[tokio::test]
async fn what_waits_for_a_peer_that_is_blocked_has_failed() {
    let b = in_room("ours", None).await;
    let mut a = in_room("ours", Some(&b)).await;
    connected(&mut a, &b).await;
    a.node.block(b.peer_id).await.unwrap();
    // Whether it is taken or refused, it does not wait for ten minutes.
    if a.node.send(b.peer_id, Scope::Private, "too late").is_ok() {
        let ended =
            |e: &Event| matches!(e, Event::Delivery { state, .. } if *state != DeliveryState::Sent);
        a.until(ended).await;
    }
    assert_eq!(a.node.unacked(), 0);
}
