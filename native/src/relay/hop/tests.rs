//! What is given out in which state of the relay.

use futures::FutureExt;

use super::*;
use crate::relay::{access::Files, limits::tests::limits};

fn relay(memory: Memory) -> Behaviour {
    let (access, _keeper) = Files::default().load().unwrap();
    Behaviour::new(PeerId::random(), limits("").hop(), access, memory)
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
