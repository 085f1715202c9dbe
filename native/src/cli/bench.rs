//! The options of `punchline bench`, and what they come to.

use std::time::Duration;

use libp2p::Multiaddr;

use super::{
    peer::{self, Destination},
    values::{self, Link, RelaySpec},
};
use crate::common::{Period, UsageError};

/// The room of those who measure, so that nobody else reads what is sent; a named one is added.
const NAMESPACE: &str = "punchline-bench";
/// How long one figure may be measured.
const MAX_TIME: Duration = Duration::from_secs(60);

const EXAMPLES: &str = "\
Examples:
  punchline bench --listen
      On one machine: wait to be measured. It prints what to type on the other one.
  punchline bench /ip4/192.0.2.7/udp/45678/quic-v1
      On the other: measure the path to that address.
  punchline bench --listen --relay http://relay.example:45680
  punchline bench --relay http://relay.example:45680
      The same between two that find each other at a relay: the direct path if there is one,
      else the one by the relay.

What is sent is shown to nobody, and only who runs `punchline bench --listen` takes it.
Exit status: 0 measured, 1 failed, 2 wrong argument.";

/// The options as they are typed.
#[derive(Debug, Clone, PartialEq, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct BenchOptions {
    /// The other side's address, or the link of a room that both use.
    #[arg(value_name = "MULTIADDR|LINK", value_parser = values::destination)]
    destination: Option<Destination>,

    /// Wait to be measured, until stopped.
    #[arg(long, conflicts_with_all = ["destination", "time"])]
    listen: bool,

    /// A relay to meet the other side at: its multiaddr, or the http(s) URL that it printed.
    #[arg(long, alias = "relay-address", value_name = "MULTIADDR|URL", value_parser = values::link)]
    relay: Vec<Link>,

    /// Only those who name the same one meet, if several pairs measure at one relay.
    #[arg(long, value_name = "NAME", allow_hyphen_values = true, value_parser = values::namespace)]
    namespace: Option<String>,

    /// How long each of the three figures is measured: up to 60s.
    #[arg(long, value_name = "DURATION", default_value = "3s")]
    time: Period,

    /// Print JSON on stdout, one object a line.
    #[arg(long)]
    json: bool,
}

/// What a measurement is started with.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct BenchArgs {
    /// Wait to be measured.
    pub(crate) listen: bool,
    /// The other side.
    pub(crate) dial: Option<Multiaddr>,
    /// Where to meet it.
    pub(crate) relay: Vec<RelaySpec>,
    /// The room of both.
    pub(crate) namespace: String,
    /// What was named of it, to be named by the other side, too.
    pub(crate) named: Option<String>,
    /// How long each figure is measured.
    pub(crate) time: Duration,
    /// Print JSON.
    pub(crate) json: bool,
}

impl BenchOptions {
    /// Takes the relay and the room out of a link, and checks the time.
    pub(super) fn resolve(self) -> Result<BenchArgs, UsageError> {
        let mut links = self.relay;
        let mut dial = None;
        match self.destination {
            Some(Destination::Address(address)) => dial = Some(address),
            Some(Destination::Link(link)) => links.push(link),
            None => {}
        }
        let named = peer::room_of(self.namespace, &links)?;
        let namespace = match &named {
            Some(named) => format!("{NAMESPACE} {named}"),
            None => NAMESPACE.into(),
        };
        values::namespace(&namespace).map_err(UsageError)?;
        let time = self.time.0.filter(|time| *time <= MAX_TIME);
        let time = time.ok_or_else(|| {
            UsageError(format!(
                "--time takes more than 0, and up to {} s",
                MAX_TIME.as_secs()
            ))
        })?;
        Ok(BenchArgs {
            listen: self.listen,
            dial,
            relay: links.into_iter().map(|link| link.relay).collect(),
            namespace,
            named,
            time,
            json: self.json,
        })
    }
}
