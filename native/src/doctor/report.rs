//! What the doctor found: the object that `--json` prints, and what text is made of.
//!
//! docs/operating.md describes each field.

use std::net::IpAddr;

use libp2p::{Multiaddr, PeerId};
use punchline::path::Transport;
use serde::Serialize;

/// All findings. The field `event` is `doctor`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename = "doctor")]
pub(crate) struct Report {
    pub(crate) version: &'static str,
    /// Whether UDP gets out.
    pub(crate) udp: Passes,
    /// Whether TCP gets out.
    pub(crate) tcp: Passes,
    pub(crate) ipv4: Family,
    pub(crate) ipv6: Family,
    pub(crate) from_outside: FromOutside,
    /// In the order they were given.
    pub(crate) relays: Vec<Relay>,
    pub(crate) paths: Paths,
    pub(crate) result: Verdict,
    /// Of the process.
    pub(crate) exit_status: u8,
    pub(crate) notes: Vec<Note>,
    /// What to do now: commands, or a sentence.
    pub(crate) next: Vec<String>,
}

/// Whether packets of a kind get out of this network, and an answer back in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Passes {
    Yes,
    /// Only to the ports that the web uses: 80 and 443.
    WebPorts,
    No,
    /// There was nobody to ask.
    Unknown,
}

/// One of IPv4 and IPv6.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Family {
    /// Whether anything was reached by it.
    pub(crate) works: Answer,
    /// Our own address, if there is a way out of this machine.
    pub(crate) own: Option<IpAddr>,
    /// The address that others see.
    pub(crate) outside: Option<IpAddr>,
    /// What a NAT makes of a UDP port.
    pub(crate) nat: Nat,
    /// From where that was seen.
    pub(crate) seen_from: SeenFrom,
    /// What a NAT makes of a TCP port.
    pub(crate) tcp_nat: Nat,
}

/// Yes, no, or not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Answer {
    Yes,
    No,
    Unknown,
}

/// What a NAT makes of a port (RFC 4787, 4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum Nat {
    /// Nothing: there is none on the way.
    None,
    /// The same address and port, whoever is talked to.
    EndpointIndependent { port: Port },
    /// Another one for each destination.
    Symmetric,
    /// There is one, but only one place to see it from.
    Unknown { port: Port },
    /// Nobody told.
    NotSeen,
}

/// Whether the port outside is our own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Port {
    Kept,
    Translated,
}

/// The places that a mapping was seen from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SeenFrom {
    /// Two hosts or more.
    TwoHosts,
    /// Two ports of one host.
    TwoPorts,
    OnePlace,
    Nowhere,
}

/// Whether others can connect to us without our doing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct FromOutside {
    pub(crate) reachable: Answer,
    pub(crate) tested: Vec<Tested>,
}

/// One address that a relay was asked to dial.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Tested {
    pub(crate) address: Multiaddr,
    /// `no` also if the relay had not come through in time.
    pub(crate) reachable: Answer,
}

/// One relay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Relay {
    /// As it was given.
    pub(crate) given: String,
    pub(crate) peer: Option<PeerId>,
    pub(crate) reached: bool,
    /// What is wrong with it, if anything is.
    pub(crate) error: Option<String>,
    pub(crate) transports: Vec<ByTransport>,
}

/// The best of a relay's addresses of one transport.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct ByTransport {
    pub(crate) transport: Transport,
    pub(crate) address: Multiaddr,
    #[serde(flatten)]
    pub(crate) state: State,
}

/// Whether it leads to the relay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub(crate) enum State {
    Reached {
        milliseconds: u64,
    },
    Failed {
        reason: String,
    },
    /// For browsers: a terminal has no WebRTC.
    NotDialable,
}

/// What to expect with others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Paths {
    /// With a peer that can be reached from outside.
    pub(crate) reachable_peer: Expected,
    /// With a peer in a network like this one.
    pub(crate) same_kind: Expected,
}

/// A path that can be expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Expected {
    Direct,
    Relayed,
    None,
    Unknown,
}

/// All in all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Verdict {
    /// A direct path to some peer is possible.
    Direct,
    /// Others can be talked to through a relay only.
    Relayed,
    /// Nothing is known to work.
    None,
}

/// What one should know about the findings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Note {
    NoRelayGiven,
    NoRelayReached,
    /// The kind of NAT cannot be told from one place.
    OneObservationPoint,
    /// Nothing beyond this machine was tested.
    RelayOnThisMachine,
    /// Nothing beyond this network was tested.
    RelayOnThisNetwork,
}

impl Verdict {
    /// The exit status of the process.
    pub(crate) const fn exit_status(self) -> u8 {
        match self {
            Self::Direct => 0,
            Self::Relayed => 3,
            Self::None => 4,
        }
    }
}
