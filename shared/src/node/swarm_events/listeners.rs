//! Listeners: those of the configuration, and those that stand for a reservation.

use std::io;

use libp2p::{Multiaddr, Swarm, core::transport::ListenerId, multiaddr::Protocol, relay};

use crate::{
    address,
    connector::Input,
    error::StartError,
    event::Event,
    node::{behaviour::Behaviour, event_loop::EventLoop, sockets},
    platform,
    poll_on_wake::PollOnWake,
    reason::{Cause, Reason},
};

impl EventLoop {
    pub(in crate::node) fn on_listening(&mut self, listener: ListenerId, address: Multiaddr) {
        if !self.is_reservation(listener) {
            let me = *self.swarm.local_peer_id();
            self.network_changed(&address, false);
            self.events.push(Event::Listening {
                address: address::with_peer(address, me),
            });
        }
        if self.was_due(listener) && self.listeners_due.is_empty() {
            self.input(Input::ListenersReady);
        }
    }

    pub(in crate::node) fn on_no_longer_listening(
        &mut self,
        listener: ListenerId,
        address: &Multiaddr,
    ) {
        if !self.is_reservation(listener) {
            self.network_changed(address, true);
        }
    }

    pub(in crate::node) fn on_listener_closed(
        &mut self,
        listener: ListenerId,
        reason: io::Result<()>,
    ) {
        let cause = match reason {
            Ok(()) => Cause::new(Reason::ReservationRefused, "the relay ended it"),
            Err(e) => Cause::of_reservation(&e),
        };
        self.listener_gone(listener, cause);
    }

    pub(in crate::node) fn on_listener_error(&mut self, listener: ListenerId, error: &io::Error) {
        if self.is_reservation(listener) {
            let cause = Cause::of_reservation(error);
            self.listener_gone(listener, cause);
        } else {
            tracing::warn!("listener: {error}");
        }
    }

    pub(in crate::node) fn on_relay(&mut self, event: relay::client::Event) {
        let relay::client::Event::ReservationReqAccepted { relay_peer_id, .. } = event else {
            return;
        };
        let mut reservations = self.reservations.iter();
        let reservation = reservations.find(|reservation| {
            address::without_circuit(&reservation.address).and_then(|a| address::peer_of(&a))
                == Some(relay_peer_id)
        });
        if let Some((relay, address)) = reservation.map(|r| (r.relay, r.address.clone())) {
            let me = *self.swarm.local_peer_id();
            self.input(Input::ReservationAccepted {
                relay,
                address: address::with_peer(address, me),
            });
        }
    }

    fn listener_gone(&mut self, listener: ListenerId, cause: Cause) {
        let reserved = self
            .reservations
            .iter()
            .position(|r| r.listener == listener);
        if let Some(at) = reserved {
            let relay = self.reservations.swap_remove(at).relay;
            self.swarm.remove_listener(listener);
            self.input(Input::ReservationLost { relay, cause });
        } else if self.was_due(listener) {
            self.events.push(Event::Error {
                code: Reason::ListenFailed,
                message: format!("a listener could not start: {cause}"),
            });
            if self.listeners_due.is_empty() {
                self.input(Input::ListenersReady);
            }
        }
    }

    fn is_reservation(&self, listener: ListenerId) -> bool {
        self.reservations.iter().any(|r| r.listener == listener)
    }

    /// Takes a listener off those that are waited for, and says whether it was one.
    fn was_due(&mut self, listener: ListenerId) -> bool {
        let due = self.listeners_due.iter().position(|due| *due == listener);
        due.map(|at| self.listeners_due.swap_remove(at)).is_some()
    }

    /// Passes on that this machine has an address more or less.
    fn network_changed(&mut self, address: &Multiaddr, lost: bool) {
        if platform::HAS_INTERFACES && address::leads_beyond(address) {
            sockets::network_changed(lost, &mut self.connector);
            self.perform_outputs();
            self.messenger.probe();
            self.push_addresses();
        }
    }

    /// Sends our listen addresses to everybody who is connected.
    ///
    /// libp2p's identify would do so at each new address, and a reservation has one for each of its relay's: a stream
    /// for each, all at once, of which a relay by webrtc-direct loses some, and whose buffers QUIC keeps. Circuits
    /// are learnt of at the rendezvous point anyway.
    fn push_addresses(&mut self) {
        let peers: Vec<_> = self.swarm.connected_peers().copied().collect();
        self.swarm.behaviour_mut().0.identify.push(peers);
    }
}

/// Binds the listeners. A machine without IPv6 is fine, an address that was asked for by number and
/// cannot be had is not.
pub(in crate::node) fn listen(
    swarm: &mut Swarm<PollOnWake<Behaviour>>,
    addresses: &[Multiaddr],
) -> Result<Vec<ListenerId>, StartError> {
    let mut listeners = Vec::new();
    for address in addresses {
        match swarm.listen_on(address.clone()) {
            Ok(listener) => {
                listeners.push(listener);
            }
            Err(e) if is_any_ipv6(address) => {
                tracing::info!(%address, "not listening: {e}");
            }
            Err(e) => {
                return Err(StartError::Listen {
                    address: address.clone(),
                    reason: Cause::of_transport(&e, platform::reason_of).text,
                });
            }
        }
    }
    Ok(listeners)
}

fn is_any_ipv6(address: &Multiaddr) -> bool {
    matches!(address.iter().next(), Some(Protocol::Ip6(ip)) if ip.is_unspecified())
}
