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

use std::{process::ExitCode, thread};

use tokio::runtime;
use tracing_subscriber::{EnvFilter, fmt};

use crate::{
    cli::Invocation,
    common::{UsageError, output, signals},
};

/// Exit status of a run that failed after its arguments were accepted.
const EXIT_FAILURE: u8 = 1;
/// Exit status for a wrong argument: nothing has been started.
const EXIT_USAGE: u8 = 2;

/// What is logged unless `RUST_LOG` says otherwise.
const DEFAULT_LOG: &str = "warn";

/// What is logged of libraries unless `RUST_LOG` names them.
///
/// Remote IP addresses belong at debug level, and no remote may fill the log. But str0m and its parts write addresses into
/// their warnings, and quinn-udp warns of each address without a route, by name. libp2p-identify warns of each
/// push that a newer one overtakes, libp2p-autonat of each request that a remote breaks off, libp2p-relay and
/// libp2p-request-response of each stream beyond their limits.
const QUIET: &str = "str0m=off,is=off,dimpl=off,sctp_proto=off,libp2p_identify=error,libp2p_autonat=error,\
    libp2p_relay=error,libp2p_request_response=error,quinn_udp=error";

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
    prepare();
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
fn prepare() {
    // What fetches URLs wants a default provider. This fails only if there is one already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    // QUIC's first random bytes take some 20 ms where this was built without what .cargo/config.toml says; drawn here, no
    // connection waits for them.
    let _ = thread::Builder::new()
        .name("entropy".into())
        .spawn(|| aws_lc_rs::rand::fill(&mut [0; 32]));
    fmt()
        .with_env_filter(log_filter(std::env::var(EnvFilter::DEFAULT_ENV).ok()))
        .with_writer(std::io::stderr)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .init();
}

/// The filter for what `RUST_LOG` asks for. Of two directives for one target the later one counts.
fn log_filter(wanted: Option<String>) -> EnvFilter {
    let wanted = wanted.filter(|wanted| !wanted.trim().is_empty());
    let wanted = wanted.as_deref().unwrap_or(DEFAULT_LOG);
    EnvFilter::try_new(format!("{QUIET},{wanted}"))
        .unwrap_or_else(|_| EnvFilter::new(format!("{QUIET},{DEFAULT_LOG}")))
}

fn fail(line: &str, status: u8) -> ExitCode {
    output::complain(&format!("error: {line}"));
    ExitCode::from(status)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_more_verbose_log_still_has_no_addresses() {
        let filter = |wanted: &str| log_filter(Some(wanted.into())).to_string();
        for wanted in ["info", "debug", "punchline=debug"] {
            let filter = filter(wanted);
            assert!(filter.contains("str0m=off"), "{filter}");
            assert!(filter.contains(wanted), "{filter}");
        }
        let asked_for = filter("str0m=debug");
        assert!(!asked_for.contains("str0m=off"), "{asked_for}");
        for nothing in [None, Some(" ".into()), Some("no=such=thing".into())] {
            assert!(log_filter(nothing).to_string().ends_with("warn"));
        }
    }
}
