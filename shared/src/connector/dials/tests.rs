//! Dials, driven without the connector.

use super::*;
use crate::{
    config::MAX_CONNECTIONS,
    connector::{
        purpose::TargetId,
        tests::rig::{Alone, DIRECT, LOCAL, SMALL, a, cause, id, millis},
    },
};

const DIAL: DialId = DialId(1);
const PURPOSE: Purpose = Purpose::Target(TargetId(5));

fn running(alone: &mut Alone) -> Dials {
    let mut dials = Dials::default();
    let (dial, purpose) = (DIAL, PURPOSE);
    dials.handle(&alone.context(), Input::Started { dial, purpose });
    dials
}

fn connected(peer: PeerId) -> Input {
    Input::Connected(Connected {
        conn: ConnId::new_unchecked(3),
        peer,
        address: a(DIRECT),
        transport: Transport::Quic,
        outbound: true,
        dial: Some(DIAL),
    })
}

#[test]
fn a_connection_bears_the_purpose_of_its_dial() {
    let mut alone = Alone::new();
    let mut dials = running(&mut alone);
    dials.handle(&alone.context(), connected(id(SMALL)));
    let outputs = dials.take_outputs();
    let [Output::Accepted { conn, dial }] = &outputs[..] else {
        panic!("{outputs:?}");
    };
    assert_eq!((conn.purpose, *dial), (Some(PURPOSE), Some(DIAL)));
    assert_eq!(dials.poll_timeout(), None);
}

#[test]
fn a_dial_that_reaches_ourselves_has_failed() {
    let mut alone = Alone::new();
    let cause = refused(&mut alone, id(LOCAL));
    assert_eq!(cause.code, Reason::InvalidAddress);
    assert_eq!(cause.text, "that is this peer itself");
}

#[test]
fn a_dial_that_makes_one_connection_too_many_has_failed() {
    let mut alone = Alone::new();
    for n in 0..MAX_CONNECTIONS as usize {
        alone.connections.insert(Conn {
            id: ConnId::new_unchecked(n),
            peer: id(SMALL),
            address: a(DIRECT),
            relayed: false,
            outbound: false,
            since: alone.now,
            purpose: None,
            is_relay: None,
            compatible: None,
            drained: false,
            closing: false,
        });
    }
    let cause = refused(&mut alone, id(SMALL));
    assert_eq!(cause.code, Reason::TooManyConnections);
    assert_eq!(cause.text, "too many connections");
}

/// Why the connection that a dial makes is refused.
fn refused(alone: &mut Alone, peer: PeerId) -> Cause {
    let mut dials = running(alone);
    dials.handle(&alone.context(), connected(peer));
    let outputs = dials.take_outputs();
    match &outputs[..] {
        [
            Output::Refused(_),
            Output::Failed {
                dial: DIAL, cause, ..
            },
        ] => cause.clone(),
        _ => panic!("{outputs:?}"),
    }
}

#[test]
fn a_dial_fails_once_by_the_swarm_or_by_time() {
    let mut alone = Alone::new();
    for by_time in [true, false] {
        let mut dials = running(&mut alone);
        alone.now += DIAL_TIMEOUT - millis(1);
        dials.handle_timeout(&alone.context());
        assert!(dials.take_outputs().is_empty());
        if by_time {
            alone.now += millis(1);
            dials.handle_timeout(&alone.context());
        }
        let failed = Input::Failed {
            dial: DIAL,
            cause: cause("refused"),
        };
        dials.handle(&alone.context(), failed);
        let outputs = dials.take_outputs();
        let [Output::Failed { purpose, .. }] = &outputs[..] else {
            panic!("{outputs:?}");
        };
        assert_eq!(*purpose, PURPOSE);
    }
}

impl Dials {
    pub(in crate::connector) fn running(&self) -> impl Iterator<Item = (DialId, Purpose)> {
        let running = self.running.iter();
        running.map(|(id, dial)| (*id, dial.purpose))
    }
}
