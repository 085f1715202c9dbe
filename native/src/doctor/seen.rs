//! What the probes saw, before anything is made of it.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use libp2p::{Multiaddr, PeerId};
use punchline::path::Transport;

/// Everything that was seen. What a probe could not finish is missing, not guessed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen {
    /// In the order they were given.
    pub(crate) relays: Vec<RelaySeen>,
    pub(crate) v4: FamilySeen,
    pub(crate) v6: FamilySeen,
    /// What relays said when they were asked to dial us.
    pub(crate) reach: Vec<Reach>,
}

/// One relay.
#[derive(Debug, Clone, Default)]
pub(crate) struct RelaySeen {
    /// As it was given.
    pub(crate) given: String,
    /// The TCP port of its HTTP server if that answered, or why it could not be asked.
    pub(crate) http: Option<Result<u16, String>>,
    pub(crate) peer: Option<PeerId>,
    /// Whether it says that it is a relay; `None`: it said nothing.
    pub(crate) is_relay: Option<bool>,
    pub(crate) tries: Vec<Try>,
}

/// One address of a relay.
#[derive(Debug, Clone)]
pub(crate) struct Try {
    pub(crate) transport: Transport,
    pub(crate) address: Multiaddr,
    pub(crate) outcome: Outcome,
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Connected, encryption included, in that time.
    Reached(Duration),
    /// Why not.
    Failed(String),
    /// For browsers only.
    NotDialable,
}

/// One of IPv4 and IPv6.
#[derive(Debug, Clone, Default)]
pub(crate) struct FamilySeen {
    /// Our own address towards the rest of the world.
    pub(crate) own: Option<IpAddr>,
    /// From one UDP socket, by STUN.
    pub(crate) stun: Vec<Mapped>,
    /// STUN servers that were asked.
    pub(crate) stun_asked: usize,
    /// From one UDP socket, by QUIC and identify.
    pub(crate) quic: Vec<Mapped>,
    /// From one TCP port, by identify.
    pub(crate) tcp: Vec<Mapped>,
}

/// How somebody saw one of our sockets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mapped {
    /// Who.
    pub(crate) server: SocketAddr,
    /// The socket as we know it.
    pub(crate) local: SocketAddr,
    /// The socket as it was seen.
    pub(crate) outside: SocketAddr,
}

/// Whether we were reached from outside at an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reach {
    pub(crate) address: Multiaddr,
    pub(crate) answer: ReachAnswer,
}

/// What a relay that dialled us says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReachAnswer {
    /// It reached us.
    Reached,
    /// It did not.
    Failed,
    /// It had not reached us when our time was over.
    Silence,
}

impl RelaySeen {
    /// Whether any transport led to it.
    pub(crate) fn is_reached(&self) -> bool {
        self.is_relay != Some(false) && self.tries.iter().any(Try::is_reached)
    }
}

impl Try {
    pub(crate) fn is_reached(&self) -> bool {
        matches!(self.outcome, Outcome::Reached(_))
    }
}
