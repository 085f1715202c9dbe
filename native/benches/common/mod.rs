//! What the benchmarks share: a relay, which is the real binary in a process of its own, and nodes that use it.

#![allow(dead_code, reason = "each benchmark uses what it needs")]

use std::{ffi::OsStr, fs, process::Stdio, time::Duration};

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

/// Clock ticks a second in /proc/PID/stat, on every Linux that Rust runs on.
const TICKS: f64 = 100.0;

/// A running relay. It is killed when this is dropped.
pub(crate) struct Relay {
    /// An address of it, peer id included.
    pub(crate) address: Multiaddr,
    process: Child,
}

impl Relay {
    /// Starts one on free ports, to be reached over QUIC, with no limit on what circuits carry.
    pub(crate) async fn start() -> Result<Self> {
        let unlimited = ["--max-circuit-rate=0", "--max-circuit-rate-per-ip=0"];
        Self::start_with("quic-v1", ["--port=0"].into_iter().chain(unlimited)).await
    }

    /// Starts one with these options, to be reached over `quic-v1`, `tcp` or `ws`.
    pub(crate) async fn start_with(
        over: &str,
        options: impl IntoIterator<Item = impl AsRef<OsStr>>,
    ) -> Result<Self> {
        let mut process = Command::new(env!("CARGO_BIN_EXE_punchline"))
            .args(["relay", "--json"])
            .args(options)
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
            if is_over(address, over) {
                break address.parse()?;
            }
        };
        // The relay must not wait for a reader.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Ok(Self { address, process })
    }

    /// The id of its process.
    pub(crate) fn pid(&self) -> Result<u32> {
        self.process.id().context("the relay stopped")
    }
}

/// Says a line to the process that has started this one.
#[allow(clippy::print_stdout, reason = "that is how they talk")]
pub(crate) fn say(line: &str) {
    println!("{line}");
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

/// Whether an address of the loopback interface is of this transport, whose name stands before the peer id.
fn is_over(address: &str, transport: &str) -> bool {
    let parts: Vec<_> = address.split('/').collect();
    let last = match transport {
        "tcp" => parts.len().checked_sub(4),
        _ => parts.len().checked_sub(3),
    };
    parts.get(2) == Some(&"127.0.0.1") && last.and_then(|last| parts.get(last)) == Some(&transport)
}

/// Resident bytes of a process.
pub(crate) fn resident(pid: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next());
    let kib: u64 = kib.context("no VmRSS")?.parse()?;
    Ok(kib * 1024)
}

/// Seconds of processor time that a process has taken.
pub(crate) fn cpu(pid: u32) -> Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, fields) = stat.rsplit_once(')').context("no name")?;
    let ticks = fields.split_whitespace().skip(11).take(2);
    let ticks: Vec<f64> = ticks.map(str::parse).collect::<Result<_, _>>()?;
    Ok(ticks.iter().sum::<f64>() / TICKS)
}
