//! The client's side of rendezvous: registers, unregisters, discovers.
//!
//! Specification: <https://github.com/libp2p/specs/blob/master/rendezvous/README.md>
//!
//! # Instead of libp2p's client
//!
//! libp2p-rendezvous 0.18.0:
//!
//! - adds the time to live of a discovered registration to the clock without a check, so that a rendezvous point can
//!   make it panic (rust-libp2p #6619, fixed after 0.18.0), and keeps a timer for each registration that it was
//!   ever given;
//! - signs and reads only rust-libp2p's own form of peer records, which no other implementation has (#6204; for the
//!   decoding side #6384, open).
//!
//! The tests of that are `a_time_to_live_without_end_is_only_a_number` and `both_forms_of_peer_records_are_read`. It
//! may go when a release has both fixes, and forgets what its user does not want kept.

mod answers;
#[cfg(test)]
mod tests;

use std::{
    collections::VecDeque,
    task::{Context, Poll},
};

use libp2p::{
    Multiaddr, PeerId,
    core::{Endpoint, PeerRecord, transport::PortUse},
    identity::Keypair,
    request_response::{self as rr, OutboundRequestId, ProtocolSupport},
    swarm::{
        ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandler, THandlerInEvent,
        THandlerOutEvent, ToSwarm,
    },
};

use self::answers::{has_stranger, read_registrations, refusal};
use super::packet::{
    Codec, Discover, Kind, NEWS_PROTOCOL, PROTOCOL, Packet, RENDEZVOUS_TIMEOUT, Register,
    Unregister,
};
use crate::{
    address,
    config::{MAX_ADDRESSES_PER_PEER, MAX_REGISTRATIONS},
    protocols::wire,
    reason::{Cause, Reason},
    table::Table,
};

type Inner = rr::Behaviour<Codec>;

/// What became of a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Event {
    /// A rendezvous point accepted our registration.
    Registered {
        /// The rendezvous point.
        point: PeerId,
        /// For how many seconds, by its own word.
        ttl: u64,
    },
    /// A rendezvous point refused our registration, or there was none to send.
    RegisterFailed {
        /// The rendezvous point.
        point: PeerId,
        /// Why.
        cause: Cause,
    },
    /// A rendezvous point answered who is there, since the cookie that was sent along.
    Discovered {
        /// The rendezvous point.
        point: PeerId,
        /// Who, with the addresses that they signed. We may be among them.
        peers: Vec<(PeerId, Vec<Multiaddr>)>,
        /// The cookie for the next time.
        cookie: Vec<u8>,
    },
    /// A rendezvous point lists a record that is signed with our key, and that we have not signed.
    Stranger {
        /// The rendezvous point.
        point: PeerId,
    },
    /// A rendezvous point says that somebody has come.
    News {
        /// The rendezvous point.
        point: PeerId,
        /// Who; nobody, if it is to be asked.
        peers: Vec<(PeerId, Vec<Multiaddr>)>,
    },
    /// A rendezvous point refused to say who is there.
    DiscoverFailed {
        /// The rendezvous point.
        point: PeerId,
        /// Why.
        cause: Cause,
    },
}

/// Streams of one connection at a time: questions, and news.
const MAX_STREAMS: usize = 16;
/// Records of our own that are remembered: a registration is refreshed every hour, at each of a few relays.
const MAX_SIGNED: usize = 256;

/// Asks rendezvous points, in one namespace.
///
/// Its owner calls [`Behaviour::register`] and [`Behaviour::discover`] for a rendezvous point that it is
/// connected to, and gets one [`Event`] for each call, unless there is no answer: a silence is for its owner to
/// notice, who has a clock and may have asked again. It keeps nothing but the questions that are out, each for
/// [`RENDEZVOUS_TIMEOUT`] at most. Refreshing a registration in time, and keeping cookies, is its owner's business.
///
/// An answer is read up to [`super::packet::MAX_RENDEZVOUS_BYTES`], [`MAX_REGISTRATIONS`] peers and
/// [`MAX_ADDRESSES_PER_PEER`] addresses of each.
pub(crate) struct Behaviour {
    inner: Inner,
    /// Signs what we register.
    key: Keypair,
    namespace: String,
    asked: Table<OutboundRequestId, Question>,
    /// The sequence numbers of the records that we have signed.
    signed: VecDeque<u64>,
    /// What was known at once.
    pending: VecDeque<Event>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Question {
    Register,
    Discover,
}

impl Behaviour {
    pub(crate) fn new(key: Keypair, namespace: String) -> Self {
        let config = rr::Config::default()
            .with_request_timeout(RENDEZVOUS_TIMEOUT)
            .with_max_concurrent_streams(MAX_STREAMS);
        let protocols = [
            (PROTOCOL, ProtocolSupport::Outbound),
            (NEWS_PROTOCOL, ProtocolSupport::Inbound),
        ];
        Self {
            inner: Inner::with_codec(Codec, protocols, config),
            key,
            namespace,
            asked: Table::new(),
            signed: VecDeque::new(),
            pending: VecDeque::new(),
        }
    }

