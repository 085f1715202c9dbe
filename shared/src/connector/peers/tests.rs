//! Peers, driven without the connector.

use super::*;
use crate::{
    connector::{
        RelayId,
        connections::Conn,
        known_relay::KnownRelay,
        purpose::NewDial,
        tests::rig::{Alone, DIRECT, QUIC, RELAY, SMALL, TCP, a, at, cause, circuit, id},
    },
    name::PeerName,
    path::{ActivePath, Path, Transport},
    remote::{Membership, Remote},
};

const RELAY_ID: RelayId = RelayId(3);

fn peers(alone: &mut Alone) -> Peers {
    let mut peers = Peers::new(&alone.context());
    peers.punch_holes();
    peers
}

/// A relay of ours stands, or fell.
fn known(stands: bool) -> Input {
    let circuit = addresses::circuit(&a(QUIC), id(RELAY));
    Input::Known {
        relay: RELAY_ID,
        known: Some(KnownRelay {
            peer: Some(id(RELAY)),
            conn: None,
            circuit: stands.then_some(circuit),
        }),
    }
}

fn listed(peer: PeerId) -> Input {
    Input::Listed {
        point: id(RELAY),
        peers: vec![(peer, vec![a(DIRECT)])],
        is_news: false,
    }
}

fn dials(outputs: Vec<Output>) -> Vec<NewDial> {
    let dials = outputs.into_iter().filter_map(|output| match output {
        Output::Dial(dial) => Some(dial),
        _ => None,
    });
    dials.collect()
}

/// A peer that was listed, dialled by a circuit and reached.
fn relayed(alone: &mut Alone) -> Peers {
    let mut peers = peers(alone);
    peers.handle(&mut alone.context(), known(true));
    peers.handle(&mut alone.context(), listed(id(SMALL)));
    peers.handle_timeout(&mut alone.context());
    let dial = dials(peers.take_outputs()).remove(0);
    let conn = ConnId::new_unchecked(1);
    alone.connections.insert(Conn {
        id: conn,
        peer: id(SMALL),
        address: circuit(QUIC, id(SMALL)),
        relayed: true,
        outbound: true,
        since: alone.now,
        purpose: Some(dial.purpose),
        is_relay: None,
        compatible: None,
        drained: false,
        closing: false,
    });
    let dial = Some(dial.id);
    peers.handle(&mut alone.context(), Input::Connected { conn, dial });
    peers.handle(&mut alone.context(), path(Some(conn)));
    peers
}

fn path(conn: Option<ConnId>) -> Input {
    Input::Path {
        peer: id(SMALL),
        path: conn.map(|conn| ActivePath {
            conn,
            kind: Path::Relayed,
            transport: Transport::Circuit,
            address: circuit(QUIC, id(SMALL)),
        }),
        remote: Remote {
            name: PeerName::of(&id(SMALL)),
            membership: Membership::Member,
        },
        cause: cause("it broke"),
    }
}

#[test]
fn circuits_lead_by_relays_that_stand() {
    for stands in [true, false] {
        let mut alone = Alone::new();
        let mut peers = peers(&mut alone);
        peers.handle(&mut alone.context(), known(true));
        peers.handle(&mut alone.context(), known(stands));
        peers.handle(&mut alone.context(), listed(id(SMALL)));
        peers.handle_timeout(&mut alone.context());
        // Where it is listed only for want of a relay.
        let expected = match stands {
            true => circuit(QUIC, id(SMALL)),
            false => at(DIRECT, id(SMALL)),
        };
        assert_eq!(dials(peers.take_outputs())[0].addresses, [expected]);
    }
}

#[test]
fn a_relay_of_ours_is_no_peer_unless_it_is_ordered() {
    let mut alone = Alone::new();
    let mut peers = peers(&mut alone);
    peers.handle(&mut alone.context(), known(true));
    peers.handle(&mut alone.context(), listed(id(RELAY)));
    peers.handle_timeout(&mut alone.context());
    assert_eq!(peers.take_outputs(), []);
    let order = Input::Order(at(TCP, id(RELAY)));
    peers.handle(&mut alone.context(), order);
    peers.handle_timeout(&mut alone.context());
    let outputs = peers.take_outputs();
    let ordered = Output::Ordered {
        peer: id(RELAY),
        ordered: true,
    };
    assert!(outputs.contains(&ordered));
    assert_eq!(dials(outputs).len(), 1);
}

