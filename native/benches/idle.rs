//! What doing nothing costs: an idle peer, and the relay for each idle client. Linux only, as it
//! reads /proc. `cargo xtask bench -- idle` runs it alone.

mod common;

use std::{process::Stdio, time::Duration};

use anyhow::{Context, Result, bail};
use futures::{StreamExt, TryStreamExt, stream};
use libp2p::identity::Keypair;
use punchline::{
    event::Event,
    node::{self, Node},
};
use tokio::{
    process::{Child, Command},
    time::timeout,
};

use common::{PATIENCE, Relay, cpu, reserving_at, resident};

/// Clients that reserve and then do nothing.
const CLIENTS: u64 = 1_000;
/// Clients that come at the same time.
const AT_ONCE: usize = 32;
/// How long the idle peer is watched.
const WATCHED: Duration = Duration::from_secs(10);

/// What was measured.
#[derive(Debug)]
struct Idle {
    /// Resident bytes of an idle peer that is reserved and registered.
    peer_bytes: u64,
    /// The part of a core that it takes.
    peer_core: f64,
    /// Resident bytes of the relay for each reserved and registered client, by transport.
    client_bytes: Vec<(&'static str, u64)>,
}

#[tokio::main]
#[allow(clippy::print_stdout, reason = "figures are what this is for")]
async fn main() -> Result<()> {
    let idle = timeout(PATIENCE, measure()).await??;
    println!(
        "idle peer: {:.1} MB resident, {:.2} % of a core",
        idle.peer_bytes as f64 / 1e6,
        idle.peer_core * 100.0
    );
    for (over, bytes) in idle.client_bytes {
        println!(
            "relay, for each idle reserved client over {over}: {:.0} KiB resident",
            bytes as f64 / 1024.0
        );
    }
    Ok(())
}

async fn measure() -> Result<Idle> {
    let mut client_bytes = Vec::new();
    for over in ["quic-v1", "tcp", "ws"] {
        client_bytes.push((over, client(over).await?));
    }
    let relay = Relay::start().await?;
    let peer = peer(&relay)?;
    let pid = peer.id().context("the peer stopped")?;
    tokio::time::sleep(WATCHED).await;
    let used = cpu(pid)?;
    tokio::time::sleep(WATCHED).await;
    Ok(Idle {
        peer_bytes: resident(pid)?,
        peer_core: (cpu(pid)? - used) / WATCHED.as_secs_f64(),
        client_bytes,
    })
}

/// Resident bytes of a relay for each of its clients.
async fn client(over: &str) -> Result<u64> {
    // All are behind one address here.
    let options = ["--port=0", "--max-share-per-private-ip=100"];
    let relay = Relay::start_with(over, options).await?;
    let warm = reserve(&relay, 1).await?;
    let before = resident(relay.pid()?)?;
    let clients = reserve(&relay, CLIENTS).await?;
    let after = resident(relay.pid()?)?;
    drop((warm, clients));
    Ok(after.saturating_sub(before) / CLIENTS)
}

/// Nodes in this process that are reserved and registered at the relay.
async fn reserve(relay: &Relay, count: u64) -> Result<Vec<Node>> {
    let clients = (0..count).map(|client| async move {
        let mut config = reserving_at(&relay.address)?;
        // Each in a room of its own: they are to idle, not to meet.
        config.namespace = format!("idle-{count}-{client}");
        let (node, mut events, event_loop) = node::new(config, Keypair::generate_ed25519())?;
        tokio::spawn(event_loop.run());
        loop {
            match events.next().await {
                Some(Event::Ready {}) => break,
                Some(Event::Error { message, .. }) => bail!(message),
                Some(_) => {}
                None => bail!("a client stopped"),
            }
        }
        tokio::spawn(async move { while events.next().await.is_some() {} });
        Ok(node)
    });
    stream::iter(clients)
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await
}

/// A peer in a process of its own, to be watched.
fn peer(relay: &Relay) -> Result<Child> {
    Command::new(env!("CARGO_BIN_EXE_punchline"))
        .args(["--json", "--relay", &relay.address.to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .context("the peer does not start")
}
