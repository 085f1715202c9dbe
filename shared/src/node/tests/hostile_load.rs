//! More of everything than an honest peer needs.

use super::{
    plain::{data_of, hello_of},
    scene::{Hostile, Scene},
};
use crate::{
    delivery::{
        MAX_REMEMBERED_SESSIONS,
        frames::{Ack, Kind},
    },
    protocols::{
        greet::{GREET_PROTOCOL, MAX_GREETING_STREAMS},
        msg::{MSG_PROTOCOL, ONESHOT_PROTOCOL},
    },
};

const STREAMS: usize = 10_000;
/// Open at a time: yamux ends a connection with more than 512.
const BATCH: usize = 200;

#[tokio::test]
async fn ten_thousand_streams_change_nothing_for_others() {
    let mut scene = Scene::new().await;
    let mut hostile = scene.hostile().await;
    let protocols = [MSG_PROTOCOL, ONESHOT_PROTOCOL, MSG_PROTOCOL, GREET_PROTOCOL];
    for batch in 0..STREAMS / BATCH {
        let protocol = &protocols[batch % protocols.len()];
        let mut streams = Vec::new();
        for _ in 0..BATCH {
            let stream = hostile
                .peer
                .try_open(scene.node.peer_id, protocol.clone())
                .await;
            streams.extend(stream.ok());
        }
        // More greetings than are answered at a time are not even negotiated.
        let least = if *protocol == GREET_PROTOCOL {
            MAX_GREETING_STREAMS
        } else {
            BATCH
        };
        assert!(streams.len() >= least, "{protocol}: {}", streams.len());
        scene.honest_is_unaffected().await;
    }
    scene.only_a_stream_was_lost(&mut hostile).await;
}

#[tokio::test]
async fn many_sessions_are_only_remembered_for_a_while() {
    const FIRST: u64 = 1_000;
    let mut scene = Scene::new().await;
    let mut hostile = scene.hostile().await;
    let (node, from) = (scene.node.peer_id, hostile.peer.peer_id);
    say_in(&hostile, node, FIRST).await;
    scene.node.until_from(from).await;
    assert_eq!(resumed_at(&hostile, node, FIRST).await, 2, "remembered");
    for _ in 0..100 {
        let (mut stream, _) = hostile.peer.open_msg(node).await;
        for session in 0..100 {
            stream.write(&hello_of(session, 1)).await;
            assert!(stream.read().await.is_some());
        }
    }
    let conversation = scene
        .node
        .node
        .messenger
        .conversation(&from)
        .expect("it is connected");
    let remembered = conversation.lock().inbox.remembered();
    assert_eq!(remembered, MAX_REMEMBERED_SESSIONS);
    assert_eq!(resumed_at(&hostile, node, FIRST).await, 1, "forgotten");
    scene.only_a_stream_was_lost(&mut hostile).await;
}

/// Sends the first message of a session, and waits for its ack.
async fn say_in(hostile: &Hostile, to: libp2p::PeerId, session: u64) {
    let mut stream = hostile.peer.open(to, MSG_PROTOCOL).await;
    stream.write(&hello_of(session, 1)).await;
    let answer = stream.read().await;
    assert!(
        matches!(&answer, Some(Kind::Resume(resume)) if (resume.next, resume.nonce) == (1, 1)),
        "{answer:?}"
    );
    stream.write(&data_of(session, 1, "hi")).await;
    assert_eq!(stream.read().await, Some(Kind::Ack(Ack { next: 2 })));
}

/// Where the node wants a session to go on.
async fn resumed_at(hostile: &Hostile, node: libp2p::PeerId, session: u64) -> u64 {
    let mut stream = hostile.peer.open(node, MSG_PROTOCOL).await;
    stream.write(&hello_of(session, 1)).await;
    match stream.read().await {
        Some(Kind::Resume(resume)) => resume.next,
        other => panic!("{other:?} instead of a resume"),
    }
}
