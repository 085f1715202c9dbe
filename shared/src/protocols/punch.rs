//! From a circuit to a direct connection: dials where the peer says it listens, and dials at the same moment as the
//! peer does (DCUtR).
//!
//! Specification: <https://github.com/libp2p/specs/blob/master/relay/DCUtR.md>
//!
//! ```text
//!   responder (dialled through the relay)      initiator (was dialled through the relay)
//!        |  <------ CONNECT: its candidates ------  |
//!        |  ------- CONNECT: its candidates ----->  |   measures the round trip
//!        |  <------ SYNC -------------------------  |   waits for half of it
//!      dials                                      dials
//! ```
//!
//! Before that, with the circuit's first data, the responder offers its candidates, and the initiator answers with its own and
//! opens its NAT: over QUIC that is most often all there is to do, one and a half round trips sooner (`Outcome::Early`).
//!
//! QUIC goes first, and TCP only where QUIC is not common to both or fails: dialled side by side, the slower but
//! better one would be given up. `candidates` chooses addresses, and `handler` runs the exchange on one circuit.
//!
//! # Instead of libp2p's behaviour
//!
//! libp2p-dcutr (of libp2p 0.57.1):
//!
//! - offers the candidates that it had when the circuit came, though a relay may report an observed address a moment
//!   later;
//! - takes candidates from identify, which puts a listening port in the place of an observed one that differs, as
//!   behind every NAT that translates ports (for QUIC: rust-libp2p #4896, open; related: #6277, open);
//! - dials TCP beside QUIC, so that TCP often wins, and waits 5 s for each of three attempts.
//!
//! The first and the last are not reported, as far as known. The tests of that are the NAT suite's `matrix::`
//! cells with translated ports. It may go when libp2p-dcutr takes observed addresses as they are, asks for them when it
//! needs them, and lets its user order transports.

mod candidates;
mod handler;

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use either::Either;
use futures::FutureExt;
use futures_timer::Delay;
use libp2p::{
    Multiaddr, PeerId,
    core::{Endpoint, transport::PortUse},
    swarm::{
        ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, NotifyHandler, THandler,
        THandlerInEvent, THandlerOutEvent, ToSwarm,
        behaviour::ConnectionEstablished,
        dial_opts::{DialOpts, PeerCondition},
        dummy,
    },
};
use web_time::Instant;

use crate::{
    address::{self, has_circuit},
    budget::{Budget, DIAL_PACKETS},
    path::Transport,
};

use self::{
    candidates::{Candidates, Kind, of_kind},
    handler::{Handler, Outcome, Role},
};

/// Tries on one circuit; the connector makes another one when they were in vain.
const ATTEMPTS: u8 = 3;
/// How long a try has before the next one begins beside it.
const ATTEMPT_TIME: Duration = Duration::from_secs(2);
/// QUIC to where the peer listens has this long before TCP is dialled, too; and the peer of the smaller id before the other
/// dials it: of two that can reach each other one dial is enough.
const HEAD_START: Duration = Duration::from_millis(500);
/// Circuits that stand at the same time and cost no time.
const CROWD: usize = 8;
/// When both have made a circuit, the one that is not of the smaller peer id waits this long.
const POLITE_WAIT: Duration = Duration::from_secs(3);

/// The result of all tries on one circuit that was dialled by the other peer.
#[derive(Debug)]
pub(crate) struct Event {
    /// The peer that stays behind its relay.
    pub(crate) peer: PeerId,
    /// Why, for a person.
    pub(crate) reason: Failed,
}

/// Why no hole was punched.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failed {
    #[error("no direct connection after {ATTEMPTS} attempts")]
    Attempts,
    #[error("the other side does not take part: {0}")]
    Refused(String),
}

