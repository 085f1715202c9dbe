//! The circuit that a reservation will give is registered together with the request for it, a round trip sooner than it stands.

use libp2p::Multiaddr;

use super::{Output, relay::Relay, shared::Shared};
use crate::connector::context::Context;

/// A registration that was asked for together with the reservation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Claim {
    No,
    Asked,
    /// It stands, for so many seconds.
    Stands(u64),
}

impl Claim {
    pub(super) const fn accepted(&mut self, ttl: u64) {
        if matches!(self, Self::Asked) {
            *self = Self::Stands(ttl);
        }
    }
}

impl Relay {
    /// Registers the circuit that a reservation has just been asked for. Others may dial it once they have heard of it, and
    /// by then there is a reservation.
    pub(super) fn claim(&mut self, shared: &mut Shared, circuit: Multiaddr) {
        if let Some(point) = self.peer {
            self.rendezvous.claim = Claim::Asked;
            let claim = Some(circuit);
            shared.outputs.push(Output::Register { point, claim });
        }
    }

    /// There is a reservation. A claim that has not been answered yet will be, as if it came now.
    pub(super) fn register_or_keep_claim(&mut self, cx: &Context<'_>, shared: &mut Shared) {
        match std::mem::replace(&mut self.rendezvous.claim, Claim::No) {
            Claim::No => self.register(cx, shared),
            Claim::Asked => self.await_registration(cx),
            Claim::Stands(ttl) => self.registered(cx, shared, ttl),
        }
    }

    /// There is no reservation, so that a claim is not true.
    pub(super) fn withdraw_claim(&mut self, shared: &mut Shared) {
        let claim = std::mem::replace(&mut self.rendezvous.claim, Claim::No);
        if let Some(point) = self.peer.filter(|_| claim != Claim::No) {
            shared.outputs.push(Output::Unregister { point });
        }
    }
}
