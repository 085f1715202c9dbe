//! Random histories, beside a model.

use proptest::{prelude::*, sample::Index};

use std::collections::BTreeMap;

use super::*;

/// What happens.
#[derive(Debug, Clone)]
enum Step {
    Register(Index, bool),
    Unregister(Index, bool),
    Wait(u64),
    Discover(Index),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (any::<Index>(), any::<bool>()).prop_map(|(peer, room)| Step::Register(peer, room)),
        1 => (any::<Index>(), any::<bool>()).prop_map(|(peer, room)| Step::Unregister(peer, room)),
        1 => (0u64..5_000).prop_map(Step::Wait),
        3 => any::<Index>().prop_map(Step::Discover),
    ];
    proptest::collection::vec(step, 1..80)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whoever asks on from cookie to cookie learns of each registration once, and of none that is gone.
    #[test]
    fn each_registration_is_given_once(steps in steps()) {
        let mut rig = Rig::new();
        let keys: Vec<_> = (0..5).map(|_| key()).collect();
        // The model: of each peer in the room, until when, and which askers know of it.
        let mut room = BTreeMap::<PeerId, (Instant, [bool; 3])>::new();
        let mut cookies = [const { None }; 3];
        for step in steps {
            match step {
                Step::Register(peer, in_room) => {
                    let key = peer.get(&keys);
                    let namespace = if in_room { "room" } else { "other room" };
                    rig.network = Some([192, 0, 2, peer.index(2) as u8].into());
                    prop_assert_eq!(rig.register(key, namespace), Status::Ok);
                    if in_room {
                        let expires = rig.now + Duration::from_secs(LIMITS.max_ttl);
                        room.insert(id(key), (expires, [false; 3]));
                    }
                }
                Step::Unregister(peer, in_room) => {
                    let key = peer.get(&keys);
                    let namespace = if in_room { "room" } else { "other room" };
                    let had = rig.unregister(key, namespace);
                    if in_room {
                        prop_assert_eq!(had, room.remove(&id(key)).is_some());
                    }
                }
                Step::Wait(seconds) => {
                    rig.wait(seconds);
                    let now = rig.now;
                    room.retain(|_, (expires, _)| *expires > now);
                }
                Step::Discover(asker) => {
                    let asker = asker.index(3);
                    let (mut found, cookie) = rig.discover("room", cookies[asker].take());
                    cookies[asker] = Some(cookie);
                    found.sort();
                    let mut expected = Vec::new();
                    for (peer, (_, known)) in &mut room {
                        if !std::mem::replace(&mut known[asker], true) {
                            expected.push(*peer);
                        }
                    }
                    prop_assert_eq!(found, expected);
                }
            }
        }
        rig.wait(LIMITS.max_ttl);
        rig.server.registry.assert_empty();
    }
}