#[test]
fn others_learn_which_way_messages_take_and_that_it_is_lost() {
    let mut alone = Alone::new();
    let mut peers = relayed(&mut alone);
    let found = Output::Path {
        peer: id(SMALL),
        conn: ConnId::new_unchecked(1),
        relayed: true,
        via: Some(id(RELAY)),
    };
    assert!(peers.take_outputs().contains(&found));
    peers.handle(&mut alone.context(), path(None));
    let lost = Output::PathLost { peer: id(SMALL) };
    assert!(peers.take_outputs().contains(&lost));
}

#[test]
fn after_a_failed_punch_the_relay_is_to_observe_us_once() {
    let mut alone = Alone::new();
    let mut peers = relayed(&mut alone);
    peers.take_outputs();
    let failed = || Input::UpgradeFailed {
        peer: id(SMALL),
        cause: cause("no luck"),
    };
    peers.handle(&mut alone.context(), failed());
    let observe = Output::Observe {
        relay: RELAY_ID,
        peer: id(SMALL),
    };
    assert_eq!(peers.take_outputs(), [observe]);
    let observed = Input::Observed { relay: RELAY_ID };
    peers.handle(&mut alone.context(), observed);
    let soon = alone.now + upgrade::UPGRADE_SOON;
    assert_eq!(peers.poll_timeout(), Some(soon));
    alone.now = soon;
    peers.handle_timeout(&mut alone.context());
    let dial = dials(peers.take_outputs()).remove(0);
    assert_eq!(dial.purpose, Purpose::Upgrade(id(SMALL)));
    peers.handle(&mut alone.context(), failed());
    assert_eq!(peers.take_outputs(), [], "once is enough");
}

#[test]
fn a_silent_connection_of_a_relay_is_not_closed_here() {
    let mut alone = Alone::new();
    let mut peers = peers(&mut alone);
    let [used, other] = [1, 2].map(ConnId::new_unchecked);
    let known = KnownRelay {
        peer: Some(id(RELAY)),
        conn: Some(used),
        circuit: None,
    };
    let known = Some(known);
    let relay = RELAY_ID;
    peers.handle(&mut alone.context(), Input::Known { relay, known });
    for conn in [used, other] {
        let (peer, dead) = (id(RELAY), true);
        peers.handle(&mut alone.context(), Input::Silent { peer, conn, dead });
    }
    assert_eq!(peers.take_outputs(), [Output::Close(other)]);
}

/// What tests compare with what other machines hold.
#[derive(Debug)]
pub(in crate::connector) struct Facts {
    pub(in crate::connector) is_ordered: bool,
    /// The connection that messages take, and the relay that it leads through.
    pub(in crate::connector) path: Option<(ConnId, Option<PeerId>)>,
    pub(in crate::connector) is_targeted: bool,
    pub(in crate::connector) target_leads_there: bool,
}

impl Peers {
    pub(in crate::connector) const fn len(&self) -> usize {
        self.peers.len()
    }

    pub(in crate::connector) const fn targets(&self) -> usize {
        self.targets.len()
    }

    pub(in crate::connector) fn get(&self, id: PeerId) -> Option<&Peer> {
        self.peers.get(&id)
    }

    pub(in crate::connector) fn is_ordered(&self, id: PeerId) -> bool {
        self.facts(id).is_ordered
    }

    pub(in crate::connector) fn facts(&self, id: PeerId) -> Facts {
        let peer = self.peers.get(&id);
        let path = peer.and_then(Peer::path);
        let target_leads_there = self.targets.want(id);
        Facts {
            is_ordered: peer.is_some_and(Peer::is_ordered) || target_leads_there,
            path: path.map(|path| (path.conn, addresses::carrier_of(path))),
            is_targeted: peer.map_or(target_leads_there, |peer| peer.is_targeted),
            target_leads_there,
        }
    }

    pub(in crate::connector) fn known(&self, relay: RelayId) -> Option<&KnownRelay> {
        self.shared.known(relay)
    }
}
