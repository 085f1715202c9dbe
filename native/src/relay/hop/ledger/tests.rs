//! Who gets what, and who makes room, with a clock of the tests' own.

use std::num::NonZeroU32;

use proptest::prelude::*;

use super::{room::SPARE_AFTER, *};

const OFTEN: Rate = Rate {
    burst: NonZeroU32::new(1_000_000).unwrap(),
    interval: Duration::from_millis(1),
};
const SHARE: Share = Share {
    of_address: 20,
    of_site: 20,
    of_private: 20,
};
const LIMITS: Limits = Limits {
    max_reservations: 1_000,
    max_reservations_per_peer: 2,
    reservation_duration: Duration::from_secs(600),
    reservation_rate_per_peer: OFTEN,
    reservation_rate_per_network: OFTEN,
    max_circuits: 30,
    max_circuits_per_peer: 5,
    circuits_of_network: SHARE,
    circuit_rate_per_peer: OFTEN,
    circuit_rate_per_network: OFTEN,
};

struct Rig {
    ledger: Ledger,
    start: Instant,
    now: Instant,
    connections: usize,
}

impl Rig {
    fn new(limits: Limits) -> Self {
        let start = Instant::now();
        Self {
            ledger: Ledger::new(limits, start),
            start,
            now: start,
            connections: 0,
        }
    }

    /// Somebody new at an address whose last number this is.
    fn newcomer(&mut self, at: u8) -> Source {
        self.connections += 1;
        Source {
            peer: PeerId::random(),
            connection: ConnectionId::new_unchecked(self.connections),
            ip: Some([192, 0, 2, at].into()),
        }
    }

    /// Somebody new with a reservation.
    fn callee(&mut self, at: u8) -> Source {
        let callee = self.newcomer(at);
        assert_eq!(self.ledger.reserve(self.now, callee), Ok(false));
        callee
    }

    fn connect(&mut self, from: Source, to: Source) -> Result<Admitted, &'static str> {
        let admitted = self.ledger.connect(self.now, from, to.peer);
        admitted.map_err(|refusal| refusal.what.unwrap_or("no reservation"))
    }

    fn call(&mut self, at: u8, to: Source) -> Result<Admitted, &'static str> {
        let from = self.newcomer(at);
        self.connect(from, to)
    }

    fn wait(&mut self, time: Duration) {
        self.now += time;
    }

    fn carry(&self, circuit: &Admitted) {
        circuit.activity.note(self.now - self.start);
    }
}

fn cut(admitted: &Admitted) -> Vec<CircuitId> {
    admitted.cut.iter().map(|(id, _)| *id).collect()
}

#[test]
fn a_reservation_ends_with_its_connection_or_its_time() {
    let mut rig = Rig::new(LIMITS);
    let peer = rig.callee(1);
    let other = Source {
        connection: ConnectionId::new_unchecked(99),
        ..peer
    };
    assert_eq!(rig.ledger.reserve(rig.now, peer), Ok(true));
    assert_eq!(rig.ledger.reserve(rig.now, other), Ok(false));
    assert_eq!(rig.ledger.peers(), 1);
    assert!(!rig.ledger.connection_closed(peer.peer, peer.connection));
    assert!(!rig.ledger.connection_closed(peer.peer, peer.connection));
    rig.wait(Duration::from_secs(599));
    assert_eq!(rig.ledger.expired(rig.now), None);
    rig.wait(Duration::from_secs(1));
    let expected = (peer.peer, other.connection, true);
    assert_eq!(rig.ledger.expired(rig.now), Some(expected));
    assert_eq!(rig.ledger.next_expiry(), None);
    rig.ledger.assert_empty();
}

