//! `punchline bench`: what the path between two peers is worth.
//!
//! One side waits ([`listen`]), the other measures ([`measure`]) with messages as every other program's, in a room of
//! their own, and gets a [`mod@report`]. What is measured ends with the ack: the other side's application has the message.

mod listen;
mod measure;
mod report;

use std::process::ExitCode;

use anyhow::{Context, bail};
use libp2p::identity::Keypair;
use punchline::{
    config::{NodeConfig, RelayAddress},
    platform,
};
use tokio::task;

use crate::{
    cli::{BenchArgs, RelaySpec},
    common::{
        bootstrap,
        output::Output,
        signals::{self, Stop},
    },
};

/// Waits to be measured, or measures and prints the report.
pub(crate) async fn run(args: BenchArgs, mut stop: Stop) -> anyhow::Result<ExitCode> {
    let mut output = Output::stdout().context("cannot start the output thread")?;
    let work = async {
        match args.listen {
            true => listen::run(&args, &mut output).await,
            false => measure::run(&args, &mut output).await,
        }
    };
    tokio::select! {
        result = work => result?,
        () = signals::asked(&mut stop) => match args.listen {
            true => {}
            false => bail!("stopped before everything was measured"),
        }
    }
    if !output.finish() {
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

/// What a node of either side is configured with; its key is a fresh one.
async fn config(args: &BenchArgs) -> anyhow::Result<(NodeConfig, Keypair)> {
    let mut relays = Vec::new();
    for relay in &args.relay {
        relays.push(find(relay).await?);
    }
    let config = NodeConfig {
        mdns: relays.is_empty() && args.dial.is_none(),
        relays,
        namespace: args.namespace.clone(),
        listen: platform::default_listen(),
        dial: args.dial.clone().into_iter().collect(),
        greet_interval: None,
        // Otherwise that is what would be measured.
        rate_of_peer: 0,
        ..NodeConfig::default()
    };
    Ok((config, Keypair::generate_ed25519()))
}

async fn find(relay: &RelaySpec) -> anyhow::Result<RelayAddress> {
    match relay {
        RelaySpec::Address(address) => Ok(RelayAddress {
            peer: None,
            addresses: vec![address.clone()],
        }),
        RelaySpec::Url(url) => {
            let asked = url.clone();
            let found = task::spawn_blocking(move || bootstrap::fetch_relay(&asked)).await?;
            match found {
                Ok(relay) => Ok(relay),
                Err(reason) => bail!("cannot reach relay {url}: {reason}"),
            }
        }
    }
}
