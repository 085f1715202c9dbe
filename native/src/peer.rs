//! `punchline` without a subcommand: a node, what its events look like, and what is typed.
//!
//! [`run`] starts the node, then four things work side by side until one of them ends the program: the node's event
//! loop, [`CommandRunner`] with the lines from stdin, [`report_all`] with the node's events, and one
//! [`relays::keep_up`] for each relay that was given by URL.

mod commands;
mod completion;
mod connectivity;
mod identity;
mod input;
mod meetings;
mod memory;
mod names;
mod paint;
mod ports;
mod prompt;
mod receipts;
mod relay_memory;
mod relays;
mod render;
mod reporter;
mod screen;

use std::{
    io::{IsTerminal, stdin, stdout},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, bail};
use axum::http::Uri;
use futures::{FutureExt, StreamExt};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use punchline::{
    address,
    config::{NodeConfig, RelayAddress},
    event::Event,
    node::{self, Events, Node},
    platform,
};
use tokio::task::{JoinHandle, JoinSet};

use self::{
    commands::{CommandRunner, Ending, InputSource, PEER_TIMEOUT},
    completion::Choices,
    connectivity::ConnectivityTracker,
    input::InputLines,
    meetings::MeetingMemory,
    prompt::{Prompt, Terminal},
    relay_memory::RelayMemory,
    render::Welcome,
    reporter::{Manner, Reporter, Style},
    screen::{Screen, ScreenThread},
};
use crate::{
    cli::{PeerArgs, RelaySpec},
    common::{
        shell::quoted,
        signals::{self, Stop},
    },
};

/// How long the node may take to stop, whose own limits are shorter, and its last events to be reported.
const STOP_TIMEOUT: Duration = Duration::from_secs(3);

/// Runs a peer until it is asked to stop, or until everything that was piped in has arrived.
pub(crate) async fn run(args: PeerArgs, mut stop: Stop) -> anyhow::Result<()> {
    let (mut config, urls) = config(&args);
    let mdns = config.mdns;
    ports::check(&config.listen)?;
    // Not before the check: a start that fails leaves no key file behind.
    let person = stdin().is_terminal() && !args.json;
    let identity = identity::choose(&args, person)?;
    let local = identity.key.public().to_peer_id();
    let mut meetings = MeetingMemory::new(identity.is_kept, local, &args.namespace);
    meetings.recall(&mut config);
    let (node, events, event_loop) = node::new(config, identity.key.clone())?;
    // Not before the node: its error is one line on a terminal that still is as it was.
    let choices = Choices::default();
    let console = Console::open(args.json, choices.clone())?;
    let mut looping = tokio::spawn(event_loop.run());
    let Console {
        lines,
        source,
        style,
        screen,
        screen_thread,
        terminal: _terminal,
    } = console;
    let manner = Manner {
        style,
        verbose: args.verbose,
        bell: args.bell && !args.json && stdout().is_terminal(),
        welcome: welcome(&args),
        choices,
    };
    let reporter = Arc::new(Reporter::new(screen.clone(), manner));
    if let Some(note) = &identity.note {
        reporter.note(note).await;
    }
    let (tracker, connected, reservations) = connectivity::track();
    let mut helpers = JoinSet::new();
    helpers.spawn(meetings.keep());
    let watching = Watching { tracker, meetings };
    let reporting = tokio::spawn(report_all(events, node.clone(), watching, reporter.clone()));
    for server in args.ice_servers {
        helpers.spawn(relays::ask_too(server, node.clone(), reporter.clone()));
    }
    let memory = RelayMemory::new(identity.is_kept);
    for (place, url) in urls.into_iter().enumerate() {
        let (node, reservations, reporter) = (node.clone(), reservations.clone(), reporter.clone());
        let memory = memory.clone();
        let found = relays::Found { place, url, memory };
        helpers.spawn(relays::keep_up(found, node, reservations, reporter));
    }
    let commands = CommandRunner {
        node: node.clone(),
        reporter: reporter.clone(),
        connected,
        source,
        mdns,
        gathered: false,
        blocked: Vec::new(),
    };

    let (ending, asked) = tokio::select! {
        ending = commands.run(lines) => (ending, false),
        () = signals::asked(&mut stop) => (Ending::Quit, true),
        () = screen.closed() => (Ending::Quit, true),
        _ = &mut looping => bail!("the node has stopped unexpectedly"),
    };
    helpers.shutdown().await;
    let output = LastOutput {
        reporter,
        reporting,
        screen,
        screen_thread,
    };
    tokio::select! {
        done = output.finish(node, ending == Ending::Quit) => outcome(&ending, &done),
        // A second request, or the first one after the input has ended.
        () = signals::asked(&mut stop), if !asked => Ok(()),
    }
}

/// What the node is configured with, and the relays whose addresses have to be fetched first.
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
    // A peer that listens on loopback addresses only can neither be reached from this network nor needs its peers.
    let mdns = args
        .mdns
        .unwrap_or_else(|| args.relay.is_empty() && !listen.iter().all(address::is_loopback));
    let config = NodeConfig {
        relays,
        pending_relays: urls.len(),
        namespace: args.namespace.clone(),
        name: args.name.clone(),
        listen,
        dial: args.dial.clone(),
        greet_interval: args.greet_interval.0,
        mdns,
        port_mapping: args.port_mapping,
        ..NodeConfig::default()
    };
    (config, urls)
}

