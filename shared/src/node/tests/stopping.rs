//! How a node ends: by being asked to, or by losing the task that runs it.

use futures::StreamExt;

use super::harness::{Meddling, TestNode, deliveries, messages, patiently};
use crate::{
    error::{SendError, Stopped},
    event::{DeliveryState, Event, Scope},
    node::Request,
    reason::Reason,
};

#[tokio::test]
async fn a_stopped_node_takes_no_messages() {
    let b = TestNode::listening().await;
    let mut a = TestNode::dialling(&b.address).await;
    a.until(|e| matches!(e, Event::Connected { .. })).await;
    a.node.shutdown().await;
    assert_eq!(
        a.node.send(b.peer_id, Scope::Private, "late"),
        Err(SendError::Stopped)
    );
    a.until_end().await;
}

#[tokio::test]
async fn a_stop_waits_for_acks() {
    let mut b = TestNode::listening().await;
    let mut a = TestNode::dialling(&b.address).await;
    a.until_connected(b.peer_id).await;
    for i in 1..=100 {
        assert_eq!(
            a.node.send(b.peer_id, Scope::Private, format!("line {i}")),
            Ok(i)
        );
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

#[tokio::test]
async fn a_node_whose_task_is_aborted_has_stopped() {
    let b = TestNode::listening().await;
    let mut a = TestNode::dialling(&b.address).await;
    a.until_connected(b.peer_id).await;
    // Between these two nothing else runs: the message is not written.
    let id = a.node.send(b.peer_id, Scope::Private, "too late").unwrap();
    a.task.abort();
    has_stopped(&mut a, &b, id).await;
}

#[tokio::test]
async fn a_node_whose_task_panics_has_stopped() {
    let b = TestNode::listening().await;
    let mut a = TestNode::dialling(&b.address).await;
    a.until_connected(b.peer_id).await;
    let bug = Meddling(Box::new(|_| panic!("a bug")));
    a.node.request(Request::Meddle(bug)).await.unwrap();
    let id = a.node.send(b.peer_id, Scope::Private, "too late").unwrap();
    has_stopped(&mut a, &b, id).await;
}

/// The message that was not acked has failed, and nothing is waited for that cannot come.
async fn has_stopped(a: &mut TestNode, b: &TestNode, unacked: u64) {
    let mut failed = Vec::new();
    let end = async {
        while let Some(event) = a.events.next().await {
            if let Event::Delivery {
                id,
                state: DeliveryState::Failed,
                code,
                ..
            } = event
            {
                failed.push((id, code));
            }
        }
    };
    patiently(end).await;
    assert_eq!(failed, [(unacked, Some(Reason::Stopped))]);
    patiently(a.node.drained()).await;
    assert_eq!(
        a.node.send(b.peer_id, Scope::Private, "later"),
        Err(SendError::Stopped)
    );
    assert_eq!(a.node.dial(b.address.clone()).await, Err(Stopped));
    assert_eq!(a.node.peers().await, Err(Stopped));
    patiently(a.node.shutdown()).await;
}
