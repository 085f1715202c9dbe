//! Two peers that meet: what every cell of the matrix looks at.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::{
    common::{Proc, text},
    lab::Host,
};

/// The promise: this long from the start of the second peer until both have heard of each other,
/// and from discovery to a direct path.
pub(super) const PROMISE: Duration = Duration::from_secs(5);

/// What has not come by then will not come.
const PATIENCE: Duration = Duration::from_secs(20);

/// A peer that is ready, and who it is.
pub(super) struct Peer {
    pub(super) proc: Proc,
    pub(super) id: String,
}

impl Peer {
    /// Starts one that knows a relay, and waits until it is registered there.
    pub(super) fn ready(host: &Host, name: &str, relay: &str) -> Self {
        let mut peer = Self::start(host, name, relay);
        peer.proc.wait_event("ready");
        peer
    }

    /// Starts one that knows a relay.
    pub(super) fn start(host: &Host, name: &str, relay: &str) -> Self {
        let mut peer = Self::with(host, name, &["--relay", relay]);
        peer.proc.set_patience(PATIENCE);
        peer
    }

    /// Starts one with those arguments.
    pub(super) fn with(host: &Host, name: &str, args: &[&str]) -> Self {
        let mut proc = host.punchline(name, args);
        let id = text(&proc.wait_event("started"), "peer_id");
        Self { proc, id }
    }

    /// Waits until it has been told of a peer, and says when.
    pub(super) fn wait_discovered(&mut self, other: &Self) -> Instant {
        let id = other.id.clone();
        self.proc.wait_for("discovery", move |event| {
            event["event"] == "discovered" && event["peer"] == id
        });
        Instant::now()
    }

    /// Waits until there is any path to a peer.
    pub(super) fn wait_connected(&mut self, to: &Self) {
        // Left in the queue: it may be the direct path that another wait is for.
        let id = to.id.clone();
        self.proc
            .wait_until("a path", move |event| is_path_to(event, &id));
    }

    /// Waits until the path to a peer is direct, by that transport.
    pub(super) fn wait_direct(&mut self, to: &Self, transport: &str) -> Value {
        self.proc
            .wait_until(&format!("direct path by {transport}"), |event| {
                is_path_to(event, &to.id)
                    && path_of(event) == "direct"
                    && event["transport"] == transport
            })
    }

    /// Types lines, numbered from 0.
    pub(super) fn say(&mut self, what: &str, count: usize) {
        for number in 0..count {
            self.proc.type_line(&format!("{what} {number}"));
        }
    }

    /// Waits for what another has said: all of it, in order, once.
    pub(super) fn hear(&mut self, what: &str, count: usize) {
        for number in 0..count {
            let message = self.proc.wait_for(what, |event| {
                event["event"] == "message" && text(event, "body").starts_with(what)
            });
            assert_eq!(message["body"], format!("{what} {number}"));
        }
    }

    /// The path to a peer came to be direct, and nothing else since.
    pub(super) fn assert_stayed_direct(&mut self, to: &Self) {
        let news = self.path_news(to);
        let mut rest = news.iter().skip_while(|event| path_of(event) != "direct");
        let other = rest.find(|event| path_of(event) != "direct");
        assert!(other.is_none(), "{other:?}\n{}", self.proc.report());
    }

    /// The path to a peer was relayed all the time.
    pub(super) fn assert_stayed_relayed(&mut self, to: &Self) {
        let news = self.path_news(to);
        assert!(
            news.len() == 1 && path_of(&news[0]) == "relayed",
            "{news:?}\n{}",
            self.proc.report()
        );
    }

    /// What has been told of paths to a peer since the last wait for one.
    fn path_news(&mut self, to: &Self) -> Vec<Value> {
        let id = to.id.clone();
        let events = self.proc.pending_events().iter();
        events
            .filter(|event| is_path_to(event, &id) || is_loss_of(event, &id))
            .cloned()
            .collect()
    }
}

/// A failure that one side sees often has its reason at the other.
impl Drop for Peer {
    #[allow(clippy::print_stderr, reason = "the report of a failure")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.proc.report());
        }
    }
}

/// Both say something, and hear it.
pub(super) fn talk(a: &mut Peer, b: &mut Peer, what: &str, count: usize) {
    let (by_a, by_b) = (format!("{what} of a"), format!("{what} of b"));
    a.say(&by_a, count);
    b.say(&by_b, count);
    b.hear(&by_a, count);
    a.hear(&by_b, count);
}

/// Fails if something took longer than promised.
pub(super) fn in_time(what: &str, since: Instant, a: &Peer, b: &Peer) -> Duration {
    let took = since.elapsed();
    assert!(
        took <= PROMISE,
        "{what} took {took:?}\n{}\n{}",
        a.proc.report(),
        b.proc.report()
    );
    took
}

fn is_path_to(event: &Value, peer: &str) -> bool {
    (event["event"] == "connected" || event["event"] == "path_changed") && event["peer"] == peer
}

fn is_loss_of(event: &Value, peer: &str) -> bool {
    event["event"] == "disconnected" && event["peer"] == peer
}

pub(super) fn path_of(event: &Value) -> &Value {
    if event["event"] == "connected" {
        &event["path"]
    } else {
        &event["to"]
    }
}
