//! What msg costs: acked messages a second, round trips and bytes a second between two peers on loopback, each beside the
//! same figure of a plain libp2p stream with framed acks (framed by the library that libp2p's own protocols use, and by a
//! bare loop written for nothing else), and of that loop on raw QUIC and raw TCP.
//!
//! `cargo xtask bench` runs it. Words after `--` choose: `--quick` is a short run, `--json` prints each figure as it comes,
//! and `quic`, `tcp` and `relay` are parts.
//!
//! Each of the two peers is a process of its own: this program again, with other words (`receive`, `send`).

#[path = "../common/mod.rs"]
mod common;
mod msg;
mod pair;
mod plain;
mod raw;
mod report;

use anyhow::{Context, Result, bail};
use libp2p::Multiaddr;
use tokio::{runtime, time::timeout};

use self::{
    common::PATIENCE,
    report::{Figures, Round},
};

/// How much a run sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Load {
    /// Messages of 64 B with [`WINDOW`] outstanding.
    pub(crate) small: u64,
    /// Round trips of one message of 64 B.
    pub(crate) trips: u64,
    /// Messages of 64 KiB with [`WINDOW`] outstanding.
    pub(crate) large: u64,
}

const QUICK_LOAD: Load = Load {
    small: 20_000,
    trips: 500,
    large: 500,
};
const FULL_LOAD: Load = Load {
    small: 400_000,
    trips: 10_000,
    large: 5_000,
};

/// Messages that are outstanding at a time.
pub(crate) const WINDOW: u64 = 64;
/// A small body.
pub(crate) const SMALL: usize = 64;
/// The largest body.
pub(crate) const LARGE: usize = 64 * 1024;
/// How often everything is measured: on a machine that is not quiet, one run says little.
pub(crate) const ROUNDS: usize = 5;

/// What the bytes travel over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Over {
    /// Direct QUIC.
    Quic,
    /// Direct TCP.
    Tcp,
    /// A circuit; both legs are QUIC.
    Relay,
}

/// What carries the messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// msg.
    Msg,
    /// A libp2p stream, framed by prost-codec, as in libp2p's own protocols.
    Framed,
    /// A libp2p stream, framed by a loop written for this benchmark.
    Bare,
    /// The same loop on a stream of QUIC with AES, or on a TCP connection, which nothing encrypts.
    Raw,
    /// The same loop on a stream of QUIC with `ChaCha20`.
    RawChacha,
}

const OVERS: [(&str, Over); 3] = [
    ("quic", Over::Quic),
    ("tcp", Over::Tcp),
    ("relay", Over::Relay),
];
const KINDS: [(&str, Kind); 5] = [
    ("msg", Kind::Msg),
    ("stream", Kind::Framed),
    ("bare", Kind::Bare),
    ("raw", Kind::Raw),
    ("raw-chacha", Kind::RawChacha),
];
const QUICK: &str = "--quick";
const JSON: &str = "--json";
/// What cargo adds to every benchmark's words.
const FROM_CARGO: &str = "--bench";

fn main() -> Result<()> {
    // One thread, as the program has.
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let words: Vec<_> = std::env::args().skip(1).collect();
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["receive", kind, over, relay] => {
            let peer = receive(named(&KINDS, kind)?, named(&OVERS, over)?, relay);
            runtime.block_on(async { timeout(PATIENCE, peer).await? })
        }
        ["send", kind, over, relay, address, load] => {
            let load = if load == QUICK { QUICK_LOAD } else { FULL_LOAD };
            let peer = send(
                named(&KINDS, kind)?,
                named(&OVERS, over)?,
                relay,
                address,
                load,
            );
            let figures = runtime.block_on(async { timeout(PATIENCE, peer).await? })?;
            common::say(&serde_json::to_string(&figures)?);
            Ok(())
        }
        _ => runtime.block_on(measure(&words)),
    }
}

fn named<T: Copy>(all: &[(&str, T)], wanted: &str) -> Result<T> {
    let found = all.iter().find(|(name, _)| *name == wanted);
    found.map(|(_, it)| *it).context("no such word")
}

/// Says where it is, and takes what comes until it is killed.
async fn receive(kind: Kind, over: Over, relay: &str) -> Result<()> {
    match kind {
        Kind::Msg => msg::receive(over, relay_at(relay)?).await,
        Kind::Framed | Kind::Bare => plain::receive(kind, over, relay_at(relay)?).await,
        Kind::Raw | Kind::RawChacha => raw::receive(kind, over).await,
    }
}

async fn send(kind: Kind, over: Over, relay: &str, address: &str, load: Load) -> Result<Figures> {
    match kind {
        Kind::Msg => msg::send(over, relay_at(relay)?, address.parse()?, load).await,
        Kind::Framed | Kind::Bare => plain::send(kind, address.parse()?, load).await,
        Kind::Raw | Kind::RawChacha => raw::send(kind, over, address, load).await,
    }
}

fn relay_at(word: &str) -> Result<Option<Multiaddr>> {
    Ok(match word {
        "-" => None,
        address => Some(address.parse()?),
    })
}

async fn measure(words: &[&str]) -> Result<()> {
    let is_part = |word: &&&str| OVERS.iter().any(|(name, _)| *name == **word);
    let is_known = |word: &&&str| is_part(word) || [QUICK, JSON, FROM_CARGO].contains(word);
    if let Some(unknown) = words.iter().find(|word| !is_known(word)) {
        bail!("{unknown} is neither {QUICK}, {JSON} nor one of quic, tcp and relay");
    }
    let (json, all) = (
        words.contains(&JSON),
        !words.iter().any(|word| is_part(&word)),
    );
    if !json {
        report::head();
    }
    for (name, over) in OVERS {
        if !all && !words.contains(&name) {
            continue;
        }
        let mut rounds: Vec<Round> = Vec::new();
        for nth in 1..=ROUNDS {
            let mut round = Round::new();
            for (kind_name, kind) in KINDS.into_iter().filter(|(_, kind)| kind.is_over(over)) {
                let figures = pair::run(kind_name, (name, over), words.contains(&QUICK)).await;
                let figures = figures.with_context(|| format!("{kind_name} over {name}"))?;
                if json {
                    report::json(name, kind_name, nth, figures)?;
                }
                round.push((kind, figures));
            }
            rounds.push(round);
        }
        if !json {
            report::rows(name, &rounds);
        }
    }
    Ok(())
}

impl Kind {
    /// Whether it is measured over that.
    fn is_over(self, over: Over) -> bool {
        match self {
            Self::Msg | Self::Framed | Self::Bare => true,
            Self::Raw => over != Over::Relay,
            Self::RawChacha => over == Over::Quic,
        }
    }
}
