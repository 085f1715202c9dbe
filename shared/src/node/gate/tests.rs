//! When the handler behind a gate is asked.

use std::{collections::VecDeque, convert::Infallible};

use futures::task::noop_waker;
use libp2p::core::upgrade::DeniedUpgrade;

use super::*;

/// Counts how often it is asked, and tells what it was told.
#[derive(Debug, Default)]
struct Parrot {
    asked: usize,
    told: VecDeque<u8>,
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
        self.asked += 1;
        self.waker = Some(cx.waker().clone());
        match self.told.pop_front() {
            Some(told) => Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(told)),
            None => Poll::Pending,
        }
    }

    fn on_behaviour_event(&mut self, event: u8) {
        self.told.push_back(event);
    }

    fn on_connection_event(
        &mut self,
        _: ConnectionEvent<'_, DeniedUpgrade, DeniedUpgrade, (), Infallible>,
    ) {
    }
}

#[test]
fn a_handler_with_nothing_to_do_is_asked_once() {
    let mut gate = Gate::new(Parrot::default());
    for _ in 0..3 {
        assert_eq!(told(&mut gate), None);
    }
    assert_eq!(gate.handler.asked, 1);
}

#[test]
fn a_handler_is_asked_until_it_has_no_more_to_tell() {
    let mut gate = Gate::new(Parrot::default());
    assert_eq!(told(&mut gate), None);
    gate.on_behaviour_event(1);
    gate.on_behaviour_event(2);
    assert_eq!(told(&mut gate), Some(1));
    assert_eq!(told(&mut gate), Some(2));
    assert_eq!(told(&mut gate), None);
    assert_eq!(gate.handler.asked, 4);
}

#[test]
fn a_handler_that_wakes_its_task_is_asked_and_so_is_the_connection() {
    let mut gate = Gate::new(Parrot::default());
    let connection = Arc::new(Bell::default());
    let waker = futures::task::waker(connection.clone());
    assert!(gate.poll(&mut Context::from_waker(&waker)).is_pending());
    gate.handler.told.push_back(3);
    gate.handler.waker.take().unwrap().wake();
    assert!(connection.rung.load(SeqCst), "the connection is woken");
    assert_eq!(told(&mut gate), Some(3));
}

fn told(gate: &mut Gate<Parrot>) -> Option<u8> {
    match gate.poll(&mut Context::from_waker(&noop_waker())) {
        Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(told)) => Some(told),
        _ => None,
    }
}
