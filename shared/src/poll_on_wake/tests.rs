//! When a handler is polled.

use std::{collections::VecDeque, convert::Infallible};

use futures::task::noop_waker;
use libp2p::core::upgrade::DeniedUpgrade;

use super::*;

/// Counts how often it is polled, and says what was said to it.
#[derive(Debug, Default)]
struct Parrot {
    polled: usize,
    heard: VecDeque<u8>,
    waker: Option<Waker>,
}

impl ConnectionHandler for Parrot {
    type FromBehaviour = u8;
    type ToBehaviour = u8;
    type InboundProtocol = DeniedUpgrade;
    type OutboundProtocol = DeniedUpgrade;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = Infallible;

    fn listen_protocol(&self) -> SubstreamProtocol<DeniedUpgrade> {
        SubstreamProtocol::new(DeniedUpgrade, ())
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<ConnectionHandlerEvent<DeniedUpgrade, Infallible, u8>> {
        self.polled += 1;
        self.waker = Some(cx.waker().clone());
        match self.heard.pop_front() {
            Some(heard) => Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(heard)),
            None => Poll::Pending,
        }
    }

    fn on_behaviour_event(&mut self, event: u8) {
        self.heard.push_back(event);
    }

    fn on_connection_event(
        &mut self,
        _: ConnectionEvent<'_, DeniedUpgrade, DeniedUpgrade, (), Infallible>,
    ) {
    }
}

#[test]
fn a_handler_with_nothing_to_do_is_polled_once() {
    let mut handler = PollOnWakeHandler::new(Parrot::default());
    for _ in 0..3 {
        assert_eq!(said(&mut handler), None);
    }
    assert_eq!(handler.handler.polled, 1);
}

#[test]
fn a_handler_is_polled_until_it_has_no_more_to_say() {
    let mut handler = PollOnWakeHandler::new(Parrot::default());
    assert_eq!(said(&mut handler), None);
    handler.on_behaviour_event(1);
    handler.on_behaviour_event(2);
    assert_eq!(said(&mut handler), Some(1));
    assert_eq!(said(&mut handler), Some(2));
    assert_eq!(said(&mut handler), None);
    assert_eq!(handler.handler.polled, 4);
}

#[test]
fn a_handler_that_wakes_its_task_is_polled_and_so_is_the_connection() {
    let mut handler = PollOnWakeHandler::new(Parrot::default());
    let connection = Arc::new(WakeFlag::default());
    let waker = futures::task::waker(connection.clone());
    assert!(handler.poll(&mut Context::from_waker(&waker)).is_pending());
    handler.handler.heard.push_back(3);
    handler.handler.waker.take().unwrap().wake();
    assert!(connection.raised.load(SeqCst), "the connection is woken");
    assert_eq!(said(&mut handler), Some(3));
}

fn said(handler: &mut PollOnWakeHandler<Parrot>) -> Option<u8> {
    match handler.poll(&mut Context::from_waker(&noop_waker())) {
        Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(heard)) => Some(heard),
        _ => None,
    }
}
