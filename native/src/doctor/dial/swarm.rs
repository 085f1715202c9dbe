//! The doctor's swarm: identify, AutoNAT v2's client, and no protocol of a peer.

use std::time::Duration;

use anyhow::Context;
use libp2p::{
    Swarm, autonat::v2::client, identify, identity::Keypair, relay, swarm::NetworkBehaviour,
};
use punchline::{
    config::{AGENT_VERSION, IDENTIFY_PROTOCOL},
    platform,
    protocols::limits,
};

use super::{candidates, reachability::MAX_CANDIDATES};

/// How often the client of AutoNAT hands new candidates to a relay.
const ASK_INTERVAL: Duration = Duration::from_millis(200);

/// The most incoming connections: relays that test, and anybody else who dials us in these seconds.
const MAX_INCOMING: u32 = 64;
/// The most outgoing connections: far more than there are addresses to dial.
const MAX_DIALS: u32 = 256;
const LIMITS: limits::Limits = limits::Limits {
    handshakes: MAX_INCOMING,
    dials: MAX_DIALS,
    incoming: MAX_INCOMING,
    all: MAX_INCOMING + MAX_DIALS,
    of_peer: MAX_INCOMING + MAX_DIALS,
};

/// What the doctor speaks.
#[derive(NetworkBehaviour)]
pub(crate) struct Behaviour {
    limits: limits::Behaviour,
    identify: identify::Behaviour,
    pub(super) candidates: candidates::Behaviour,
    reach: client::Behaviour,
    /// The platform's transports include that for circuits, which needs its behaviour.
    circuits: relay::client::Behaviour,
}

/// A swarm with a fresh key.
pub(super) fn new() -> anyhow::Result<Swarm<Behaviour>> {
    let key = Keypair::generate_ed25519();
    let identify = identify::Config::new(IDENTIFY_PROTOCOL.into(), key.public())
        .with_agent_version(AGENT_VERSION.into());
    let config = client::Config::default()
        .with_max_candidates(MAX_CANDIDATES)
        .with_probe_interval(ASK_INTERVAL);
    platform::build_swarm(key, &platform::Rtc::default(), |circuits, _| Behaviour {
        limits: limits::Behaviour::new(LIMITS),
        identify: identify::Behaviour::new(identify),
        candidates: candidates::Behaviour::default(),
        reach: client::Behaviour::new(rand::make_rng(), config),
        circuits,
    })
    .context("cannot set up the network")
}