/// Makes direct connections beside circuits.
///
/// Its owner passes on what identify says ([`Behaviour::observed`] for its relays, [`Behaviour::listens`] for peers
/// at the other end of a circuit); everything else it takes from the swarm. A direct connection shows as any other;
/// an [`Event`] reports that all [`ATTEMPTS`] on one circuit have failed. The side that was dialled begins:
///
/// ```text
///   circuit --> attempt 1 --ATTEMPT_TIME--> attempt 2 --> attempt 3 --> Event: failed
///                   |                           |             |
///                   +------- a direct connection over QUIC, or any after the last: done
/// ```
///
/// The early exchange runs beside the first attempt, which then sends nothing of its own over QUIC to open its NAT.
pub(crate) struct Behaviour {
    me: PeerId,
    candidates: Arc<Candidates>,
    circuits: HashMap<ConnectionId, Circuit>,
    /// Connections without a relay, and whether over QUIC.
    direct: HashMap<ConnectionId, (PeerId, bool)>,
    /// Connections that we dialled from the port that we listen on: only those show where it is seen.
    from_our_port: HashSet<ConnectionId>,
    /// Running dials over TCP that punch. The system itself repeats what was lost, and no second one
    /// could use the same port meanwhile.
    tcp_dials: HashMap<ConnectionId, PeerId>,
    /// What may be sent where peers say that they are.
    budget: Budget,
    events: VecDeque<ToSwarm<Event, Either<(), std::convert::Infallible>>>,
}

/// One way through a relay.
struct Circuit {
    peer: PeerId,
    role: Role,
    attempts: u8,
    /// Until the next attempt, or until the last one has failed.
    next: Option<Delay>,
    /// Where the peer listens, to be dialled one after the other unless there is a direct connection by then.
    later: VecDeque<(Delay, Vec<Multiaddr>)>,
    /// It has been dialled where it listens.
    reached_for: Vec<Multiaddr>,
    /// Candidates were exchanged with the circuit's first data, so one dials, and the other's NAT is open for it.
    early: bool,
    /// Why the last exchange failed.
    reason: Option<String>,
}

impl Behaviour {
    pub(crate) fn new(me: PeerId, budget: Budget) -> Self {
        Self {
            me,
            candidates: Arc::default(),
            circuits: HashMap::new(),
            direct: HashMap::new(),
            from_our_port: HashSet::new(),
            tcp_dials: HashMap::new(),
            budget,
            events: VecDeque::new(),
        }
    }

    /// Takes in where one of our relays sees us.
    pub(crate) fn observed(&mut self, relay: PeerId, conn: ConnectionId, address: &Multiaddr) {
        // Only the port that we listen on is of use.
        if self.from_our_port.contains(&conn)
            && let Some(kind) = of_kind(address)
        {
            self.candidates.observed(relay, kind, address.clone());
        }
    }

    /// Takes in where a peer at the other end of a circuit listens, by its own word, and dials it there.
    pub(crate) fn listens(&mut self, conn: ConnectionId, claimed: &[Multiaddr]) {
        let crowd = self.circuits.len() / CROWD;
        let Some(circuit) = self.circuits.get_mut(&conn) else {
            return;
        };
        let (peer, addresses) = (circuit.peer, self.candidates.reachable(claimed));
        if addresses.is_empty() || addresses == circuit.reached_for {
            return;
        }
        circuit.reached_for.clone_from(&addresses);
        let is_quic = |a: &Multiaddr| of_kind(a).is_some_and(Kind::is_quic);
        let (quic, tcp): (Vec<_>, Vec<_>) = addresses.into_iter().partition(is_quic);
        // In a crowd all takes longer.
        let head_start = HEAD_START * u32::try_from(1 + crowd).unwrap_or(1);
        let polite = u32::from(self.me > peer || circuit.early);
        let stages = [quic, tcp].into_iter().filter(|stage| !stage.is_empty());
        let stages = stages.zip(polite..);
        circuit.later = stages
            .map(|(addresses, nth)| (Delay::new(nth * head_start), addresses))
            .collect();
    }

