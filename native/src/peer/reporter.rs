//! Reports what happens, to a person or to a program.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use libp2p::PeerId;
use punchline::{
    event::{DeliveryState, Event},
    node::PeerInfo,
    reason::Reason,
};

use super::{
    completion::Choices,
    names::LookupError,
    paint::Paint,
    receipts::Receipts,
    render::{HELP, Renderer, Welcome},
    screen::Screen,
};

/// Writes events, notes and receipts to the screen, in one [`Style`].
#[derive(Debug)]
pub(crate) struct Reporter {
    screen: Screen,
    style: Style,
    verbose: bool,
    bell: bool,
    /// The names that Tab completes.
    choices: Choices,
    state: Mutex<State>,
}

/// How a [`Reporter`] reports.
#[derive(Debug)]
pub(crate) struct Manner {
    pub(crate) style: Style,
    /// With addresses, and what relays report.
    pub(crate) verbose: bool,
    /// Each message rings the bell.
    pub(crate) bell: bool,
    /// What a person at a prompt reads once the peer is ready.
    pub(crate) welcome: Option<Welcome>,
    pub(crate) choices: Choices,
}

/// The bell of a terminal.
const BELL: &str = "\x07";

/// The form of the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    /// One JSON object a line.
    Json,
    /// Text; errors go to stderr.
    Plain,
    /// Text above a prompt.
    Prompt,
}

#[derive(Debug)]
struct State {
    renderer: Renderer,
    receipts: Receipts,
    failures: u64,
    /// Messages that failed, by their receiver.
    undelivered: BTreeMap<PeerId, u64>,
}

impl Reporter {
    /// A reporter without any names or receipts yet.
    pub(crate) fn new(screen: Screen, manner: Manner) -> Self {
        let Manner {
            style,
            verbose,
            bell,
            welcome,
            choices,
        } = manner;
        let prompt = style == Style::Prompt;
        let welcome = welcome.filter(|_| prompt && !verbose);
        let state = State {
            renderer: Renderer::new(Paint::stdout(), prompt, welcome),
            receipts: Receipts::default(),
            failures: 0,
            undelivered: BTreeMap::new(),
        };
        Self {
            screen,
            style,
            verbose,
            bell,
            choices,
            state: Mutex::new(state),
        }
    }

    /// Reports an event.
    pub(crate) async fn report(&self, event: &Event) {
        if self.style == Style::Json {
            return self.report_json(event).await;
        }
        if let Event::Delivery { .. } = event {
            return self.report_delivery(event).await;
        }
        self.write_receipts().await;
        let line = self.state().renderer.event(event);
        let line = line.map(|line| match event {
            Event::Message { .. } if self.bell => line + BELL,
            _ => line,
        });
        match (line, event) {
            (Some(line), Event::Error { .. }) if self.style == Style::Plain => {
                self.screen.err(line).await
            }
            (Some(line), _) => self.screen.out(line).await,
            (None, _) => {}
        }
    }

    /// Reports that a typed line cannot be carried out, and counts it as a failure.
    pub(crate) async fn refuse(&self, message: String) {
        self.state().failures += 1;
        let code = Reason::InvalidCommand;
        self.report(&Event::Error { code, message }).await;
    }

    /// Shows text that is no event to the person at the keyboard. With JSON on stdout it goes to stderr.
    pub(crate) async fn note(&self, text: &str) {
        if self.style == Style::Json {
            self.screen.err(text.into()).await;
        } else {
            self.write_receipts().await;
            self.screen.out(text.into()).await;
        }
    }

    /// Shows what can be typed.
    pub(crate) async fn help(&self) {
        self.note(HELP).await;
    }

    /// Shows the table of peers.
    pub(crate) async fn peers(&self, peers: &[PeerInfo]) {
        let table = self.state().renderer.peers(peers, self.verbose);
        self.note(&table).await;
    }

    /// Shows where others can dial this peer.
    pub(crate) async fn addresses(&self) {
        let addresses = self.state().renderer.addresses();
        self.note(&addresses).await;
    }

    /// Has Tab complete the names of these peers.
    pub(crate) fn offer(&self, event: &Event, here: &[PeerId]) {
        let mut state = self.state();
        if let Event::Connected { peer, name, .. } | Event::Renamed { peer, name } = event {
            state.renderer.names.call(*peer, name);
        }
        self.choices.set(state.renderer.names.choices(here));
    }

    /// Takes the messages that a line was sent as, and shows which of its receivers are away.
    pub(crate) async fn sent(&self, messages: &[(PeerId, u64)], away: &[PeerId]) {
        if self.style == Style::Json || messages.is_empty() {
            return;
        }
        let waiting = {
            let mut state = self.state();
            let line = state.receipts.add(messages);
            let names: Vec<_> = away.iter().map(|peer| state.renderer.name(*peer)).collect();
            (!names.is_empty()).then(|| format!("  … #{line} waits for {}", names.join(", ")))
        };
        if let Some(waiting) = waiting {
            self.screen.out(waiting).await;
        }
        self.write_receipts().await;
    }

    /// Writes the receipts that are due. To be called when no event waits, because receipts of consecutive lines
    /// become one.
    pub(crate) async fn idle(&self, nothing_unacked: bool) {
        if nothing_unacked {
            self.state().receipts.expect_no_more_acks();
        }
        self.write_receipts().await;
    }

    /// The name of a peer.
    pub(crate) fn name(&self, peer: PeerId) -> String {
        self.state().renderer.name(peer)
    }

    /// Which of these peers was typed.
    pub(crate) fn find(&self, typed: &str, among: &[PeerId]) -> Result<PeerId, LookupError> {
        self.state().renderer.names.find(typed, among)
    }

    /// How many messages and typed lines have failed so far.
    pub(crate) fn failures(&self) -> u64 {
        self.state().failures
    }

    /// Who has not got how many messages.
    pub(crate) fn undelivered(&self) -> Vec<(String, u64)> {
        let mut state = self.state();
        let undelivered = std::mem::take(&mut state.undelivered);
        let named = undelivered.into_iter();
        named
            .map(|(peer, count)| (state.renderer.names.of(peer), count))
            .collect()
    }

    async fn report_json(&self, event: &Event) {
        self.state().note_failure(event);
        match serde_json::to_string(event) {
            Ok(line) => self.screen.out(line).await,
            Err(e) => tracing::error!("an event cannot be written as JSON: {e}"),
        }
    }

    async fn report_delivery(&self, event: &Event) {
        let Event::Delivery { to, id, state, .. } = event else {
            return;
        };
        let failure = {
            let mut this = self.state();
            this.note_failure(event);
            let line = this.receipts.update(*to, *id, *state);
            this.renderer.failure(line, event)
        };
        if let Some(failure) = failure {
            self.screen.out(failure).await;
        }
    }

    async fn write_receipts(&self) {
        if self.style == Style::Json {
            return;
        }
        let receipts: Vec<_> = {
            let mut state = self.state();
            let receipts = state.receipts.take();
            let painted = receipts.iter().map(|text| state.renderer.receipt(text));
            painted.collect()
        };
        for receipt in receipts {
            self.screen.out(receipt).await;
        }
    }

    /// Never held across an await. The state stays usable after a panic, so poisoning is ignored.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn note_failure(&mut self, event: &Event) {
        if let Event::Delivery {
            to,
            state: DeliveryState::Failed,
            ..
        } = event
        {
            self.failures += 1;
            // As many as there are conversations, which are bounded.
            *self.undelivered.entry(*to).or_default() += 1;
        }
    }
}
