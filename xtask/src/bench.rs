//! `cargo xtask bench`: what messages cost, beside plain libp2p streams, and what idling costs.

mod page;

use anyhow::Result;

use crate::{
    build,
    run::Cmd,
    setup::{self, For},
    web,
};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Measure between a Chromium tab and a native peer, instead of between two native ones.
    #[arg(long, conflicts_with = "args")]
    browser: bool,
    /// Only between two tabs, and where the time goes.
    #[arg(long, requires = "browser")]
    profile: bool,
    /// Write what messages cost into docs/performance.md, and plot it.
    #[arg(long, conflicts_with = "browser")]
    write: bool,
    /// `--quick` for a short run; `quic`, `tcp`, `relay` or `idle` for a part; `room N`, `return N` or `greedy N` for a crowd.
    #[arg(last = true)]
    args: Vec<String>,
}

/// The benchmark without messages.
const IDLE: &str = "idle";

/// The benchmarks of a crowd, which only run when they are asked for.
const CROWDS: [&str; 3] = ["room", "return", "greedy"];

/// Measures in a release build, as people run one.
pub(crate) fn main(args: &Args) -> Result<()> {
    if args.browser {
        return browser(args.profile);
    }
    if args.write {
        let measured = bench("messages").arg("--").args(&args.args).arg("--json");
        return page::write(&measured.read()?);
    }
    if args
        .args
        .first()
        .is_some_and(|word| CROWDS.contains(&word.as_str()))
    {
        return bench("crowd").arg("--").args(&args.args).run();
    }
    let (idle, messages): (Vec<_>, Vec<_>) =
        args.args.iter().partition(|word| word.as_str() == IDLE);
    let has_parts = messages.iter().any(|word| !word.starts_with('-'));
    if idle.is_empty() || has_parts {
        bench("messages").arg("--").args(messages).run()?;
    }
    if !idle.is_empty() || !has_parts {
        bench(IDLE).run()?;
    }
    Ok(())
}

fn bench(name: &str) -> Cmd {
    Cmd::new("cargo bench --package native --bench").arg(name)
}

fn browser(profile: bool) -> Result<()> {
    setup::set_up(For::Tests, false)?;
    web::build(false, false)?;
    let program = build::punchline(true)?;
    let run = |script: &str| {
        Cmd::new(&format!("node tests/browser/{script}"))
            .env("PUNCHLINE", program.to_string_lossy())
    };
    if profile {
        return run("bench-webrtc.mjs").env("PROFILE", "1").run();
    }
    run("bench.mjs").run()?;
    run("bench-webrtc.mjs").run()
}
