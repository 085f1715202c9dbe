//! `cargo xtask bench`: the benchmark of the msg protocol.

use anyhow::Result;

use crate::run::Cmd;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Passed on to the benchmark; `-- --help` shows what it knows.
    #[arg(last = true)]
    args: Vec<String>,
}

/// `cargo bench` builds in release mode, and numbers of any other build mean nothing.
pub(crate) fn main(args: &Args) -> Result<()> {
    Cmd::new("cargo bench --package native --bench peer --")
        .args(&args.args)
        .run()
}
