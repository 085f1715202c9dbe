//! Nodes on a transport in memory.

mod backpressure;
mod early;
mod greetings;
mod harness;
mod hostile_answers;
mod hostile_frames;
mod hostile_load;
mod log;
mod oneshot;
mod paths;
mod plain;
mod reservation;
mod rooms;
mod scene;
mod stopping;

pub(super) use self::harness::Meddling;
use self::harness::{TestNode, deliveries, messages};
use crate::{
    event::{DeliveryState, Event, Scope},
    path::Path,
};

#[tokio::test]
async fn messages_arrive_in_order_and_are_acked() {
    let mut b = TestNode::listening().await;
    let mut a = TestNode::dialling(&b.address).await;
    a.until(|e| {
        matches!(
            e,
            Event::Connected {
                path: Path::Direct,
                ..
            }
        )
    })
    .await;
    b.until(|e| matches!(e, Event::Connected { .. })).await;
    for i in 1..=100 {
        assert_eq!(
            a.node.send(b.peer_id, Scope::Private, format!("line {i}")),
            Ok(i)
        );
    }
    a.node.drained().await;
    assert_eq!(a.node.unacked(), 0);
    let acked = deliveries(&mut a, DeliveryState::Acked, 100).await;
    assert_eq!(acked, (1..=100).collect::<Vec<_>>());
    let lines = messages(&mut b, 100).await;
    assert_eq!(
        lines,
        (1..=100).map(|i| format!("line {i}")).collect::<Vec<_>>()
    );
}
