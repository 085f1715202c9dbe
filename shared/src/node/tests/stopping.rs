//! How a node ends: by being asked to, or by losing the task that runs it.

use super::harness::{TestNode, deliveries, messages, patiently};
use crate::{
    error::SendError,
    event::{DeliveryState, Event},
};

#[tokio::test]
async fn a_stopped_node_takes_no_messages() {
    let b = TestNode::listening().await;
    let mut a = TestNode::dialling(&b.address).await;
    a.until(|e| matches!(e, Event::Connected { .. })).await;
    a.node.shutdown().await;
    assert_eq!(a.node.send(b.peer_id, "late"), Err(SendError::Stopped));
    a.until_end().await;
}

#[tokio::test]
async fn a_stop_waits_for_acks() {
    let mut b = TestNode::listening().await;
    let mut a = TestNode::dialling(&b.address).await;
    a.until_connected(b.peer_id).await;
    for i in 1..=100 {
        assert_eq!(a.node.send(b.peer_id, format!("line {i}")), Ok(i));
    }
    let (node, peer) = (a.node.clone(), a.peer_id);
    let stop = tokio::spawn(async move { node.shutdown().await });
    let acked = deliveries(&mut a, DeliveryState::Acked, 100).await;
    assert_eq!(acked, (1..=100).collect::<Vec<_>>());
    a.until_end().await;
    patiently(stop).await.unwrap();
    assert_eq!(messages(&mut b, 100).await.len(), 100);
    b.until(|e| matches!(e, Event::Disconnected { peer: p, .. } if *p == peer))
        .await;
}
