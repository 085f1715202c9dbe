//! What all supervisors share.

use libp2p::PeerId;
use web_time::Instant;

use super::{Output, observation::Observer};
use crate::{
    config::NodeConfig,
    connector::{context::Context, purpose::Purpose},
    event::Event,
    path::ConnId,
    reason::Reason,
    table::Table,
};

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) namespace: String,
    /// How relays come to observe us for hole punches, where there are any.
    pub(super) observer: Option<Observer>,
    /// The paths that messages take to peers.
    pub(super) paths: Table<PeerId, PathOfPeer>,
    /// When somebody else with our identity was reported.
    pub(super) stranger_reported: Option<Instant>,
    pub(super) outputs: Vec<Output>,
}

#[derive(Debug, PartialEq, Eq)]
pub(in crate::connector) struct PathOfPeer {
    pub(in crate::connector) conn: ConnId,
    pub(in crate::connector) relayed: bool,
    /// The relay that the path leads through, if it is relayed and shows by which.
    pub(in crate::connector) via: Option<PeerId>,
}

impl Shared {
    pub(super) fn new(config: &NodeConfig) -> Self {
        Self {
            namespace: config.namespace.clone(),
            observer: None,
            paths: Table::new(),
            stranger_reported: None,
            outputs: Vec::new(),
        }
    }

    pub(super) fn emit(&mut self, event: Event) {
        self.outputs.push(Output::Emit(event));
    }

    pub(super) fn error(&mut self, code: Reason, message: String) {
        self.emit(Event::Error { code, message });
    }

    /// Whether messages to a peer go by this relay, on a path that is not dead yet.
    pub(super) fn carries_a_path(&self, relay: Option<PeerId>) -> bool {
        let mut paths = self.paths.values();
        paths.any(|path| path.relayed && path.via == relay)
    }

    pub(super) fn is_path(&self, peer: PeerId, conn: ConnId) -> bool {
        self.paths.get(&peer).is_some_and(|path| path.conn == conn)
    }

    /// Closes what a supervisor dialled, unless messages have taken to it.
    pub(super) fn close_unless_in_use(&mut self, cx: &Context<'_>, id: ConnId) {
        let Some(conn) = cx.connections.get(id) else {
            return;
        };
        let ours = !matches!(conn.purpose, Some(Purpose::Peer(_) | Purpose::Target(_)));
        if ours && !self.is_path(conn.peer, id) {
            self.outputs.push(Output::Close(id));
        }
    }
}
