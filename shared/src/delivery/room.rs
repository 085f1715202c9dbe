//! The proof that a peer knows the name of our room. docs/protocol.md, section "Rooms", has the derivation.

use hkdf::{
    Hkdf,
    hmac::{Hmac, KeyInit, Mac},
};
use libp2p::PeerId;
use sha2::Sha256;

/// The length of a proof.
pub(crate) const PROOF_BYTES: usize = 32;
/// What the key is for, so that no other use of the same name makes the same key.
const LABEL: &[u8] = b"punchline room proof v1";

/// A room, as its members know it: by a key that only its name gives.
#[derive(Clone)]
pub(crate) struct Room {
    key: Hmac<Sha256>,
}

impl Room {
    /// `namespace` is in NFC. The salt stays empty until rooms can have a key beside their name.
    pub(crate) fn new(namespace: &str) -> Self {
        // HMAC fills a short key up with zeros; this one has 32 bytes.
        let mut key = [0; 64];
        let derived = Hkdf::<Sha256>::new(Some(&[]), namespace.as_bytes());
        let derived = derived.expand(LABEL, &mut key[..32]);
        debug_assert!(derived.is_ok(), "32 bytes are no more than HKDF gives");
        Self {
            key: KeyInit::new(&key.into()),
        }
    }

    /// Proves to `to` that `from` knows the room. No third peer can use it.
    pub(crate) fn proof(&self, from: &PeerId, to: &PeerId) -> [u8; PROOF_BYTES] {
        self.mac(from, to).finalize().into_bytes().into()
    }

    /// Whether `proof` is what `from`, if it knows the room, says to `to`. Takes the same time for every wrong one.
    pub(crate) fn is_proof(&self, proof: &[u8], from: &PeerId, to: &PeerId) -> bool {
        self.mac(from, to).verify_slice(proof).is_ok()
    }

    /// A peer id says how long it is, so no two pairs of them make the same bytes.
    fn mac(&self, from: &PeerId, to: &PeerId) -> Hmac<Sha256> {
        self.key
            .clone()
            .chain_update(from.to_bytes())
            .chain_update(to.to_bytes())
    }
}

impl std::fmt::Debug for Room {
    /// Says nothing of the key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Room")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(seed: u8) -> PeerId {
        let mut key = [0; 32];
        key[0] = seed;
        let key = libp2p::identity::Keypair::ed25519_from_bytes(key).unwrap();
        key.public().to_peer_id()
    }

    /// The example in docs/protocol.md.
    #[test]
    fn golden_bytes() {
        let proof = Room::new("our-room").proof(&peer(1), &peer(2));
        let hex: String = proof.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            hex,
            "5649670feb6435754eda0723581231f83f2d51750826889d6e7d3adfae637465"
        );
    }

    #[test]
    fn a_proof_is_of_one_room_one_sender_and_one_receiver() {
        let (room, a, b, c) = (Room::new("ours"), peer(1), peer(2), peer(3));
        let proof = room.proof(&a, &b);
        assert!(room.is_proof(&proof, &a, &b));
        assert!(!room.is_proof(&proof, &b, &a), "sent back");
        assert!(!room.is_proof(&proof, &a, &c), "passed on");
        assert!(!room.is_proof(&proof, &c, &b), "stolen");
        assert!(!Room::new("theirs").is_proof(&proof, &a, &b));
        assert!(!Room::new("").is_proof(&proof, &a, &b));
    }

    #[test]
    fn half_a_proof_is_none() {
        let (room, a, b) = (Room::new("ours"), peer(1), peer(2));
        let proof = room.proof(&a, &b);
        for len in [0, 1, 16, 31] {
            assert!(!room.is_proof(&proof[..len], &a, &b), "{len} bytes");
        }
        assert!(!room.is_proof(&[proof, proof].concat(), &a, &b));
    }
}
