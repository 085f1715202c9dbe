//! Connections that come and go while messages flow.

use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};

use super::harness::{TestNode, meddle, patiently};
use crate::{
    event::{DeliveryState, Event, Scope},
    node::Node,
};

const COUNT: u64 = 10_000;
/// The active connection is closed whenever this many more messages have arrived.
const EVERY: u64 = 1_000;

#[tokio::test]
async fn nothing_is_lost_while_paths_are() {
    lose_paths(2).await;
}

#[tokio::test]
async fn nothing_is_lost_while_the_only_path_is() {
    lose_paths(1).await;
}

async fn lose_paths(connections: usize) {
    let mut b = TestNode::listening().await;
    let mut a = TestNode::dialling(&b.address).await;
    a.until_connected(b.peer_id).await;
    b.until_connected(a.peer_id).await;
    for _ in 1..connections {
        dial(&a.node, &b).await;
    }
    let sending = [
        tokio::spawn(send(a.node.clone(), b.peer_id)),
        tokio::spawn(send(b.node.clone(), a.peer_id)),
    ];
    let (mut at_a, mut at_b) = (Seen::default(), Seen::default());
    let mut closed = 0;
    while !(at_a.is_done() && at_b.is_done()) {
        let event = patiently(async {
            tokio::select! {
                event = futures::StreamExt::next(&mut a.events) => (event, true),
                event = futures::StreamExt::next(&mut b.events) => (event, false),
            }
        });
        match event.await {
            (Some(event), true) => at_a.take(event),
            (Some(event), false) => at_b.take(event),
            (None, _) => panic!("a node stopped"),
        }
        if at_b.messages / EVERY > closed {
            closed = at_b.messages / EVERY;
            let (breaker, other) = if closed.is_multiple_of(2) {
                (&a, &b)
            } else {
                (&b, &a)
            };
            close_active(&breaker.node, other.node.peer_id()).await;
            dial(&a.node, &b).await;
        }
    }
    for task in sending {
        patiently(task).await.unwrap();
    }
    assert!(closed >= COUNT / EVERY);
}

/// What one side's application has seen.
#[derive(Debug, Default)]
struct Seen {
    messages: u64,
    acked: u64,
}

impl Seen {
    fn take(&mut self, event: Event) {
        match event {
            Event::Message { body, .. } => {
                assert_eq!(body.parse(), Ok(self.messages), "in order and once");
                self.messages += 1;
            }
            Event::Delivery {
                id,
                state: DeliveryState::Acked,
                ..
            } => {
                self.acked += 1;
                assert_eq!(id, self.acked);
            }
            Event::Delivery {
                state: DeliveryState::Failed,
                ..
            } => panic!("{event:?}"),
            _ => {}
        }
    }

    fn is_done(&self) -> bool {
        self.messages == COUNT && self.acked == COUNT
    }
}

async fn send(node: Node, to: libp2p::PeerId) {
    for i in 0..COUNT {
        node.send_when_ready(to, Scope::Private, i.to_string())
            .await
            .unwrap();
    }
}

/// One more connection.
async fn dial(node: &Node, to: &TestNode) {
    let opts = DialOpts::peer_id(to.peer_id)
        .condition(PeerCondition::Always)
        .addresses(vec![to.address.clone()])
        .build();
    meddle(node, move |swarm| swarm.dial(opts).unwrap()).await;
}

/// Ends the connection that messages to this peer take.
async fn close_active(node: &Node, peer: libp2p::PeerId) {
    meddle(node, move |swarm| {
        let active = swarm.behaviour().0.msg.active_path(&peer);
        if let Some((path, _)) = active {
            swarm.close_connection(path.conn);
        }
    })
    .await;
}
