//! The options of a peer, and what they come to.

use std::path::PathBuf;

use libp2p::Multiaddr;
use punchline::{
    config::{DEFAULT_NAMESPACE, IceServer},
    name::PeerName,
};

use super::values::{self, Link, RelaySpec};
use crate::common::{Period, UsageError};

/// The variable that names STUN and TURN servers, with spaces between them.
const ICE_SERVERS: &str = "PUNCHLINE_ICE_SERVERS";

/// The options as they are typed.
#[derive(Debug, Clone, PartialEq, clap::Args)]
pub(super) struct PeerOptions {
    /// Peers to dial, such as /ip4/192.0.2.7/udp/45678/quic-v1, or the link of an invitation, such
    /// as http://relay.example:45680/#room=ours; without any, listen.
    #[arg(value_name = "MULTIADDR|LINK", value_parser = values::destination)]
    destinations: Vec<Destination>,

    /// A relay to be reachable through and to meet others at: its multiaddr, or the http(s) URL
    /// that it printed. May be given more than once.
    #[arg(long, alias = "relay-address", value_name = "MULTIADDR|URL", value_parser = values::link)]
    relay: Vec<Link>,

    /// Only peers that name the same namespace (room) meet. At most 255 bytes.
    /// [default: that of the link, else rendezvous]
    #[arg(long, value_name = "NAME", allow_hyphen_values = true, value_parser = values::namespace)]
    namespace: Option<String>,

    /// What others read of you, at most 64 bytes. Default: two words that the peer id gives.
    #[arg(long, value_name = "NAME", value_parser = PeerName::chosen)]
    name: Option<PeerName>,

    /// An address to listen on, such as /ip4/0.0.0.0/tcp/4001. May be given more than once.
    /// Default: QUIC and TCP on every interface, any port, IPv4 and IPv6.
    #[arg(long, value_name = "MULTIADDR", value_parser = values::listen_address)]
    listen: Vec<Multiaddr>,

    /// Find peers on this network by mDNS, and be found by them; --mdns=false turns it off.
    /// Default: on without --relay, unless every --listen is on this machine only.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    mdns: Option<bool>,

    /// Ask this network's gateway (UPnP, else PCP or NAT-PMP) to let others reach us from outside.
    #[arg(long)]
    port_mapping: bool,

    /// A STUN server that WebRTC asks where browsers can reach us, such as stun:192.0.2.7:3478, or a TURN server that
    /// carries what nothing else does, such as turn:USER:PASSWORD@192.0.2.7:3478. May be given more than once; others on this
    /// machine can see a command line, but not the variable. Default: the relays that are given by URL, and nobody else.
    #[arg(long, value_name = "URL", value_parser = values::ice_server, env = ICE_SERVERS, hide_env_values = true, value_delimiter = ' ')]
    ice_server: Vec<IceServer>,

    /// How often a dialled peer is greeted, such as 500ms, 10s or 1m; 0 = never.
    #[arg(long, value_name = "DURATION", default_value = "10s")]
    greet_interval: Period,

    /// Keep the key, and so the peer id, in this file. It is created if it does not exist.
    /// Default: at a terminal $XDG_STATE_HOME/punchline/identity or
    /// ~/.local/state/punchline/identity, otherwise a fresh key each start.
    #[arg(long, value_name = "FILE")]
    identity: Option<PathBuf>,

    /// A fresh key, and so another peer id, at each start.
    #[arg(long, conflicts_with_all = ["identity", "secret_key_seed"])]
    ephemeral: bool,

    /// A fixed key that anyone can compute: for demos and tests only.
    #[arg(long, value_name = "0-255", conflicts_with = "identity", value_parser = values::seed)]
    secret_key_seed: Option<u8>,

    /// Show addresses and what relays report, too.
    #[arg(long, short)]
    verbose: bool,

    /// Ring the terminal's bell for each message.
    #[arg(long)]
    bell: bool,

    /// Print one JSON object a line on stdout.
    #[arg(long)]
    json: bool,
}

/// What is to be dialled, or where to meet others.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Destination {
    /// A peer.
    Address(Multiaddr),
    /// A room at a relay.
    Link(Link),
}

/// What a peer is started with.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PeerArgs {
    /// Peers to dial.
    pub(crate) dial: Vec<Multiaddr>,
    /// Relays to use.
    pub(crate) relay: Vec<RelaySpec>,
    /// The room.
    pub(crate) namespace: String,
    /// What others read of us.
    pub(crate) name: Option<PeerName>,
    /// Where to listen; nowhere means everywhere.
    pub(crate) listen: Vec<Multiaddr>,
    /// Whether to use mDNS, if that was said.
    pub(crate) mdns: Option<bool>,
    /// Whether to ask the gateway for ports.
    pub(crate) port_mapping: bool,
    /// Who is asked where browsers can reach us, beside relays.
    pub(crate) ice_servers: Vec<IceServer>,
    /// How often a dialled peer is greeted.
    pub(crate) greet_interval: Period,
    /// Where the key is kept, if that was said.
    pub(crate) identity: Option<PathBuf>,
    /// Whether the key is to be a fresh one.
    pub(crate) ephemeral: bool,
    /// What the key is computed from.
    pub(crate) secret_key_seed: Option<u8>,
    /// Whether addresses are shown.
    pub(crate) verbose: bool,
    /// Whether a message rings the bell.
    pub(crate) bell: bool,
    /// Whether events are printed as JSON.
    pub(crate) json: bool,
}

impl PeerOptions {
    /// Takes rooms and relays out of the links.
    pub(super) fn resolve(self) -> Result<PeerArgs, UsageError> {
        let mut dial = Vec::new();
        let mut links = self.relay;
        for destination in self.destinations {
            match destination {
                Destination::Address(address) => dial.push(address),
                Destination::Link(link) => links.push(link),
            }
        }
        let namespace = room_of(self.namespace, &links)?;
        let namespace = namespace.unwrap_or_else(|| DEFAULT_NAMESPACE.into());
        Ok(PeerArgs {
            dial,
            relay: links.into_iter().map(|link| link.relay).collect(),
            namespace,
            name: self.name,
            listen: self.listen,
            mdns: self.mdns,
            port_mapping: self.port_mapping,
            ice_servers: self.ice_server,
            greet_interval: self.greet_interval,
            identity: self.identity,
            ephemeral: self.ephemeral,
            secret_key_seed: self.secret_key_seed,
            verbose: self.verbose,
            bell: self.bell,
            json: self.json,
        })
    }
}

/// The one room that is named, if any: a peer is in one only.
pub(super) fn room_of(typed: Option<String>, links: &[Link]) -> Result<Option<String>, UsageError> {
    let mut named = typed;
    for room in links.iter().filter_map(|link| link.room.as_ref()) {
        match &named {
            Some(other) if other != room => {
                return Err(UsageError(format!(
                    "a link names the room '{room}', and '{other}' is named too; a peer is in one room"
                )));
            }
            _ => named = Some(room.clone()),
        }
    }
    Ok(named)
}
