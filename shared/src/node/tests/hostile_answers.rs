//! A peer that answers our messages as no honest receiver does.

use super::{
    harness::{TestNode, deliveries, patiently},
    plain::{Frames, Inbound, Plain, ack, data, hello, resume},
    scene::Scene,
};
use crate::{
    config::{MAX_BODY_BYTES, MAX_OUTBOX_BYTES, MAX_OUTBOX_MESSAGES, NodeConfig},
    delivery::frames::Kind,
    error::SendError,
    event::{DeliveryState, Event, Scope},
    protocols::msg::MSG_PROTOCOL,
    reason::Reason,
};

/// An answer to the hello with this nonce.
type Bad = fn(u64) -> Vec<u8>;

#[tokio::test]
async fn a_bad_answer_to_a_hello_costs_the_stream() {
    let mut scene = Scene::new().await;
    let bad: [(&str, Bad); 7] = [
        ("resume beyond what was sent", |nonce| resume(2, nonce)),
        ("ack beyond what was sent", |_| ack(1_000)),
        ("a sender's hello", hello),
        ("a sender's message", |_| data(1, "hi")),
        ("number 0", |nonce| resume(0, nonce)),
        ("garbage", |_| b"\xff\xff\xff\xff".to_vec()),
        ("nothing", |_| Vec::new()),
    ];
    for (fault, bad) in bad {
        let (hostile, mut inbound) = Plain::start(MSG_PROTOCOL, Some(&scene.node.address)).await;
        let (mut stream, nonce) = greeted(&mut inbound).await;
        stream.write(&bad(nonce)).await;
        if fault == "nothing" {
            stream.finish().await;
        }
        stream.ended().await;
        scene.honest_is_unaffected().await;
        // The next stream is answered properly.
        let (mut stream, nonce) = greeted(&mut inbound).await;
        stream.write(&resume(1, nonce)).await;
        scene.node.until_connected(hostile.peer_id).await;
        assert_eq!(
            scene.node.node.send(hostile.peer_id, Scope::Private, fault),
            Ok(1)
        );
        expect_data(&mut stream, 1, fault).await;
        stream.write(&ack(2)).await;
        patiently(scene.node.node.drained()).await;
        assert_eq!(hostile.closed(), 0, "{fault}: the connection stays up");
    }
}

#[tokio::test]
async fn an_ack_of_what_was_not_sent_acks_nothing() {
    let mut scene = Scene::new().await;
    let (hostile, mut inbound) = Plain::start(MSG_PROTOCOL, Some(&scene.node.address)).await;
    let mut stream = connected(&mut scene.node, &hostile, &mut inbound).await;
    for seq in 1..=3 {
        assert_eq!(
            scene
                .node
                .node
                .send(hostile.peer_id, Scope::Private, format!("line {seq}")),
            Ok(seq)
        );
    }
    for seq in 1..=3 {
        expect_data(&mut stream, seq, &format!("line {seq}")).await;
    }
    stream.write(&ack(2)).await;
    stream.write(&ack(5)).await;
    stream.ended().await;
    assert_eq!(
        deliveries(&mut scene.node, DeliveryState::Acked, 1).await,
        [1]
    );
    let (mut stream, nonce) = greeted(&mut inbound).await;
    assert_eq!(scene.node.node.unacked(), 2);
    stream.write(&resume(2, nonce)).await;
    for seq in 2..=3 {
        expect_data(&mut stream, seq, &format!("line {seq}")).await;
    }
    stream.write(&ack(4)).await;
    assert_eq!(
        deliveries(&mut scene.node, DeliveryState::Acked, 2).await,
        [2, 3]
    );
    scene.honest_is_unaffected().await;
    assert_eq!(hostile.closed(), 0);
}

