//! What msg costs: acked messages a second, round trips and bytes a second between two peers on
//! loopback, each beside the same figure of a plain libp2p stream with framed acks: framed by the
//! library that libp2p's own protocols use, and by a bare loop written for nothing else.
//!
//! `cargo xtask bench` runs it. Words after `--` choose: `--quick` is a short run, and `quic`, `tcp` and `relay` are parts.

#[path = "../common/mod.rs"]
mod common;
mod msg;
mod plain;
mod report;

use std::thread;

use anyhow::{Result, bail};
use tokio::{runtime, sync::oneshot, time::timeout};

use self::{common::PATIENCE, plain::Framing, report::Round};

/// How much a run sends.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    /// Messages of 64 B with [`WINDOW`] outstanding.
    pub(crate) small: u64,
    /// Round trips of one message of 64 B.
    pub(crate) trips: u64,
    /// Messages of 64 KiB with [`WINDOW`] outstanding.
    pub(crate) large: u64,
}

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

/// What a run is called, and what it travels over.
const PARTS: &[(&str, Over)] = &[
    ("quic", Over::Quic),
    ("tcp", Over::Tcp),
    ("relay", Over::Relay),
];
const QUICK: &str = "--quick";
/// What cargo adds to every benchmark's words.
const FROM_CARGO: &str = "--bench";

#[tokio::main]
async fn main() -> Result<()> {
    let words: Vec<_> = std::env::args().skip(1).collect();
    let is_part = |word: &String| PARTS.iter().any(|(name, _)| name == word);
    let is_known = |word: &&String| is_part(word) || *word == QUICK || *word == FROM_CARGO;
    if let Some(unknown) = words.iter().find(|word| !is_known(word)) {
        bail!("{unknown} is neither {QUICK} nor one of quic, tcp and relay");
    }
    let load = if words.iter().any(|word| word == QUICK) {
        Load {
            small: 20_000,
            trips: 500,
            large: 500,
        }
    } else {
        Load {
            small: 400_000,
            trips: 10_000,
            large: 5_000,
        }
    };
    let all = !words.iter().any(is_part);
    report::head();
    for (name, over) in PARTS {
        if all || words.iter().any(|word| word == name) {
            report::rows(name, &rounds(*over, load).await?);
        }
    }
    Ok(())
}

async fn rounds(over: Over, load: Load) -> Result<Vec<Round>> {
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        rounds.push(Round {
            ours: msg::run(over, load).await?,
            framed: plain::run(over, load, Framing::Library).await?,
            bare: plain::run(over, load, Framing::Bare).await?,
        });
    }
    Ok(rounds)
}

/// Runs one peer in a thread of its own, with the runtime that the program uses: the two peers of a run share no more
/// than two programs would.
fn in_own_thread<T: Send + 'static>(
    peer: impl Future<Output = Result<T>> + Send + 'static,
) -> impl Future<Output = Result<T>> {
    let (done, result) = oneshot::channel();
    thread::spawn(move || {
        let runtime = runtime::Builder::new_current_thread().enable_all().build();
        let result = runtime
            .map_err(Into::into)
            .and_then(|runtime| runtime.block_on(async { timeout(PATIENCE, peer).await? }));
        // Nobody listens any more if the other peer has failed.
        let _ = done.send(result);
    });
    async { result.await? }
}
