//! Tells a person or a program what happens.

use punchline::reason::Reason;
use std::sync::{Mutex, MutexGuard, PoisonError};

use libp2p::PeerId;
use punchline::{
    event::{DeliveryState, Event},
    node::PeerInfo,
};

use super::{
    marks::Marks,
    names::NoSuchPeer,
    render::{HELP, Renderer},
    screen::Screen,
    text::Paint,
};

/// Tells everything that is to be told, in the form that was asked for.
#[derive(Debug)]
pub(crate) struct Teller {
    screen: Screen,
    style: Style,
    state: Mutex<State>,
}

/// How things are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    /// One JSON object a line.
    Json,
    /// Words; errors go to stderr.
    Plain,
    /// Words above a prompt.
    Prompt,
}

#[derive(Debug)]
struct State {
    renderer: Renderer,
    marks: Marks,
    failures: u64,
}

impl Teller {
    pub(crate) fn new(screen: Screen, style: Style) -> Self {
        let state = State {
            renderer: Renderer::new(Paint::stdout(), style == Style::Prompt),
            marks: Marks::default(),
            failures: 0,
        };
        Self {
            screen,
            style,
            state: Mutex::new(state),
        }
    }

    /// Tells of an event.
    pub(crate) async fn tell(&self, event: &Event) {
        if self.style == Style::Json {
            return self.tell_json(event).await;
        }
        if let Event::Delivery { .. } = event {
            return self.tell_delivery(event).await;
        }
        self.tell_marks().await;
        let line = self.state().renderer.event(event);
        match (line, event) {
            (Some(line), Event::Error { .. }) if self.style == Style::Plain => {
                self.screen.err(line).await
            }
            (Some(line), _) => self.screen.out(line).await,
            (None, _) => {}
        }
    }

    /// Something that was typed cannot be done. It counts as a failure.
    pub(crate) async fn refuse(&self, message: String) {
        self.state().failures += 1;
        let code = Reason::InvalidCommand;
        self.tell(&Event::Error { code, message }).await;
    }

    /// Tells something to the person at the keyboard, which is no event.
    pub(crate) async fn note(&self, text: &str) {
        if self.style == Style::Json {
            self.screen.err(text.into()).await;
        } else {
            self.tell_marks().await;
            self.screen.out(text.into()).await;
        }
    }

    pub(crate) async fn help(&self) {
        self.note(HELP).await;
    }

    pub(crate) async fn peers(&self, peers: &[PeerInfo]) {
        let table = self.state().renderer.peers(peers);
        self.note(&table).await;
    }

    /// A line went out as these messages; some of the receivers are away at the moment.
    pub(crate) async fn sent(&self, copies: &[(PeerId, u64)], away: &[PeerId]) {
        if self.style == Style::Json || copies.is_empty() {
            return;
        }
        let waiting = {
            let mut state = self.state();
            let line = state.marks.enter(copies);
            let names: Vec<_> = away.iter().map(|peer| state.renderer.name(*peer)).collect();
            (!names.is_empty()).then(|| format!("  … #{line} waits for {}", names.join(", ")))
        };
        if let Some(waiting) = waiting {
            self.screen.out(waiting).await;
        }
        self.tell_marks().await;
    }

    /// There is no event to tell at the moment: marks need not wait for more of their kind.
    pub(crate) async fn idle(&self, nothing_unacked: bool) {
        if nothing_unacked {
            self.state().marks.settle();
        }
        self.tell_marks().await;
    }

    /// The name of a peer.
    pub(crate) fn name(&self, peer: PeerId) -> String {
        self.state().renderer.name(peer)
    }

    /// Which of these peers somebody means.
    pub(crate) fn find(&self, typed: &str, among: &[PeerId]) -> Result<PeerId, NoSuchPeer> {
        self.state().renderer.names.find(typed, among)
    }

    /// Messages and lines that came to nothing, so far.
    pub(crate) fn failures(&self) -> u64 {
        self.state().failures
    }

    async fn tell_json(&self, event: &Event) {
        if is_failure(event) {
            self.state().failures += 1;
        }
        match serde_json::to_string(event) {
            Ok(line) => self.screen.out(line).await,
            Err(e) => tracing::error!("an event cannot be written as JSON: {e}"),
        }
    }

    async fn tell_delivery(&self, event: &Event) {
        let Event::Delivery { to, id, state, .. } = event else {
            return;
        };
        let failure = {
            let mut this = self.state();
            this.failures += u64::from(is_failure(event));
            let line = this.marks.changed(*to, *id, *state);
            this.renderer.failure(line, event)
        };
        if let Some(failure) = failure {
            self.screen.out(failure).await;
        }
    }

    async fn tell_marks(&self) {
        if self.style == Style::Json {
            return;
        }
        let marks: Vec<_> = {
            let mut state = self.state();
            let marks = state.marks.take();
            marks.iter().map(|mark| state.renderer.mark(mark)).collect()
        };
        for mark in marks {
            self.screen.out(mark).await;
        }
    }

    /// Locked for a moment at a time, and nothing in between panics.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const fn is_failure(event: &Event) -> bool {
    matches!(
        event,
        Event::Delivery {
            state: DeliveryState::Failed,
            ..
        }
    )
}
