//! What a peer with sockets of its own does with them: punches holes, finds others on its network, and has the
//! gateway map its ports.
//!
//! `tab` stands in for this file in a browser, which has no sockets: neither the three protocols nor their
//! code come along in the wasm.

use libp2p::{
    PeerId, identify,
    swarm::{ConnectionId, NetworkBehaviour, behaviour::toggle::Toggle},
};
use web_time::Instant;

use crate::{
    budget::Budget,
    config::NodeConfig,
    connector::{Connector, Input, NetworkInput},
    platform,
    protocols::{lan, port_mapping, punch, webrtc},
    reason::{Cause, Reason},
};

/// The protocols, each of which may be switched off.
#[derive(NetworkBehaviour)]
pub(crate) struct Behaviour {
    punch: Toggle<punch::Behaviour>,
    lan: Toggle<lan::Behaviour>,
    port_mapping: Toggle<port_mapping::Behaviour>,
    /// To browsers, WebRTC takes the place of holes punched.
    direct: Toggle<platform::WebRtc>,
    upgrade: Toggle<webrtc::Behaviour>,
}

/// Makes the behaviour of the peer with this id, which is ours.
pub(super) fn behaviour(
    me: PeerId,
    config: &NodeConfig,
    budget: Budget,
    direct: platform::WebRtc,
) -> Behaviour {
    let punch = config.hole_punch.then(|| punch::Behaviour::new(me, budget));
    let lan = config
        .mdns
        .then(|| lan::Behaviour::new(me, &config.namespace));
    let port_mapping = config.port_mapping.then(port_mapping::Behaviour::new);
    let upgrade = config.hole_punch.then(webrtc::Behaviour::default);
    Behaviour {
        direct: config.hole_punch.then_some(direct).into(),
        upgrade: upgrade.into(),
        punch: punch.into(),
        lan: lan.into(),
        port_mapping: port_mapping.into(),
    }
}

/// Passes on what an event means to the connector.
pub(super) fn pass_on(event: BehaviourEvent, connector: &mut Connector) {
    let now = Instant::now();
    let input = match event {
        BehaviourEvent::Punch(punch::Event { peer, reason }) => {
            let cause = Cause::of_error(Reason::HolePunchFailed, &reason);
            return connector.handle(now, Input::UpgradeFailed { peer, cause });
        }
        BehaviourEvent::Direct(never) => match never {},
        // The hole punch, which does not work with a browser either, says so.
        BehaviourEvent::Upgrade(webrtc::Event { peer, reason }) => {
            return tracing::debug!(%peer, reason, "no direct path over WebRTC");
        }
        BehaviourEvent::Lan(lan::Event::Announced { peer, addresses }) => {
            NetworkInput::Announced { peer, addresses }
        }
        BehaviourEvent::PortMapping(port_mapping::Event::Mapped { address }) => {
            NetworkInput::Mapped { address }
        }
        BehaviourEvent::Lan(lan::Event::Failed { cause })
        | BehaviourEvent::PortMapping(port_mapping::Event::Failed { cause }) => {
            NetworkInput::Failed { cause }
        }
    };
    connector.handle_network(now, input);
}

/// Passes on that this machine has an address more, or (`lost`) less.
pub(super) fn network_changed(lost: bool, connector: &mut Connector) {
    connector.handle_network(Instant::now(), NetworkInput::Changed { lost });
}

/// Tries at once what waits. Holes are punched again when the connector says so, which has the timers.
pub(super) fn hurry(behaviour: &mut Behaviour) {
    if let Some(upgrade) = behaviour.upgrade.as_mut() {
        upgrade.hurry();
    }
}

/// Passes on what identify says that helps a hole punch: where one of our relays sees us, and where a peer at the
/// other end of a circuit listens.
pub(super) fn identified(
    behaviour: &mut Behaviour,
    (peer, is_our_relay): (PeerId, bool),
    conn: ConnectionId,
    info: &identify::Info,
) {
    if let Some(upgrade) = behaviour.upgrade.as_mut()
        && webrtc::is_wanted(&info.protocols, platform::HOLE_PUNCH)
    {
        upgrade.speaks(conn);
    }
    let Some(punch) = behaviour.punch.as_mut() else {
        return;
    };
    if is_our_relay {
        punch.observed(peer, conn, &info.observed_addr);
    }
    punch.listens(conn, &info.listen_addrs);
}
