//! What msg costs: acked messages a second, round trips and bytes a second between two peers on
//! loopback, each beside the same figure of a plain libp2p stream with framed acks: framed by the
//! library that libp2p's own protocols use, and by a bare loop written for nothing else.
//!
//! `cargo xtask bench`; `-- --quick` for a short run, `-- quic`, `tcp`, `relay` or `idle` for a part.

mod bare;
mod framed;
mod idle;
mod msg;
mod plain;
mod relay;
mod report;

use std::{thread, time::Duration};

use anyhow::Result;
use tokio::{runtime, sync::oneshot, time::timeout};

use self::{plain::Framing, report::Round};

/// What a run measures.
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
/// A run that takes longer than this is stuck.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

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

#[tokio::main]
async fn main() -> Result<()> {
    let args: Vec<_> = std::env::args().skip(1).collect();
    let chosen = |name: &str| {
        let named = ["quic", "tcp", "relay", "idle"];
        args.iter().any(|a| a == name) || !args.iter().any(|a| named.contains(&a.as_str()))
    };
    let load = if args.iter().any(|a| a == "--quick") {
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
    report::head();
    for (name, over) in [
        ("quic", Over::Quic),
        ("tcp", Over::Tcp),
        ("relay", Over::Relay),
    ] {
        if !chosen(name) {
            continue;
        }
        let mut rounds = Vec::new();
        for _ in 0..ROUNDS {
            rounds.push(Round {
                ours: msg::run(over, load).await?,
                framed: plain::run(over, load, Framing::Library).await?,
                bare: plain::run(over, load, Framing::Bare).await?,
            });
        }
        report::rows(name, &rounds);
    }
    if chosen("idle") {
        report::idle(&timeout(PATIENCE, idle::run()).await??);
    }
    Ok(())
}

/// Runs one peer in a thread of its own, as two programs on two machines would run, with the
/// runtime that the program uses.
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
