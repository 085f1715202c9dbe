//! Frames that no honest sender sends, and streams that it does not open.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use futures::{AsyncReadExt, AsyncWriteExt};
use libp2p::StreamProtocol;

use super::{
    log,
    plain::{SESSION, ack, data, data_of, hello, resume},
    scene::Scene,
};
use crate::{
    delivery::frames::MAX_FRAME_BYTES,
    protocols::{msg::MSG_PROTOCOL, wire},
};

#[tokio::test]
async fn a_bad_frame_costs_its_stream_and_nothing_else() {
    let mut scene = Scene::new().await;
    let mut hostile = scene.hostile().await;
    let node = scene.node.peer_id;
    for (count, (fault, bad)) in bad_frames().into_iter().enumerate() {
        let (mut stream, seq) = hostile.peer.open_msg(node).await;
        stream.write(&bad(seq)).await;
        if fault.starts_with("truncated") {
            stream.finish().await;
        }
        stream.ended().await;
        scene.only_a_stream_was_lost(&mut hostile).await;
        let lines = log::resets_by(hostile.peer.peer_id);
        assert_eq!(
            lines,
            (count + 1).min(5),
            "{fault}: logged once, and not for ever"
        );
    }
}

#[tokio::test]
async fn a_stream_that_begins_with_anything_but_a_hello_is_reset() {
    let mut scene = Scene::new().await;
    let mut hostile = scene.hostile().await;
    for first in [
        data(1, "no hello"),
        data_of(0, 1, "no hello either"),
        ack(1),
        resume(1, 1),
        vec![0x02, 0x78, 0x01],
    ] {
        let mut stream = hostile.peer.open(scene.node.peer_id, MSG_PROTOCOL).await;
        stream.write(&first).await;
        stream.ended().await;
        scene.only_a_stream_was_lost(&mut hostile).await;
    }
}

/// Takes [`crate::protocols::msg::HELLO_TIMEOUT`].
#[tokio::test]
async fn a_stream_that_stays_silent_is_reset() {
    let mut scene = Scene::new().await;
    let mut hostile = scene.hostile().await;
    let mut stream = hostile.peer.open(scene.node.peer_id, MSG_PROTOCOL).await;
    scene.honest_is_unaffected().await;
    stream.ended().await;
    scene.only_a_stream_was_lost(&mut hostile).await;
}

#[tokio::test]
async fn another_stream_replaces_the_first() {
    let mut scene = Scene::new().await;
    let mut hostile = scene.hostile().await;
    let (mut first, seq) = hostile.peer.open_msg(scene.node.peer_id).await;
    let (_second, again) = hostile.peer.open_msg(scene.node.peer_id).await;
    assert_eq!(seq, again, "nothing was sent");
    first.ended().await;
    scene.only_a_stream_was_lost(&mut hostile).await;
}

#[tokio::test]
async fn a_duplicate_is_acked_but_not_shown() {
    let mut scene = Scene::new().await;
    let mut hostile = scene.hostile().await;
    let (mut stream, seq) = hostile.peer.open_msg(scene.node.peer_id).await;
    assert_eq!(seq, 1);
    stream.write(&data(1, "once")).await;
    assert!(stream.read().await.is_some());
    stream.write(&data(1, "twice")).await;
    assert!(stream.read().await.is_some(), "acked again");
    stream.write(&data(2, "then")).await;
    for expected in ["once", "then"] {
        let event = scene.node.until_from(hostile.peer.peer_id).await;
        assert_eq!(super::scene::body_of(&event), expected);
    }
    scene.only_a_stream_was_lost(&mut hostile).await;
}

#[tokio::test]
async fn unknown_protocols_are_refused() {
    let mut scene = Scene::new().await;
    let mut hostile = scene.hostile().await;
    for name in ["/unknown/1.0.0", "/punchline/msg/2.0.0", "/TODO/0.0.1"] {
        let protocol = StreamProtocol::new(name);
        let opened = hostile.peer.try_open(scene.node.peer_id, protocol).await;
        // Whether it is spoken shows with the first answer.
        let mut stream = opened.unwrap();
        stream.write_all(b"x").await.unwrap();
        let error = stream.read(&mut [0]).await.unwrap_err();
        assert!(wire::is_unsupported(&error), "{error:?}");
    }
    scene.only_a_stream_was_lost(&mut hostile).await;
}

#[tokio::test]
async fn hellos_without_end_whose_answers_nobody_reads_are_held_up() {
    let mut scene = Scene::new().await;
    let mut hostile = scene.hostile().await;
    let (mut stream, _) = hostile.peer.open_msg(scene.node.peer_id).await;
    let written = Arc::new(AtomicUsize::new(0));
    let hellos = hello(1).repeat(1_000);
    let counter = written.clone();
    let task = tokio::spawn(async move { stream.write_forever(&hellos, &counter).await });
    // What is written while others exchange messages comes to a stop.
    let mut before = 0;
    loop {
        scene.honest_is_unaffected().await;
        let now = written.load(Ordering::SeqCst);
        if now > 0 && now == before {
            break;
        }
        before = now;
        assert!(now < 5_000, "80 MB of hellos were taken");
    }
    task.abort();
    scene.only_a_stream_was_lost(&mut hostile).await;
}

type Bad = Box<dyn Fn(u64) -> Vec<u8>>;

/// What follows a proper hello. The argument is the message that is due.
fn bad_frames() -> Vec<(&'static str, Bad)> {
    let bytes = |bytes: &'static [u8]| -> Bad { Box::new(move |_| bytes.to_vec()) };
    let mut oversize = Vec::new();
    prost::encode_length_delimiter(MAX_FRAME_BYTES + 1, &mut oversize).unwrap();
    vec![
        ("oversize", Box::new(move |_| oversize.clone())),
        (
            "varint without end",
            bytes(b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"),
        ),
        ("truncated varint", bytes(b"\xff")),
        (
            "longer varint than need be",
            bytes(b"\x84\x00\x22\x02\x08\x02"),
        ),
        (
            "truncated frame",
            Box::new(|seq| data(seq, "hello")[..9].to_vec()),
        ),
        ("invalid protobuf", bytes(b"\x04\x07\x07\x07\x07")),
        ("invalid UTF-8", Box::new(invalid_utf8)),
        ("empty frame", bytes(b"\x00")),
        (
            "unknown session",
            Box::new(|seq| data_of(SESSION + 1, seq, "hi")),
        ),
        ("gap", Box::new(|seq| data(seq + 1, "hi"))),
        ("number 0", Box::new(|_| data(0, "hi"))),
        (
            "number beyond 2^53",
            Box::new(|_| data((1 << 53) + 1, "hi")),
        ),
        ("a receiver's ack", Box::new(ack)),
        ("a receiver's resume", Box::new(|seq| resume(seq, 1))),
    ]
}

fn invalid_utf8(seq: u64) -> Vec<u8> {
    let mut frame = data(seq, "hi");
    *frame.last_mut().unwrap() = 0xff;
    frame
}
