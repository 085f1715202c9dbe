//! `<relay>/p2p-circuit/webrtc/p2p/<peer>`: an address at which a relay carries the signalling, and nothing else.

use libp2p::{Multiaddr, PeerId, multiaddr::Protocol};

/// What such an address says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Signalled {
    /// The peer that it leads to.
    pub(crate) peer: PeerId,
    /// The circuit to it: the address without `/webrtc`.
    pub(crate) circuit: Multiaddr,
}

impl Signalled {
    /// Reads an address; `None` if it is one of another kind.
    pub(crate) fn of(address: &Multiaddr) -> Option<Self> {
        let mut parts: Vec<_> = address.iter().collect();
        let Some(Protocol::P2p(peer)) = parts.pop() else {
            return None;
        };
        if parts.pop()? != Protocol::WebRTC || *parts.last()? != Protocol::P2pCircuit {
            return None;
        }
        parts.push(Protocol::P2p(peer));
        let circuit = parts.into_iter().collect();
        Some(Self { peer, circuit })
    }
}

/// The address of a connection that `circuit`, with or without its peer, carried the signalling for.
pub(crate) fn over(circuit: &Multiaddr) -> Multiaddr {
    let relay = circuit.iter().take_while(|p| *p != Protocol::P2pCircuit);
    relay
        .chain([Protocol::P2pCircuit, Protocol::WebRTC])
        .collect()
}

/// Whether a connection at this address is a circuit: a relay carries all of it.
pub(crate) fn is_circuit(address: &Multiaddr) -> bool {
    let after = address.iter().skip_while(|p| *p != Protocol::P2pCircuit);
    let mut after = after.skip_while(|p| matches!(p, Protocol::P2pCircuit | Protocol::P2p(_)));
    address.iter().any(|p| p == Protocol::P2pCircuit) && after.next().is_none()
}

#[cfg(test)]
mod tests;
