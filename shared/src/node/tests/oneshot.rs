//! Peers that speak only the older form of msg.

use futures::{AsyncReadExt, AsyncWriteExt};
use libp2p::Stream;

use super::{
    harness::{TestNode, deliveries, messages, patiently},
    plain::{Inbound, Plain},
    scene::{Scene, body_of},
};
use crate::{
    event::{DeliveryState, Event, Scope},
    protocols::msg::{
        ONESHOT_PROTOCOL,
        oneshot::{MAX_ONESHOT_BYTES, MAX_ONESHOT_STREAMS},
    },
};

#[tokio::test]
async fn messages_go_both_ways_in_order() {
    const COUNT: usize = 100;
    let (mut node, plain, mut inbound) = pair().await;
    let expected: Vec<_> = (1..=COUNT).map(|i| format!("line {i}")).collect();
    for body in &expected {
        send(&plain, node.peer_id, &packet(body)).await;
    }
    assert_eq!(messages(&mut node, COUNT).await, expected);
    for body in &expected {
        node.node
            .send(plain.peer_id, Scope::Private, &**body)
            .unwrap();
    }
    for body in &expected {
        assert_eq!(receive(&mut inbound).await, packet(body));
    }
    let sent = deliveries(&mut node, DeliveryState::Sent, COUNT).await;
    assert_eq!(sent, (1..=COUNT as u64).collect::<Vec<_>>());
    assert_eq!(node.node.unacked(), 0, "there is nothing to wait for");
    assert_eq!(plain.closed(), 0);
}

#[tokio::test]
async fn a_message_that_does_not_fit_fails_and_the_next_one_goes_on() {
    let (mut node, plain, mut inbound) = pair().await;
    let largest = "x".repeat(MAX_ONESHOT_BYTES);
    node.node
        .send(plain.peer_id, Scope::Private, format!("{largest}x"))
        .unwrap();
    node.node
        .send(plain.peer_id, Scope::Private, &*largest)
        .unwrap();
    let failed = node
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
    let Event::Delivery {
        id: 1,
        reason: Some(reason),
        ..
    } = failed
    else {
        panic!("{failed:?}");
    };
    assert!(reason.contains("at most 2048"), "{reason}");
    assert_eq!(receive(&mut inbound).await, packet(&largest));
    assert_eq!(deliveries(&mut node, DeliveryState::Sent, 1).await, [2]);
}

#[tokio::test]
async fn a_bad_packet_costs_its_stream_and_nothing_else() {
    let mut scene = Scene::new().await;
    let (plain, _inbound) = Plain::start(ONESHOT_PROTOCOL, Some(&scene.node.address)).await;
    scene.node.until_connected(plain.peer_id).await;
    let mut oversize = Vec::new();
    prost::encode_length_delimiter(MAX_ONESHOT_BYTES + 1, &mut oversize).unwrap();
    oversize.resize(oversize.len() + MAX_ONESHOT_BYTES + 1, b'x');
    let endless = [0xff; 11];
    let bad: [&[u8]; 7] = [
        &oversize,
        &endless,
        b"",
        b"\x85",
        b"\x05hell",
        b"\x02\xff\xfe",
        b"\x82\x00hi",
    ];
    for packet_of_garbage in bad {
        send(&plain, scene.node.peer_id, packet_of_garbage).await;
        send(&plain, scene.node.peer_id, &packet("good")).await;
        let event = scene.node.until_from(plain.peer_id).await;
        assert_eq!(body_of(&event), "good", "after {packet_of_garbage:x?}");
        scene.honest_is_unaffected().await;
    }
    assert_eq!(plain.closed(), 0);
}

#[tokio::test]
async fn no_more_than_so_many_streams_are_read_at_a_time() {
    let mut scene = Scene::new().await;
    let (plain, _inbound) = Plain::start(ONESHOT_PROTOCOL, Some(&scene.node.address)).await;
    let node = scene.node.peer_id;
    scene.node.until_connected(plain.peer_id).await;
    let mut silent = Vec::new();
    for _ in 0..MAX_ONESHOT_STREAMS {
        silent.push(plain.try_open(node, ONESHOT_PROTOCOL).await.unwrap());
    }
    let mut surplus = plain.try_open(node, ONESHOT_PROTOCOL).await.unwrap();
    until_end(&mut surplus).await;
    scene.honest_is_unaffected().await;
    // Those that were read are not disturbed: the last one is heard when the others are done.
    let mut last = silent.pop().unwrap();
    last.write_all(&packet("at last")).await.unwrap();
    last.close().await.unwrap();
    drop(silent);
    let event = scene.node.until_from(plain.peer_id).await;
    assert_eq!(body_of(&event), "at last");
    assert_eq!(plain.closed(), 0);
}

async fn pair() -> (TestNode, Plain, Inbound) {
    let mut node = TestNode::listening().await;
    let (plain, inbound) = Plain::start(ONESHOT_PROTOCOL, Some(&node.address)).await;
    node.until_connected(plain.peer_id).await;
    (node, plain, inbound)
}

/// Sends a packet, and waits until the other side has done with it.
async fn send(plain: &Plain, to: libp2p::PeerId, packet: &[u8]) {
    let mut stream = plain.try_open(to, ONESHOT_PROTOCOL).await.unwrap();
    let work = async {
        stream.write_all(packet).await?;
        stream.close().await
    };
    // Garbage may be cut off before its end.
    let _ = patiently(work).await;
    until_end(&mut stream).await;
}

async fn receive(inbound: &mut Inbound) -> Vec<u8> {
    let mut stream = patiently(inbound.recv()).await.expect("a stream");
    let mut packet = Vec::new();
    patiently(stream.read_to_end(&mut packet)).await.unwrap();
    packet
}

async fn until_end(stream: &mut Stream) {
    let _ = patiently(stream.read_to_end(&mut Vec::new())).await;
}

fn packet(body: &str) -> Vec<u8> {
    let mut packet = Vec::new();
    prost::encode_length_delimiter(body.len(), &mut packet).unwrap();
    packet.extend_from_slice(body.as_bytes());
    packet
}