    fn dial(
        &mut self,
        peer: PeerId,
        mut addresses: Vec<Multiaddr>,
        role: Role,
    ) -> Option<ConnectionId> {
        let now = Instant::now();
        addresses.retain(|address| self.budget.spend(now, address, cost(address, role)));
        if addresses.is_empty() {
            return None;
        }
        tracing::debug!(%peer, ?addresses, ?role, "dialling directly");
        let opts = DialOpts::peer_id(peer)
            .condition(PeerCondition::Always)
            .addresses(addresses);
        let opts = match role {
            // Both dial, yet one of them has to act as if it had been dialled.
            Role::Initiator => opts.override_role(),
            Role::Responder => opts,
        };
        let opts = opts.build();
        let conn = opts.connection_id();
        self.events.push_back(ToSwarm::Dial { opts });
        Some(conn)
    }

    fn has_quic(&self, peer: PeerId) -> bool {
        self.direct.values().any(|direct| *direct == (peer, true))
    }

    fn has_direct(&self, peer: PeerId) -> bool {
        self.direct.values().any(|(of, _)| *of == peer)
    }

    fn on_outcome(&mut self, conn: ConnectionId, outcome: Outcome) {
        let Some(circuit) = self.circuits.get_mut(&conn) else {
            return;
        };
        let (peer, role) = (circuit.peer, circuit.role);
        match outcome {
            Outcome::Early { ours, theirs } => {
                let plan = candidates::plan(&ours, &theirs, 1);
                circuit.early = !plan.quic.is_empty();
                if !self.has_direct(peer) {
                    self.dial(peer, plan.quic, role);
                }
            }
            Outcome::Agreed { ours, theirs } => {
                circuit.reason = None;
                if role == Role::Responder {
                    circuit.attempts = circuit.attempts.saturating_add(1);
                }
                let plan = candidates::plan(&ours, &theirs, circuit.attempts);
                // What is sent since the early exchange still keeps our NAT open.
                let is_open = circuit.early && role == Role::Initiator && circuit.attempts == 1;
                if !self.has_quic(peer) && !is_open {
                    self.dial(peer, plan.quic, role);
                }
                let punching = self.tcp_dials.values().any(|of| *of == peer);
                if !self.has_direct(peer) && !punching {
                    let dial = self.dial(peer, plan.tcp, role);
                    self.tcp_dials.extend(dial.map(|dial| (dial, peer)));
                }
            }
            Outcome::Failed(reason) => {
                tracing::debug!(%peer, reason, "no agreement to punch a hole");
                circuit.reason = Some(reason);
            }
        }
    }

    /// Begins an attempt that is due, or reports that the last one has failed.
    fn attempt(&mut self, conn: ConnectionId) {
        let Some(circuit) = self.circuits.get(&conn) else {
            return;
        };
        let (peer, attempts) = (circuit.peer, circuit.attempts);
        let done = self.has_quic(peer) || (self.has_direct(peer) && attempts >= ATTEMPTS);
        if done {
            return;
        }
        if attempts >= ATTEMPTS {
            let reason = match &circuit.reason {
                Some(reason) => Failed::Refused(reason.clone()),
                None => Failed::Attempts,
            };
            let event = Event { peer, reason };
            return self.events.push_back(ToSwarm::GenerateEvent(event));
        }
        if let Some(circuit) = self.circuits.get_mut(&conn) {
            circuit.attempts += 1;
            circuit.next = Some(Delay::new(ATTEMPT_TIME));
        }
        self.events.push_back(ToSwarm::NotifyHandler {
            peer_id: peer,
            handler: NotifyHandler::One(conn),
            event: Either::Left(()),
        });
    }

    fn new_circuit(&mut self, conn: ConnectionId, peer: PeerId, role: Role) -> Handler {
        let mut others = self.circuits.values().filter(|other| other.peer == peer);
        let early = others.clone().next().is_none() && !self.has_direct(peer);
        let ours_too = others.any(|other| other.role == Role::Responder);
        let polite = ours_too && self.me < peer;
        let wait = if polite { POLITE_WAIT } else { Duration::ZERO };
        let circuit = Circuit {
            peer,
            role,
            attempts: 0,
            next: (role == Role::Initiator).then(|| Delay::new(wait)),
            later: VecDeque::new(),
            reached_for: Vec::new(),
            early: false,
            reason: None,
        };
        self.circuits.insert(conn, circuit);
        Handler::new(role, self.candidates.clone(), early)
    }

