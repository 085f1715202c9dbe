//! What only a terminal's peer does with its network.

use libp2p::{
    PeerId, identify,
    swarm::{ConnectionId, NetworkBehaviour, behaviour::toggle::Toggle},
};
use web_time::Instant;

use crate::{
    config::NodeConfig,
    connector::{Connector, Input, NetworkInput},
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
    Network(NetworkInput),
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

/// Passes on what the connector has to know of it.
pub(crate) fn report(connector: &mut Connector, event: BehaviourEvent) {
    let now = Instant::now();
    match event {
        BehaviourEvent::Network(input) => connector.handle_network(now, input),
        BehaviourEvent::HolePunch(punch::Event { peer, reason }) => {
            let cause = Cause::of_error(Reason::HolePunchFailed, &reason);
            connector.handle(now, Input::UpgradeFailed { peer, cause });
        }
    }
}

/// This machine has an address more, or (`lost`) less.
pub(crate) fn network_changed(connector: &mut Connector, lost: bool) {
    connector.handle_network(Instant::now(), NetworkInput::Changed { lost });
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

impl From<NetworkInput> for BehaviourEvent {
    fn from(news: NetworkInput) -> Self {
        Self::Network(news)
    }
}
