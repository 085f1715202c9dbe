//! What the benchmarks share: a relay, which is the real binary in a process of its own, and nodes that use it.

use std::{process::Stdio, time::Duration};

use anyhow::{Context, Result, bail};
use libp2p::Multiaddr;
use punchline::{
    address,
    config::{NodeConfig, RelayAddress},
};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

/// A run that takes longer than this is stuck.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// A running relay. It is killed when this is dropped.
pub(crate) struct Relay {
    /// Its QUIC address, peer id included.
    pub(crate) address: Multiaddr,
    process: Child,
}

impl Relay {
    /// Starts one on free ports.
    pub(crate) async fn start() -> Result<Self> {
        let mut process = Command::new(env!("CARGO_BIN_EXE_punchline"))
            .args(["relay", "--port", "0", "--json"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("the relay does not start")?;
        let stdout = process.stdout.take().context("no stdout")?;
        let mut lines = BufReader::new(stdout).lines();
        let address = loop {
            let Some(line) = lines.next_line().await? else {
                bail!("the relay stopped");
            };
            let event: serde_json::Value = serde_json::from_str(&line)?;
            let address = event["address"].as_str().unwrap_or_default();
            if address.starts_with("/ip4/127.0.0.1/udp/") && address.contains("/quic-v1/") {
                break address.parse()?;
            }
        };
        // The relay must not wait for a reader.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Ok(Self { address, process })
    }

    /// The id of its process.
    #[allow(dead_code, reason = "only one of the benchmarks looks at the process")]
    pub(crate) fn pid(&self) -> Result<u32> {
        self.process.id().context("the relay stopped")
    }
}

/// The configuration of a node that listens there and does nothing on its own.
pub(crate) fn listening_on(address: &str) -> Result<NodeConfig> {
    Ok(NodeConfig {
        // What is measured is how fast it could be.
        rate_of_peer: 0,
        listen: vec![address.parse()?],
        greet_interval: None,
        hole_punch: false,
        ..NodeConfig::default()
    })
}

/// The configuration of a node that reserves at that relay.
pub(crate) fn reserving_at(relay: &Multiaddr) -> Result<NodeConfig> {
    Ok(NodeConfig {
        // What is measured is how fast it could be.
        rate_of_peer: 0,
        relays: vec![RelayAddress {
            peer: address::peer_of(relay),
            addresses: vec![address::without_peer(relay.clone())],
        }],
        ..listening_on("/ip4/127.0.0.1/udp/0/quic-v1")?
    })
}