#[tokio::test]
async fn a_peer_that_never_acks_fills_its_outbox_and_its_messages_fail() {
    let config = NodeConfig {
        message_timeout: std::time::Duration::from_secs(1),
        ..NodeConfig::default()
    };
    let mut scene = Scene::around(TestNode::start(config).await).await;
    let (hostile, mut inbound) = Plain::start(MSG_PROTOCOL, Some(&scene.node.address)).await;
    let mut stream = connected(&mut scene.node, &hostile, &mut inbound).await;
    let mut accepted = 0;
    let refused = loop {
        match scene
            .node
            .node
            .send(hostile.peer_id, Scope::Private, "never acked")
        {
            Ok(_) => accepted += 1,
            Err(e) => break e,
        }
        // Others need their turn on this thread.
        if accepted % 100 == 0 {
            tokio::task::yield_now().await;
        }
    };
    assert_eq!(refused, SendError::OutboxFull(hostile.peer_id));
    assert!(accepted >= MAX_OUTBOX_MESSAGES as u64);
    for seq in 1..=accepted {
        let event = scene
            .node
            .until(|e| {
                matches!(
                    e,
                    Event::Delivery {
                        state: DeliveryState::Failed,
                        ..
                    }
                )
            })
            .await;
        let Event::Delivery { to, id, code, .. } = event else {
            unreachable!()
        };
        assert_eq!((to, id), (hostile.peer_id, seq));
        assert_eq!(code, Some(Reason::NotAcked));
    }
    assert_eq!(scene.node.node.unacked(), 0);
    // The hello that follows closes the gap: the next message is taken after all.
    scene
        .node
        .node
        .send(hostile.peer_id, Scope::Private, "taken")
        .unwrap();
    let next = loop {
        match stream.read().await {
            Some(Kind::Hello(hello)) => stream.write(&resume(hello.base, hello.nonce)).await,
            Some(Kind::Data(data)) if data.body == "taken" => break data.seq + 1,
            Some(Kind::Data(_)) => {}
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(next, accepted + 2);
    stream.write(&ack(next)).await;
    scene.honest_is_unaffected().await;
}

#[tokio::test]
async fn a_peer_that_never_reads_costs_no_more_than_its_outbox() {
    let mut scene = Scene::new().await;
    let (hostile, mut inbound) = Plain::start(MSG_PROTOCOL, Some(&scene.node.address)).await;
    let _stream = connected(&mut scene.node, &hostile, &mut inbound).await;
    let body = "x".repeat(MAX_BODY_BYTES);
    let mut accepted = 0;
    while scene
        .node
        .node
        .send(hostile.peer_id, Scope::Private, &*body)
        .is_ok()
    {
        accepted += 1;
        tokio::task::yield_now().await;
    }
    assert!(accepted * MAX_BODY_BYTES <= MAX_OUTBOX_BYTES, "{accepted}");
    assert!(
        (accepted + 2) * MAX_BODY_BYTES > MAX_OUTBOX_BYTES,
        "{accepted}"
    );
    for _ in 0..20 {
        scene.honest_is_unaffected().await;
    }
    let full = SendError::OutboxFull(hostile.peer_id);
    assert_eq!(
        scene
            .node
            .node
            .send(hostile.peer_id, Scope::Private, &*body),
        Err(full)
    );
    assert_eq!(scene.node.node.unacked(), accepted);
}

/// Takes [`crate::config::HELLO_TIMEOUT`] and a little.
#[tokio::test]
async fn a_peer_that_never_answers_is_never_connected() {
    let mut scene = Scene::new().await;
    let (hostile, mut inbound) = Plain::start(MSG_PROTOCOL, Some(&scene.node.address)).await;
    let (mut stream, _) = greeted(&mut inbound).await;
    scene.honest_is_unaffected().await;
    stream.ended().await;
    let room = scene.node.node.room();
    assert!(!room.contains(&hostile.peer_id));
    scene.honest_is_unaffected().await;
}

/// The stream on which the node says hello next, and that hello's nonce.
async fn greeted(inbound: &mut Inbound) -> (Frames, u64) {
    let stream = patiently(inbound.recv()).await.expect("a stream");
    let mut stream = Frames::new(stream);
    match stream.read().await {
        Some(Kind::Hello(hello)) => (stream, hello.nonce),
        other => panic!("{other:?} instead of a hello"),
    }
}

/// The node's stream, after an honest answer to its hello.
async fn connected(node: &mut TestNode, peer: &Plain, inbound: &mut Inbound) -> Frames {
    let (mut stream, nonce) = greeted(inbound).await;
    stream.write(&resume(1, nonce)).await;
    node.until_connected(peer.peer_id).await;
    stream
}

/// The next message, with an answer to every hello before.
async fn expect_data(stream: &mut Frames, seq: u64, body: &str) {
    loop {
        match stream.read().await {
            Some(Kind::Hello(hello)) => stream.write(&resume(seq, hello.nonce)).await,
            Some(Kind::Data(data)) => {
                assert_eq!((data.seq, &*data.body), (seq, body));
                return;
            }
            other => panic!("{other:?} instead of message {seq}"),
        }
    }
}
