//! Circuit relay v2, the relay's side: reservations, and circuits through which peers talk.
//!
//! Specification: <https://github.com/libp2p/specs/blob/master/relay/circuit-v2.md>
//!
//! ```text
//!   handler of a connection ── Request ──► Behaviour ──► Ledger: may it have that?
//!            ▲                               │
//!            └── answer, In::Call ◄──────────┘ ◄── Progress ── circuits, each a task of its own
//! ```
//!
//! # Instead of libp2p's relay
//!
//! libp2p-relay 0.22.0
//!
//! - copies a circuit's bytes as fast as they come within the task of a connection, so that who sends most is served most,
//!   and waits for ever for a receiver that does not read;
//! - can end no circuit but with its connection: whoever has taken all that a peer may have keeps them;
//! - knows no networks: peer ids cost nothing, nor do IPv6 addresses;
//! - gives a peer one reservation and one circuit more than its options allow
//!   (<https://github.com/libp2p/rust-libp2p/pull/6365>, open), refuses renewals when all reservations are given out, and
//!   may report the end of a circuit twice or not at all.
//!
//! The tests of that are in tests/relay_clients.rs, tests/relay_strangers.rs, and beside [`ledger`] and [`circuit`]. It may
//! go when libp2p's relay lets its user decide who is admitted, who makes room, and at which rate.

mod circuit;
mod figures;
mod handler;
mod ledger;
mod messages;
mod rates;
#[cfg(test)]
mod tests;

use std::{
    collections::{HashMap, VecDeque},
    convert::Infallible,
    net::IpAddr,
    pin::Pin,
    sync::{Arc, Mutex, Weak},
    task::{Context, Poll},
    time::{Instant, SystemTime},
};

pub(crate) use self::{circuit::Bounds, ledger::Limits, messages::Status};
use self::{
    circuit::{Grant, Progress, Relayed},
    handler::{Call, Granted, Handler, In, Request},
    ledger::{CircuitId, Ledger, Refusal, Source},
    messages::{HopMessage, Limit, Reservation},
    rates::{ByteRate, SharedRate},
};
use futures::{
    FutureExt, StreamExt,
    channel::{mpsc, oneshot},
};
use libp2p::{
    Multiaddr, PeerId,
    core::{ConnectedPoint, Endpoint, transport::PortUse},
    swarm::{
        ConnectionDenied, ConnectionId, ExternalAddresses, FromSwarm, NetworkBehaviour,
        NotifyHandler, THandler, THandlerInEvent, THandlerOutEvent, ToSwarm,
    },
};
use punchline::{
    address::{ip_of, with_peer},
    networks::Network,
};
use tokio::time::{self, Sleep};

use super::{
    access::{self, Access},
    advertise,
    memory::Memory,
};
use crate::watch::Figures;

/// What happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Event {
    ReservationAccepted {
        peer: PeerId,
        renewed: bool,
    },
    ReservationEnded {
        peer: PeerId,
    },
    CircuitOpened {
        from: PeerId,
        to: PeerId,
    },
    CircuitClosed {
        from: PeerId,
        to: PeerId,
    },
    /// What was refused or cut, as a plural, and to whom.
    Refused {
        what: &'static str,
        ip: Option<IpAddr>,
    },
}

/// What a relay gives out, and what one circuit and all circuits of a network may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Config {
    pub(crate) limits: Limits,
    pub(crate) bounds: Bounds,
    /// Bytes a second of all circuits that one network asked for; 0 = no limit.
    pub(crate) rate_of_network: u64,
    /// The same for those of one peer, whichever side it is on.
    pub(crate) rate_of_peer: u64,
    /// And for all.
    pub(crate) rate_of_all: u64,
}

/// What circuits have said and the behaviour has not heard yet, beyond a word for each circuit.
const MAX_WORDS: usize = 256;

/// Whose circuits share a rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Payer {
    /// Those that it asked for.
    Network(Option<Network>),
    Peer(PeerId),
}

