//! Which handshakes are denied, and which are cut off for newcomers.

use libp2p::swarm::{ListenError, ListenFailure};

use super::*;
use crate::relay::transport::Passage;

const LIMITS: Limits = Limits {
    all: 8,
    share: Share {
        of_address: 3,
        of_site: 4,
        of_private: 6,
    },
};

/// The behaviour, called as a swarm calls it, and the gate, as the transports pass it.
struct Rig {
    behaviour: Behaviour,
    gate: Gate,
    last: usize,
    /// Handshakes in the gate.
    passages: Vec<(Key, Passage, bool)>,
}

impl Rig {
    fn new() -> Self {
        let gate = Gate::default();
        Self {
            behaviour: Behaviour::new(LIMITS, gate.clone()),
            gate,
            last: 0,
            passages: Vec::new(),
        }
    }

    /// A handshake begins. Says whether it may.
    fn begin(&mut self, local: &str, from: &str, heard: bool) -> Option<ConnectionId> {
        self.last += 1;
        let id = ConnectionId::new_unchecked(self.last);
        let port = self.last;
        let from = addr(&from.replace('?', &port.to_string()));
        let key = Key::of(&addr(local), &from).unwrap();
        let passage = self.gate.enter_for_test(key, heard);
        self.passages.push((key, passage, heard));
        let asked = self
            .behaviour
            .handle_pending_inbound_connection(id, &addr(local), &from);
        match asked {
            Ok(()) => Some(id),
            Err(_) => {
                self.fail(id);
                None
            }
        }
    }

    /// How many of ten silent ones may begin.
    fn begin_ten(&mut self, local: &str, from: &str, heard: bool) -> usize {
        (0..10)
            .filter(|_| self.begin(local, from, heard).is_some())
            .count()
    }

    fn fail(&mut self, id: ConnectionId) {
        let event = ListenFailure {
            local_addr: &Multiaddr::empty(),
            send_back_addr: &Multiaddr::empty(),
            error: &ListenError::Aborted,
            connection_id: id,
            peer_id: None,
        };
        self.behaviour
            .on_swarm_event(FromSwarm::ListenFailure(event));
    }

    fn under_way(&self) -> usize {
        self.behaviour
            .pools
            .values()
            .map(|p| p.handshakes.len())
            .sum()
    }
}

fn addr(text: &str) -> Multiaddr {
    text.parse().unwrap()
}

const TCP: &str = "/ip4/0.0.0.0/tcp/1";
const WS: &str = "/ip4/0.0.0.0/tcp/2/ws";
const QUIC: &str = "/ip4/0.0.0.0/udp/1/quic-v1";

#[test]
fn a_flood_over_one_transport_leaves_the_others_alone() {
    let mut rig = Rig::new();
    for n in 0..10 {
        rig.begin(TCP, &format!("/ip4/192.0.2.{n}/tcp/?"), true);
    }
    assert_eq!(rig.under_way(), 8);
    assert!(rig.begin(TCP, "/ip4/198.51.100.1/tcp/?", false).is_none());
    assert!(rig.begin(WS, "/ip4/198.51.100.1/tcp/?", false).is_some());
    assert!(
        rig.begin(QUIC, "/ip4/198.51.100.1/udp/?/quic-v1", false)
            .is_some()
    );
}

#[test]
fn the_silent_make_room_and_who_has_spoken_stays() {
    let mut rig = Rig::new();
    let silent = rig.begin(TCP, "/ip4/192.0.2.1/tcp/?", false).unwrap();
    let spoken = rig.begin(TCP, "/ip4/192.0.2.1/tcp/?", true).unwrap();
    // As many as there are: each newcomer takes the place of the oldest silent one of its network.
    assert_eq!(rig.begin_ten(TCP, "/ip4/192.0.2.1/tcp/?", false), 10);
    let pool = &rig.behaviour.pools[&punchline::path::Transport::Tcp];
    assert_eq!(pool.handshakes.len(), 3);
    assert!(pool.handshakes.contains_key(&spoken) && !pool.handshakes.contains_key(&silent));
    let cut = rig
        .passages
        .iter()
        .filter(|(_, passage, _)| passage.is_cut());
    assert_eq!(cut.count(), 9);
    assert!(
        rig.passages
            .iter()
            .all(|(_, passage, heard)| !(*heard && passage.is_cut()))
    );
}

#[test]
fn a_network_that_speaks_has_its_share() {
    let mut rig = Rig::new();
    assert_eq!(rig.begin_ten(TCP, "/ip4/192.0.2.1/tcp/?", true), 3);
    assert_eq!(
        rig.begin_ten(TCP, "/ip4/10.0.0.1/tcp/?", true),
        5,
        "what is left"
    );
    let mut rig = Rig::new();
    assert_eq!(rig.begin_ten(TCP, "/ip4/127.0.0.1/tcp/?", true), 6);
    // Five networks of one customer.
    let mut rig = Rig::new();
    let taken: usize = (0..5)
        .map(|n| rig.begin_ten(TCP, &format!("/ip6/2001:db8:0:{n}::1/tcp/?"), true))
        .sum();
    assert_eq!(taken, 4);
}

#[test]
fn forged_packets_do_not_keep_others_waiting() {
    let mut rig = Rig::new();
    for n in 0..200 {
        assert!(
            rig.begin(QUIC, &format!("/ip4/192.0.2.{n}/udp/?/quic-v1"), false)
                .is_some()
        );
    }
    assert_eq!(rig.under_way(), 8);
}

#[test]
fn what_is_over_leaves_nothing_behind() {
    let mut rig = Rig::new();
    let ids: Vec<_> = (0..10)
        .filter_map(|n| rig.begin(TCP, &format!("/ip4/192.0.2.{n}/tcp/?"), n % 2 == 0))
        .collect();
    for id in ids {
        rig.fail(id);
        rig.fail(id);
    }
    rig.passages.clear();
    assert_eq!((rig.under_way(), rig.gate.len()), (0, 0));
    let pools = rig.behaviour.pools.values();
    assert!(pools.into_iter().all(|pool| pool.networks.is_empty()));
    assert!(rig.behaviour.under_way.is_empty());
}
