//! Input that no honest remote or application would send.

use super::*;
use crate::{
    config::{MAX_ADDRESSES_PER_PEER, MAX_CONNECTIONS},
    connector::{known_relay::MAX_RELAYS, peers::MAX_PEERS},
};

/// More peers than fit into one byte.
pub(super) fn many(n: u32) -> PeerId {
    let mut bytes = [7; 32];
    bytes[..4].copy_from_slice(&n.to_be_bytes());
    PeerId::from_multihash(Multihash::wrap(0, &bytes).unwrap()).unwrap()
}

fn garbage() -> Vec<Multiaddr> {
    let (us, other, target) = (id(LOCAL), id(2), id(SMALL));
    let circuit = |by: PeerId| format!("/ip4/10.0.0.9/tcp/1/p2p/{by}/p2p-circuit");
    vec![
        Multiaddr::empty(),
        a(&format!("/p2p/{target}")),
        a("/p2p-circuit"),
        a("/ip4/10.0.0.9/tcp/1/p2p-circuit"),
        a(&format!(
            "{}/p2p/{other}/p2p-circuit/p2p/{target}",
            circuit(other)
        )),
        a(&format!("{}/p2p/{target}", circuit(us))),
        a(&format!("{}/p2p/{target}", circuit(target))),
        a(&format!("{}/p2p/{us}", circuit(other))),
        at(DIRECT, other),
        at(DIRECT, us),
        a(&"/ip4/10.0.0.9".repeat(400)),
    ]
}

#[test]
fn garbage_addresses_of_others_are_not_dialled() {
    let (mut rig, _) = Rig::with_relay();
    rig.discovered(id(RELAY), vec![(id(SMALL), garbage())]);
    assert_eq!(rig.dials()[0].2, [circuit(QUIC, id(SMALL))]);
    rig.discovered(
        id(RELAY),
        vec![(id(LARGE), vec![garbage(); 1_000].concat())],
    );
}

#[test]
fn garbage_addresses_from_the_application_are_reported() {
    for address in garbage() {
        let dialable = addresses::peer_of(&address) == Some(id(2));
        let mut rig = Rig::alone();
        rig.input(Input::Dial(address.clone()));
        assert_eq!(rig.dials().len(), usize::from(dialable), "{address}");
        assert_eq!(rig.errors().len(), usize::from(!dialable), "{address}");
    }
}

#[test]
fn garbage_relays_are_reported_and_do_not_keep_us_from_being_ready() {
    for addresses in [vec![], garbage(), vec![circuit(QUIC, id(2))]] {
        let mut rig = Rig::new(&NodeConfig {
            relays: vec![
                RelayAddress {
                    peer: Some(id(RELAY)),
                    addresses,
                },
                RelayAddress {
                    peer: Some(id(LOCAL)),
                    addresses: vec![a(QUIC)],
                },
            ],
            ..NodeConfig::default()
        });
        assert_eq!(rig.dials(), []);
        assert_eq!(rig.errors().len(), 2);
        rig.input(Input::ListenersReady);
        assert_eq!(rig.events(), [Event::Ready {}]);
    }
}

#[test]
fn huge_answers_are_cut() {
    let (mut rig, _) = Rig::with_relay();
    let addresses: Vec<_> = (0..200)
        .map(|n| a(&format!("/ip4/10.1.0.{n}/tcp/1")))
        .collect();
    let peers = (0..5_000).map(|n| (many(n), addresses.clone())).collect();
    rig.input(Input::Discovered {
        point: id(RELAY),
        peers,
        cookie: vec![0; 1 << 20],
    });
    assert_eq!(rig.connector.peers.len(), MAX_PEERS);
    let reported = rig.out.iter().all(|output| match output {
        Output::Emit(Event::Discovered { addresses, .. }) | Output::Dial { addresses, .. } => {
            addresses.len() <= MAX_ADDRESSES_PER_PEER
        }
        _ => true,
    });
    assert!(reported);
    assert!(rig.take().len() <= 2 * MAX_PEERS);
    rig.wait_for(secs(12), is_discover);
    let cookieless = Output::Discover {
        point: id(RELAY),
        cookie: None,
    };
    assert!(rig.out.contains(&cookieless));
}