/// How many have a rate for one circuit.
const PAYERS: usize = 3;

/// The relay.
pub(crate) struct Behaviour {
    config: Config,
    access: Access,
    memory: Memory,
    /// Whether nothing is given out any more, as the relay stops.
    closed: bool,
    local: PeerId,
    ledger: Ledger,
    start: Instant,
    ips: HashMap<ConnectionId, IpAddr>,
    addresses: ExternalAddresses,
    /// Dropped to cut a circuit.
    cuts: HashMap<CircuitId, oneshot::Sender<Infallible>>,
    /// Those of whoever has circuits, and of some who had.
    rates: HashMap<Payer, Weak<Mutex<ByteRate>>>,
    of_all: SharedRate,
    figures: Figures,
    progress: mpsc::Receiver<Progress>,
    to_progress: mpsc::Sender<Progress>,
    expiry: Option<Pin<Box<Sleep>>>,
    outputs: VecDeque<ToSwarm<Event, In>>,
}

impl Behaviour {
    pub(crate) fn new(local: PeerId, config: Config, access: Access, memory: Memory) -> Self {
        let (to_progress, progress) = mpsc::channel(MAX_WORDS);
        let start = Instant::now();
        Self {
            config,
            access,
            memory,
            closed: false,
            local,
            ledger: Ledger::new(config.limits, start),
            start,
            ips: HashMap::new(),
            addresses: ExternalAddresses::default(),
            cuts: HashMap::new(),
            rates: HashMap::new(),
            of_all: SharedRate::new(Mutex::new(ByteRate::new(config.rate_of_all))),
            figures: Figures::default(),
            progress,
            to_progress,
            expiry: None,
            outputs: VecDeque::new(),
        }
    }

    /// Counts the peers that have a reservation.
    pub(crate) fn reserved_peers(&self) -> usize {
        self.ledger.peers()
    }

    /// Gives nothing out from now on.
    pub(crate) const fn close(&mut self) {
        self.closed = true;
    }

    /// Whether a peer has a circuit, or waits for one.
    pub(crate) fn has_circuits(&self, peer: &PeerId) -> bool {
        self.ledger.has_circuits(peer)
    }

    /// Counts the open circuits.
    pub(crate) fn circuits(&self) -> usize {
        self.ledger.open_circuits()
    }

    /// Has it count for those who watch the relay, from its start.
    pub(crate) fn count_in(&mut self, figures: Figures) {
        self.figures = figures;
    }

    fn emit(&mut self, event: Event) {
        self.count(&event);
        self.outputs.push_back(ToSwarm::GenerateEvent(event));
    }

    fn tell(&mut self, peer: PeerId, connection: ConnectionId, event: In) {
        self.outputs.push_back(ToSwarm::NotifyHandler {
            peer_id: peer,
            handler: NotifyHandler::One(connection),
            event,
        });
    }

    fn reserve(&mut self, from: Source, reply: oneshot::Sender<HopMessage>) {
        let admitted = self.admit(from, Status::ReservationRefused);
        let admitted = match self.ledger.is_reserved(&from.peer) {
            true => admitted,
            false => admitted.and_then(|()| self.check_memory()),
        };
        let answer = match admitted.and_then(|()| self.ledger.reserve(Instant::now(), from)) {
            Ok(renewed) => {
                let Source {
                    peer, connection, ..
                } = from;
                self.emit(Event::ReservationAccepted { peer, renewed });
                self.tell(peer, connection, In::Reserved(true));
                self.look_at_the_clock();
                self.reservation()
            }
            Err(refusal) => {
                self.count_denied_reservation();
                HopMessage::ending(self.refused(from, refusal))
            }
        };
        // An error means that the connection is gone.
        let _ = reply.send(answer);
    }