#[test]
fn a_peer_has_as_many_reservations_as_it_may_have() {
    let mut rig = Rig::new(LIMITS);
    let mut peer = rig.newcomer(1);
    for (connection, expected) in [(1, Ok(false)), (2, Ok(false)), (2, Ok(true))] {
        peer.connection = ConnectionId::new_unchecked(connection);
        assert_eq!(rig.ledger.reserve(rig.now, peer), expected);
    }
    peer.connection = ConnectionId::new_unchecked(3);
    let refused = rig.ledger.reserve(rig.now, peer).unwrap_err();
    assert_eq!(refused.what, Some("reservations of one peer"));
}

#[test]
fn whoever_has_one_keeps_it_when_there_are_no_more() {
    let mut rig = Rig::new(Limits {
        max_reservations: 2,
        ..LIMITS
    });
    let (a, b) = (rig.callee(1), rig.callee(1));
    let c = rig.newcomer(1);
    let refused = rig.ledger.reserve(rig.now, c).unwrap_err();
    assert_eq!(refused.what, Some("reservations"));
    assert_eq!(rig.ledger.reserve(rig.now, a), Ok(true));
    assert!(rig.ledger.connection_closed(b.peer, b.connection));
    assert_eq!(rig.ledger.reserve(rig.now, c), Ok(false));
}

/// An office behind one address, after a restart and then at the end of their reservations.
#[test]
fn who_is_here_does_not_wait_behind_newcomers() {
    let mut rig = Rig::new(Limits {
        reservation_rate_per_network: Rate {
            burst: NonZeroU32::new(10).unwrap(),
            interval: Duration::from_secs(1),
        },
        ..LIMITS
    });
    let here: Vec<_> = (0..10).map(|_| rig.callee(1)).collect();
    let late = rig.newcomer(1);
    assert!(rig.ledger.reserve(rig.now, late).is_err());
    for peer in here {
        assert_eq!(rig.ledger.reserve(rig.now, peer), Ok(true));
    }
    rig.wait(Duration::from_secs(1));
    assert_eq!(rig.ledger.reserve(rig.now, late), Ok(false));
}

#[test]
fn nobody_is_called_without_a_reservation() {
    let mut rig = Rig::new(Limits {
        circuit_rate_per_peer: Rate {
            burst: NonZeroU32::MIN,
            interval: Duration::from_secs(60),
        },
        ..LIMITS
    });
    let (caller, absent) = (rig.newcomer(1), rig.newcomer(2));
    // A room full of the dead must not use up what there is for the living.
    for _ in 0..1_000 {
        let refused = rig.ledger.connect(rig.now, caller, absent.peer);
        assert_eq!(refused.unwrap_err().status, Status::NoReservation);
    }
    let callee = rig.callee(3);
    assert!(rig.connect(caller, callee).is_ok());
    assert!(rig.connect(caller, callee).is_err(), "too often");
}

#[test]
fn made_up_peers_of_one_network_make_room_for_others() {
    let mut rig = Rig::new(LIMITS);
    let victim = rig.callee(1);
    let fakes: Vec<_> = (0..5).map(|_| rig.call(66, victim).unwrap()).collect();
    assert_eq!(rig.call(66, victim).unwrap_err(), "circuits of one peer");
    rig.wait(Duration::from_secs(1));
    // All but the second are busy.
    for fake in [&fakes[0], &fakes[2], &fakes[3], &fakes[4]] {
        rig.carry(fake);
    }
    let real = rig.call(2, victim).unwrap();
    assert_eq!(cut(&real), [fakes[1].id]);
    assert_eq!(cut(&rig.call(3, victim).unwrap()).len(), 1);
    rig.carry(&real);
    let third = cut(&rig.call(4, victim).unwrap());
    assert!(third.len() == 1 && third[0] != real.id, "{third:?}");
    rig.call(5, victim).unwrap();
    // Now it is one of each of five networks: none has more than a newcomer may claim.
    assert_eq!(rig.call(6, victim).unwrap_err(), "circuits of one peer");
    // The victim itself calls somebody, too.
    let friend = rig.callee(7);
    rig.wait(SPARE_AFTER);
    assert!(rig.connect(victim, friend).is_ok());
}

