//! `punchline`: a libp2p peer for the terminal, and the relay that brings peers together.
//!
//! [`main`] parses the command line, prepares the process and runs [`peer`], [`relay`], [`doctor`] or [`mod@bench`].

mod bench;
mod cli;
mod common;
mod doctor;
mod http;
mod peer;
mod relay;
mod watch;

use std::{process::ExitCode, thread};

use tokio::runtime;

use crate::{
    cli::Invocation,
    common::{UsageError, log, output, signals, trust},
};

/// Exit status of a run that failed after its arguments were accepted.
const EXIT_FAILURE: u8 = 1;
/// Exit status for a wrong argument: nothing has been started.
const EXIT_USAGE: u8 = 2;

fn main() -> ExitCode {
    let invocation = match cli::parse(std::env::args_os()) {
        Ok(Invocation::Print(text)) => {
            return match output::print(&text) {
                Ok(()) => ExitCode::SUCCESS,
                Err(e) => fail(&format!("cannot write to stdout: {e}"), EXIT_FAILURE),
            };
        }
        Ok(invocation) => invocation,
        Err(UsageError(line)) => return fail(&line, EXIT_USAGE),
    };
    prepare(&invocation);
    // One peer's work seldom fills a core, and passing it between threads costs more than it gains. A relay serves
    // many peers.
    let mut runtime = match invocation {
        Invocation::Peer(_)
        | Invocation::Doctor(_)
        | Invocation::Bench(_)
        | Invocation::Print(_) => runtime::Builder::new_current_thread(),
        Invocation::Relay(_) => runtime::Builder::new_multi_thread(),
    };
    let runtime = match runtime.enable_all().build() {
        Ok(runtime) => runtime,
        Err(e) => return fail(&format!("cannot start the runtime: {e}"), EXIT_FAILURE),
    };
    let outcome = runtime.block_on(run(invocation));
    // A thread that is blocked in a read of stdin must not keep the process alive.
    runtime.shutdown_background();
    match outcome {
        Ok(status) => status,
        Err(e) => match e.downcast_ref::<UsageError>() {
            Some(UsageError(line)) => fail(line, EXIT_USAGE),
            None => fail(&format!("{e:#}"), EXIT_FAILURE),
        },
    }
}

async fn run(invocation: Invocation) -> anyhow::Result<ExitCode> {
    let stop = signals::install()?;
    match invocation {
        Invocation::Peer(args) => peer::run(args, stop).await?,
        Invocation::Relay(settings) => relay::run(*settings, stop).await?,
        Invocation::Doctor(args) => return doctor::run(args, stop).await,
        Invocation::Bench(args) => return bench::run(args, stop).await,
        // Printed before there was a runtime.
        Invocation::Print(_) => {}
    }
    Ok(ExitCode::SUCCESS)
}

/// Does what has to happen once in a process, before any connection.
fn prepare(invocation: &Invocation) {
    // What fetches URLs wants a default provider. This fails only if there is one already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    trust::prepare();
    // QUIC's first random bytes take some 20 ms where this was built without what .cargo/config.toml says; drawn here, no
    // connection waits for them.
    let _ = thread::Builder::new()
        .name("entropy".into())
        .spawn(|| aws_lc_rs::rand::fill(&mut [0; 32]));
    let (format, bounded) = match invocation {
        Invocation::Relay(settings) => (settings.log_format, true),
        _ => (log::Format::Text, false),
    };
    log::start(format, bounded);
}

fn fail(line: &str, status: u8) -> ExitCode {
    output::complain(&format!("error: {line}"));
    ExitCode::from(status)
}
