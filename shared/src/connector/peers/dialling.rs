//! Dialling peers: because they are listed, were lost, or the application wants them.

use std::time::Duration;

use libp2p::Multiaddr;
use web_time::Instant;

use super::{Output, peer::Peer, shared::Shared};
use crate::{
    budget::DIAL_PACKETS,
    config::MAX_ADDRESSES_PER_PEER,
    connector::{DialId, addresses, backoff::Next, context::Context, purpose::Purpose},
    path::Path,
    reason::{Cause, Reason},
};

/// A connection has this long to become a path: msg's hello, and some time for a slow circuit.
pub(in crate::connector) const SETTLE_TIMEOUT: Duration = Duration::from_secs(15);
/// Dials of listed peers at a time. libp2p-relay 0.22.0 asks a relay for ten circuits at a time, and fails any more at once:
/// two are left for who is asked for, and for upgrades.
pub(in crate::connector) const MAX_RUNNING_DIALS: usize = 8;
/// Who was dialled so often in vain, for a minute or two, is left alone until there is news of it.
pub(in crate::connector) const MAX_ATTEMPTS: u32 = 7;

impl Peer {
    /// The application wants it dialled at an address that names it.
    pub(super) fn order(&mut self, cx: &mut Context<'_>, shared: &mut Shared, address: Multiaddr) {
        if self.incompatible.is_some() {
            let why = "it speaks none of our protocols";
            let message = format!("cannot dial {address}: {why}");
            return shared.error(Reason::Incompatible, message);
        }
        if !self.explicit.contains(&address) {
            if self.explicit.len() >= MAX_ADDRESSES_PER_PEER {
                self.explicit.remove(0);
            }
            self.explicit.push(address);
        }
        self.failure_reported = false;
        self.backoff.reset();
        self.carry_out_order(cx, shared);
        self.report_order(shared);
    }

    fn carry_out_order(&mut self, cx: &mut Context<'_>, shared: &mut Shared) {
        self.order_waits = self.next.is_dialling();
        if self.order_waits {
            return;
        }
        match self.path_kind() {
            Some(Path::Direct) => {}
            Some(Path::Relayed) => {
                let addresses = self.explicit.clone();
                self.dial_at(cx, shared, addresses);
            }
            None => self.next = Next::Waiting(cx.now),
        }
    }

    pub(super) fn report_order(&self, shared: &mut Shared) {
        let (peer, ordered) = (self.id, self.is_ordered());
        shared.outputs.push(Output::Ordered { peer, ordered });
    }

    /// Dials wherever it may be, if it is wanted and it is its turn.
    pub(super) fn dial(&mut self, cx: &mut Context<'_>, shared: &mut Shared) {
        if !self.is_wanted(cx.now, shared) || self.is_connected() {
            self.next = Next::Idle;
        } else if shared.running_dials < MAX_RUNNING_DIALS || self.is_ordered() {
            let mut addresses = self.all_addresses(cx, shared);
            self.prefer_quic(&mut addresses);
            self.dial_at(cx, shared, addresses);
        }
    }

    pub(super) fn dial_at(
        &mut self,
        cx: &mut Context<'_>,
        shared: &mut Shared,
        addresses: Vec<Multiaddr>,
    ) {
        self.next = if addresses.is_empty() {
            Next::Waiting(cx.now + self.backoff.next(cx.rng))
        } else {
            let purpose = Purpose::Peer(self.id);
            Next::Dialling(shared.dial(cx, purpose, Some(self.id), addresses))
        };
    }

    /// Everywhere it may be, the likeliest first. Where it is listed it is dialled once it has answered through a relay:
    /// until then nobody but the lister says that it is there. Without a relay there is no other way.
    fn all_addresses(&self, cx: &Context<'_>, shared: &mut Shared) -> Vec<Multiaddr> {
        let mut all = self.explicit.clone();
        // A target dials that address itself.
        let direct = shared.remembered.place_of(self.id).cloned();
        let direct = direct.filter(|_| !self.is_targeted);
        let circuits = self.circuits(shared);
        let listed = match circuits.is_empty() || self.has_answered || self.is_near {
            true => self.listed_within(cx, shared),
            false => Vec::new(),
        };
        for address in circuits.into_iter().chain(listed).chain(direct) {
            addresses::push_new(&mut all, address);
        }
        all
    }

