//! What the streams of one connection share.

use std::sync::Arc;

use libp2p::swarm::ConnectionId;
use web_time::Instant;

use super::{hub::Hub, link::Link};
use crate::event::Transport;

/// What the streams of one connection need to know of it.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) id: ConnectionId,
    pub(crate) transport: Transport,
    pub(crate) hub: Arc<Hub>,
    pub(crate) link: Arc<Link>,
    /// The last sign of life, as of the last probe interval.
    pub(crate) last_heard: Instant,
    heard: bool,
    carried_data: bool,
    idle: bool,
}

impl Connection {
    pub(crate) fn new(
        id: ConnectionId,
        transport: Transport,
        hub: Arc<Hub>,
        link: Arc<Link>,
    ) -> Self {
        Self {
            id,
            transport,
            hub,
            link,
            last_heard: Instant::now(),
            heard: false,
            carried_data: false,
            idle: false,
        }
    }

    /// The remote gave a sign of life.
    pub(crate) const fn heard(&mut self) {
        self.heard = true;
    }

    /// The remote sent a message.
    pub(crate) const fn heard_data(&mut self) {
        self.heard();
        self.carried_data();
    }

    /// A message went one way or the other.
    pub(crate) const fn carried_data(&mut self) {
        self.carried_data = true;
    }

    /// A probe interval has passed.
    pub(crate) fn tick(&mut self) {
        // The clock is read here, not for every frame.
        if std::mem::take(&mut self.heard) {
            self.last_heard = Instant::now();
        }
        self.idle = !std::mem::take(&mut self.carried_data);
    }

    /// Whether no message went either way in the last probe interval. Says so once.
    pub(crate) const fn take_idle(&mut self) -> bool {
        std::mem::replace(&mut self.idle, false)
    }

    pub(crate) fn small_writes(&self) -> bool {
        matches!(self.transport, Transport::Webrtc | Transport::WebrtcDirect)
    }
}
