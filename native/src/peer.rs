//! The peer of a terminal: a node, what it tells, and what is typed.

pub(crate) mod bootstrap;
mod commands;
mod editor;
mod lines;
mod marks;
mod names;
mod ports;
mod presence;
mod relays;
mod render;
mod screen;
mod teller;
pub(crate) mod text;

use std::{
    io::{IsTerminal, stdin, stdout},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, bail};
use axum::http::Uri;
use futures::{FutureExt, StreamExt};
use libp2p::identity::Keypair;
use punchline::{
    address,
    config::{NodeConfig, RelayAddress},
    node::{self, Events, Node},
    platform,
};
use tokio::task::JoinSet;

use self::{
    commands::{Commands, Ending, PEER_TIMEOUT, Source},
    editor::{Prompt, Terminal},
    lines::Lines,
    presence::Tracker,
    screen::{Screen, Writing},
    teller::{Style, Teller},
};
use crate::{
    cli::{PeerArgs, RelaySpec},
    signals::{self, Stop},
};

/// The node's own limits on a stop, and time to tell of it.
const STOP_TIMEOUT: Duration = Duration::from_secs(3);

/// Runs a peer until it is asked to stop, or until everything that was piped in has arrived.
pub(crate) async fn run(args: PeerArgs, key: Keypair, mut stop: Stop) -> anyhow::Result<()> {
    let (config, urls) = config(&args);
    ports::check(&config.listen)?;
    let (node, events, event_loop) = node::new(config, key)?;
    // Only now: an error before this is one line on an untouched terminal.
    let console = Console::open(args.json)?;
    let mut looping = tokio::spawn(event_loop.run());
    let Console {
        lines,
        source,
        style,
        screen,
        writing,
        terminal: _terminal,
    } = console;
    let teller = Arc::new(Teller::new(screen.clone(), style));
    let (tracker, presence, reserved) = presence::new();
    let telling = tokio::spawn(tell_all(events, node.clone(), tracker, teller.clone()));
    let mut helpers = JoinSet::new();
    for (place, url) in urls.into_iter().enumerate() {
        let (node, reserved, teller) = (node.clone(), reserved.clone(), teller.clone());
        helpers.spawn(relays::look_after(place, url, node, reserved, teller));
    }
    let commands = Commands {
        node: node.clone(),
        teller: teller.clone(),
        presence,
        source,
        dialled: args.dial,
    };

    let (ending, hurry) = tokio::select! {
        ending = commands.run(lines) => (ending, false),
        () = signals::asked(&mut stop) => (Ending::Quit, true),
        () = screen.closed() => (Ending::Quit, true),
        _ = &mut looping => bail!("the node has stopped unexpectedly"),
    };
    helpers.shutdown().await;
    let ended = end(
        node,
        teller,
        telling,
        screen,
        writing,
        ending == Ending::Quit,
    );
    tokio::select! {
        failures = ended => outcome(&ending, failures),
        // Asked again, or asked for the first time while we take our time.
        () = signals::asked(&mut stop), if !hurry => Ok(()),
    }
}

/// What the node is told, and the relays that have to be asked first where they are.
fn config(args: &PeerArgs) -> (NodeConfig, Vec<Uri>) {
    let mut relays = Vec::new();
    let mut urls = Vec::new();
    for relay in &args.relay {
        match relay {
            RelaySpec::Address(address) => relays.push(RelayAddress {
                peer: None,
                addresses: vec![address.clone()],
            }),
            RelaySpec::Url(url) => urls.push(url.clone()),
        }
    }
    let listen = if args.listen.is_empty() {
        platform::default_listen()
    } else {
        args.listen.clone()
    };
    // Who listens on this machine only is not to be found elsewhere, and need not look there.
    let mdns = args
        .mdns
        .unwrap_or_else(|| args.relay.is_empty() && !listen.iter().all(address::is_loopback));
    let config = NodeConfig {
        relays,
        pending_relays: urls.len(),
        namespace: args.namespace.clone(),
        listen,
        dial: args.dial.clone(),
        greet_interval: args.greet_interval.0,
        mdns,
        port_mapping: args.port_mapping,
        ..NodeConfig::default()
    };
    (config, urls)
}

/// Where lines come from, and where they go.
struct Console {
    lines: Lines,
    source: Source,
    style: Style,
    screen: Screen,
    writing: Writing,
    terminal: Option<Terminal>,
}

impl Console {
    fn open(json: bool) -> anyhow::Result<Self> {
        let person = stdin().is_terminal();
        let prompt = if person && stdout().is_terminal() && !json {
            editor::open()?
        } else {
            None
        };
        let style = match (json, &prompt) {
            (true, _) => Style::Json,
            (false, Some(_)) => Style::Prompt,
            (false, None) => Style::Plain,
        };
        let (lines, print, terminal) = match prompt {
            Some(Prompt {
                lines,
                print,
                terminal,
            }) => (lines, Some(print), Some(terminal)),
            None => (
                lines::from_stdin().context("cannot read stdin")?,
                None,
                None,
            ),
        };
        let (screen, writing) = screen::open(print).context("cannot write to stdout")?;
        Ok(Self {
            lines,
            source: if person { Source::Person } else { Source::Pipe },
            style,
            screen,
            writing,
            terminal,
        })
    }
}

/// Tells everything that happens, until the node has stopped.
async fn tell_all(mut events: Events, node: Node, tracker: Tracker, teller: Arc<Teller>) {
    loop {
        let nothing_unacked = node.unacked() == 0;
        let event = match events.next().now_or_never() {
            Some(event) => event,
            None => {
                teller.idle(nothing_unacked).await;
                events.next().await
            }
        };
        let Some(event) = event else {
            return teller.idle(true).await;
        };
        tracker.follow(&event);
        teller.tell(&event).await;
    }
}

/// Stops the node and waits until all is told. Returns how much has failed.
async fn end(
    node: Node,
    teller: Arc<Teller>,
    telling: tokio::task::JoinHandle<()>,
    screen: Screen,
    writing: Writing,
    soon: bool,
) -> u64 {
    let told = async {
        node.shutdown().await;
        // An error means that it has failed, and there is nothing more to tell.
        let _ = telling.await;
    };
    if soon {
        // A reader of stdout that has stopped reading must not keep us.
        let _ = tokio::time::timeout(STOP_TIMEOUT, told).await;
    } else {
        told.await;
    }
    let failures = teller.failures();
    drop((teller, screen));
    if soon {
        writing.finish_soon().await;
    } else {
        writing.finish().await;
    }
    failures
}

fn outcome(ending: &Ending, failures: u64) -> anyhow::Result<()> {
    match ending {
        Ending::Quit => Ok(()),
        Ending::Nobody => bail!(
            "nobody could be reached within {} s: not sent",
            PEER_TIMEOUT.as_secs()
        ),
        Ending::Delivered if failures == 0 => Ok(()),
        Ending::Delivered => bail!("{failures} of the messages and commands failed"),
    }
}
