//! `punchline`: a libp2p peer for the terminal, and the relay that brings peers together.
//!
//! This file only parses, prepares the process and hands over to [`peer`], [`relay`] or [`doctor`].

mod cli;
mod common;
mod doctor;
mod http;
mod identity;
mod os;
mod output;
mod peer;
mod relay;
mod signals;

use std::{process::ExitCode, thread};

use tokio::runtime;
use tracing_subscriber::{EnvFilter, fmt};

use crate::{cli::Invocation, common::UsageError};

/// Exit status for anything that goes wrong once started.
const EXIT_FAILURE: u8 = 1;
/// Exit status for a wrong argument: nothing was started.
const EXIT_USAGE: u8 = 2;

/// What is logged unless `RUST_LOG` says otherwise.
const DEFAULT_LOG: &str = "warn";

/// What is logged of libraries unless `RUST_LOG` names them. libp2p-webrtc names remote IP addresses in its
/// error lines, which are ours to keep at debug; libp2p-identify warns of every push that a newer one
/// overtakes, libp2p-autonat of every request that a remote breaks off. quinn-udp warns of every
/// address there is no route to, and names it; libp2p-relay and libp2p-request-response of every stream
/// beyond their limits, so that a remote could fill the log.
const QUIET: &str = "libp2p_webrtc=off,libp2p_identify=error,libp2p_autonat=error,\
    libp2p_relay=error,libp2p_request_response=error,quinn_udp=error";

fn main() -> ExitCode {
    let invocation = match cli::parse(std::env::args_os()) {
        Ok(Some(invocation)) => invocation,
        Ok(None) => return ExitCode::SUCCESS,
        Err(UsageError(line)) => return fail(&line, EXIT_USAGE),
    };
    prepare();
    // A peer's work hardly fills one core; handing it from thread to thread would cost more than
    // it gains. A relay serves many.
    let mut runtime = match invocation {
        Invocation::Peer(_) | Invocation::Doctor(_) => runtime::Builder::new_current_thread(),
        Invocation::Relay(_) => runtime::Builder::new_multi_thread(),
    };
    let runtime = match runtime.enable_all().build() {
        Ok(runtime) => runtime,
        Err(e) => return fail(&format!("cannot start the runtime: {e}"), EXIT_FAILURE),
    };
    let outcome = runtime.block_on(run(invocation));
    // A thread that is stuck in a read of stdin must not keep the process alive.
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
        Invocation::Peer(args) => {
            let key = identity::load(args.identity.as_deref(), args.secret_key_seed)?;
            peer::run(args, key, stop).await?;
        }
        Invocation::Relay(settings) => relay::run(*settings, stop).await?,
        Invocation::Doctor(args) => return doctor::run(args, stop).await,
    }
    Ok(ExitCode::SUCCESS)
}

/// What has to happen once in a process, before any connection.
fn prepare() {
    // libp2p-webrtc panics at its first handshake without a default provider. The only way this
    // fails is that there is one already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    // QUIC's first random bytes take some 20 ms; drawn here, no connection waits for them.
    let _ = thread::Builder::new()
        .name("entropy".into())
        .spawn(|| aws_lc_rs::rand::fill(&mut [0; 32]));
    fmt()
        .with_env_filter(log_filter(std::env::var(EnvFilter::DEFAULT_ENV).ok()))
        .with_writer(std::io::stderr)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .init();
}

/// Of two directives for one target the later counts.
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
    fn who_asks_for_more_logs_does_not_get_those_with_addresses() {
        let filter = |wanted: &str| log_filter(Some(wanted.into())).to_string();
        for wanted in ["info", "debug", "shared=debug"] {
            let filter = filter(wanted);
            assert!(filter.contains("libp2p_webrtc=off"), "{filter}");
            assert!(filter.contains(wanted), "{filter}");
        }
        let asked_for = filter("libp2p_webrtc=debug");
        assert!(!asked_for.contains("libp2p_webrtc=off"), "{asked_for}");
        for nothing in [None, Some(" ".into()), Some("no=such=thing".into())] {
            assert!(log_filter(nothing).to_string().ends_with("warn"));
        }
    }
}