    fn reservation(&self) -> HopMessage {
        let end = SystemTime::now() + self.config.limits.reservation_duration;
        let expire = end.duration_since(SystemTime::UNIX_EPOCH);
        // The newest come first there, and so the best last.
        let addresses: Vec<_> = self.addresses.iter().cloned().collect();
        let addresses = advertise::for_circuits(addresses.into_iter().rev());
        let mut answer = HopMessage::ending(Status::Ok);
        answer.limit = Some(self.limit());
        answer.reservation = Some(Reservation {
            expire: expire.unwrap_or_default().as_secs(),
            addrs: addresses
                .into_iter()
                .map(|address| with_peer(address, self.local).to_vec())
                .collect(),
            voucher: None,
        });
        answer
    }

    fn connect(
        &mut self,
        from: Source,
        to: PeerId,
        reply: oneshot::Sender<Result<Granted, Status>>,
    ) {
        let admitted = self.admit(from, Status::PermissionDenied);
        let admitted = admitted.and_then(|()| self.check_memory());
        let admitted = admitted.and_then(|()| self.ledger.connect(Instant::now(), from, to));
        self.count_circuit_request(&admitted);
        let admitted = match admitted {
            Ok(admitted) => admitted,
            Err(refusal) => {
                let status = self.refused(from, refusal);
                let _ = reply.send(Err(status));
                return;
            }
        };
        for (id, between) in admitted.cut {
            self.cuts.remove(&id);
            let what = "circuits, cut for newcomers,";
            self.emit(Event::Refused { what, ip: from.ip });
            self.closed(between);
        }
        let (cut_it, cut) = oneshot::channel();
        self.cuts.insert(admitted.id, cut_it);
        let grant = Grant {
            id: admitted.id,
            asker: from.ip,
            activity: admitted.activity,
            start: self.start,
            bounds: self.config.bounds,
            shared: self.rates_of(from, to),
            relayed: Relayed::of(&self.figures),
            cut,
            progress: self.to_progress.clone(),
        };
        let (answer, callee) = oneshot::channel();
        let limit = self.limit();
        let call = Call {
            from: from.peer,
            limit,
            answer,
        };
        self.tell(to, admitted.to, In::Call(call));
        let _ = reply.send(Ok(Granted {
            grant,
            limit,
            callee,
        }));
    }

    fn limit(&self) -> Limit {
        let seconds = self.config.bounds.duration.as_secs();
        Limit {
            duration: Some(u32::try_from(seconds).unwrap_or(u32::MAX)),
            data: Some(self.config.bounds.bytes),
        }
    }

    /// The rates that a circuit shares with others.
    fn rates_of(&mut self, from: Source, to: PeerId) -> Vec<SharedRate> {
        if self.rates.len() > PAYERS * self.cuts.len() {
            self.rates.retain(|_, rate| rate.strong_count() > 0);
        }
        let of_network = self.config.rate_of_network;
        let of_peer = self.config.rate_of_peer;
        let payers = [
            (Payer::Network(from.ip.map(Network::of)), of_network),
            (Payer::Peer(from.peer), of_peer),
            (Payer::Peer(to), of_peer),
        ];
        let limited = payers.into_iter().filter(|(_, rate)| *rate > 0);
        let of_some = limited.map(|(payer, rate)| shared_rate(&mut self.rates, payer, rate));
        of_some.chain([self.of_all.clone()]).collect()
    }

    /// New work has to wait while memory is short.
    fn check_memory(&self) -> Result<(), Refusal> {
        match self.memory.is_short() {
            false => Ok(()),
            true => Err(Refusal::limit("requests to a relay short of memory")),
        }
    }

    /// Refuses with this status whom the operator keeps out: the specification has one for each question.
    fn admit(&self, from: Source, status: Status) -> Result<(), Refusal> {
        if self.closed {
            return Err(Refusal::limit("requests to a relay that stops"));
        }
        match self.access.admits(&from.peer, from.ip) {
            true => Ok(()),
            false => Err(Refusal {
                status,
                what: Some(access::REFUSED),
            }),
        }
    }

