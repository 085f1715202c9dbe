//! Greetings that are too long, and answers that make no sense.

use std::time::Duration;

use futures::{AsyncReadExt, AsyncWriteExt};
use libp2p::{Multiaddr, Stream};
use prost::Message;

use super::{
    harness::{TestNode, patiently},
    plain::Plain,
    scene::Scene,
};
use crate::{
    config::NodeConfig,
    event::{Event, Scope},
    protocols::greet::{GREET_PROTOCOL, Request, Response},
    protocols::msg::MSG_PROTOCOL,
};

#[tokio::test]
async fn a_greeting_of_a_mebibyte_costs_its_stream_and_nothing_else() {
    let mut scene = Scene::new().await;
    let mut hostile = scene.hostile().await;
    let long = greeting(&"x".repeat(1024 * 1024));
    let bad: [&[u8]; 5] = [
        &long,
        b"",
        b"\xff\xff\xff",
        b"\x04\x0a\x02\xff\xfe",
        b"\x09\x0a",
    ];
    for bytes in bad {
        let stream = hostile.peer.try_open(scene.node.peer_id, GREET_PROTOCOL);
        let answer = exchange(stream.await.unwrap(), bytes).await;
        assert!(answer.is_empty(), "{answer:x?}");
        scene.only_a_stream_was_lost(&mut hostile).await;
    }
    let stream = hostile.peer.try_open(scene.node.peer_id, GREET_PROTOCOL);
    let answer = exchange(stream.await.unwrap(), &greeting("Hello")).await;
    let answer = Response::decode_length_delimited(&*answer).unwrap();
    assert!(
        answer.message.starts_with("Hello back"),
        "{}",
        answer.message
    );
    assert!(answer.address().is_some());
    let hostile = hostile.peer.peer_id;
    let greeted = scene
        .node
        .until(|e| matches!(e, Event::Greeting { .. }))
        .await;
    let message = "Hello".into();
    assert_eq!(
        greeted,
        Event::Greeting {
            from: hostile,
            message
        }
    );
}

#[tokio::test]
async fn a_bad_answer_is_dropped_and_the_next_greeting_answered_all_the_same() {
    let protocols = [GREET_PROTOCOL, MSG_PROTOCOL];
    let (plain, [mut greetings, mut msgs]) = Plain::speaking(protocols, None).await;
    let config = NodeConfig {
        dial: vec![plain.address.clone()],
        greet_interval: Some(Duration::from_millis(50)),
        ..NodeConfig::default()
    };
    let mut node = TestNode::start(config).await;
    let msg = patiently(msgs.recv()).await.expect("the msg stream");
    let (bodies, mut received) = tokio::sync::mpsc::channel(16);
    tokio::spawn(super::plain::Frames::new(msg).serve(bodies));
    let no_address =
        Response::new("x".into(), &Multiaddr::empty()).encode_length_delimited_to_vec();
    let mut bad_address = no_address.clone();
    bad_address.extend_from_slice(b"\x12\x03\xff\xff\xff");
    bad_address[0] += 5;
    let long = Request {
        message: "x".repeat(1024 * 1024),
    }
    .encode_length_delimited_to_vec();
    let bad: [&[u8]; 5] = [
        &bad_address,
        &long,
        b"",
        b"\xff\xff\xff",
        b"\x04\x0a\x02\xff\xfe",
    ];
    for bytes in bad {
        let stream = patiently(greetings.recv()).await.expect("a greeting");
        answer(stream, bytes).await;
    }
    let address: Multiaddr = "/ip4/192.0.2.7/udp/1/quic-v1".parse().unwrap();
    let good = Response::new("Hi".into(), &address).encode_length_delimited_to_vec();
    let stream = patiently(greetings.recv()).await.expect("a greeting");
    answer(stream, &good).await;
    let reply = node
        .until(|e| matches!(e, Event::GreetingReply { .. } | Event::Disconnected { .. }))
        .await;
    let (from, message) = (plain.peer_id, "Hi".into());
    assert_eq!(
        reply,
        Event::GreetingReply {
            from,
            message,
            address
        }
    );
    node.node
        .send(plain.peer_id, Scope::Private, "still here")
        .unwrap();
    assert_eq!(
        patiently(received.recv()).await.as_deref(),
        Some("still here")
    );
    assert_eq!(plain.closed(), 0);
}

fn greeting(message: &str) -> Vec<u8> {
    let message = message.into();
    Request { message }.encode_length_delimited_to_vec()
}

/// Writes a greeting, and returns the answer.
async fn exchange(mut stream: Stream, bytes: &[u8]) -> Vec<u8> {
    let mut answer = Vec::new();
    let work = async {
        // Whoever writes too much may be cut off before its end.
        let _ = stream.write_all(bytes).await;
        let _ = stream.close().await;
        let _ = stream.read_to_end(&mut answer).await;
    };
    patiently(work).await;
    answer
}

/// Reads a greeting, and answers it. An answer that is too long may never be taken.
async fn answer(mut stream: Stream, bytes: &[u8]) {
    let _ = patiently(stream.read_to_end(&mut Vec::new())).await;
    let bytes = bytes.to_vec();
    tokio::spawn(async move {
        let _ = stream.write_all(&bytes).await;
        let _ = stream.close().await;
    });
}
