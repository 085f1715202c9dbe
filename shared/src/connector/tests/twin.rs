//! Somebody else with our identity.

use super::*;
use crate::connector::relays::twin::{NEXT_SECOND, TWIN_PAUSE};

fn in_use(rig: &mut Rig) -> usize {
    let events = rig.events();
    let reported = |event: &&Event| {
        matches!(
            event,
            Event::Error {
                code: Reason::IdentityInUse,
                ..
            }
        )
    };
    events.iter().filter(reported).count()
}

#[test]
fn a_registration_that_is_none_of_ours_is_reported_and_replaced() {
    let (mut rig, _) = Rig::with_relay();
    let stranger = || Input::Stranger { point: id(RELAY) };
    rig.wait_for(secs(30), is_discover);
    rig.take();
    rig.input(stranger());
    assert_eq!(in_use(&mut rig), 1);
    assert_eq!(rig.wait_for(secs(30), is_register), NEXT_SECOND);
    rig.take();
    rig.input(stranger());
    assert_eq!(in_use(&mut rig), 0, "not again and again");
    rig.advance(TWIN_PAUSE);
    rig.take();
    rig.input(stranger());
    assert_eq!(in_use(&mut rig), 1);
}
