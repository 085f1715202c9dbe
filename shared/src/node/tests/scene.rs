//! A node, an honest peer of it, and a hostile one.

use tokio::sync::mpsc;

use super::{
    harness::{TestNode, patiently},
    plain::{Frames, Inbound, Plain},
};
use crate::event::Scope;
use crate::{event::Event, protocols::msg::MSG_PROTOCOL};

/// A node under attack, and someone who must not notice.
pub(crate) struct Scene {
    pub(crate) node: TestNode,
    pub(crate) honest: TestNode,
    round: u64,
}

/// A plain peer that takes messages honestly, whatever else it does.
pub(crate) struct Hostile {
    pub(crate) peer: Plain,
    pub(crate) bodies: mpsc::Receiver<String>,
}

impl Scene {
    pub(crate) async fn new() -> Self {
        Self::around(TestNode::listening().await).await
    }

    pub(crate) async fn around(mut node: TestNode) -> Self {
        let mut honest = TestNode::dialling(&node.address).await;
        let (a, b) = (node.peer_id, honest.peer_id);
        honest.until_connected(a).await;
        node.until_connected(b).await;
        Self {
            node,
            honest,
            round: 0,
        }
    }

    /// A hostile peer that is connected and whose messages would be shown.
    pub(crate) async fn hostile(&mut self) -> Hostile {
        let (peer, inbound) = Plain::start(MSG_PROTOCOL, Some(&self.node.address)).await;
        let (sender, bodies) = mpsc::channel(1_024);
        tokio::spawn(serve_all(inbound, sender));
        self.node.until_connected(peer.peer_id).await;
        Hostile { peer, bodies }
    }

    /// The honest peer's messages flow, both ways.
    pub(crate) async fn honest_is_unaffected(&mut self) {
        self.round += 1;
        let there = format!("there {}", self.round);
        let back = format!("back {}", self.round);
        let (a, b) = (self.node.peer_id, self.honest.peer_id);
        self.honest.node.send(a, Scope::Private, &*there).unwrap();
        self.node.node.send(b, Scope::Private, &*back).unwrap();
        let event = self.node.until_from(b).await;
        assert_eq!(body_of(&event), there);
        let event = self.honest.until_from(a).await;
        assert_eq!(body_of(&event), back);
        patiently(self.honest.node.drained()).await;
    }

    /// The honest peer is unaffected, the hostile one's connection is up, and messages still go
    /// both ways on it.
    pub(crate) async fn only_a_stream_was_lost(&mut self, hostile: &mut Hostile) {
        self.honest_is_unaffected().await;
        let (a, b) = (self.node.peer_id, hostile.peer.peer_id);
        let body = format!("after {}", self.round);
        let ((), event) = futures::join!(hostile.peer.say(a, &body), self.node.until_from(b));
        assert_eq!(body_of(&event), body);
        self.node.node.send(b, Scope::Private, &*body).unwrap();
        assert_eq!(patiently(hostile.bodies.recv()).await, Some(body));
        assert_eq!(hostile.peer.closed(), 0, "the connection stays up");
    }
}

impl TestNode {
    pub(crate) async fn until_connected(&mut self, wanted: libp2p::PeerId) {
        self.until(|e| matches!(e, Event::Connected { peer, .. } if *peer == wanted))
            .await;
    }

    /// The next message of a peer, which does not leave before.
    pub(crate) async fn until_from(&mut self, peer: libp2p::PeerId) -> Event {
        let left = |e: &Event| matches!(e, Event::Disconnected { peer: p, .. } if *p == peer);
        self.until(|e| {
            assert!(!left(e), "{e:?}");
            matches!(e, Event::Message { from, .. } if *from == peer)
        })
        .await
    }
}

pub(crate) fn body_of(event: &Event) -> &str {
    match event {
        Event::Message { body, .. } => body,
        other => panic!("{other:?} is no message"),
    }
}

async fn serve_all(mut streams: Inbound, bodies: mpsc::Sender<String>) {
    while let Some(stream) = streams.recv().await {
        tokio::spawn(Frames::new(stream).serve(bodies.clone()));
    }
}