    /// Registers these addresses for the rendezvous point's default time.
    pub(crate) fn register(&mut self, point: PeerId, addresses: &[Multiaddr]) {
        match self.registration(point, addresses) {
            Ok(register) => {
                let packet = Packet {
                    kind: Some(Kind::Register as i32),
                    register: Some(register),
                    ..Packet::default()
                };
                self.ask(point, packet, Question::Register);
            }
            Err(cause) => self
                .pending
                .push_back(Question::Register.failed(point, cause)),
        }
    }

    fn registration(&mut self, point: PeerId, addresses: &[Multiaddr]) -> Result<Register, Cause> {
        if addresses.is_empty() {
            let text = "no address of ours is known yet";
            return Err(Cause::new(Reason::NoExternalAddress, text));
        }
        let record = PeerRecord::new(&self.key, best(addresses, point))
            .map_err(|e| Cause::of_error(Reason::Other, &e))?;
        if self.signed.len() >= MAX_SIGNED {
            self.signed.pop_front();
        }
        self.signed.push_back(record.seq());
        Ok(Register {
            namespace: Some(self.namespace.clone()),
            record: Some(record.into_signed_envelope().into_protobuf_encoding()),
            ttl: None,
        })
    }

    /// Takes our registration back. There is no answer to this, and no event.
    pub(crate) fn unregister(&mut self, point: PeerId) {
        let packet = Packet {
            kind: Some(Kind::Unregister as i32),
            unregister: Some(Unregister {
                namespace: Some(self.namespace.clone()),
            }),
            ..Packet::default()
        };
        self.inner.send_request(&point, packet);
    }

    /// Asks who has registered since the cookie was given.
    pub(crate) fn discover(&mut self, point: PeerId, cookie: Option<Vec<u8>>) {
        let packet = Packet {
            kind: Some(Kind::Discover as i32),
            discover: Some(Discover {
                namespace: Some(self.namespace.clone()),
                limit: Some(MAX_REGISTRATIONS as u64),
                cookie,
            }),
            ..Packet::default()
        };
        self.ask(point, packet, Question::Discover);
    }

    fn ask(&mut self, point: PeerId, packet: Packet, question: Question) {
        let id = self.inner.send_request(&point, packet);
        self.asked.insert(id, question);
    }

    fn on_event(&mut self, event: rr::Event<Packet, Packet>) -> Option<Event> {
        match event {
            rr::Event::Message {
                peer,
                message:
                    rr::Message::Response {
                        request_id,
                        response,
                    },
                ..
            } => {
                let question = self.asked.remove(&request_id)?;
                self.look_for_strangers(peer, &response);
                Some(question.answered(peer, response, &self.namespace))
            }
            // There is no answer to it: the stream ends with the channel.
            rr::Event::Message {
                peer,
                message: rr::Message::Request { request, .. },
                ..
            } => {
                self.look_for_strangers(peer, &request);
                let listed = request.discover_response.unwrap_or_default();
                Some(Event::News {
                    point: peer,
                    peers: read_registrations(peer, listed.registrations, &self.namespace),
                })
            }
            rr::Event::OutboundFailure {
                peer,
                request_id,
                error,
                ..
            } => {
                let question = self.asked.remove(&request_id)?;
                Some(question.failed(peer, cause_of(&error)?))
            }
            _ => None,
        }
    }

