//! Greetings, driven without the connector.

use super::*;
use crate::connector::tests::rig::{Alone, DIRECT, SMALL, a, id, secs};

const INTERVAL: Duration = secs(10);

fn ordered(ordered: bool) -> Input {
    let peer = id(SMALL);
    Input::Ordered { peer, ordered }
}

fn path(connected: bool) -> Input {
    let peer = id(SMALL);
    Input::Path { peer, connected }
}

fn greet(message: &str) -> Output {
    let message = message.into();
    Output::Greet {
        peer: id(SMALL),
        message,
    }
}

/// A peer that was greeted a moment ago.
fn greeted(alone: &mut Alone) -> Greetings {
    let mut greetings = Greetings::new(Some(INTERVAL));
    greetings.handle(&alone.context(), ordered(true));
    greetings.handle(&alone.context(), path(true));
    assert_eq!(greetings.take_outputs(), [greet("Hello from")]);
    greetings
}

#[test]
fn order_and_path_may_come_in_any_order() {
    for inputs in [[ordered(true), path(true)], [path(true), ordered(true)]] {
        let mut alone = Alone::new();
        let mut greetings = Greetings::new(Some(INTERVAL));
        for input in inputs {
            assert_eq!(greetings.take_outputs(), []);
            greetings.handle(&alone.context(), input);
        }
        assert_eq!(greetings.take_outputs(), [greet("Hello from")]);
        assert_eq!(greetings.poll_timeout(), Some(alone.now + INTERVAL));
    }
}

#[test]
fn the_next_greeting_names_the_address_that_the_peer_saw() {
    let mut alone = Alone::new();
    let mut greetings = greeted(&mut alone);
    let reply = Input::Reply {
        peer: id(SMALL),
        message: "Hello".into(),
        address: a(DIRECT),
    };
    greetings.handle(&alone.context(), reply);
    greetings.take_outputs();
    alone.now += INTERVAL;
    greetings.handle_timeout(&alone.context());
    let message = format!("Hello from {DIRECT}");
    assert_eq!(greetings.take_outputs(), [greet(&message)]);
}

#[test]
fn who_is_no_longer_ordered_is_not_greeted_again() {
    let mut alone = Alone::new();
    let mut greetings = greeted(&mut alone);
    greetings.handle(&alone.context(), ordered(false));
    alone.now += INTERVAL;
    greetings.handle_timeout(&alone.context());
    assert_eq!(greetings.take_outputs(), []);
    assert_eq!(greetings.poll_timeout(), None);
}

#[test]
fn who_is_neither_ordered_nor_connected_is_forgotten() {
    let mut alone = Alone::new();
    let mut greetings = greeted(&mut alone);
    greetings.handle(&alone.context(), path(false));
    assert_eq!(greetings.poll_timeout(), None);
    greetings.handle(&alone.context(), ordered(false));
    assert!(greetings.peers.is_empty());
}

impl Greetings {
    /// Whether a peer is taken to be ordered, and to have a path.
    pub(in crate::connector) fn knows(&self, peer: PeerId) -> (bool, bool) {
        let greeted = self.peers.get(&peer);
        greeted.map_or((false, false), |greeted| {
            (greeted.ordered, greeted.connected)
        })
    }
}