    fn refused(&mut self, from: Source, refusal: Refusal) -> Status {
        tracing::debug!(peer = %from.peer, status = ?refusal.status, what = refusal.what, "refused");
        if let Some(what) = refusal.what {
            self.emit(Event::Refused { what, ip: from.ip });
        }
        refusal.status
    }

    fn progressed(&mut self, progress: Progress) {
        match progress {
            Progress::Opened(id) => {
                if let Some((from, to)) = self.ledger.opened(id) {
                    self.emit(Event::CircuitOpened { from, to });
                }
            }
            Progress::Ended(id) => {
                self.cuts.remove(&id);
                let between = self.ledger.ended(id);
                self.closed(between);
            }
            Progress::Unread(ip) => {
                let what = "circuits, cut for nobody reads them,";
                self.emit(Event::Refused { what, ip });
            }
        }
    }

    fn closed(&mut self, between: Option<(PeerId, PeerId)>) {
        if let Some((from, to)) = between {
            self.emit(Event::CircuitClosed { from, to });
        }
    }

    /// Ends what has expired, and sets the timer for what will.
    fn look_at_the_clock(&mut self) {
        let now = Instant::now();
        while let Some((peer, connection, was_last)) = self.ledger.expired(now) {
            self.tell(peer, connection, In::Reserved(false));
            if was_last {
                self.emit(Event::ReservationEnded { peer });
            }
        }
        let next = self.ledger.next_expiry();
        self.expiry = next.map(|at| Box::pin(time::sleep_until(at.into())));
    }
}

/// Finds the rate of somebody who has circuits, or begins it.
fn shared_rate(
    rates: &mut HashMap<Payer, Weak<Mutex<ByteRate>>>,
    payer: Payer,
    rate: u64,
) -> SharedRate {
    let known = rates.entry(payer).or_default();
    known.upgrade().unwrap_or_else(|| {
        let rate = SharedRate::new(Mutex::new(ByteRate::new(rate)));
        *known = Arc::downgrade(&rate);
        rate
    })
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = Handler;
    type ToSwarm = Event;

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(Handler::new())
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(Handler::new())
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        self.addresses.on_swarm_event(&event);
        match event {
            FromSwarm::ConnectionEstablished(event) => {
                let (ConnectedPoint::Dialer { address, .. }
                | ConnectedPoint::Listener {
                    send_back_addr: address,
                    ..
                }) = event.endpoint;
                if let Some(ip) = ip_of(address) {
                    self.ips.insert(event.connection_id, ip);
                }
            }
            FromSwarm::ConnectionClosed(event) => {
                self.ips.remove(&event.connection_id);
                let peer = event.peer_id;
                if self.ledger.connection_closed(peer, event.connection_id) {
                    self.emit(Event::ReservationEnded { peer });
                }
            }
            _ => {}
        }
    }

    fn on_connection_handler_event(
        &mut self,
        peer: PeerId,
        connection: ConnectionId,
        request: THandlerOutEvent<Self>,
    ) {
        let ip = self.ips.get(&connection).copied();
        let from = Source {
            peer,
            connection,
            ip,
        };
        match request {
            Request::Reserve(reply) => self.reserve(from, reply),
            Request::Connect(to, reply) => self.connect(from, to, reply),
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ToSwarm<Event, THandlerInEvent<Self>>> {
        while let Poll::Ready(Some(progress)) = self.progress.poll_next_unpin(cx) {
            self.progressed(progress);
        }
        while let Some(expiry) = &mut self.expiry
            && expiry.poll_unpin(cx).is_ready()
        {
            self.look_at_the_clock();
        }
        match self.outputs.pop_front() {
            Some(output) => Poll::Ready(output),
            None => Poll::Pending,
        }
    }
}

impl std::fmt::Debug for Behaviour {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Behaviour")
            .field("ledger", &self.ledger)
            .finish_non_exhaustive()
    }
}
