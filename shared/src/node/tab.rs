//! Stands in for `sockets` in a browser, which has no sockets of its own, and WebRTC in place of holes punched with them.

use libp2p::{
    PeerId, identify,
    swarm::{ConnectionId, NetworkBehaviour},
};
use web_time::Instant;

use crate::{
    budget::Budget,
    config::NodeConfig,
    connector::{Connector, Input},
    platform,
    protocols::webrtc,
    reason::{Cause, Reason},
};

/// WebRTC by circuits, and who decides on it.
#[derive(NetworkBehaviour)]
pub(crate) struct Behaviour {
    direct: platform::WebRtc,
    upgrade: webrtc::Behaviour,
}

pub(super) fn behaviour(
    _: PeerId,
    _: &NodeConfig,
    _: Budget,
    direct: platform::WebRtc,
) -> Behaviour {
    Behaviour {
        direct,
        upgrade: webrtc::Behaviour::default(),
    }
}

pub(super) fn pass_on(event: BehaviourEvent, connector: &mut Connector) {
    match event {
        BehaviourEvent::Direct(never) => match never {},
        BehaviourEvent::Upgrade(webrtc::Event { peer, reason }) => {
            let cause = Cause::new(Reason::HolePunchFailed, reason);
            connector.handle(Instant::now(), Input::UpgradeFailed { peer, cause });
        }
    }
}

pub(super) const fn network_changed(_: bool, _: &mut Connector) {}

pub(super) fn identified(
    behaviour: &mut Behaviour,
    _: (PeerId, bool),
    conn: ConnectionId,
    info: &identify::Info,
) {
    if webrtc::is_wanted(&info.protocols, platform::HOLE_PUNCH) && platform::has_webrtc() {
        behaviour.upgrade.speaks(conn);
    }
}

/// Tries at once what waits.
pub(super) fn hurry(behaviour: &mut Behaviour) {
    behaviour.upgrade.hurry();
}
