use super::*;

/// Two ids, the smaller one first.
fn two() -> [PeerId; 2] {
    let mut ids = [PeerId::random(), PeerId::random()];
    ids.sort();
    ids
}

#[test]
fn of_two_that_cross_the_smaller_ids_counts() {
    let [small, great] = two();
    let (by_small, by_great) = (Glare::new(small), Glare::new(great));
    let dials = (by_small.dial(great), by_great.dial(small));
    assert!(dials.0.is_some() && dials.1.is_some());
    assert!(by_small.answer(great).is_none());
    assert!(by_great.answer(small).is_some());
}

#[test]
fn who_is_answering_does_not_dial() {
    let [small, great] = two();
    for (me, remote) in [(small, great), (great, small)] {
        let glare = Glare::new(me);
        let answer = glare.answer(remote).expect("nothing else is under way");
        assert!(glare.dial(remote).is_none());
        assert!(
            glare.dial(PeerId::random()).is_some(),
            "others are no matter"
        );
        drop(answer);
        assert!(glare.dial(remote).is_some());
    }
}

#[test]
fn an_attempt_that_ended_is_forgotten() {
    let [small, great] = two();
    let glare = Glare::new(small);
    drop(glare.dial(great));
    assert!(glare.answer(great).is_some());
    assert!(glare.attempts.lock().is_empty());
}
