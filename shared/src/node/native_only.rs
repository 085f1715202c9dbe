//! What only a terminal's peer does with its network.

use libp2p::{
    PeerId, identify,
    swarm::{ConnectionId, NetworkBehaviour, behaviour::toggle::Toggle},
};

use crate::{
    config::NodeConfig,
    connector::{Input, News},
    platform::OwnNetwork,
    protocols::{lan::Lan, port_mapping::PortMapping, punch},
    reason::{Cause, Reason},
};

/// Each part may be switched off.
#[derive(NetworkBehaviour)]
#[behaviour(to_swarm = "BehaviourEvent")]
pub(crate) struct Behaviour {
    hole_punch: Toggle<punch::Behaviour>,
    lan: Toggle<Lan>,
    port_mapping: Toggle<PortMapping>,
}

#[derive(Debug)]
pub(crate) enum BehaviourEvent {
    HolePunch(punch::Event),
    Network(News),
}

/// For the peer with this id, which is ours.
pub(crate) fn behaviour(me: PeerId, config: &NodeConfig) -> Behaviour {
    let hole_punch = config.hole_punch.then(|| punch::Behaviour::new(me));
    let lan = config.mdns.then(|| Lan::new(me, &config.namespace));
    let port_mapping = config.port_mapping.then(PortMapping::new);
    Behaviour {
        hole_punch: hole_punch.into(),
        lan: lan.into(),
        port_mapping: port_mapping.into(),
    }
}

/// What the session has to know of it.
pub(crate) fn told(event: BehaviourEvent) -> Option<Input> {
    match event {
        BehaviourEvent::Network(news) => Some(Input::Network(news, OwnNetwork)),
        BehaviourEvent::HolePunch(punch::Event { peer, reason }) => {
            let cause = Cause::of_error(Reason::HolePunchFailed, &reason);
            Some(Input::UpgradeFailed { peer, cause })
        }
    }
}

/// What identify told that is of use for a hole punch: where one of our relays sees us, or where a
/// peer at the other end of a circuit listens.
pub(crate) fn hole_punch_hint(
    behaviour: &mut Behaviour,
    (peer, is_relay): (PeerId, bool),
    conn: ConnectionId,
    info: &identify::Info,
) {
    let Some(punch) = behaviour.hole_punch.as_mut() else {
        return;
    };
    if is_relay {
        punch.observed(peer, conn, &info.observed_addr);
    }
    punch.listens(conn, &info.listen_addrs);
}

impl From<punch::Event> for BehaviourEvent {
    fn from(event: punch::Event) -> Self {
        Self::HolePunch(event)
    }
}

impl From<News> for BehaviourEvent {
    fn from(news: News) -> Self {
        Self::Network(news)
    }
}
