//! A peer in the lab, and what tests wait for and check when two of them meet.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::{
    common::{Proc, text},
    lab::Host,
};

/// The promise of docs/nat.md: the longest time from the start of the second peer until both have received a message,
/// and from discovery to a direct path.
pub(super) const PROMISE: Duration = Duration::from_secs(5);

/// How long a wait may take. What has not come by then will not come.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running peer, and its id.
pub(super) struct Peer {
    pub(super) proc: Proc,
    pub(super) id: String,
}

impl Peer {
    /// Starts a peer with a relay, and waits until it is registered there.
    pub(super) fn ready(host: &Host, name: &str, relay: &str) -> Self {
        Self::ready_with(host, name, &["--relay", relay])
    }

    /// Starts a peer with any arguments, and waits until it is ready.
    pub(super) fn ready_with(host: &Host, name: &str, args: &[&str]) -> Self {
        let mut peer = Self::with(host, name, args);
        peer.proc.set_patience(PATIENCE);
        peer.proc.wait_event("ready");
        peer
    }

    /// Starts a peer with a relay.
    pub(super) fn start(host: &Host, name: &str, relay: &str) -> Self {
        let mut peer = Self::with(host, name, &["--relay", relay]);
        peer.proc.set_patience(PATIENCE);
        peer
    }

    /// Starts a peer with any arguments.
    pub(super) fn with(host: &Host, name: &str, args: &[&str]) -> Self {
        Self::of(host.punchline(name, args))
    }

    /// Starts a peer with a relay, and what it remembers in a directory.
    pub(super) fn keeping(host: &Host, name: &str, relay: &str, state: &Path) -> Self {
        Self::of(host.punchline_with_state(name, &["--relay", relay], state))
    }

    /// Stops it, and waits until it has ended.
    pub(super) fn stop(mut self) {
        self.proc.signal(Signal::SIGINT);
        assert!(self.proc.wait_exit().success());
    }

    /// A peer that was started somehow.
    pub(super) fn of(mut proc: Proc) -> Self {
        let id = text(&proc.wait_event("started"), "peer_id");
        Self { proc, id }
    }

    /// Waits until it has discovered another peer, and returns when that was.
    pub(super) fn wait_discovered(&mut self, other: &Self) -> Instant {
        let id = other.id.clone();
        self.proc.wait_for("discovery", move |event| {
            event["event"] == "discovered" && event["peer"] == id
        });
        Instant::now()
    }

    /// Waits until there is a path of any kind to another peer.
    pub(super) fn wait_connected(&mut self, to: &Self) {
        // The event stays in the queue: it may be the direct path that another wait is for.
        let id = to.id.clone();
        self.proc
            .wait_until("a path", move |event| is_path_to(event, &id));
    }

    /// Waits until the path to another peer is direct and uses that transport.
    pub(super) fn wait_direct(&mut self, to: &Self, transport: &str) -> Value {
        self.wait_direct_by_any(to, &[transport])
    }

    /// As [`Self::wait_direct`], by one of several transports.
    pub(super) fn wait_direct_by_any(&mut self, to: &Self, transports: &[&str]) -> Value {
        let what = format!("direct path by {}", transports.join(" or "));
        self.proc.wait_until(&what, |event| {
            is_path_to(event, &to.id)
                && path_of(event) == "direct"
                && transports.iter().any(|name| event["transport"] == *name)
        })
    }

    /// Types lines, numbered from 0.
    pub(super) fn say(&mut self, what: &str, count: usize) {
        for number in 0..count {
            self.proc.type_line(&format!("{what} {number}"));
        }
    }

    /// Waits for the lines that another peer has typed: all of them, in order, once.
    pub(super) fn hear(&mut self, what: &str, count: usize) {
        for number in 0..count {
            let message = self.proc.wait_for(what, |event| {
                event["event"] == "message" && text(event, "body").starts_with(what)
            });
            assert_eq!(message["body"], format!("{what} {number}"));
        }
    }

    /// Checks that the path to another peer became direct, and has been direct ever since.
    pub(super) fn assert_stayed_direct(&mut self, to: &Self) {
        let news = self.path_news(to);
        let first = news.iter().position(|event| path_of(event) == "direct");
        let stayed = first.is_some_and(|first| {
            let since = news[first..].iter();
            since.map(path_of).all(|path| path == "direct")
        });
        assert!(stayed, "{news:?}\n{}", self.proc.report());
    }

    /// Checks that the path to another peer was relayed all the time.
    pub(super) fn assert_stayed_relayed(&mut self, to: &Self) {
        let news = self.path_news(to);
        assert!(
            news.len() == 1 && path_of(&news[0]) == "relayed",
            "{news:?}\n{}",
            self.proc.report()
        );
    }

    /// The events about paths to another peer that no wait has taken.
    fn path_news(&mut self, to: &Self) -> Vec<Value> {
        let id = to.id.clone();
        let events = self.proc.pending_events().iter();
        events
            .filter(|event| is_path_to(event, &id) || is_loss_of(event, &id))
            .cloned()
            .collect()
    }
}

/// When a test fails, every peer shows its output: what one side sees often has its cause at the other.
impl Drop for Peer {
    #[allow(clippy::print_stderr, reason = "the report of a failure")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.proc.report());
        }
    }
}

/// Has both peers type lines, and waits until each has received the other's.
pub(super) fn talk(a: &mut Peer, b: &mut Peer, what: &str, count: usize) {
    let (by_a, by_b) = (format!("{what} of a"), format!("{what} of b"));
    a.say(&by_a, count);
    b.say(&by_b, count);
    b.hear(&by_a, count);
    a.hear(&by_b, count);
}

/// Fails if something took longer than promised, and returns how long it took.
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

/// Fails if something took more round trips than it may.
pub(super) fn in_trips(what: &str, (trips, most): (f64, f64), a: &Peer, b: &Peer) {
    assert!(
        trips <= most,
        "{what} took {trips:.1} round trips, and may take {most}\n{}\n{}",
        a.proc.report(),
        b.proc.report()
    );
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
