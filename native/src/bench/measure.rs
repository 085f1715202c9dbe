//! The side that measures.

use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use futures::StreamExt;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use libp2p::PeerId;
use punchline::{
    config::MAX_BODY_BYTES,
    event::{DeliveryState, Event, Scope},
    node::{self, Events, Node},
    path::{Path, Transport},
};
use tokio::time::{self, timeout_at};

use super::report::{Report, RoundTrips};
use crate::{
    cli::BenchArgs,
    common::{company::settled_with, output::Output},
};

/// How long the other side is waited for.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a relayed path has to become a direct one before it is measured as it is.
const PUNCH_TIME: Duration = Duration::from_secs(10);
/// Bytes of a small message: a line of text.
const SMALL: usize = 64;
/// Small messages under way at once.
const SMALL_WINDOW: usize = 512;
/// Large ones: three quarters of what an outbox holds.
const LARGE_WINDOW: usize = 48;
/// Round trips that are enough, however fast they are.
const MAX_ROUND_TRIPS: usize = 20_000;
/// How often the progress bar moves.
const TICK: Duration = Duration::from_millis(100);

/// Measures, and prints the report.
pub(super) async fn run(args: &BenchArgs, output: &mut Output) -> anyhow::Result<()> {
    let mut bench = Bench::start(args).await?;
    let report = bench.measure(args.time).await;
    bench.progress.finish_and_clear();
    // Whatever it was: the other side is not to wait for us.
    bench.node.shutdown().await;
    let report = report?;
    match args.json {
        true => output.line(serde_json::to_string(&report).context("no JSON for the report")?),
        false => report
            .lines()
            .into_iter()
            .for_each(|line| output.line(line)),
    }
    Ok(())
}

struct Bench {
    node: Node,
    events: Events,
    began: Instant,
    progress: ProgressBar,
    /// The other side, and the path to it, as the last event had it.
    path: Option<(PeerId, Path, Transport)>,
    /// When each came first.
    connected: Option<Duration>,
    direct: Option<Duration>,
    /// Changes of the path since it is measured.
    changes: u32,
}

