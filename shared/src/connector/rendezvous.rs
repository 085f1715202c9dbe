//! Registering at a relay that we hold a reservation on, and asking it who else is there.

use std::time::Duration;

use libp2p::{Multiaddr, PeerId};
use rand::RngExt;
use web_time::Instant;

use super::{
    Connector, Output, RelayId, addresses, backoff::Backoff, connections::Conn, peer::Peer,
    peers::MAX_PEERS, relay::Relay,
};
use crate::reason::{Cause, Reason};
use crate::{event::Event, path::Path};

/// How long a relay may take for an answer.
pub(super) const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// How often we ask who is there. That is a ping, too: an answer tells that the rendezvous point works.
pub(super) const DISCOVER_INTERVAL: Duration = Duration::from_secs(10);
/// So that peers that started together do not ask together for ever.
const DISCOVER_JITTER: Duration = Duration::from_secs(1);
/// A remote's word: below it we would only refresh; above it is more than the protocol allows.
pub(super) const MIN_TTL: u64 = 60;
pub(super) const MAX_TTL: u64 = 72 * 60 * 60;
/// The real ones have some 16 bytes and the namespace.
const MAX_COOKIE_BYTES: usize = 1_024;
/// A connection on which this many requests in a row got no answer at all is dead.
pub(super) const MAX_SILENCES: u32 = 2;
/// The same while messages flow by the relay: then its answers may only wait in line.
const MAX_SILENCES_IN_USE: u32 = 6;

/// A relay has fallen silent.
pub(super) fn no_answer() -> Cause {
    Cause::new(Reason::NoAnswer, "it has stopped answering")
}

#[derive(Debug)]
pub(super) struct Rendezvous {
    register: Ask,
    register_backoff: Backoff,
    registered: bool,
    refusal_reported: bool,
    discover: Ask,
    discover_backoff: Backoff,
    cookie: Option<Vec<u8>>,
    /// The running question named a cookie, so its answer holds news only.
    asked_for_news: bool,
    silences: u32,
    /// Something else has fallen silent, too: one more silence is enough.
    suspected: bool,
}

/// A request that is made again and again.
#[derive(Debug, Clone, Copy)]
enum Ask {
    Off,
    At(Instant),
    Asked { until: Instant },
}

impl Ask {
    const fn timeout(self) -> Option<Instant> {
        match self {
            Self::Off => None,
            Self::At(at) | Self::Asked { until: at } => Some(at),
        }
    }

    fn hurry(&mut self, now: Instant) {
        if let Self::At(at) = self {
            *at = now.min(*at);
        }
    }
}

impl Default for Rendezvous {
    fn default() -> Self {
        Self {
            register: Ask::Off,
            register_backoff: Backoff::retry(),
            registered: false,
            refusal_reported: false,
            discover: Ask::Off,
            discover_backoff: Backoff::retry(),
            cookie: None,
            asked_for_news: false,
            silences: 0,
            suspected: false,
        }
    }
}

impl Rendezvous {
    pub(super) const fn timeouts(&self) -> [Option<Instant>; 2] {
        [self.register.timeout(), self.discover.timeout()]
    }

    pub(super) const fn is_registered(&self) -> bool {
        self.registered
    }

    /// When the next registration is due, if none is under way.
    pub(super) const fn registers_at(&self) -> Option<Instant> {
        match self.register {
            Ask::At(at) => Some(at),
            Ask::Off | Ask::Asked { .. } => None,
        }
    }

    /// Whether the other side may hold a registration of ours.
    pub(super) const fn may_be_registered(&self) -> bool {
        self.registered || matches!(self.register, Ask::Asked { .. })
    }

    /// The reservation is gone, and with it the addresses that were registered.
    pub(super) const fn pause(&mut self) {
        self.register = Ask::Off;
        self.discover = Ask::Off;
        self.registered = false;
        self.answered();
    }

    const fn answered(&mut self) {
        self.silences = 0;
        self.suspected = false;
    }

