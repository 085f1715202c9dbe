//! `/ip4/…/udp/…/webrtc-direct/certhash/…`, with the peer or without it.

use std::net::{IpAddr, SocketAddr};

use libp2p::{Multiaddr, multiaddr::Protocol, multihash::Multihash};

/// SHA2-256, as [multicodec](https://github.com/multiformats/multicodec) has it.
const SHA2_256: u64 = 0x12;
/// Bytes of such a hash.
const HASH_BYTES: usize = 32;

/// What to dial.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) socket: SocketAddr,
    pub(super) fingerprint: Fingerprint,
}

impl Target {
    /// Reads an address; `None` if it is one of another kind.
    pub(super) fn of(address: &Multiaddr) -> Option<Self> {
        let mut parts = address.iter();
        let socket = socket_of(&mut parts)?;
        let Protocol::Certhash(hash) = parts.next()? else {
            return None;
        };
        // Nothing else, or the peer that is promised there.
        let end = (parts.next(), parts.next());
        matches!(end, (None | Some(Protocol::P2p(_)), None)).then_some(())?;
        Some(Self {
            socket,
            fingerprint: Fingerprint::of(&hash)?,
        })
    }
}

/// Where to listen; `None` for an address of another kind.
pub(super) fn bare_socket(address: &Multiaddr) -> Option<SocketAddr> {
    let mut parts = address.iter();
    let socket = socket_of(&mut parts)?;
    parts.next().is_none().then_some(socket)
}

/// Returns the socket in an address of webrtc-direct, whatever comes behind; `None` for an address of another kind.
#[must_use]
pub fn socket_in(address: &Multiaddr) -> Option<SocketAddr> {
    socket_of(&mut address.iter())
}

/// Reads `/ip4/…/udp/…/webrtc-direct`.
fn socket_of<'a>(parts: &mut impl Iterator<Item = Protocol<'a>>) -> Option<SocketAddr> {
    let ip: IpAddr = match parts.next()? {
        Protocol::Ip4(ip) => ip.into(),
        Protocol::Ip6(ip) => ip.into(),
        _ => return None,
    };
    match (parts.next()?, parts.next()?) {
        (Protocol::Udp(port), Protocol::WebRTCDirect) => Some(SocketAddr::new(ip, port)),
        _ => None,
    }
}

/// The SHA2-256 hash of a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint([u8; HASH_BYTES]);

impl Fingerprint {
    /// Takes the hash itself.
    #[must_use]
    pub const fn new(digest: [u8; HASH_BYTES]) -> Self {
        Self(digest)
    }

    /// What an address has behind `/certhash/`.
    #[must_use]
    pub fn to_multihash(self) -> Multihash<64> {
        Multihash::wrap(SHA2_256, &self.0).unwrap_or_default()
    }

    fn of(hash: &Multihash<64>) -> Option<Self> {
        let digest = hash.digest().try_into().ok()?;
        (hash.code() == SHA2_256).then_some(Self(digest))
    }

    /// Reads what a session description has: bytes in hexadecimal, with colons.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut digest = [0; HASH_BYTES];
        let mut bytes = text.split(':');
        for byte in &mut digest {
            *byte = u8::from_str_radix(bytes.next()?, 16).ok()?;
        }
        bytes.next().is_none().then_some(Self(digest))
    }

    /// What a session description has.
    pub(super) fn to_text(self) -> String {
        let bytes = self.0.iter().map(|byte| format!("{byte:02X}"));
        bytes.collect::<Vec<_>>().join(":")
    }

    pub(super) fn bytes(self) -> Vec<u8> {
        // Both numbers are varints of one byte.
        let mut bytes = vec![SHA2_256 as u8, HASH_BYTES as u8];
        bytes.extend(self.0);
        bytes
    }
}

#[cfg(test)]
mod tests;
