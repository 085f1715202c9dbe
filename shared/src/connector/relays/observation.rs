//! Punching holes needs to know where others see us, over QUIC and over TCP: a relay that we are connected
//! to by one only is dialled by the other, too, and observes us there.
//!
//! The addresses go into the exchange of the [DCUtR specification].
//!
//! [DCUtR specification]: https://github.com/libp2p/specs/blob/master/relay/DCUtR.md

use libp2p::{Multiaddr, PeerId};

use super::{Output, Relays, relay::Relay, shared::Shared};
use crate::{
    connector::{
        DialId, RelayId, addresses,
        connections::Conn,
        context::Context,
        purpose::{NewDial, Purpose},
    },
    path::{ConnId, Transport},
};

/// The transports that holes are punched over.
const KINDS: [Transport; 2] = [Transport::Quic, Transport::Tcp];

/// What is done to be observed. Without hole punches nothing refers to it, so that a browser's program can
/// do without the code.
#[derive(Debug, Clone, Copy)]
pub(super) struct Observer {
    observe: fn(&mut Relay, &mut Context<'_>, &mut Shared),
    may_observe: fn(&Relay, &Context<'_>, ConnId) -> bool,
}

impl Relays {
    /// From now on relays are to observe us.
    pub(in crate::connector) fn punch_holes(&mut self) {
        self.shared.observer = Some(Observer {
            observe: Relay::observe_over_each,
            may_observe: Relay::is_observation,
        });
    }

    /// After a hole could not be punched to `peer`.
    pub(super) fn observe_for(&mut self, cx: &mut Context<'_>, relay: RelayId, peer: PeerId) {
        let relay = self.relays.get_mut(&relay);
        let runs = relay.is_some_and(|relay| {
            relay.observe(cx, &mut self.shared);
            !relay.observations.is_empty()
        });
        if !runs {
            self.shared.outputs.push(Output::NothingToObserve { peer });
        }
    }

    pub(super) fn observation_failed(&mut self, relay: RelayId, dial: DialId) {
        self.observation_ended(relay, dial);
        self.shared.outputs.push(Output::NotObserved { relay });
    }

    pub(super) fn observation_ended(&mut self, relay: RelayId, dial: DialId) {
        self.with(relay, |relay, _| {
            relay.observations.retain(|running| *running != dial);
        });
    }
}

impl Relay {
    /// Has the relay observe us over whatever we are not connected to it by.
    pub(super) fn observe(&mut self, cx: &mut Context<'_>, shared: &mut Shared) {
        if let Some(observer) = shared.observer
            && self.observations.is_empty()
        {
            (observer.observe)(self, cx, shared);
        }
    }

    fn observe_over_each(&mut self, cx: &mut Context<'_>, shared: &mut Shared) {
        for kind in KINDS {
            self.observe_over(cx, shared, kind);
        }
    }

    /// IPv4 only: nobody translates IPv6 addresses, so our own are what others see.
    fn observe_over(&mut self, cx: &mut Context<'_>, shared: &mut Shared, kind: Transport) {
        let Some(peer) = self.peer else {
            return;
        };
        let by_that = |conn: &Conn| conn.leads_to_relay() && fits(&conn.address, kind);
        if cx.connections.of(peer).any(by_that) {
            return;
        }
        let known = self.addresses.iter().chain(&self.claimed);
        let mut addresses = Vec::new();
        for address in known.filter(|address| fits(address, kind)) {
            addresses::push_new(&mut addresses, addresses::with_peer(address, peer));
        }
        if addresses.is_empty() {
            return;
        }
        let dial = cx.new_dial();
        self.observations.push(dial);
        shared.outputs.push(Output::Dial(NewDial {
            id: dial,
            purpose: Purpose::Observation(self.id),
            peer: Some(peer),
            addresses,
        }));
    }

    /// The connection that all was done on is gone, and these may be as dead without a word.
    pub(super) fn leave_observations(&self, cx: &Context<'_>, shared: &mut Shared) {
        let Some(peer) = self.peer else {
            return;
        };
        for conn in cx.connections.of(peer) {
            if matches!(conn.purpose, Some(Purpose::Observation(_))) {
                shared.close_unless_in_use(cx, conn.id);
            }
        }
    }

    /// Whether a connection to this relay shows it what no other one does.
    pub(super) fn may_observe(&self, cx: &Context<'_>, shared: &Shared, id: ConnId) -> bool {
        let observer = shared.observer;
        observer.is_some_and(|observer| (observer.may_observe)(self, cx, id))
    }

    fn is_observation(&self, cx: &Context<'_>, id: ConnId) -> bool {
        let kind_of = |conn: &Conn| KINDS.into_iter().find(|kind| fits(&conn.address, *kind));
        let Some(conn) = cx.connections.get(id).filter(|conn| conn.leads_to_relay()) else {
            return false;
        };
        let kind = kind_of(conn);
        let same =
            |other: &Conn| other.id != id && other.leads_to_relay() && kind_of(other) == kind;
        kind.is_some() && !cx.connections.of(conn.peer).any(same)
    }
}

fn fits(address: &Multiaddr, kind: Transport) -> bool {
    addresses::is_plain(address, kind) && !addresses::is_ip6(address)
}
