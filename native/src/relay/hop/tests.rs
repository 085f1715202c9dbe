//! What is given out in which state of the relay.

use futures::FutureExt;

use super::*;
use crate::relay::{access::Files, limits::tests::limits};

fn relay(memory: Memory) -> Behaviour {
    relay_with("", memory)
}

fn relay_with(options: &str, memory: Memory) -> Behaviour {
    let (access, _keeper) = Files::default().load().unwrap();
    Behaviour::new(PeerId::random(), limits(options).hop(), access, memory)
}

fn somebody() -> Source {
    Source {
        peer: PeerId::random(),
        connection: ConnectionId::new_unchecked(1),
        ip: None,
    }
}

fn reserve(relay: &mut Behaviour, from: Source) -> i32 {
    let (reply, answer) = oneshot::channel();
    relay.reserve(from, reply);
    answer.now_or_never().unwrap().unwrap().status.unwrap()
}

/// None if there is a circuit.
fn connect(relay: &mut Behaviour, from: Source, to: PeerId) -> Option<Status> {
    let (reply, answer) = oneshot::channel();
    relay.connect(from, to, reply);
    answer.now_or_never().unwrap().unwrap().err()
}

#[tokio::test]
async fn what_there_is_goes_on_while_memory_is_short() {
    let mut relay = relay(Memory::default());
    let (old, new) = (somebody(), somebody());
    assert_eq!(reserve(&mut relay, old), Status::Ok as i32);
    assert_eq!(connect(&mut relay, new, old.peer), None);
    relay.memory = Memory::short();
    assert_eq!(reserve(&mut relay, old), Status::Ok as i32, "a renewal");
    let refused = Status::ResourceLimitExceeded;
    assert_eq!(reserve(&mut relay, new), refused as i32);
    assert_eq!(connect(&mut relay, new, old.peer), Some(refused));
    assert_eq!(relay.reserved_peers(), 1);
}

#[tokio::test]
async fn a_relay_that_stops_gives_nothing_out() {
    let mut relay = relay(Memory::default());
    let (old, new) = (somebody(), somebody());
    reserve(&mut relay, old);
    relay.close();
    assert_eq!(
        reserve(&mut relay, new),
        Status::ResourceLimitExceeded as i32
    );
    assert_eq!(
        connect(&mut relay, new, old.peer),
        Some(Status::ResourceLimitExceeded)
    );
}

#[tokio::test]
async fn a_peers_circuits_share_its_rate_whichever_side_it_is_on() {
    let options = "max-circuit-rate-per-peer = 1000\nmax-circuit-rate-per-ip = 0";
    let mut relay = relay_with(options, Memory::default());
    let [one, other, third, fourth] = [somebody(), somebody(), somebody(), somebody()];
    let mut rates = |from: Source, to: Source| relay.rates_of(from, to.peer);
    let (called, calls, apart) = (rates(other, one), rates(one, third), rates(third, fourth));
    let shared = |a: &[SharedRate], b: &[SharedRate]| {
        let same = |rate| b.iter().any(|other| Arc::ptr_eq(rate, other));
        a.iter().filter(|rate| same(*rate)).count()
    };
    // The rate of all is shared by all; beside it, that of `one`, of `third`, and of nobody.
    assert_eq!(shared(&called, &calls), 2);
    assert_eq!(shared(&calls, &apart), 2);
    assert_eq!(shared(&called, &apart), 1);
    assert_eq!([&called, &calls, &apart].map(Vec::len), [3; 3]);
}