    /// A path has fallen silent; it may be the whole network that is gone.
    pub(super) fn suspect(&mut self, now: Instant) {
        self.suspected = true;
        self.hurry(now);
    }

    pub(super) fn forget_cookie(&mut self) {
        self.cookie = None;
    }

    pub(super) fn hurry(&mut self, now: Instant) {
        self.register_backoff.reset();
        self.discover_backoff.reset();
        self.discover.hurry(now);
        if !self.registered {
            self.register.hurry(now);
        }
    }
}

impl Connector {
    pub(super) fn run_rendezvous(&mut self, id: RelayId) {
        let Some(relay) = self.relays.get(&id) else {
            return;
        };
        let now = self.now;
        let due = |ask: Ask| ask.timeout().is_some_and(|at| at <= now);
        let Rendezvous {
            register, discover, ..
        } = relay.rendezvous;
        if due(register) {
            match register {
                Ask::Asked { .. } => {
                    let cause = Cause::new(Reason::NoAnswer, "no answer");
                    self.register_refused(id, &cause);
                    self.count_silence(id);
                }
                _ => self.register(id),
            }
        }
        let still_there = self.relays.get(&id).is_some_and(Relay::is_standing);
        if due(discover) && still_there {
            match discover {
                Ask::Asked { .. } => {
                    self.discover_refused(id);
                    self.count_silence(id);
                }
                _ => self.discover(id),
            }
        }
    }

    fn count_silence(&mut self, id: RelayId) {
        let in_use = self.carries_a_path(id);
        let Some(relay) = self.relays.get_mut(&id) else {
            return;
        };
        relay.rendezvous.silences += 1;
        let max = match in_use {
            true => MAX_SILENCES_IN_USE,
            false if relay.rendezvous.suspected => 1,
            false => MAX_SILENCES,
        };
        if relay.rendezvous.silences < max {
            if !matches!(relay.rendezvous.discover, Ask::Asked { .. }) {
                self.discover(id);
            }
            return;
        }
        let (conn, peer) = (relay.conn(), relay.peer);
        // Those that stand beside it are as silent.
        let of_relay = |conn: &&Conn| Some(conn.peer) == peer && conn.leads_to_relay();
        let all: Vec<_> = self.conns.iter().filter(of_relay).map(|c| c.id).collect();
        for spare in all {
            self.close_unless_in_use(spare);
        }
        if let Some(conn) = conn {
            self.relay_unanswered(id, conn, &no_answer());
        }
    }

    /// Whether messages to a peer go by this relay, on a path that is not dead yet.
    pub(super) fn carries_a_path(&self, id: RelayId) -> bool {
        let relay = self.relays.get(&id).and_then(|relay| relay.peer);
        let mut paths = self.peers.values().filter_map(Peer::path);
        paths.any(|path| path.path == Path::Relayed && addresses::relay_of(&path.address) == relay)
    }

    pub(super) fn register(&mut self, id: RelayId) {
        let until = self.now + ANSWER_TIMEOUT;
        if let Some((relay, peer)) = self.rendezvous_of(id) {
            relay.register = Ask::Asked { until };
            self.push(Output::Register { relay: peer });
        }
    }

    fn discover(&mut self, id: RelayId) {
        let until = self.now + ANSWER_TIMEOUT;
        if let Some((relay, peer)) = self.rendezvous_of(id) {
            relay.discover = Ask::Asked { until };
            relay.asked_for_news = relay.cookie.is_some();
            let cookie = relay.cookie.clone();
            self.push(Output::Discover {
                relay: peer,
                cookie,
            });
        }
    }

    fn rendezvous_of(&mut self, id: RelayId) -> Option<(&mut Rendezvous, PeerId)> {
        let relay = self.relays.get_mut(&id)?;
        Some((&mut relay.rendezvous, relay.peer?))
    }

    /// The relay with this peer id, if we are in a position to ask it anything.
    fn standing(&self, peer: PeerId) -> Option<RelayId> {
        let id = self.relay_of(peer)?;
        self.relays.get(&id)?.is_standing().then_some(id)
    }