#[test]
fn a_full_table_still_has_room_for_who_is_really_there() {
    let (mut rig, _) = Rig::with_relay();
    let peers = (0..2_000).map(|n| (many(n), Vec::new())).collect();
    rig.discovered(id(RELAY), peers);
    rig.take();
    let conn = rig.inbound(id(SMALL), DIRECT);
    rig.path(id(SMALL), conn, &a(DIRECT));
    assert_eq!(rig.events().len(), 1);
    rig.input(Input::Dial(at(DIRECT, id(LARGE))));
    assert_eq!(rig.dials().len(), 1);
    assert_eq!(rig.connector.peers.len(), MAX_PEERS);
}

#[test]
fn connections_relays_and_targets_are_bounded() {
    let mut rig = Rig::alone();
    for n in 0..MAX_CONNECTIONS + 10 {
        rig.inbound(many(n), DIRECT);
    }
    assert_eq!(rig.closes().len(), 10);
    for n in 0..40 {
        rig.input(Input::AddRelay(RelayAddress {
            peer: Some(many(n)),
            addresses: vec![a(QUIC)],
        }));
    }
    assert_eq!(rig.connector.relays(rig.now).len(), MAX_RELAYS);
    for n in 0..200 {
        rig.input(Input::Dial(a(&format!("/ip4/10.2.0.{n}/tcp/1"))));
    }
    assert!(rig.connector.peers.targets() <= 64);
}

#[test]
fn a_connection_to_ourselves_is_closed() {
    let mut rig = Rig::alone();
    rig.input(Input::Dial(a(DIRECT)));
    let dial = rig.last_dial();
    let conn = rig.connect(id(LOCAL), DIRECT, Some(dial));
    assert!(rig.out.contains(&Output::Close { conn }));
    assert_eq!(rig.errors().len(), 1);
}

#[test]
fn another_peer_than_the_relay_is_closed_and_reported() {
    let mut rig = Rig::new(&config(&[QUIC]));
    let dial = rig.last_dial();
    let conn = rig.connect(id(2), QUIC, Some(dial));
    assert!(rig.out.contains(&Output::Close { conn }));
    assert_eq!(rig.errors().len(), 1);
}

#[test]
fn long_lists_of_protocols_are_cut() {
    let mut rig = Rig::alone();
    rig.input(Input::Dial(a(DIRECT)));
    let dial = rig.last_dial();
    let conn = rig.connect(id(SMALL), DIRECT, Some(dial));
    rig.input(Input::Identified {
        peer: id(SMALL),
        conn,
        compatible: false,
        is_relay: false,
        protocols: vec!["/é".repeat(10_000); 10_000],
        listen_addresses: garbage(),
    });
    let events = rig.events();
    let Event::Incompatible { protocols, .. } = &events[0] else {
        panic!("{events:?}");
    };
    assert!(protocols.iter().map(String::len).sum::<usize>() < 64 * 1024);
}

#[test]
fn answers_to_nothing_are_ignored() {
    let mut rig = Rig::new(&config(&[QUIC]));
    rig.take();
    rig.accept();
    rig.fail(DialId(99));
    rig.close(ConnId::new_unchecked(99));
    rig.identify(id(SMALL), ConnId::new_unchecked(99), false);
    rig.drain(id(SMALL), ConnId::new_unchecked(99));
    rig.no_path(id(SMALL));
    for relay in [id(RELAY), id(SMALL)] {
        rig.input(Input::Registered {
            point: relay,
            ttl: 1,
        });
        rig.input(Input::RegisterFailed {
            point: relay,
            cause: cause(""),
        });
        rig.input(Input::DiscoverFailed {
            point: relay,
            cause: cause(""),
        });
        rig.input(Input::UpgradeFailed {
            peer: relay,
            cause: cause(""),
        });
    }
    rig.input(Input::ReservationLost {
        relay: RelayId(9),
        cause: cause(""),
    });
    assert_eq!(rig.take(), []);
}
