//! Dials the relays by each of their transports, and has them test whether this machine can be reached.
//!
//! [`Probe::start`] listens, [`Probe::run`] dials and waits until nothing more can be learnt, and
//! [`Probe::add_to`] hands over what was observed, even if the run was cut short. The addresses that relays see come
//! with [identify], the tests from outside with [AutoNAT v2].
//!
//! [identify]: https://github.com/libp2p/specs/blob/master/identify/README.md
//! [AutoNAT v2]: https://github.com/libp2p/specs/blob/master/autonat/autonat-v2.md

mod attempts;
mod candidates;
mod mappings;
mod reachability;
mod swarm;

use std::{collections::HashMap, time::Duration};

use futures::StreamExt;
use libp2p::{
    Multiaddr, PeerId, StreamProtocol, Swarm, identify,
    relay::HOP_PROTOCOL_NAME,
    swarm::{ConnectionId, SwarmEvent, dial_opts::DialOpts, dial_opts::PeerCondition},
};
use punchline::{
    address::{self, socket_of},
    path::Transport,
    platform,
    reason::Cause,
};
use tokio::time::{self, Instant};

use self::{
    attempts::{AttemptId, Attempts},
    mappings::Mappings,
    reachability::ReachTests,
    swarm::{Behaviour, BehaviourEvent},
};
use super::{
    find::Target,
    observations::{Observations, Outcome},
    stun::own_address,
};

/// How long one dial may take, handshakes included.
const DIAL_TIMEOUT: Duration = Duration::from_secs(4);
/// How long to wait for what follows from the latest observation.
const SETTLE_TIME: Duration = Duration::from_millis(700);
/// What a server of AutoNAT v2 offers.
const DIAL_REQUEST: StreamProtocol = StreamProtocol::new("/libp2p/autonat/2/dial-request");

/// The probe. Its observations can be taken at any time.
pub(crate) struct Probe {
    swarm: Swarm<Behaviour>,
    attempts: Attempts,
    started: Instant,
    dialling: HashMap<ConnectionId, AttemptId>,
    connected: HashMap<ConnectionId, AttemptId>,
    /// Connections whose other side has not sent its identify message.
    unidentified: Vec<ConnectionId>,
    reach_tests: ReachTests,
    changed: Instant,
    mappings: Mappings,
}

impl Probe {
    /// Listens. The relays are dialled by [`run`](Self::run).
    pub(crate) fn start(targets: &[Target]) -> anyhow::Result<Self> {
        let now = Instant::now();
        let mut probe = Self {
            swarm: swarm::new()?,
            attempts: Attempts::new(targets),
            started: now,
            dialling: HashMap::new(),
            connected: HashMap::new(),
            unidentified: Vec::new(),
            reach_tests: ReachTests::default(),
            changed: now,
            mappings: Mappings::default(),
        };
        // Before dialling: the sockets that listen are the ones that dial, and whose mappings are observed.
        for address in platform::default_listen() {
            if let Err(error) = probe.swarm.listen_on(address) {
                tracing::debug!(%error, "cannot listen");
            }
        }
        Ok(probe)
    }

    /// Dials, and runs until there is nothing more to learn: 9 s at most. May be dropped before.
    pub(crate) async fn run(&mut self) {
        self.listen().await;
        self.started = Instant::now();
        self.dial_all();
        loop {
            let Some(wake) = self.next_deadline(Instant::now()) else {
                tracing::debug!(reach = ?self.reach_tests, "nothing more to learn by dialling");
                return;
            };
            if let Ok(event) = time::timeout_at(wake, self.swarm.select_next_some()).await {
                self.on_event(event);
            }
        }
    }

    /// Waits until the listeners have their ports.
    async fn listen(&mut self) {
        let end = Instant::now() + SETTLE_TIME;
        while !(self.mappings.listens(Transport::Quic) && self.mappings.listens(Transport::Tcp)) {
            match time::timeout_at(end, self.swarm.select_next_some()).await {
                Ok(event) => self.on_event(event),
                Err(_) => return,
            }
        }
    }

    fn dial_all(&mut self) {
        for id in self.attempts.ids() {
            self.dial(id);
        }
    }

    fn dial(&mut self, id: AttemptId) {
        let attempt = self.attempts.get(id);
        if attempt.outcome == Outcome::NotDialable {
            return;
        }
        let address = attempt.address.clone();
        if socket_of(&address).is_some_and(|to| own_address(to).is_none()) {
            let reason = "this machine has no way there".into();
            return self.attempts.set(id, Outcome::Failed(reason));
        }
        let opts: DialOpts = match self.attempts.peer_of(id) {
            Some(peer) => DialOpts::peer_id(peer)
                .addresses(vec![address])
                .condition(PeerCondition::Always)
                .build(),
            None => address.into(),
        };
        let connection = opts.connection_id();
        match self.swarm.dial(opts) {
            Ok(()) => {
                self.dialling.insert(connection, id);
            }
            Err(e) => self.attempts.set(
                id,
                Outcome::Failed(Cause::of_dial(&e, platform::reason_of).text),
            ),
        }
    }