    /// Does what is due by now. Returns whether anything was.
    fn run_timers(&mut self, cx: &mut Context<'_>) -> bool {
        let mut attempts = Vec::new();
        let mut dials = Vec::new();
        for (conn, circuit) in &mut self.circuits {
            if let Some(next) = &mut circuit.next
                && next.poll_unpin(cx).is_ready()
            {
                circuit.next = None;
                attempts.push(*conn);
            }
            if let Some((wait, _)) = circuit.later.front_mut()
                && wait.poll_unpin(cx).is_ready()
                && let Some((_, addresses)) = circuit.later.pop_front()
            {
                dials.push((circuit.peer, addresses));
            }
        }
        let any = !attempts.is_empty() || !dials.is_empty();
        for conn in attempts {
            self.attempt(conn);
        }
        for (peer, addresses) in dials {
            if !self.has_direct(peer) {
                self.dial(peer, addresses, Role::Responder);
            }
        }
        any
    }
}

/// What one side of a hole punch over QUIC costs, in packets: libp2p sends one each 105 ms on average, for 5 s.
const PUNCH_PACKETS: u32 = 50;

/// What a dial costs, in packets. The initiator of a hole punch over QUIC dials by sending again and again.
fn cost(address: &Multiaddr, role: Role) -> u32 {
    match (Transport::of(address), role) {
        (Transport::Quic, Role::Initiator) => PUNCH_PACKETS,
        _ => DIAL_PACKETS,
    }
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = Either<Handler, dummy::ConnectionHandler>;
    type ToSwarm = Event;

    fn handle_established_inbound_connection(
        &mut self,
        conn: ConnectionId,
        peer: PeerId,
        local: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        if has_circuit(local) {
            return Ok(Either::Left(self.new_circuit(conn, peer, Role::Initiator)));
        }
        Ok(Either::Right(dummy::ConnectionHandler))
    }

    fn handle_established_outbound_connection(
        &mut self,
        conn: ConnectionId,
        peer: PeerId,
        address: &Multiaddr,
        _: Endpoint,
        port: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        if has_circuit(address) {
            return Ok(Either::Left(self.new_circuit(conn, peer, Role::Responder)));
        }
        if port == PortUse::Reuse {
            self.from_our_port.insert(conn);
        }
        Ok(Either::Right(dummy::ConnectionHandler))
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::DialFailure(failure) => {
                self.tcp_dials.remove(&failure.connection_id);
            }
            FromSwarm::ConnectionEstablished(ConnectionEstablished {
                peer_id,
                connection_id,
                endpoint,
                ..
            }) => {
                self.tcp_dials.remove(&connection_id);
                if !endpoint.is_relayed() {
                    let over = Transport::of(&address::of_remote(endpoint));
                    let direct = (peer_id, over == Transport::Quic);
                    self.direct.insert(connection_id, direct);
                }
            }
            FromSwarm::ConnectionClosed(closed) => {
                self.circuits.remove(&closed.connection_id);
                self.direct.remove(&closed.connection_id);
                self.from_our_port.remove(&closed.connection_id);
            }
            FromSwarm::NewListenAddr(new) => {
                self.budget.is_ours(new.addr);
                self.candidates.listening(new.addr);
            }
            FromSwarm::ExpiredListenAddr(old) => self.candidates.no_longer(old.addr),
            FromSwarm::ExternalAddrConfirmed(new) => self.candidates.confirmed(new.addr),
            FromSwarm::ExternalAddrExpired(old) => self.candidates.no_longer(old.addr),
            _ => {}
        }
    }

    fn on_connection_handler_event(
        &mut self,
        _: PeerId,
        conn: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        match event {
            Either::Left(outcome) => self.on_outcome(conn, outcome),
            Either::Right(never) => match never {},
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ToSwarm<Event, THandlerInEvent<Self>>> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Poll::Ready(event);
            }
            if !self.run_timers(cx) {
                return Poll::Pending;
            }
        }
    }
}
