//! The command line: its options, and one line of text for each wrong argument.

mod bench;
mod peer;
mod relay;
mod values;

use std::ffi::OsString;

use crate::{common::UsageError, relay::settings::Settings};
use clap::{Parser, Subcommand, error::ErrorKind};

pub(crate) use self::{bench::BenchArgs, peer::PeerArgs, values::RelaySpec};
use self::{bench::BenchOptions, peer::PeerOptions, relay::RelayOptions};

/// What the command line asks to run.
#[derive(Debug)]
pub(crate) enum Invocation {
    /// A peer.
    Peer(PeerArgs),
    /// A relay.
    Relay(Box<Settings>),
    /// The doctor.
    Doctor(DoctorArgs),
    /// A measurement.
    Bench(BenchArgs),
    /// Help or the version.
    Print(String),
}

/// Talk to another machine directly, through NATs.
///
/// Without an address the peer listens. Each address is dialled, and greeted every 10 s.
/// A line on stdin is a message to every connected peer; /help lists what else can be typed.
#[derive(Debug, Parser)]
#[command(
    name = "punchline",
    version,
    args_conflicts_with_subcommands = true,
    disable_help_subcommand = true,
    after_help = PEER_EXAMPLES
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    peer: PeerOptions,
}

const PEER_EXAMPLES: &str = "\
Examples:
  punchline http://relay.example:45680/#room=our-room
      Meet those who have the same link: the page's invitation works in a terminal, too.
  punchline --relay http://relay.example:45680
      Meet everyone who uses that relay and names no room.
  punchline --relay http://relay.example:45680 --namespace our-room
      Meet those who name the same namespace.
  punchline /ip4/192.0.2.7/udp/45678/quic-v1
      Dial a peer whose address you know.
  punchline
      Meet everyone on this network who does the same.
  punchline relay
      Run a relay; more with `punchline relay --help`.
  punchline doctor --relay http://relay.example:45680
      Find out what this network allows.
  punchline bench --listen
      Measure the path between two machines; more with `punchline bench --help`.

Logs go to stderr; RUST_LOG=punchline=debug shows more of them.
Exit status: 0 stopped, 1 failed, 2 wrong argument (nothing was started).";

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a relay: relay, rendezvous point, STUN server and web host in one.
    Relay(Box<RelayOptions>),
    /// Find out what this network allows: UDP, IPv6, NATs, relays, direct paths. Takes up to 10 s.
    Doctor(DoctorArgs),
    /// Measure the path to another machine: round trips, messages and bytes a second, time to the first ack.
    Bench(BenchOptions),
}

const DOCTOR_EXAMPLES: &str = "\
Examples:
  punchline doctor --relay http://relay.example:45680
      What the way to that relay shows.
  punchline doctor --relay http://relay.example:45680 --relay http://other.example:45680
      The same from two places, which shows the kind of a NAT for sure.

It takes at most 10 s, keeps nothing, and talks to the relays that you name and to nobody else.
Exit status: 0 a direct path to some peer is possible, 3 only through a relay, 4 nothing works or
nothing could be tested, 1 failed or stopped, 2 wrong argument.";

/// Relays that the doctor looks at in one run: two are enough to find out a NAT's kind.
const MAX_DOCTOR_RELAYS: usize = 8;

/// The options of `punchline doctor`.
#[derive(Debug, Clone, PartialEq, clap::Args)]
#[command(after_help = DOCTOR_EXAMPLES)]
pub(crate) struct DoctorArgs {
    /// A relay to look from: its multiaddr, or the http(s) URL that it printed. May be given more
    /// than once; two show more about a NAT than one.
    #[arg(long, alias = "relay-address", value_name = "MULTIADDR|URL", value_parser = values::relay)]
    pub(crate) relay: Vec<RelaySpec>,

    /// Print one JSON object on stdout.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Parses the arguments.
pub(crate) fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Invocation, UsageError> {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(e) if is_help(&e) => return Ok(Invocation::Print(e.to_string())),
        Err(e) => return Err(UsageError(one_line(&e))),
    };
    Ok(match cli.command {
        Some(Command::Relay(options)) => Invocation::Relay(Box::new(options.resolve()?)),
        Some(Command::Doctor(args)) => {
            check_relays(&args.relay)?;
            Invocation::Doctor(args)
        }
        Some(Command::Bench(options)) => Invocation::Bench(options.resolve()?),
        None => Invocation::Peer(cli.peer.resolve()?),
    })
}

fn check_relays(relays: &[RelaySpec]) -> Result<(), UsageError> {
    match relays.len() {
        0..=MAX_DOCTOR_RELAYS => Ok(()),
        count => Err(UsageError(format!(
            "{count} relays; at most {MAX_DOCTOR_RELAYS} are looked at"
        ))),
    }
}

fn is_help(error: &clap::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
    )
}

/// The first paragraph of clap's message on one line.
fn one_line(error: &clap::Error) -> String {
    let text = error.to_string();
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    let paragraph = text.split("\n\n").next().unwrap_or(text);
    let words: Vec<_> = paragraph.split_whitespace().collect();
    let line: String = words
        .join(" ")
        .chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect();
    format!("{line} (--help lists the options)")
}

#[cfg(test)]
mod tests;
