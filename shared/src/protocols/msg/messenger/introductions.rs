//! Who we are to others, and who they are by their own word.

use bytes::Bytes;
use libp2p::PeerId;

use super::Messenger;
use crate::{
    event::Event,
    name::PeerName,
    remote::{Membership, Remote},
};

impl Messenger {
    /// What others read of us.
    pub(crate) fn own_name(&self) -> PeerName {
        let chosen = self.name.lock().clone();
        chosen.unwrap_or_else(|| PeerName::of(&self.local))
    }

    /// Changes what others read of us, and says so at once.
    pub(crate) fn set_name(&self, name: Option<PeerName>) {
        let before = self.own_name();
        *self.name.lock() = name;
        let name = self.own_name();
        if name != before {
            let peer = self.local;
            self.events.push(Event::Renamed { peer, name });
            self.probe();
        }
    }

    /// What a hello to this peer, or an answer to its own, says of us: the proof, and the name if there is one.
    pub(crate) fn introduction(&self, to: &PeerId) -> (Bytes, String) {
        let proof = self.room.proof(&self.local, to);
        let name = self.name.lock().as_deref().map(str::to_owned);
        (Bytes::copy_from_slice(&proof), name.unwrap_or_default())
    }

    /// What a peer's hello or answer says of it. A name that cannot be shown is none.
    pub(crate) fn introduced(&self, peer: PeerId, proof: &[u8], name: &str) -> Remote {
        let membership = match self.room.is_proof(proof, &peer, &self.local) {
            true => Membership::Member,
            false => Membership::Guest,
        };
        let name = PeerName::chosen(name).unwrap_or_else(|_| PeerName::of(&peer));
        Remote { name, membership }
    }
}
