//! Dials the relays by each of their transports, and has them dial us.

mod asked;
mod candidates;
mod swarm;

use std::{collections::HashMap, time::Duration};

use futures::StreamExt;
use libp2p::{
    Multiaddr, PeerId, StreamProtocol, Swarm, identify,
    relay::HOP_PROTOCOL_NAME,
    swarm::{ConnectionId, SwarmEvent, dial_opts::DialOpts, dial_opts::PeerCondition},
};
use punchline::{
    address::{self, has_circuit, ip_of, socket_of},
    path::Transport,
    platform,
    reason::Cause,
};
use tokio::time::{self, Instant};

use self::{
    asked::Asked,
    swarm::{Behaviour, BehaviourEvent},
};
use super::{
    find::Target,
    seen::{Mapped, Outcome, RelaySeen, Seen, Try},
    stun::own_address,
};

/// How long one transport may take, handshakes included.
const DIAL_TIMEOUT: Duration = Duration::from_secs(4);
/// What has just been learnt may have consequences, for so long.
const SETTLE_TIME: Duration = Duration::from_millis(700);
/// The server's side of AutoNAT v2.
const DIAL_REQUEST: StreamProtocol = StreamProtocol::new("/libp2p/autonat/2/dial-request");

/// What a connection, or an attempt, belongs to.
#[derive(Debug, Clone, Copy)]
struct Which {
    relay: usize,
    tried: usize,
}

/// The probe. What it has seen can be taken at any time.
pub(crate) struct Probe {
    swarm: Swarm<Behaviour>,
    relays: Vec<RelaySeen>,
    started: Instant,
    dialling: HashMap<ConnectionId, Which>,
    connected: HashMap<ConnectionId, Which>,
    /// Connections whose other side has not said who it is.
    unheard: Vec<ConnectionId>,
    listening: Vec<Multiaddr>,
    asked: Asked,
    changed: Instant,
    mapped: Vec<(Transport, Mapped)>,
}

impl Probe {
    /// Listens, and dials all of them at once.
    pub(crate) fn start(targets: Vec<Target>) -> anyhow::Result<Self> {
        let now = Instant::now();
        let mut probe = Self {
            swarm: swarm::new()?,
            relays: targets.iter().map(relay_seen).collect(),
            started: now,
            dialling: HashMap::new(),
            connected: HashMap::new(),
            unheard: Vec::new(),
            listening: Vec::new(),
            asked: Asked::default(),
            changed: now,
            mapped: Vec::new(),
        };
        // Before dialling: what listens is what dials, and so what a NAT shows of us.
        for address in platform::default_listen() {
            if let Err(error) = probe.swarm.listen_on(address) {
                tracing::debug!(%error, "cannot listen");
            }
        }
        Ok(probe)
    }