#[test]
fn idle_ones_make_room_within_a_network() {
    let mut rig = Rig::new(LIMITS);
    let callee = rig.callee(1);
    let old: Vec<_> = (0..5).map(|_| rig.call(2, callee).unwrap()).collect();
    rig.ledger.opened(old[3].id);
    rig.wait(SPARE_AFTER - Duration::from_millis(1));
    assert!(rig.call(2, callee).is_err());
    for busy in [0, 1, 2, 4] {
        rig.carry(&old[busy]);
    }
    rig.wait(Duration::from_millis(1));
    let new = rig.call(2, callee).unwrap();
    let [(id, Some((_, to)))] = new.cut[..] else {
        panic!("{:?}", new.cut);
    };
    assert_eq!((id, to), (old[3].id, callee.peer));
    assert!(rig.call(2, callee).is_err());
}

#[test]
fn one_network_has_its_share_of_all_circuits() {
    let mut rig = Rig::new(LIMITS);
    let callees: Vec<_> = (0..40).map(|n| rig.callee(n)).collect();
    let taken = callees.iter().filter(|to| rig.call(100, **to).is_ok());
    assert_eq!(taken.count(), SHARE.of_address as usize);
    let mut others = 0;
    for (at, to) in callees.iter().enumerate() {
        others += usize::from(rig.call(101 + at as u8 % 9, *to).is_ok());
    }
    assert_eq!(others, 27, "three each of ten networks");
    assert_eq!(rig.ledger.circuits.len(), LIMITS.max_circuits);
}

#[derive(Debug, Clone)]
enum Step {
    Reserve(usize),
    Close(usize),
    Call(usize, usize),
    End(usize),
    Open(usize),
    Wait(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let peer = || 0..12usize;
    let step = prop_oneof![
        3 => peer().prop_map(Step::Reserve),
        1 => peer().prop_map(Step::Close),
        6 => (peer(), peer()).prop_map(|(a, b)| Step::Call(a, b)),
        2 => (0..60usize).prop_map(Step::End),
        2 => (0..60usize).prop_map(Step::Open),
        1 => (0..700u64).prop_map(Step::Wait),
    ];
    prop::collection::vec(step, 0..200)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever happens, the limits hold, and in the end nothing is left.
    #[test]
    fn the_limits_hold_and_nothing_is_left(steps in steps()) {
        let mut rig = Rig::new(LIMITS);
        let peers: Vec<_> = (0..12).map(|n| rig.newcomer(n)).collect();
        let mut circuits = Vec::new();
        for step in steps {
            match step {
                Step::Reserve(peer) => { let _ = rig.ledger.reserve(rig.now, peers[peer]); }
                Step::Close(peer) => {
                    rig.ledger.connection_closed(peers[peer].peer, peers[peer].connection);
                }
                Step::Call(from, to) => {
                    if let Ok(admitted) = rig.connect(peers[from], peers[to]) {
                        circuits.push(admitted.id);
                    }
                }
                Step::End(at) => { circuits.get(at).map(|id| rig.ledger.ended(*id)); }
                Step::Open(at) => { circuits.get(at).map(|id| rig.ledger.opened(*id)); }
                Step::Wait(seconds) => {
                    rig.wait(Duration::from_secs(seconds));
                    while rig.ledger.expired(rig.now).is_some() {}
                }
            }
            prop_assert!(rig.ledger.circuits.len() <= LIMITS.max_circuits);
            for ids in rig.ledger.of_peer.values() {
                prop_assert!(ids.len() <= LIMITS.max_circuits_per_peer);
            }
        }
        for id in circuits {
            rig.ledger.ended(id);
        }
        rig.wait(LIMITS.reservation_duration);
        while rig.ledger.expired(rig.now).is_some() {}
        rig.ledger.assert_empty();
    }
}
