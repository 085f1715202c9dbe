//! Many peers at one relay: how soon those of one room are connected to each other, and what a link costs; how soon all
//! are back after the relay was restarted; how long a message takes beside greedy circuits. Linux only, as it reads /proc.
//!
//! `cargo xtask bench -- room 50`, `-- return 1500`, `-- greedy 4`; `tcp` or `ws` after that is how they reach the relay,
//! instead of QUIC.

mod common;

use std::{
    collections::HashMap,
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use futures::StreamExt;
use libp2p::{Multiaddr, PeerId, identity::Keypair};
use punchline::{
    config::MAX_BODY_BYTES,
    event::{DeliveryState, Event, Scope},
    node::{self, Events, Node},
    path::Path,
};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    sync::mpsc,
    task::JoinSet,
    time::{Instant as Deadline, sleep, timeout, timeout_at},
};

use common::{Relay, cpu, reserving_at, resident};

/// How long is waited for the last link, or for the last to come back.
const PATIENCE: Duration = Duration::from_secs(180);
/// Messages whose round trips are measured.
const TRIPS: usize = 2_000;
/// How long a relay is gone.
const DOWN: Duration = Duration::from_secs(1);
/// How long peers have talked to each other before their memory is looked at.
const SETTLED: Duration = Duration::from_secs(5);

#[tokio::main]
async fn main() -> Result<()> {
    let words: Vec<_> = std::env::args()
        .skip(1)
        .filter(|word| word != "--bench")
        .collect();
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    let (what, count, over) = match words[..] {
        [] => ("room", "10", "quic-v1"),
        [what, count] => (what, count, "quic-v1"),
        [what, count, over] => (what, count, over),
        _ => bail!("which: `room N`, `return N` or `greedy N`, and `tcp` or `ws`?"),
    };
    let count = count.parse().context("how many?")?;
    match what {
        "room" => room(count, over).await,
        "return" => come_back(count, over).await,
        "greedy" => greedy(count, over).await,
        "alone" => alone(count, over).await,
        "others" => be_greedy(count, over).await,
        other => bail!("{other} is none of room, return and greedy"),
    }
}

/// What one of the nodes says.
type Said = (usize, Event);

/// A node that runs in this process, and whose events go there.
fn start(relay: &Multiaddr, number: usize, room: &str, events: mpsc::Sender<Said>) -> Result<Node> {
    let mut config = reserving_at(relay)?;
    config.namespace = room.into();
    config.hole_punch = true;
    let (node, mut said, event_loop) = node::new(config, Keypair::generate_ed25519())?;
    tokio::spawn(event_loop.run());
    tokio::spawn(async move {
        while let Some(event) = said.next().await {
            // Nobody listens any more at the end.
            let _ = events.send((number, event)).await;
        }
    });
    Ok(node)
}