    /// Runs until there is nothing more to learn. It is over in 9 s, and may be dropped before.
    pub(crate) async fn run(&mut self) {
        self.listen().await;
        self.started = Instant::now();
        self.dial_all();
        loop {
            let Some(wake) = self.next_deadline(Instant::now()) else {
                tracing::debug!(reach = ?self.asked, "nothing more to learn by dialling");
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
        let has = |probe: &Self, t| probe.listening.iter().any(|a| Transport::of(a) == t);
        while !(has(self, Transport::Quic) && has(self, Transport::Tcp)) {
            match time::timeout_at(end, self.swarm.select_next_some()).await {
                Ok(event) => self.on_event(event),
                Err(_) => return,
            }
        }
    }

    fn dial_all(&mut self) {
        for relay in 0..self.relays.len() {
            for tried in 0..self.relays[relay].tries.len() {
                self.dial(Which { relay, tried });
            }
        }
    }

    fn dial(&mut self, which: Which) {
        let peer = self.relays[which.relay].peer;
        let tried = &mut self.relays[which.relay].tries[which.tried];
        if tried.outcome == Outcome::NotDialable {
            return;
        }
        if socket_of(&tried.address).is_some_and(|to| own_address(to).is_none()) {
            tried.outcome = Outcome::Failed("this machine has no way there".into());
            return;
        }
        let opts: DialOpts = match peer {
            Some(peer) => DialOpts::peer_id(peer)
                .addresses(vec![tried.address.clone()])
                .condition(PeerCondition::Always)
                .build(),
            None => tried.address.clone().into(),
        };
        let id = opts.connection_id();
        match self.swarm.dial(opts) {
            Ok(()) => {
                self.dialling.insert(id, which);
            }
            Err(e) => tried.outcome = Outcome::Failed(Cause::of_dial(&e, platform::reason_of).text),
        }
    }

    /// When to look again; `None`: there is nothing to wait for.
    fn next_deadline(&mut self, now: Instant) -> Option<Instant> {
        let dialled = self.started + DIAL_TIMEOUT;
        if now >= dialled {
            self.dialling.clear();
        }
        let settled = self.changed + SETTLE_TIME;
        let mut wait = Vec::new();
        // Where one address has led to the relay, another one like it need not.
        if self.dialling.values().any(|which| !self.has_alike(*which)) {
            wait.push(dialled);
        }
        if !self.unheard.is_empty() && now < dialled {
            wait.push(dialled);
        }
        wait.extend(self.asked.deadline().filter(|end| now < *end));
        if !self.connected.is_empty() && now < settled {
            wait.push(settled);
        }
        wait.into_iter().min()
    }

    fn on_event(&mut self, event: SwarmEvent<BehaviourEvent>) {
        match event {
            SwarmEvent::NewListenAddr { address, .. } => self.listening.push(address),
            SwarmEvent::ConnectionEstablished {
                peer_id,
                connection_id,
                ..
            } => self.on_connected(peer_id, connection_id),
            SwarmEvent::ConnectionClosed { connection_id, .. } => {
                self.connected.remove(&connection_id);
                self.unheard.retain(|id| *id != connection_id);
            }
            SwarmEvent::OutgoingConnectionError {
                connection_id,
                error,
                ..
            } => {
                if let Some(which) = self.dialling.remove(&connection_id) {
                    self.outcome(
                        which,
                        Outcome::Failed(Cause::of_dial(&error, platform::reason_of).text),
                    );
                }
            }
            SwarmEvent::NewExternalAddrCandidate { address } => self.on_candidate(address),
            SwarmEvent::Behaviour(BehaviourEvent::Identify(event)) => self.on_identify(event),
            SwarmEvent::Behaviour(BehaviourEvent::Reach(event)) => self.asked.on_answer(&event),
            other => tracing::trace!(event = ?other, "swarm"),
        }
    }

    fn on_connected(&mut self, peer: PeerId, connection: ConnectionId) {
        // One that came in is a relay that dials us.
        let Some(which) = self.dialling.remove(&connection) else {
            return;
        };
        let is_surplus = self.has_alike(which);
        self.outcome(which, Outcome::Reached(self.started.elapsed()));
        self.relays[which.relay].peer = Some(peer);
        if is_surplus {
            // It has shown what it can; the relay allows one peer so many connections only.
            self.swarm.close_connection(connection);
            return;
        }
        self.connected.insert(connection, which);
        self.unheard.push(connection);
        self.changed = Instant::now();
    }

    /// Whether its relay was reached by the same transport and family.
    fn has_alike(&self, which: Which) -> bool {
        let relay = &self.relays[which.relay];
        let kind = kind_of(&relay.tries[which.tried].address);
        let mut reached = relay.tries.iter().filter(|t| t.is_reached());
        reached.any(|t| kind_of(&t.address) == kind)
    }

    fn outcome(&mut self, which: Which, outcome: Outcome) {
        self.relays[which.relay].tries[which.tried].outcome = outcome;
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
        let Some(which) = self.connected.get(&connection_id).copied() else {
            return;
        };
        // Once is enough: it may come again and again.
        let Some(position) = self.unheard.iter().position(|id| *id == connection_id) else {
            return;
        };
        self.unheard.swap_remove(position);
        self.changed = Instant::now();
        let relay = &mut self.relays[which.relay];
        relay.is_relay = Some(info.protocols.contains(&HOP_PROTOCOL_NAME));
        self.asked.has_server |= info.protocols.contains(&DIAL_REQUEST);
        let dialled = relay.tries[which.tried].address.clone();
        self.on_observed(&dialled, address::without_peer(info.observed_addr));
    }

    /// A relay says which address it sees us at.
    fn on_observed(&mut self, dialled: &Multiaddr, observed: Multiaddr) {
        let transport = Transport::of(dialled);
        if !matches!(transport, Transport::Quic | Transport::Tcp)
            || Transport::of(&observed) != transport
        {
            return;
        }
        let (Some(server), Some(outside)) = (socket_of(dialled), socket_of(&observed)) else {
            return;
        };
        let Some(local) = self.listening_socket(transport, server) else {
            return;
        };
        let mapped = Mapped {
            server,
            local,
            outside,
        };
        self.mapped.push((transport, mapped));
        // libp2p would have the address tested with the port that we listen at only. Behind a NAT
        // that translates ports it is another one that leads here, if any does.
        self.swarm.behaviour_mut().candidates.add(observed);
    }

    /// What we send from, to there.
    fn listening_socket(
        &self,
        transport: Transport,
        to: std::net::SocketAddr,
    ) -> Option<std::net::SocketAddr> {
        let of_kind = |a: &&Multiaddr| {
            Transport::of(a) == transport && ip_of(a).is_some_and(|ip| ip.is_ipv4() == to.is_ipv4())
        };
        let port = self
            .listening
            .iter()
            .find(of_kind)
            .and_then(socket_of)?
            .port();
        Some((own_address(to)?, port).into())
    }

    fn on_candidate(&mut self, candidate: Multiaddr) {
        let now = Instant::now();
        if self.may_be_ours(&candidate) && self.asked.add(candidate, now) {
            self.changed = now;
        }
    }

    /// It is a port that we listen at, or that a relay has seen. libp2p makes up others, too: the
    /// address of one family with the port of the other.
    fn may_be_ours(&self, candidate: &Multiaddr) -> bool {
        let port = |a: &Multiaddr| socket_of(a).map(|socket| socket.port());
        let listens =
            |a: &Multiaddr| kind_of(a) == kind_of(candidate) && port(a) == port(candidate);
        let was_seen = |(_, m): &(Transport, Mapped)| Some(m.outside) == socket_of(candidate);
        self.listening.iter().any(listens) || self.mapped.iter().any(was_seen)
    }

    /// Adds what has been seen so far.
    pub(crate) fn into_seen(self, seen: &mut Seen) {
        for (transport, mapped) in self.mapped.iter().copied() {
            let family = match mapped.server.is_ipv4() {
                true => &mut seen.v4,
                false => &mut seen.v6,
            };
            match transport {
                Transport::Quic => family.quic.push(mapped),
                _ => family.tcp.push(mapped),
            }
        }
        seen.reach = self.asked.results();
        seen.relays = self.relays;
    }
}

/// By what an address is dialled: its transport, and whether over IPv4.
fn kind_of(address: &Multiaddr) -> (Transport, Option<bool>) {
    let is_ipv4 = ip_of(address).map(|ip| ip.is_ipv4());
    (Transport::of(address), is_ipv4)
}

/// Nothing has been tried yet: what is not reached in time is not reached.
fn relay_seen(target: &Target) -> RelaySeen {
    let tries = target.addresses.iter().map(|address| Try {
        transport: Transport::of(address),
        address: address.clone(),
        outcome: match platform::can_dial(address) && !has_circuit(address) {
            true => Outcome::Failed(format!("no answer within {} s", DIAL_TIMEOUT.as_secs())),
            false => Outcome::NotDialable,
        },
    });
    RelaySeen {
        given: target.given.clone(),
        http: target.http.clone(),
        peer: target.peer,
        is_relay: None,
        tries: tries.collect(),
    }
}
