//! What a person types to set up, try, test and measure Punchline: `cargo xtask …`.

// A terminal is this program's output.
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod bench;
mod build;
mod demo;
mod gates;
mod nat_report;
mod pages;
mod policy;
mod run;
mod setup;
mod test;
mod tools;
mod web;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// Set up, try, test and measure Punchline.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Install what the tests need and this machine lacks; says so before each.
    Setup(setup::Args),
    /// Start a relay that serves the page, and a peer that answers whoever comes there.
    Demo(demo::Args),
    /// Set up, then run every check that CI runs.
    Test(test::Args),
    /// As `test`, with CI's settings, whatever the environment says.
    Ci(test::Args),
    /// Build the peer for a browser into www/pkg, small and compressed.
    Web(web::Args),
    /// Measure messages between two peers, in a release build.
    Bench(bench::Args),
    /// Measure how soon peers talk through every kind of NAT, and write it into docs/nat.md.
    NatReport(nat_report::Args),
}

fn main() -> ExitCode {
    match run(Cli::parse().task) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nerror: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> Result<()> {
    // All paths in this program are relative to the workspace, wherever the command was typed.
    std::env::set_current_dir(run::workspace_root())?;
    match task {
        Task::Setup(args) => setup::main(&args),
        Task::Demo(args) => demo::main(&args),
        Task::Test(args) => test::main(&args, run::in_ci()),
        Task::Ci(args) => test::main(&args, true),
        Task::Web(args) => web::main(&args),
        Task::Bench(args) => bench::main(&args),
        Task::NatReport(args) => nat_report::main(&args),
    }
}
