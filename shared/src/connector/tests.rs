//! The connector, driven by hand.

mod faults;
mod hostile;
mod membership;
mod network;
mod peers;
mod random;
mod relay_retries;
mod relays;
mod remembered;
mod rendezvous;
mod reservations;
pub(in crate::connector) mod rig;
mod status;
mod strangers;
mod surplus;
mod targets;
mod twin;
mod upgrades;

use std::{collections::BTreeMap, time::Duration};

use libp2p::{Multiaddr, multihash::Multihash};

use self::rig::*;
use super::*;
use crate::{
    config::RelayAddress,
    event::Event,
    name::PeerName,
    path::{ActivePath, ConnId, Path, Transport},
    reason::{Cause, Reason},
    remote::{Membership, Remote},
};

#[test]
fn without_relays_it_is_ready_with_its_listeners() {
    let mut rig = Rig::alone();
    assert_eq!(rig.events(), []);
    rig.input(Input::ListenersReady);
    rig.input(Input::ListenersReady);
    assert_eq!(rig.events(), [Event::Ready {}]);
}

#[test]
fn the_same_seed_does_the_same() {
    let now = Instant::now();
    let run = || {
        let mut rig = Rig::new(&config(&[QUIC, TCP, WS]));
        rig.now = now;
        rig.connector = Connector::new(&config(&[QUIC, TCP, WS]), id(LOCAL), 42, now);
        rig.input(Input::ListenersReady);
        let mut times = Vec::new();
        for _ in 0..20 {
            let at = rig.connector.poll_timeout().unwrap();
            times.push(at - now);
            rig.advance(at - rig.now);
        }
        (times, rig.take())
    };
    assert_eq!(run(), run());
}

#[test]
fn shutdown_unregisters_gives_up_the_reservation_and_falls_silent() {
    let (mut rig, conn) = Rig::with_relay();
    let peer = rig.reach(id(SMALL));
    rig.input(Input::Shutdown);
    assert_eq!(
        rig.take(),
        [
            Output::Unregister { point: id(RELAY) },
            Output::Unreserve { relay: RelayId(0) }
        ]
    );
    assert!(rig.connector.is_stopped());
    assert_eq!(rig.connector.poll_timeout(), None);
    rig.no_path(id(SMALL));
    assert!(matches!(rig.events()[..], [Event::Disconnected { .. }]));
    rig.close(peer);
    rig.close(conn);
    rig.input(Input::Wake);
    rig.input(Input::Dial(a(DIRECT)));
    rig.input(Input::Shutdown);
    rig.advance(secs(3_600));
    assert_eq!(rig.take(), []);
}

#[test]
fn messages_and_greetings_are_reported_as_they_come() {
    let mut rig = Rig::alone();
    rig.input(Input::Greeting {
        peer: id(SMALL),
        message: "Hello from".into(),
    });
    rig.input(Input::GreetingReply {
        peer: id(SMALL),
        message: "Hello".into(),
        address: a(DIRECT),
    });
    assert_eq!(
        rig.events(),
        [
            Event::Greeting {
                from: id(SMALL),
                message: "Hello from".into()
            },
            Event::GreetingReply {
                from: id(SMALL),
                message: "Hello".into(),
                address: a(DIRECT)
            }
        ]
    );
}