/// What a person who meets others at a relay wants to know; `None` without one: then addresses are what one needs.
fn welcome(args: &PeerArgs) -> Option<Welcome> {
    let room = args.namespace.clone();
    let invitation = match args.relay.first()? {
        RelaySpec::Url(url) => invitation(&url.to_string(), &room),
        RelaySpec::Address(address) => {
            format!("punchline --relay {address} --namespace={}", quoted(&room))
        }
    };
    Some(Welcome { room, invitation })
}

/// The link that leads a browser and a terminal to this room.
fn invitation(relay: &str, room: &str) -> String {
    const KEPT: &AsciiSet = &NON_ALPHANUMERIC
        .remove(b'-')
        .remove(b'_')
        .remove(b'.')
        .remove(b'~');
    let relay = relay.trim_end_matches('/');
    format!("{relay}/#room={}", utf8_percent_encode(room, KEPT))
}

/// Where lines come from, and where they go.
struct Console {
    lines: InputLines,
    source: InputSource,
    style: Style,
    screen: Screen,
    screen_thread: ScreenThread,
    /// Only with a prompt.
    terminal: Option<Terminal>,
}

impl Console {
    /// Opens a prompt if a person types and reads, else plain stdin and stdout.
    fn open(json: bool, choices: Choices) -> anyhow::Result<Self> {
        let person = stdin().is_terminal();
        let prompt = match person && stdout().is_terminal() && !json {
            true => prompt::open(choices)?,
            false => None,
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
                input::from_stdin().context("cannot read stdin")?,
                None,
                None,
            ),
        };
        let (screen, screen_thread) = screen::open(print).context("cannot write to stdout")?;
        Ok(Self {
            lines,
            source: match person {
                true => InputSource::Person,
                false => InputSource::Pipe,
            },
            style,
            screen,
            screen_thread,
            terminal,
        })
    }
}

/// Who else wants to know what happens.
struct Watching {
    tracker: ConnectivityTracker,
    meetings: MeetingMemory,
}

/// Reports every event until the node has stopped.
async fn report_all(mut events: Events, node: Node, watching: Watching, reporter: Arc<Reporter>) {
    loop {
        let nothing_unacked = node.unacked() == 0;
        let event = match events.next().now_or_never() {
            Some(event) => event,
            None => {
                reporter.idle(nothing_unacked).await;
                events.next().await
            }
        };
        let Some(event) = event else {
            return reporter.idle(true).await;
        };
        watching.tracker.on_event(&event);
        if !matches!(event, Event::Message { .. } | Event::Delivery { .. }) {
            watching.meetings.note(&event);
            // Before somebody reads of it: Tab may follow at once.
            reporter.offer(&event, &node.here());
        }
        reporter.report(&event).await;
    }
}

/// What is still to be reported and written when the program ends.
struct LastOutput {
    reporter: Arc<Reporter>,
    reporting: JoinHandle<()>,
    screen: Screen,
    screen_thread: ScreenThread,
}

impl LastOutput {
    /// Stops the node, and waits until its last event is written.
    ///
    /// `soon`: stdout may have no reader any more, so there is a time limit.
    async fn finish(self, node: Node, soon: bool) -> Done {
        let reported = async {
            node.shutdown().await;
            // An error means that the task panicked: it reports nothing more.
            let _ = self.reporting.await;
        };
        if soon {
            let _ = tokio::time::timeout(STOP_TIMEOUT, reported).await;
        } else {
            reported.await;
        }
        let failures = self.reporter.failures();
        let undelivered = self.reporter.undelivered();
        drop((self.reporter, self.screen));
        let all_written = if soon {
            self.screen_thread.finish_soon().await
        } else {
            self.screen_thread.finish().await
        };
        Done {
            failures,
            undelivered,
            all_written,
        }
    }
}

/// How a run went.
struct Done {
    /// Messages and commands that failed.
    failures: u64,
    /// Who has not got how many messages.
    undelivered: Vec<(String, u64)>,
    /// Everything could be written to stdout.
    all_written: bool,
}

fn outcome(ending: &Ending, done: &Done) -> anyhow::Result<()> {
    let failures = done.failures;
    match ending {
        Ending::Quit => Ok(()),
        Ending::Nobody => bail!(
            "nobody could be reached within {} s: not sent",
            PEER_TIMEOUT.as_secs()
        ),
        Ending::Delivered if !done.all_written => {
            bail!("what became of the messages could not be written to stdout")
        }
        Ending::Delivered if failures == 0 => Ok(()),
        Ending::Delivered if done.undelivered.is_empty() => {
            bail!("{failures} of the messages and commands failed")
        }
        Ending::Delivered => {
            let who = done.undelivered.iter();
            let who: Vec<_> = who
                .map(|(name, count)| format!("{name} ({count})"))
                .collect();
            bail!("messages were not delivered to {}", who.join(", "))
        }
    }
}