#[allow(clippy::print_stdout, reason = "figures are what this is for")]
async fn room(count: usize, over: &str) -> Result<()> {
    // All are behind one address here.
    let options = ["--port=0", "--circuit-rate-per-ip=100000/1ms"];
    let relay = Relay::start_with(over, options).await?;
    let (sender, mut events) = mpsc::channel(1024);
    let memory = memory_alone(count, &relay).await?;
    let used = cpu(std::process::id())?;
    let relay_used = cpu(relay.pid()?)?;
    let began = Instant::now();
    let nodes: Vec<_> = (0..count)
        .map(|number| start(&relay.address, number, "crowd", sender.clone()))
        .collect::<Result<_>>()?;
    let links = count * count.saturating_sub(1);
    let mut paths: HashMap<(usize, PeerId), Path> = HashMap::new();
    let mut connected = None;
    let deadline = Deadline::now() + PATIENCE;
    while let Ok(Some((number, event))) = timeout_at(deadline, events.recv()).await {
        match event {
            Event::Connected { peer, path, .. } => drop(paths.insert((number, peer), path)),
            Event::PathChanged { peer, to, .. } => drop(paths.insert((number, peer), to)),
            Event::Disconnected { peer, .. } => drop(paths.remove(&(number, peer))),
            _ => continue,
        }
        if paths.len() == links {
            connected.get_or_insert_with(|| began.elapsed());
            if paths.values().all(|path| *path == Path::Direct) {
                break;
            }
        }
    }
    let took = began.elapsed();
    let direct = paths.values().filter(|path| **path == Path::Direct);
    println!(
        "room of {count} over {over}: {} of {links} links, {} direct; connected to all after {connected:.1?}, direct after {took:.1?}",
        paths.len(),
        direct.count()
    );
    let pairs = links as f64 / 2.0;
    println!(
        "  {:.1} ms of CPU a pair, the relay {:.1} ms",
        (cpu(std::process::id())? - used) * 1e3 / pairs,
        (cpu(relay.pid()?)? - relay_used) * 1e3 / pairs
    );
    let _ = timeout(SETTLED, async { while events.recv().await.is_some() {} }).await;
    println!(
        "  {:.0} KiB of memory for each link of a peer, besides {:.0} KiB for each peer",
        (resident(std::process::id())?.saturating_sub(memory)) as f64 / 1024.0 / links as f64,
        memory as f64 / 1024.0 / count as f64
    );
    drop(nodes);
    Ok(())
}

/// Resident bytes of a process with so many peers, each alone in its room.
async fn memory_alone(count: usize, relay: &Relay) -> Result<u64> {
    let mut child = Command::new(std::env::current_exe()?)
        .args(["alone", &count.to_string(), &relay.address.to_string()])
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .context("the lonely ones do not start")?;
    let mut said = String::new();
    let stdout = child.stdout.take().context("its stdout")?;
    BufReader::new(stdout).read_line(&mut said).await?;
    said.trim().parse().context("the memory of the lonely ones")
}

#[allow(clippy::print_stdout, reason = "the other process reads it")]
async fn alone(count: usize, relay: &str) -> Result<()> {
    let (sender, mut events) = mpsc::channel(1024);
    let relay = relay.parse()?;
    let nodes: Vec<_> = (0..count)
        .map(|number| start(&relay, number, &format!("alone {number}"), sender.clone()))
        .collect::<Result<_>>()?;
    let mut ready = 0;
    while ready < count {
        let (_, event) = events.recv().await.context("an event")?;
        ready += usize::from(event == Event::Ready {});
    }
    let _ = timeout(SETTLED, async { while events.recv().await.is_some() {} }).await;
    println!("{}", resident(std::process::id())?);
    drop(nodes);
    Ok(())
}

#[allow(clippy::print_stdout, reason = "figures are what this is for")]
async fn come_back(count: usize, over: &str) -> Result<()> {
    let port = 20_000 + std::process::id() % 20_000;
    let options = [
        &format!("--port={port}"),
        "--secret-key-seed=7",
        // All are behind one address here.
        "--max-share-per-private-ip=100",
    ];
    let relay = Relay::start_with(over, options).await?;
    let (sender, mut events) = mpsc::channel(1024);
    let began = Instant::now();
    let nodes: Vec<_> = (0..count)
        .map(|number| {
            start(
                &relay.address,
                number,
                &format!("crowd {number}"),
                sender.clone(),
            )
        })
        .collect::<Result<_>>()?;
    all_registered(count, &mut events).await?;
    println!(
        "{count} peers over {over} are registered after {:.1?}",
        began.elapsed()
    );
    drop(relay);
    sleep(DOWN).await;
    let began = Instant::now();
    let relay = Relay::start_with(over, options).await?;
    all_registered(count, &mut events).await?;
    println!(
        "  after a restart all are again after {:.1?}; the relay has taken {:.1} s of CPU",
        began.elapsed(),
        cpu(relay.pid()?)?
    );
    drop(nodes);
    Ok(())
}

