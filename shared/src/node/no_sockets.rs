//! Stands in for `sockets` in a browser, which has no sockets of its own.

use std::convert::Infallible;

use libp2p::{
    PeerId, identify,
    swarm::{ConnectionId, dummy},
};

use crate::{budget::Budget, config::NodeConfig, connector::Connector};

/// Does nothing.
pub(crate) type Behaviour = dummy::Behaviour;

pub(super) fn behaviour(_: PeerId, _: &NodeConfig, _: Budget) -> Behaviour {
    dummy::Behaviour
}

pub(super) const fn pass_on(event: Infallible, _: &mut Connector) {
    match event {}
}

pub(super) const fn network_changed(_: bool, _: &mut Connector) {}

pub(super) const fn identified(
    _: &mut Behaviour,
    _: (PeerId, bool),
    _: ConnectionId,
    _: &identify::Info,
) {
}
