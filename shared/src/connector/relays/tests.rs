//! Relays, driven without the connector.

use super::*;
use crate::connector::{
    addresses,
    connections::Conn,
    known_relay::KnownRelay,
    purpose::Purpose,
    tests::rig::{Alone, QUIC, RELAY, SMALL, TCP, a, cause, circuit, config, id, secs},
};

const ID: RelayId = RelayId(0);
const CONN: usize = 1;

/// A connection of ours to the relay.
fn conn(n: usize, address: &str, alone: &Alone, purpose: Purpose) -> Conn {
    Conn {
        id: ConnId::new_unchecked(n),
        peer: id(RELAY),
        address: a(address),
        relayed: false,
        outbound: true,
        since: alone.now,
        purpose: Some(purpose),
        is_relay: Some(true),
        compatible: Some(false),
        drained: false,
        closing: false,
    }
}

/// A relay that is connected to, and reserved at.
fn reserved(alone: &mut Alone) -> Relays {
    let mut relays = Relays::new(&alone.context(), &config(&[QUIC]));
    relays.punch_holes();
    relays.handle_timeout(&mut alone.context());
    let outputs = relays.take_outputs();
    let dial = outputs.iter().find_map(|output| match output {
        Output::Dial(dial) => Some(dial.id),
        _ => None,
    });
    let new = conn(CONN, QUIC, alone, Purpose::Relay(ID));
    let conn = new.id;
    alone.connections.insert(new);
    relays.handle(&mut alone.context(), Input::Connected { conn, dial });
    let accepted = Input::ReservationAccepted {
        relay: ID,
        address: circuit(QUIC, id(SMALL)),
    };
    relays.handle(&mut alone.context(), accepted);
    relays
}

fn known(outputs: Vec<Output>) -> Vec<Option<KnownRelay>> {
    let known = outputs.into_iter().filter_map(|output| match output {
        Output::Known { known, .. } => Some(known),
        _ => None,
    });
    known.collect()
}

#[test]
fn others_learn_who_a_relay_is_and_whether_it_stands() {
    let mut alone = Alone::new();
    let mut relays = reserved(&mut alone);
    let stands = KnownRelay {
        peer: Some(id(RELAY)),
        conn: Some(ConnId::new_unchecked(CONN)),
        circuit: Some(addresses::circuit(&a(QUIC), id(RELAY))),
    };
    let learnt = known(relays.take_outputs());
    assert_eq!(learnt.last(), Some(&Some(stands)));

    let lost = Input::ReservationLost {
        relay: ID,
        cause: cause("gone"),
    };
    relays.handle(&mut alone.context(), lost);
    let fell = KnownRelay {
        peer: Some(id(RELAY)),
        conn: None,
        circuit: None,
    };
    assert_eq!(known(relays.take_outputs()), [Some(fell)]);

    relays.handle(&mut alone.context(), Input::Drop(id(RELAY)));
    assert_eq!(known(relays.take_outputs()), [None]);
    relays.handle(&mut alone.context(), Input::Wake);
    assert_eq!(relays.take_outputs(), []);
}

#[test]
fn a_silent_connection_is_kept_while_messages_come_by_the_relay() {
    for carries in [true, false] {
        let mut alone = Alone::new();
        let mut relays = reserved(&mut alone);
        let path = Input::Path {
            peer: id(SMALL),
            conn: ConnId::new_unchecked(7),
            relayed: true,
            via: Some(id(RELAY)),
        };
        relays.handle(&mut alone.context(), path);
        if !carries {
            relays.handle(&mut alone.context(), Input::PathLost { peer: id(SMALL) });
        }
        relays.take_outputs();
        let silent = Input::Silent {
            peer: id(RELAY),
            conn: ConnId::new_unchecked(CONN),
            dead: true,
        };
        relays.handle(&mut alone.context(), silent);
        let closes = relays
            .take_outputs()
            .contains(&Output::Close(ConnId::new_unchecked(CONN)));
        assert_eq!(closes, !carries);
    }
}

#[test]
fn an_observation_is_dialled_or_there_is_nothing_to_observe() {
    let mut alone = Alone::new();
    let mut relays = reserved(&mut alone);
    relays.take_outputs();
    let observe = || Input::Observe {
        relay: ID,
        peer: id(SMALL),
    };
    relays.handle(&mut alone.context(), observe());
    let nothing = Output::NothingToObserve { peer: id(SMALL) };
    assert_eq!(relays.take_outputs(), [nothing], "only QUIC is known");

    relays.know([a(TCP)].into_iter());
    relays.handle(&mut alone.context(), observe());
    let outputs = relays.take_outputs();
    let [Output::Dial(dial)] = &outputs[..] else {
        panic!("{outputs:?}");
    };
    assert_eq!(dial.purpose, Purpose::Observation(ID));
    let failed = Input::ObservationFailed {
        relay: ID,
        dial: dial.id,
    };
    relays.handle(&mut alone.context(), failed);
    assert_eq!(relays.take_outputs(), [Output::NotObserved { relay: ID }]);
}

#[test]
fn who_is_listed_is_passed_on_and_the_cookie_kept() {
    let mut alone = Alone::new();
    let mut relays = reserved(&mut alone);
    let point = id(RELAY);
    relays.handle(
        &mut alone.context(),
        Input::Registered { point, ttl: 7_200 },
    );
    relays.take_outputs();
    let discovered = Input::Discovered {
        point,
        peers: vec![(id(SMALL), Vec::new())],
        cookie: vec![5],
    };
    relays.handle(&mut alone.context(), discovered);
    let listed = Output::Listed {
        point,
        peers: vec![(id(SMALL), Vec::new())],
        is_news: false,
    };
    assert_eq!(relays.take_outputs(), [listed]);
    alone.now += secs(11);
    relays.handle_timeout(&mut alone.context());
    let cookie = Some(vec![5]);
    let discover = Output::Discover { point, cookie };
    assert!(relays.take_outputs().contains(&discover));
}

#[test]
fn it_is_ready_once_reservation_and_registration_stand() {
    let mut alone = Alone::new();
    let mut relays = reserved(&mut alone);
    relays.handle_timeout(&mut alone.context());
    let ready = Output::Emit(Event::Ready {});
    assert!(!relays.take_outputs().contains(&ready));
    let point = id(RELAY);
    relays.handle(
        &mut alone.context(),
        Input::Registered { point, ttl: 7_200 },
    );
    relays.handle_timeout(&mut alone.context());
    assert!(relays.take_outputs().contains(&ready));
}

impl Relays {
    pub(in crate::connector) fn known(&self, relay: RelayId) -> Option<KnownRelay> {
        self.relays.get(&relay).map(Relay::known)
    }

    /// The connection that messages to a peer take, and the relay that it leads through.
    pub(in crate::connector) fn path(&self, peer: PeerId) -> Option<(ConnId, Option<PeerId>)> {
        let path = self.shared.paths.get(&peer)?;
        Some((path.conn, path.via))
    }

    /// Makes more addresses of every relay known, without any retry.
    pub(in crate::connector) fn know(&mut self, more: impl Iterator<Item = Multiaddr> + Clone) {
        for relay in self.relays.values_mut() {
            relay.addresses.extend(more.clone());
        }
    }
}
