//! What a machine may know and use while it handles something.

use libp2p::PeerId;
use rand::rngs::StdRng;
use web_time::Instant;

use super::{DialId, connections::Connections};

/// Passed by the [`super::Connector`] into each call of a machine.
#[derive(Debug)]
pub(super) struct Context<'a> {
    /// The time of what is being handled.
    pub(super) now: Instant,
    /// Our own peer id.
    pub(super) local: PeerId,
    /// All configured listeners are up.
    pub(super) listening: bool,
    /// The only source of randomness.
    pub(super) rng: &'a mut StdRng,
    /// Every standing connection. Machines read it; the `Connector` keeps it.
    pub(super) connections: &'a Connections,
    pub(super) dial_count: &'a mut u64,
}

impl Context<'_> {
    /// A number for a new dial, so that who asks for the dial knows it by that number at once.
    pub(super) const fn new_dial(&mut self) -> DialId {
        *self.dial_count += 1;
        DialId(*self.dial_count)
    }
}