    /// The time until which something may still be learnt without any event; `None` if nothing is.
    fn next_deadline(&mut self, now: Instant) -> Option<Instant> {
        let dialled = self.started + DIAL_TIMEOUT;
        if now >= dialled {
            self.dialling.clear();
        }
        let settled = self.changed + SETTLE_TIME;
        let mut wait = Vec::new();
        // A relay that was reached by an address need not be reached by others of the same transport and family.
        let mut dialling = self.dialling.values();
        if dialling.any(|id| !self.attempts.is_reached_alike(*id)) {
            wait.push(dialled);
        }
        if !self.unidentified.is_empty() && now < dialled {
            wait.push(dialled);
        }
        wait.extend(self.reach_tests.deadline().filter(|end| now < *end));
        if !self.connected.is_empty() && now < settled {
            wait.push(settled);
        }
        wait.into_iter().min()
    }

    fn on_event(&mut self, event: SwarmEvent<BehaviourEvent>) {
        match event {
            SwarmEvent::NewListenAddr { address, .. } => self.mappings.on_listening(address),
            SwarmEvent::ConnectionEstablished {
                peer_id,
                connection_id,
                ..
            } => self.on_connected(peer_id, connection_id),
            SwarmEvent::ConnectionClosed { connection_id, .. } => {
                self.connected.remove(&connection_id);
                self.unidentified.retain(|id| *id != connection_id);
            }
            SwarmEvent::OutgoingConnectionError {
                connection_id,
                error,
                ..
            } => {
                if let Some(id) = self.dialling.remove(&connection_id) {
                    let reason = Cause::of_dial(&error, platform::reason_of).text;
                    self.attempts.set(id, Outcome::Failed(reason));
                }
            }
            SwarmEvent::NewExternalAddrCandidate { address } => self.on_candidate(address),
            SwarmEvent::Behaviour(BehaviourEvent::Identify(event)) => self.on_identify(event),
            SwarmEvent::Behaviour(BehaviourEvent::Reach(event)) => {
                self.reach_tests.on_answer(&event)
            }
            other => tracing::trace!(event = ?other, "swarm"),
        }
    }

    fn on_connected(&mut self, peer: PeerId, connection: ConnectionId) {
        // An incoming connection is a relay's test.
        let Some(id) = self.dialling.remove(&connection) else {
            return;
        };
        let is_surplus = self.attempts.is_reached_alike(id);
        self.attempts.reached(id, peer, self.started.elapsed());
        if is_surplus {
            // It has proved what it can, and the relay limits the connections of a peer.
            self.swarm.close_connection(connection);
            return;
        }
        self.connected.insert(connection, id);
        self.unidentified.push(connection);
        self.changed = Instant::now();
    }

    fn on_identify(&mut self, event: identify::Event) {
        let identify::Event::Received {
            connection_id,
            info,
            ..
        } = event
        else {
            return;
        };
        let Some(id) = self.connected.get(&connection_id).copied() else {
            return;
        };
        // Only the first message counts: a relay may send any number.
        let Some(position) = self.unidentified.iter().position(|id| *id == connection_id) else {
            return;
        };
        self.unidentified.swap_remove(position);
        self.changed = Instant::now();
        let is_relay = info.protocols.contains(&HOP_PROTOCOL_NAME);
        let dialled = self.attempts.identified(id, is_relay);
        self.reach_tests.has_server |= info.protocols.contains(&DIAL_REQUEST);
        let observed = address::without_peer(info.observed_addr);
        if self.mappings.add(dialled, &observed) {
            // libp2p's identify replaces the observed port by the one that is listened on. Behind a NAT that
            // translates ports only the observed one can lead here.
            self.swarm.behaviour_mut().candidates.add(observed);
        }
    }

    fn on_candidate(&mut self, candidate: Multiaddr) {
        let now = Instant::now();
        if self.mappings.may_lead_here(&candidate) && self.reach_tests.add(candidate, now) {
            self.changed = now;
        }
    }

    /// Adds what has been observed so far.
    pub(crate) fn add_to(self, seen: &mut Observations) {
        self.mappings.add_to(seen);
        seen.reach_tests = self.reach_tests.results();
        seen.relays = self.attempts.into_relays();
    }
}