    /// Where it is listed, as far as strangers may have us dial there.
    pub(super) fn listed_within(&self, cx: &Context<'_>, shared: &mut Shared) -> Vec<Multiaddr> {
        let mut listed = self.listed_addresses();
        listed.retain(|address| {
            !addresses::has_circuit(address) && shared.budget.spend(cx.now, address, DIAL_PACKETS)
        });
        listed
    }

    /// Circuits to it by the relays that we are connected to, the way we are.
    pub(super) fn circuits(&self, shared: &Shared) -> Vec<Multiaddr> {
        let relays = shared.connected().filter(|(_, relay, _)| {
            *relay != self.id && (self.by_circuit || self.is_listed_by(*relay))
        });
        relays
            .map(|(_, _, circuit)| addresses::with_peer(circuit, self.id))
            .collect()
    }

    pub(super) fn dialled(&mut self, cx: &mut Context<'_>, shared: &mut Shared, dial: DialId) {
        self.end_dial(dial);
        if self.order_waits {
            self.carry_out_order(cx, shared);
        }
    }

    pub(super) fn dial_failed(
        &mut self,
        cx: &mut Context<'_>,
        shared: &mut Shared,
        dial: DialId,
        cause: &Cause,
    ) {
        self.end_dial(dial);
        if self.order_waits {
            self.carry_out_order(cx, shared);
        } else if !self.next.is_dialling() {
            self.failed(cx, shared, cause);
        }
    }

    /// A connection came up, on whosever initiative: it may become a path.
    pub(super) fn connected(&mut self, now: Instant) {
        if !self.is_connected() && self.incompatible.is_none() && !self.next.is_dialling() {
            self.next = Next::Settling(now + SETTLE_TIMEOUT);
        }
        self.review_later(now);
    }

    /// Its last connection is gone.
    pub(super) fn left_alone(&mut self, cx: &mut Context<'_>, shared: &mut Shared, cause: &Cause) {
        self.expected = false;
        if matches!(self.next, Next::Settling(_)) {
            self.failed(cx, shared, cause);
        }
    }

    /// Connections came and none became a path. Others may come of the next attempt.
    pub(super) fn did_not_settle(&mut self, cx: &mut Context<'_>, shared: &mut Shared) {
        for conn in cx.connections.of(self.id) {
            if conn.outbound && !shared.serves_a_relay(conn) {
                shared.close(conn.id);
            }
        }
        self.failed(cx, shared, &does_not_answer());
    }

    /// An attempt to get a path is over. If there is none, another follows while it is wanted.
    fn failed(&mut self, cx: &mut Context<'_>, shared: &mut Shared, cause: &Cause) {
        self.crowded_out = cause.code == Reason::RelayFull && !self.is_connected();
        if self.crowded_out {
            shared.crowded.note(cx.now);
        }
        self.next = if self.is_wanted(cx.now, shared) && !self.is_connected() {
            let again = cx.now + self.backoff.next(cx.rng);
            let is_patient = self.is_ordered() || self.is_near || self.crowded_out;
            self.given_up = self.backoff.attempts() >= MAX_ATTEMPTS && !is_patient;
            match self.given_up {
                true => Next::Idle,
                false => Next::Waiting(again),
            }
        } else {
            Next::Idle
        };
        let outcome = match self.path_kind() {
            None => "retrying",
            Some(Path::Relayed) => "the relayed path stays",
            Some(Path::Direct) => return,
        };
        let Some(address) = self.explicit.first() else {
            return;
        };
        if !std::mem::replace(&mut self.failure_reported, true) {
            let message = format!("cannot reach {address}: {cause}; {outcome}");
            shared.error(cause.code, message);
        }
    }
}

/// A connection did not become a path in time.
pub(super) fn does_not_answer() -> Cause {
    Cause::new(Reason::NoAnswer, "connected, but it does not answer")
}