    /// What we registered is not all any more.
    pub(super) fn register_anew(&mut self) {
        let standing = self.relays.iter().filter(|(_, relay)| relay.is_standing());
        let ids: Vec<_> = standing.map(|(id, _)| *id).collect();
        for id in ids {
            self.register(id);
        }
    }

    pub(super) fn registered(&mut self, peer: PeerId, ttl: u64) {
        let now = self.now;
        let Some(id) = self.standing(peer) else {
            return;
        };
        let Some((relay, _)) = self.rendezvous_of(id) else {
            return;
        };
        let ttl = ttl.clamp(MIN_TTL, MAX_TTL);
        relay.register = Ask::At(now + Duration::from_secs(ttl) / 2);
        relay.register_backoff.reset();
        relay.refusal_reported = false;
        relay.answered();
        if !std::mem::replace(&mut relay.registered, true) {
            let namespace = self.namespace.clone();
            self.emit(Event::Registered {
                relay: peer,
                namespace,
                ttl,
            });
        }
        self.begin_discovery(id);
    }

    pub(super) fn register_failed(&mut self, peer: PeerId, cause: &Cause) {
        let Some(id) = self.standing(peer) else {
            return;
        };
        let register = self.relays.get(&id).map(|relay| relay.rendezvous.register);
        if matches!(register, Some(Ask::Asked { .. })) {
            self.register_refused(id, cause);
        }
    }

    fn register_refused(&mut self, id: RelayId, cause: &Cause) {
        let Some(relay) = self.relays.get_mut(&id) else {
            return;
        };
        let name = relay.name();
        relay.cause = Some(Cause::new(cause.code, format!("cannot register: {cause}")));
        let relay = &mut relay.rendezvous;
        relay.registered = false;
        relay.register = Ask::At(self.now + relay.register_backoff.next(&mut self.rng));
        if !std::mem::replace(&mut relay.refusal_reported, true) {
            let message = format!("cannot register at {name}: {cause}; retrying");
            self.error(cause.code, message);
        }
        self.begin_discovery(id);
    }

    /// Others can be found whether or not they can find us.
    fn begin_discovery(&mut self, id: RelayId) {
        let discover = self.relays.get(&id).map(|relay| relay.rendezvous.discover);
        if matches!(discover, Some(Ask::Off)) {
            self.discover(id);
        }
    }

    pub(super) fn discovered(
        &mut self,
        peer: PeerId,
        found: Vec<(PeerId, Vec<Multiaddr>)>,
        cookie: Vec<u8>,
    ) {
        let Some(id) = self.relay_of(peer) else {
            return;
        };
        let jitter = self.rng.random_range(Duration::ZERO..=DISCOVER_JITTER);
        let at = self.now + DISCOVER_INTERVAL + jitter;
        let Some((relay, _)) = self.rendezvous_of(id) else {
            return;
        };
        relay.cookie = (cookie.len() <= MAX_COOKIE_BYTES).then_some(cookie);
        relay.answered();
        let news = relay.asked_for_news;
        if let Ask::Asked { .. } = relay.discover {
            relay.discover = Ask::At(at);
            relay.discover_backoff.reset();
        }
        for (found, addresses) in found.into_iter().take(MAX_PEERS) {
            self.listed(peer, found, addresses, news);
        }
    }

    pub(super) fn discover_failed(&mut self, peer: PeerId) {
        let Some(id) = self.standing(peer) else {
            return;
        };
        let discover = self.relays.get(&id).map(|relay| relay.rendezvous.discover);
        if matches!(discover, Some(Ask::Asked { .. })) {
            self.discover_refused(id);
        }
    }

    fn discover_refused(&mut self, id: RelayId) {
        if let Some(relay) = self.relays.get_mut(&id) {
            let relay = &mut relay.rendezvous;
            // It may be of the relay's earlier life.
            relay.cookie = None;
            relay.discover = Ask::At(self.now + relay.discover_backoff.next(&mut self.rng));
        }
    }
}
