//! In a browser there is no socket of one's own, and so nothing to do with one.

use std::convert::Infallible;

use libp2p::{
    PeerId, identify,
    swarm::{ConnectionId, dummy},
};

use crate::{config::NodeConfig, connector::Connector};

/// Nothing; and not libp2p's behaviours, which would come along in the wasm.
pub(crate) type Behaviour = dummy::Behaviour;

pub(crate) const fn behaviour(_: PeerId, _: &NodeConfig) -> Behaviour {
    dummy::Behaviour
}

pub(crate) const fn report(_: &mut Connector, event: Infallible) {
    match event {}
}

pub(crate) const fn network_changed(_: &mut Connector, _: bool) {}

pub(crate) const fn hole_punch_hint(
    _: &mut Behaviour,
    _: (PeerId, bool),
    _: ConnectionId,
    _: &identify::Info,
) {
}
