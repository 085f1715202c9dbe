//! The doctor's report: what `--json` prints, and what the text is made of.
//!
//! docs/operating.md describes each field.

use std::net::IpAddr;

use libp2p::{Multiaddr, PeerId};
use punchline::path::Transport;
use serde::Serialize;

/// All findings. In JSON the field `event` is `doctor`.
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
    /// In the order of the command line.
    pub(crate) relays: Vec<Relay>,
    pub(crate) paths: Paths,
    pub(crate) result: Verdict,
    /// The exit status of the process.
    pub(crate) exit_status: u8,
    pub(crate) notes: Vec<Note>,
    /// What to do next: commands or sentences.
    pub(crate) next: Vec<String>,
}

/// Whether packets get out of this network, and answers back in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Passes {
    Yes,
    /// Only to the ports that the web uses: 80 and 443.
    WebPorts,
    No,
    /// No server was asked.
    Unknown,
}

/// One of IPv4 and IPv6.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Family {
    /// Whether any server was reached by it.
    pub(crate) works: Answer,
    /// This machine's own address; `None` without a route.
    pub(crate) own: Option<IpAddr>,
    /// The address that others see.
    pub(crate) outside: Option<IpAddr>,
    /// What a NAT makes of a UDP port.
    pub(crate) nat: Nat,
    /// The places that saw it.
    pub(crate) seen_from: SeenFrom,
    /// What a NAT makes of a TCP port.
    pub(crate) tcp_nat: Nat,
}

/// A finding that may be unknown.
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
    /// No NAT: the server saw the socket's own address.
    None,
    /// One address and port for all destinations.
    EndpointIndependent { port: Port },
    /// Another one for each destination.
    Symmetric,
    /// There is a NAT, and only one place to see it from.
    Unknown { port: Port },
    /// No server answered.
    NotSeen,
}

/// Whether a NAT keeps the number of the port.
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

/// Whether others can connect to this machine by themselves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct FromOutside {
    pub(crate) reachable: Answer,
    pub(crate) tested: Vec<Tested>,
}

/// One address that a relay was asked to dial.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Tested {
    pub(crate) address: Multiaddr,
    /// `no` as well if no relay had connected in time.
    pub(crate) reachable: Answer,
}

/// One relay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Relay {
    /// The command line's text for it.
    pub(crate) given: String,
    pub(crate) peer: Option<PeerId>,
    pub(crate) reached: bool,
    /// What is wrong with it, if anything is.
    pub(crate) error: Option<String>,
    pub(crate) transports: Vec<ByTransport>,
}

/// The best attempt to reach a relay by one transport.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct ByTransport {
    pub(crate) transport: Transport,
    pub(crate) address: Multiaddr,
    #[serde(flatten)]
    pub(crate) state: State,
}

/// Whether the address leads to the relay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub(crate) enum State {
    Reached {
        milliseconds: u64,
    },
    Failed {
        reason: String,
    },
    /// For browsers only: a terminal has no WebRTC.
    NotDialable,
}

/// The paths to expect to other peers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Paths {
    /// To a peer that can be reached from outside.
    pub(crate) reachable_peer: Expected,
    /// To a peer in a network like this one.
    pub(crate) same_kind: Expected,
}

/// A path to expect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Expected {
    Direct,
    Relayed,
    None,
    Unknown,
}

/// The result of it all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Verdict {
    /// A direct path to some peer is possible.
    Direct,
    /// Other peers can be reached through a relay only.
    Relayed,
    /// Nothing is known to work.
    None,
}

/// A note on how far the findings go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Note {
    NoRelayGiven,
    NoRelayReached,
    /// Only one place saw the NAT, which leaves its kind open.
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
