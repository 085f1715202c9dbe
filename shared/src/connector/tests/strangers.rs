//! What strangers can have us do with records: how many dials, to whom, and who waits behind them.

use super::{hostile::many, *};
use crate::connector::peers::{MAX_PEERS, dialling::MAX_RUNNING_DIALS};

/// Where a stranger would like to see our packets.
const VICTIM: &str = "/ip4/203.0.113.7/tcp/4000";

impl Rig {
    /// The relay lists made-up peers, each of which says that it is where the victim is.
    fn list_fakes(&mut self, numbers: std::ops::Range<u32>) {
        let fakes = numbers.map(|n| (many(n), vec![a(VICTIM)]));
        self.discovered(id(RELAY), fakes.collect());
    }

    /// A peer is listed with an address, and answers by the circuit that we dial.
    fn answers(&mut self, peer: PeerId, address: &str) {
        self.list(peer, &[address]);
        let (dial, _, _) = self.dials().pop().expect("a dial");
        let through = circuit(QUIC, peer);
        let conn = self.connect_as(peer, through.clone(), true, Some(dial));
        self.path(peer, conn, &through);
    }

    /// The dials that run now end: the relay has no circuit there. Returns where to they were.
    fn fail_all(&mut self) -> Vec<(Option<PeerId>, Vec<Multiaddr>)> {
        let dials = self.dials();
        self.take();
        for (dial, ..) in &dials {
            self.fail(*dial);
        }
        dials.into_iter().map(|(_, peer, to)| (peer, to)).collect()
    }
}

#[test]
fn the_living_do_not_wait_behind_the_dead() {
    let (mut rig, _) = Rig::with_relay();
    rig.list_fakes(0..1_000);
    let mut dialled = rig.fail_all().len();
    assert_eq!(dialled, MAX_RUNNING_DIALS);
    // The newest of all, with a thousand before it that nobody has tried yet.
    rig.list(id(SMALL), &[]);
    rig.list(id(LARGE), &[]);
    let mut met = Vec::new();
    while met.len() < 2 {
        rig.advance(millis(1));
        let dials = rig.fail_all();
        dialled += dials.len();
        assert!(dialled <= 3 * MAX_RUNNING_DIALS, "{dialled}");
        let living = dials.iter().filter_map(|(peer, _)| *peer);
        met.extend(living.filter(|peer| [id(SMALL), id(LARGE)].contains(peer)));
    }
}

#[test]
fn the_dead_are_given_up() {
    let (mut rig, _) = Rig::with_relay();
    rig.list_fakes(0..200);
    let mut dialled = 0;
    for _ in 0..10 * 60 {
        rig.advance(secs(1));
        dialled += rig.fail_all().len();
    }
    assert!(dialled <= 7 * 200, "{dialled}");
    rig.advance(secs(60));
    assert_eq!(rig.fail_all(), []);
}

#[test]
fn a_full_table_has_room_for_newcomers() {
    let (mut rig, _) = Rig::with_relay();
    rig.list_fakes(0..MAX_PEERS as u32);
    rig.fail_all();
    for newcomer in [id(SMALL), id(LARGE)] {
        rig.list(newcomer, &[DIRECT]);
        let discovered = rig.events();
        assert!(
            discovered
                .iter()
                .any(|event| matches!(event, Event::Discovered { peer, .. } if *peer == newcomer)),
            "{discovered:?}"
        );
    }
    assert_eq!(rig.connector.peers.len(), MAX_PEERS);
}

/// Ten members and a thousand records send a victim nothing: the records are all that says that somebody is there.
#[test]
fn a_record_alone_has_nothing_sent_to_where_it_points() {
    let (mut rig, _) = Rig::with_relay();
    for round in 0..20 {
        rig.list_fakes(0..1_000);
        rig.advance(secs(30));
        for (peer, to) in rig.fail_all() {
            assert!(
                to.iter().all(addresses::has_circuit),
                "{round} {peer:?} {to:?}"
            );
        }
    }
}

/// A stranger whose peers answer, too: what they can have sent to a victim is bounded, however many they are.
#[test]
fn those_who_answer_share_one_budget() {
    let (mut rig, _) = Rig::new_without_punching();
    let mut aimed = 0;
    for n in 0..500 {
        rig.answers(many(n), VICTIM);
        aimed += rig
            .fail_all()
            .iter()
            .flat_map(|(_, to)| to)
            .filter(|to| !addresses::has_circuit(to))
            .count();
    }
    assert!((1..=10).contains(&aimed), "{aimed}");
}

#[test]
fn who_answers_through_the_relay_is_dialled_where_it_is_listed() {
    let (mut rig, _) = Rig::new_without_punching();
    rig.answers(id(SMALL), DIRECT);
    let dials = rig.dials().into_iter().map(|(_, _, to)| to);
    let expected = [circuit(QUIC, id(SMALL)), at(DIRECT, id(SMALL))];
    assert_eq!(dials.flatten().collect::<Vec<_>>(), expected);
}

#[test]
fn who_does_not_see_all_is_told_how_many_are_missing() {
    let (mut rig, _) = Rig::with_relay();
    rig.list_fakes(0..40);
    let full = || Cause::new(Reason::RelayFull, "no more circuits");
    let mut dialled = 0;
    for _ in 0..100 {
        let dials = rig.dials();
        rig.out
            .retain(|output| !matches!(output, Output::Dial { .. }));
        dialled += dials.len();
        for (dial, ..) in dials {
            rig.input(Input::DialFailed {
                dial,
                cause: full(),
            });
        }
        rig.advance(millis(100));
    }
    let expected = "cannot reach 40 peers: the relay has no more circuits; retrying";
    assert_eq!(rig.errors(), [expected]);
    assert!(dialled > 40, "they are tried again");
    // Not given up: one may leave, and there is room.
    for _ in 0..10 {
        rig.advance(secs(30));
        for (dial, ..) in rig.dials() {
            rig.input(Input::DialFailed {
                dial,
                cause: full(),
            });
        }
        rig.out
            .retain(|output| !matches!(output, Output::Dial { .. }));
    }
    rig.list_fakes(0..1);
    assert_eq!(rig.errors(), Vec::<String>::new());
}
