//! Waiting for somebody to write to.

use punchline::node::Node;

/// Resolves when the node has settled and somebody is there then: connected, or so far that a line may go along with the
/// greeting. Never otherwise: whoever comes later comes with an event, and so does the node's end.
pub(crate) async fn settled_with(node: &Node, is_there: impl Fn() -> bool) {
    if node.settled().await.is_err() || !is_there() {
        std::future::pending::<()>().await;
    }
}
