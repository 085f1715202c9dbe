//! What our own network tells: who else is there, and whether its gateway lets others reach us.

use libp2p::{Multiaddr, PeerId};

use super::{Connector, News, addresses, paths::POLITE_WAIT};
use crate::{
    event::Event,
    path::{Path, Transport},
    platform::OwnNetwork,
};

impl Connector {
    pub(super) fn network_told(&mut self, news: News, by: OwnNetwork) {
        match news {
            News::Announced { peer, addresses } if addresses.is_empty() => self.not_near(peer),
            News::Announced { peer, addresses } => self.near(peer, addresses, by),
            News::Mapped(address) => {
                self.emit(Event::ExternalAddress { address });
                self.register_anew();
            }
            News::Missing { cause } => self.error(cause.code, cause.text),
        }
    }

    /// A peer announces itself: that is a listing of its own, which stands under our id.
    fn near(&mut self, id: PeerId, addresses: Vec<Multiaddr>, by: OwnNetwork) {
        let Some(changed) = self.note_listing(self.local, id, addresses) else {
            return;
        };
        // It hears of us as we do of it. One dial is enough, but a firewall may stop either.
        let first = self.local < id;
        let at = if first {
            self.now
        } else {
            self.now + POLITE_WAIT
        };
        self.dial_listed(id, at, changed);
        if changed {
            self.tell_listed(id);
        }
        let Some(peer) = self.peers.get_mut(&id) else {
            return;
        };
        peer.near = Some(by);
        if first && changed && peer.kind() == Some(Path::Relayed) && !peer.next.is_dialling() {
            let addresses = peer.listing_of(self.local);
            self.dial_peer_at(id, addresses);
        }
    }

    /// On our own network we first dial by QUIC alone: of two dials at once TCP may win.
    pub(super) fn prefer_quic(&self, id: PeerId, addresses: &mut Vec<Multiaddr>) {
        let Some(peer) = self.peers.get(&id) else {
            return;
        };
        let quic = |address: &Multiaddr| addresses::is_plain(address, Transport::Quic);
        let first = peer.near.is_some() && peer.backoff.is_fresh() && peer.explicit.is_empty();
        if first && addresses.iter().any(quic) && !addresses.iter().any(addresses::has_circuit) {
            addresses.retain(quic);
        }
    }

    fn not_near(&mut self, id: PeerId) {
        if let Some(peer) = self.peers.get_mut(&id) {
            peer.near = None;
            peer.listings.remove(&self.local);
        }
    }
}