/// Waits until each has been registered once more.
async fn all_registered(count: usize, events: &mut mpsc::Receiver<Said>) -> Result<()> {
    let mut missing: std::collections::HashSet<_> = (0..count).collect();
    let deadline = Deadline::now() + PATIENCE;
    while !missing.is_empty() {
        let Ok(Some((number, event))) = timeout_at(deadline, events.recv()).await else {
            bail!("{} of {count} are not registered", missing.len());
        };
        if matches!(event, Event::Registered { .. }) {
            missing.remove(&number);
        }
    }
    Ok(())
}

/// Two nodes that have met by a circuit.
struct Pair {
    from: Node,
    to: PeerId,
    events: Events,
    _other: Node,
}

impl Pair {
    async fn meet(relay: &Multiaddr, room: &str) -> Result<Self> {
        let mut config = reserving_at(relay)?;
        config.namespace = room.into();
        let (other, mut said, event_loop) = node::new(config.clone(), Keypair::generate_ed25519())?;
        tokio::spawn(event_loop.run());
        tokio::spawn(async move { while said.next().await.is_some() {} });
        let (from, mut events, event_loop) = node::new(config, Keypair::generate_ed25519())?;
        tokio::spawn(event_loop.run());
        loop {
            match events.next().await.context("the node stopped")? {
                Event::Connected { peer, .. } => {
                    let _other = other;
                    return Ok(Self {
                        from,
                        to: peer,
                        events,
                        _other,
                    });
                }
                Event::Error { message, .. } => bail!(message),
                _ => {}
            }
        }
    }

    /// How long messages of 64 B take until they are acked, one after the other, sorted.
    async fn round_trips(&mut self) -> Result<Vec<Duration>> {
        let mut times = Vec::new();
        for _ in 0..TRIPS {
            let began = Instant::now();
            self.from.send(self.to, Scope::Private, "x".repeat(64))?;
            loop {
                let event = self.events.next().await.context("the node stopped")?;
                if let Event::Delivery {
                    state: DeliveryState::Acked,
                    ..
                } = event
                {
                    break;
                }
            }
            times.push(began.elapsed());
        }
        times.sort_unstable();
        Ok(times)
    }

    /// Sends as much as is taken, until the process ends.
    async fn send_all(mut self) {
        let body = "x".repeat(MAX_BODY_BYTES);
        tokio::spawn(async move { while self.events.next().await.is_some() {} });
        while self
            .from
            .send_when_ready(self.to, Scope::Private, body.as_str())
            .await
            .is_ok()
        {}
    }
}

#[allow(clippy::print_stdout, reason = "figures are what this is for")]
async fn greedy(count: usize, over: &str) -> Result<()> {
    let relay = Relay::start_with(over, ["--port=0"]).await?;
    let mut light = Pair::meet(&relay.address, "light").await?;
    light.round_trips().await?;
    let alone = light.round_trips().await?;
    let others = others(count, &relay.address)?;
    sleep(SETTLED).await;
    let beside = light.round_trips().await?;
    drop(others);
    for (what, times) in [("alone", &alone), ("beside greedy ones", &beside)] {
        println!(
            "a message by circuit over {over}, {what}: p50 {:.1?}, p99 {:.1?}",
            times[times.len() / 2],
            times[times.len() * 99 / 100]
        );
    }
    Ok(())
}

/// Greedy pairs in a process of their own. It only gets what the relay and the light pair leave of the processor: theirs
/// would be other machines.
fn others(count: usize, relay: &Multiaddr) -> Result<Child> {
    Command::new("nice")
        .args(["-n", "19"])
        .arg(std::env::current_exe()?)
        .args(["others", &count.to_string(), &relay.to_string()])
        .kill_on_drop(true)
        .spawn()
        .context("the greedy ones do not start")
}

async fn be_greedy(count: usize, relay: &str) -> Result<()> {
    let relay = relay.parse()?;
    let mut pairs = JoinSet::new();
    for number in 0..count {
        pairs.spawn(
            Pair::meet(&relay, &format!("greedy {number}"))
                .await?
                .send_all(),
        );
    }
    pairs.join_all().await;
    Ok(())
}
