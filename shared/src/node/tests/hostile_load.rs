//! More of everything than an honest peer needs.

use super::scene::{Hostile, Scene};
use crate::{
    protocols::greet::GREET_PROTOCOL,
    protocols::msg::{MSG_PROTOCOL, ONESHOT_PROTOCOL},
};

const STREAMS: usize = 10_000;
/// Open at a time: yamux ends a connection with more than 512.
const BATCH: usize = 200;

#[tokio::test]
async fn ten_thousand_streams_change_nothing_for_others() {
    let mut scene = Scene::new().await;
    let mut hostile = scene.hostile().await;
    let protocols = [MSG_PROTOCOL, ONESHOT_PROTOCOL, MSG_PROTOCOL, GREET_PROTOCOL];
    let mut opened = 0;
    for batch in 0..STREAMS / BATCH {
        let mut streams = Vec::new();
        for _ in 0..BATCH {
            let protocol = protocols[batch % protocols.len()].clone();
            // More greetings than are answered at a time are not even negotiated.
            if let Ok(stream) = hostile.peer.try_open(scene.node.peer_id, protocol).await {
                streams.push(stream);
            }
            opened += 1;
        }
        scene.honest_is_unaffected().await;
    }
    assert_eq!(opened, STREAMS);
    scene.only_a_stream_was_lost(&mut hostile).await;
}

#[tokio::test]
async fn many_sessions_are_only_remembered_for_a_while() {
    let mut scene = Scene::new().await;
    let mut hostile = scene.hostile().await;
    for _ in 0..100 {
        let Hostile { peer, .. } = &hostile;
        let (mut stream, _) = peer.open_msg(scene.node.peer_id).await;
        for session in 0..100 {
            stream.write(&super::plain::hello_of(session, 1)).await;
            assert!(stream.read().await.is_some());
        }
    }
    scene.only_a_stream_was_lost(&mut hostile).await;
}