    fn look_for_strangers(&mut self, point: PeerId, packet: &Packet) {
        let listed = packet.discover_response.as_ref();
        let listed = listed.map_or(&[][..], |listed| &listed.registrations);
        let us = self.key.public().to_peer_id();
        if has_stranger(listed, us, |seq| self.signed.contains(&seq)) {
            self.pending.push_back(Event::Stranger { point });
        }
    }
}

/// Returns what a failure means. `None`: there is no answer, which the owner notices by itself.
fn cause_of(error: &rr::OutboundFailure) -> Option<Cause> {
    let code = match error {
        rr::OutboundFailure::Timeout | rr::OutboundFailure::ConnectionClosed => return None,
        rr::OutboundFailure::UnsupportedProtocols => return Some(no_rendezvous_point()),
        rr::OutboundFailure::Io(e) if wire::is_unsupported(e) => {
            return Some(no_rendezvous_point());
        }
        rr::OutboundFailure::DialFailure => Reason::ConnectionClosed,
        rr::OutboundFailure::Io(e) if e.kind() == std::io::ErrorKind::InvalidData => {
            Reason::ProtocolViolation
        }
        rr::OutboundFailure::Io(_) => Reason::ConnectionClosed,
    };
    Some(Cause::of_error(code, error))
}

/// Whoever answers may be a good relay all the same, so that is not incompatible.
fn no_rendezvous_point() -> Cause {
    Cause::new(Reason::RendezvousRefused, "it is no rendezvous point")
}

impl Question {
    fn answered(self, point: PeerId, packet: Packet, namespace: &str) -> Event {
        match (self, packet.register_response, packet.discover_response) {
            (Self::Register, Some(answer), _) => match refusal(answer.status) {
                None => Event::Registered {
                    point,
                    ttl: answer.ttl.unwrap_or_default(),
                },
                Some(cause) => self.failed(point, cause),
            },
            (Self::Discover, _, Some(answer)) => match refusal(answer.status) {
                None => Event::Discovered {
                    point,
                    peers: read_registrations(point, answer.registrations, namespace),
                    cookie: answer.cookie.unwrap_or_default(),
                },
                Some(cause) => self.failed(point, cause),
            },
            _ => self.failed(
                point,
                Cause::new(Reason::ProtocolViolation, "it answered something else"),
            ),
        }
    }

    const fn failed(self, point: PeerId, cause: Cause) -> Event {
        match self {
            Self::Register => Event::RegisterFailed { point, cause },
            Self::Discover => Event::DiscoverFailed { point, cause },
        }
    }
}

/// Returns as many addresses as anybody reads: first those without a relay, then those by this one, then the rest.
fn best(addresses: &[Multiaddr], point: PeerId) -> Vec<Multiaddr> {
    let rank = |address: &Multiaddr| match address::without_circuit(address) {
        None => 0,
        Some(by) if address::peer_of(&by) == Some(point) => 1,
        Some(_) => 2,
    };
    (0..3)
        .flat_map(|wanted| addresses.iter().filter(move |a| rank(a) == wanted))
        .take(MAX_ADDRESSES_PER_PEER)
        .cloned()
        .collect()
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = <Inner as NetworkBehaviour>::ConnectionHandler;
    type ToSwarm = Event;

    fn handle_established_inbound_connection(
        &mut self,
        conn: ConnectionId,
        peer: PeerId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.inner
            .handle_established_inbound_connection(conn, peer, local, remote)
    }

    fn handle_pending_outbound_connection(
        &mut self,
        conn: ConnectionId,
        peer: Option<PeerId>,
        addresses: &[Multiaddr],
        role: Endpoint,
    ) -> Result<Vec<Multiaddr>, ConnectionDenied> {
        self.inner
            .handle_pending_outbound_connection(conn, peer, addresses, role)
    }

    fn handle_established_outbound_connection(
        &mut self,
        conn: ConnectionId,
        peer: PeerId,
        address: &Multiaddr,
        role: Endpoint,
        port: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.inner
            .handle_established_outbound_connection(conn, peer, address, role, port)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        self.inner.on_swarm_event(event);
    }

    fn on_connection_handler_event(
        &mut self,
        peer: PeerId,
        conn: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        self.inner.on_connection_handler_event(peer, conn, event);
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ToSwarm<Event, THandlerInEvent<Self>>> {
        if let Some(event) = self.pending.pop_front() {
            return Poll::Ready(ToSwarm::GenerateEvent(event));
        }
        loop {
            match std::task::ready!(self.inner.poll(cx)) {
                ToSwarm::GenerateEvent(event) => {
                    if let Some(event) = self.on_event(event) {
                        return Poll::Ready(ToSwarm::GenerateEvent(event));
                    }
                }
                to_swarm => {
                    return Poll::Ready(to_swarm.map_out(|_| unreachable!("handled above")));
                }
            }
        }
    }
}
