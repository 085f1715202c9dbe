//! What the probes observed. Conclusions are drawn in [`verdict`](super::verdict).

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use libp2p::{Multiaddr, PeerId};
use punchline::path::Transport;

/// All observations. What a probe did not finish in time is missing.
#[derive(Debug, Clone, Default)]
pub(crate) struct Observations {
    /// In the order of the command line.
    pub(crate) relays: Vec<RelayObservations>,
    pub(crate) v4: FamilyObservations,
    pub(crate) v6: FamilyObservations,
    /// Tests by relays whether this machine can be reached (AutoNAT v2).
    pub(crate) reach_tests: Vec<ReachTest>,
}

/// One relay.
#[derive(Debug, Clone, Default)]
pub(crate) struct RelayObservations {
    /// The command line's text for it.
    pub(crate) given: String,
    /// The TCP port of its HTTP server if that answered, or why it did not; `None` if it was not asked.
    pub(crate) http: Option<Result<u16, String>>,
    pub(crate) peer: Option<PeerId>,
    /// Whether it offers the relay protocol; `None` without its identify message.
    pub(crate) is_relay: Option<bool>,
    pub(crate) attempts: Vec<Attempt>,
}

/// One dialled address of a relay.
#[derive(Debug, Clone)]
pub(crate) struct Attempt {
    pub(crate) transport: Transport,
    pub(crate) address: Multiaddr,
    pub(crate) outcome: Outcome,
}

/// The outcome of a dial.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Connected after this time, handshakes included.
    Reached(Duration),
    /// Not connected, for this reason.
    Failed(String),
    /// Not dialled, because only a browser has this transport.
    NotDialable,
}

/// One of IPv4 and IPv6.
#[derive(Debug, Clone, Default)]
pub(crate) struct FamilyObservations {
    /// This machine's own address for packets to the Internet.
    pub(crate) own: Option<IpAddr>,
    /// How STUN servers saw one UDP socket.
    pub(crate) stun: Vec<Mapping>,
    /// How many STUN servers were asked.
    pub(crate) stun_asked: usize,
    /// How relays saw the socket of QUIC, by identify.
    pub(crate) quic: Vec<Mapping>,
    /// How relays saw the TCP port that is listened on, by identify.
    pub(crate) tcp: Vec<Mapping>,
}

/// The address that one server saw one of our sockets at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mapping {
    /// The server that saw it.
    pub(crate) server: SocketAddr,
    /// The socket's own address.
    pub(crate) local: SocketAddr,
    /// The address that the server saw.
    pub(crate) outside: SocketAddr,
}

/// A test whether this machine can be reached at an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ReachTest {
    pub(crate) address: Multiaddr,
    pub(crate) result: ReachResult,
}

/// The result of a test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReachResult {
    /// A relay connected to the address.
    Reached,
    /// A relay tried, and could not connect.
    Failed,
    /// No relay had answered when the time was over.
    Silence,
}

impl RelayObservations {
    /// Whether it was reached by any transport, and is a relay as far as is known.
    pub(crate) fn is_reached(&self) -> bool {
        self.is_relay != Some(false) && self.attempts.iter().any(Attempt::is_reached)
    }
}

impl Attempt {
    pub(crate) fn is_reached(&self) -> bool {
        matches!(self.outcome, Outcome::Reached(_))
    }
}
