//! `cargo xtask bench`: what msg costs, beside what a plain libp2p stream costs.

use anyhow::Result;

use crate::{
    build,
    run::Cmd,
    setup::{self, For},
    web,
};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Between a Chromium tab and a native peer, instead of two native ones.
    #[arg(long, conflicts_with = "args")]
    browser: bool,
    /// Passed on to the benchmark; `-- --help` shows what it knows.
    #[arg(last = true)]
    args: Vec<String>,
}

/// Everything is built in release mode: numbers of any other build mean nothing.
pub(crate) fn main(args: &Args) -> Result<()> {
    if args.browser {
        return browser();
    }
    Cmd::new("cargo bench --package native --bench peer --")
        .args(&args.args)
        .run()
}

fn browser() -> Result<()> {
    setup::set_up(For::Tests, false)?;
    web::build(false, false)?;
    let program = build::punchline(true)?;
    Cmd::new("node tests/browser/bench.mjs")
        .env("PUNCHLINE", program.to_string_lossy())
        .run()
}
