//! Asking a rendezvous point who is there, by the [rendezvous specification]; [`super::rendezvous`] says when.
//!
//! [rendezvous specification]: https://github.com/libp2p/specs/blob/master/rendezvous/README.md

use std::time::Duration;

use libp2p::{Multiaddr, PeerId};
use rand::RngExt;
use web_time::Instant;

use super::{
    MAX_FOUND, Output,
    relay::Relay,
    rendezvous::{ANSWER_TIMEOUT, Ask},
    shared::Shared,
};
use crate::{
    connector::context::Context,
    reason::{Cause, Reason},
};

/// How often we ask who is there. That is a ping, too: an answer shows that the rendezvous point works.
pub(in crate::connector) const DISCOVER_INTERVAL: Duration = Duration::from_secs(10);
/// A point that has news all the time is asked so often.
const NEWS_PAUSE: Duration = Duration::from_millis(200);
/// So that peers that started together do not ask together for ever.
const DISCOVER_JITTER: Duration = Duration::from_secs(1);
/// An answer with so many peers may not be all there is: as many of the longest records fit into a relay's answer.
const PAGE: usize = 16;
/// Answers that are asked for one after the other: more than those of a room of a thousand.
const MAX_PAGES: u32 = 64;
/// The real ones have some 16 bytes and the namespace.
const MAX_COOKIE_BYTES: usize = 1_024;

impl Relay {
    /// Others can be found whether or not they can find us.
    pub(super) fn begin_discovery(&mut self, cx: &Context<'_>, shared: &mut Shared) {
        if matches!(self.rendezvous.discover, Ask::Off) {
            self.discover(shared, cx.now);
        }
    }

    /// Of two that come at the same moment the later one finds the other, if it asks once it is registered. A question that
    /// is out is followed by another when it has been answered.
    pub(super) fn discover_once_registered(&mut self, cx: &Context<'_>, shared: &mut Shared) {
        let asked_before = !self.rendezvous.asked_when_registered;
        match self.rendezvous.discover {
            Ask::At(_) if asked_before => self.discover(shared, cx.now),
            _ => self.begin_discovery(cx, shared),
        }
    }

    /// Somebody has come. If it is not said who, that is asked.
    pub(super) fn heard_news(
        &mut self,
        now: Instant,
        shared: &mut Shared,
        mut peers: Vec<(PeerId, Vec<Multiaddr>)>,
    ) {
        if let (Some(point), false) = (self.peer, peers.is_empty()) {
            peers.truncate(MAX_FOUND);
            return shared.outputs.push(Output::Listed {
                point,
                peers,
                is_news: true,
            });
        }
        let rendezvous = &mut self.rendezvous;
        match &mut rendezvous.discover {
            Ask::Asked { .. } => rendezvous.has_news = true,
            Ask::At(at) => {
                let soonest = rendezvous.asked_at.map_or(now, |asked| asked + NEWS_PAUSE);
                *at = soonest.max(now).min(*at);
            }
            Ask::Off => {}
        }
    }

    pub(super) fn discover(&mut self, shared: &mut Shared, now: Instant) {
        self.rendezvous.asked_at = Some(now);
        self.rendezvous.has_news = false;
        self.rendezvous.asked_when_registered = self.is_registered();
        if let Some(point) = self.peer {
            let until = now + ANSWER_TIMEOUT;
            self.rendezvous.discover = Ask::Asked { until };
            let cookie = self.rendezvous.cookie.clone();
            self.rendezvous.asked_for_changes = cookie.is_some();
            shared.outputs.push(Output::Discover { point, cookie });
        }
    }

    pub(super) fn discovered(
        &mut self,
        cx: &mut Context<'_>,
        shared: &mut Shared,
        mut peers: Vec<(PeerId, Vec<Multiaddr>)>,
        cookie: Vec<u8>,
    ) {
        let Some(point) = self.peer else {
            return;
        };
        let jitter = cx.rng.random_range(Duration::ZERO..=DISCOVER_JITTER);
        let rendezvous = &mut self.rendezvous;
        // An empty one is none, as protobuf's writers see it.
        let fits = (1..=MAX_COOKIE_BYTES).contains(&cookie.len());
        rendezvous.cookie = fits.then_some(cookie);
        rendezvous.answered();
        rendezvous.has_listed = true;
        rendezvous.refusal = None;
        if let Ask::Asked { .. } = rendezvous.discover {
            let more = peers.len() >= PAGE && rendezvous.cookie.is_some();
            rendezvous.pages = if more { rendezvous.pages + 1 } else { 0 };
            // The newest are in the last answer. One that never ends is a joke of the point's.
            let more = more && rendezvous.pages < MAX_PAGES;
            let at_once = more || rendezvous.is_registered() && !rendezvous.asked_when_registered;
            let wait = match (at_once, rendezvous.has_news) {
                (true, _) => Duration::ZERO,
                (false, true) => NEWS_PAUSE,
                (false, false) => DISCOVER_INTERVAL + jitter,
            };
            rendezvous.discover = Ask::At(cx.now + wait);
            rendezvous.discover_backoff.reset();
        }
        peers.truncate(MAX_FOUND);
        shared.outputs.push(Output::Listed {
            point,
            peers,
            is_news: rendezvous.asked_for_changes,
        });
    }

    pub(super) fn discover_failed(
        &mut self,
        cx: &mut Context<'_>,
        shared: &mut Shared,
        cause: &Cause,
    ) {
        if !matches!(self.rendezvous.discover, Ask::Asked { .. }) {
            return;
        }
        if self.is_standing() {
            self.discover_later(cx);
            self.report_refusal(shared, cause);
        } else {
            self.rendezvous.discover = Ask::Off;
        }
    }

    /// Nobody is found while the point refuses to say who is there, though all else is well: a person has to
    /// know. A connection that ended or is silent is reported by itself.
    fn report_refusal(&mut self, shared: &mut Shared, cause: &Cause) {
        if let Reason::NoAnswer | Reason::ConnectionClosed = cause.code {
            return;
        }
        let text = format!("cannot discover: {cause}");
        let refusal = Cause::new(cause.code, text);
        if self.rendezvous.refusal.replace(refusal).is_none() {
            let message = format!("cannot discover at {}: {cause}; retrying", self.name());
            shared.error(cause.code, message);
        }
    }

    /// The cookie may be of the relay's earlier life, so the next question goes without.
    pub(super) fn discover_later(&mut self, cx: &mut Context<'_>) {
        let rendezvous = &mut self.rendezvous;
        rendezvous.cookie = None;
        rendezvous.discover = Ask::At(cx.now + rendezvous.discover_backoff.next(cx.rng));
    }
}