impl Bench {
    async fn start(args: &BenchArgs) -> anyhow::Result<Self> {
        let progress = match args.json {
            true => ProgressBar::hidden(),
            // It shows itself only in a terminal.
            false => ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr()),
        };
        progress.set_message("looking for the other side");
        progress.enable_steady_tick(TICK);
        let began = Instant::now();
        let (config, key) = super::config(args).await?;
        let (node, events, event_loop) = node::new(config, key)?;
        tokio::spawn(event_loop.run());
        Ok(Self {
            node,
            events,
            began,
            progress,
            path: None,
            connected: None,
            direct: None,
            changes: 0,
        })
    }

    async fn measure(&mut self, time: Duration) -> anyhow::Result<Report> {
        let peer = self.find().await?;
        self.send(peer, SMALL)?;
        self.ack().await?;
        let first_ack = self.began.elapsed();
        self.settle().await?;
        self.changes = 0;
        self.show("round trips", time)?;
        let round_trips = self.round_trips(peer, time).await?;
        self.show("small messages", time)?;
        let messages = self.stream(peer, SMALL, SMALL_WINDOW, time).await?;
        self.show("large messages", time)?;
        let bodies = self
            .stream(peer, MAX_BODY_BYTES, LARGE_WINDOW, time)
            .await?;
        let (_, path, transport) = self.path.context("the other side is gone")?;
        Ok(Report {
            version: env!("CARGO_PKG_VERSION"),
            peer,
            path,
            transport,
            path_changes: self.changes,
            connected_ms: milliseconds(self.connected.unwrap_or(first_ack)),
            first_ack_ms: milliseconds(first_ack),
            direct_ms: self.direct.map(milliseconds),
            round_trip: round_trips,
            messages_per_second: messages.round(),
            bytes_per_second: (bodies * MAX_BODY_BYTES as f64).round(),
        })
    }

    /// Waits for somebody who waits to be measured: connected, or so far that a line may go along with the greeting.
    async fn find(&mut self) -> anyhow::Result<PeerId> {
        let deadline = time::Instant::now() + PATIENCE;
        let node = self.node.clone();
        let expected = settled_with(&node, || !node.room().is_empty());
        tokio::pin!(expected);
        while node.room().is_empty() {
            tokio::select! {
                () = &mut expected => break,
                event = timeout_at(deadline, self.event()) => match event {
                    Ok(event) => drop(event?),
                    Err(_) => bail!(
                        "nobody to measure with within {} s; does `punchline bench --listen` run on the other \
                         machine, with the same --relay and --namespace?",
                        PATIENCE.as_secs()
                    ),
                },
            }
        }
        let peer = node.room().first().copied();
        peer.context("the other side is gone")
    }

    /// Gives a hole the time to be punched.
    async fn settle(&mut self) -> anyhow::Result<()> {
        self.progress.set_message("waiting for a direct path");
        let deadline = time::Instant::now() + PUNCH_TIME;
        while self.direct.is_none() {
            match timeout_at(deadline, self.event()).await {
                Ok(event) => drop(event?),
                Err(_) => break,
            }
        }
        Ok(())
    }

    /// One message at a time.
    async fn round_trips(&mut self, peer: PeerId, time: Duration) -> anyhow::Result<RoundTrips> {
        let began = Instant::now();
        let mut trips = Vec::new();
        while trips.is_empty() || (began.elapsed() < time && trips.len() < MAX_ROUND_TRIPS) {
            let sent = Instant::now();
            self.send(peer, SMALL)?;
            self.ack().await?;
            trips.push(sent.elapsed());
            self.move_to(began.elapsed());
        }
        Ok(RoundTrips::of(trips))
    }

    /// Keeps so many messages under way. Returns how many were acked a second.
    async fn stream(
        &mut self,
        peer: PeerId,
        bytes: usize,
        window: usize,
        time: Duration,
    ) -> anyhow::Result<f64> {
        let began = Instant::now();
        let mut acked = window;
        for _ in 0..window {
            self.send(peer, bytes)?;
        }
        while began.elapsed() < time {
            self.ack().await?;
            acked += 1;
            self.send(peer, bytes)?;
            self.move_to(began.elapsed());
        }
        for _ in 0..window {
            self.ack().await?;
        }
        Ok(acked as f64 / began.elapsed().as_secs_f64())
    }

    fn send(&self, to: PeerId, bytes: usize) -> anyhow::Result<()> {
        let sent = self.node.send(to, Scope::Room, "x".repeat(bytes));
        sent.context("the other side takes no more").map(drop)
    }

    /// Waits until one more message has been acked.
    async fn ack(&mut self) -> anyhow::Result<()> {
        loop {
            let event = tokio::time::timeout(PATIENCE, self.event()).await;
            let Ok(event) = event else {
                bail!("no ack within {} s", PATIENCE.as_secs());
            };
            match event? {
                Event::Delivery {
                    state: DeliveryState::Acked,
                    ..
                } => return Ok(()),
                Event::Delivery {
                    state: DeliveryState::Failed,
                    reason,
                    ..
                } => {
                    bail!("a message was given up: {}", reason.unwrap_or_default())
                }
                _ => {}
            }
        }
    }

    /// The next event, which is taken in.
    async fn event(&mut self) -> anyhow::Result<Event> {
        let event = self.events.next().await;
        let event = event.context("the node has stopped unexpectedly")?;
        match &event {
            Event::Connected {
                peer,
                in_room,
                path,
                transport,
                ..
            } => {
                if *in_room {
                    self.take_path(*peer, *path, *transport);
                } else {
                    bail!(
                        "a peer that does not run `punchline bench --listen` with the same --namespace"
                    );
                }
            }
            Event::PathChanged {
                peer,
                to,
                transport,
                ..
            } => {
                self.changes += 1;
                self.take_path(*peer, *to, *transport);
            }
            Event::Error { message, .. } => self.progress.println(format!("error: {message}")),
            _ => {}
        }
        Ok(event)
    }

    fn take_path(&mut self, peer: PeerId, path: Path, transport: Transport) {
        if self.path.is_some_and(|(known, ..)| known != peer) {
            return;
        }
        self.path = Some((peer, path, transport));
        let since = self.began.elapsed();
        self.connected.get_or_insert(since);
        if path == Path::Direct {
            self.direct.get_or_insert(since);
        }
    }

    fn show(&self, what: &'static str, time: Duration) -> anyhow::Result<()> {
        let style = ProgressStyle::with_template("{msg:16} {bar:40} {percent:>3} %")?;
        self.progress.set_style(style);
        self.progress.set_length(u64::try_from(time.as_millis())?);
        self.progress.set_position(0);
        self.progress.set_message(what);
        Ok(())
    }

    fn move_to(&self, since: Duration) {
        self.progress
            .set_position(u64::try_from(since.as_millis()).unwrap_or(u64::MAX));
    }
}

fn milliseconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e5).round() / 100.0
}
