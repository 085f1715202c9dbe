//! The rendezvous point: answers registrations and questions.
//!
//! Specification: <https://github.com/libp2p/specs/blob/master/rendezvous/README.md>
//!
//! # Instead of libp2p's server
//!
//! libp2p-rendezvous 0.18.0:
//!
//! - keeps a timer for each registration that was replaced or withdrawn, until it would have expired (rust-libp2p
//!   #6620, fixed after 0.18.0), and up to a mebibyte of each;
//! - keeps, for each cookie, the numbers of all registrations that it answered with (bounded since #6364);
//! - refuses to refresh a registration when it is full;
//! - says who is in all namespaces to whoever names none, as the specification allows. Here a namespace is a room.
//!
//! The latter two are not reported, as far as known. Here a cookie is a number, and nothing outlives its registration.
//! The tests of that are `what_is_replaced_or_withdrawn_leaves_nothing`, `only_who_names_a_room_learns_who_is_in_it` and
//! `whoever_is_registered_may_refresh_when_there_is_no_room`. It may go when libp2p's server behaves like that, but for
//! the rooms, which are a decision of ours.

mod streams;
#[cfg(test)]
mod tests;
mod unread;

use std::net::IpAddr;

use libp2p::PeerId;
use web_time::{Instant, SystemTime};

pub use self::streams::{Behaviour, Question, Word};
use self::unread::UnreadAnswers;
use super::{
    news::News,
    packet::{
        Discover, DiscoverResponse, Kind, MAX_NEWS, MAX_NEWS_BYTES, MAX_RECORD_BYTES, Packet,
        Register, RegisterResponse, Status, read_record,
    },
    registry::{Number, Registration, Registry, Source},
};
use crate::{config::MAX_NAMESPACE_BYTES, networks::Share};

/// Makes a behaviour for [`Server`]: it carries questions and answers.
#[must_use]
pub fn behaviour() -> Behaviour {
    Behaviour::default()
}

/// What a rendezvous point allows.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Registrations of all peers in all namespaces.
    pub max_registrations: usize,
    /// Those of them that came from one network.
    pub share: Share,
    /// Namespaces that one peer is registered in.
    pub max_per_peer: usize,
    /// Seconds that a registration lasts at least.
    pub min_ttl: u64,
    /// Seconds that it lasts at most, and if its peer names none.
    pub max_ttl: u64,
}

/// What happened to a registration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A peer registered.
    Registered {
        /// The peer.
        peer: PeerId,
        /// Where.
        namespace: String,
        /// For how many seconds.
        ttl: u64,
        /// Whether it was registered already.
        renewed: bool,
    },
    /// A registration was refused.
    Refused {
        /// Whose.
        peer: PeerId,
    },
    /// A registration is gone.
    Unregistered {
        /// Whose.
        peer: PeerId,
        /// Where.
        namespace: String,
        /// It was not refreshed in time, or its peer has been gone for a while; otherwise its peer withdrew it.
        expired: bool,
    },
}

/// Answers questions. A pure state machine: it has no clock of its own.
///
/// Whoever owns the swarm passes each [`Question`] of the [`Behaviour`] to [`Server::on_question`], and calls
/// [`Server::handle_timeout`] and [`Server::news`], until they return nothing, at [`Server::poll_timeout`]. What comes out are [`Event`]s.
/// [`Limits`] bound what is kept; an answer has at most `MAX_PAGE_BYTES` of records, and
/// `MAX_UNREAD_ANSWERS` are under way at a time.
#[derive(Debug)]
pub struct Server {
    limits: Limits,
    registry: Registry,
    unread: UnreadAnswers,
    news: News,
}

impl Server {
    /// Makes a server with no registrations.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            registry: Registry::new(limits, first_number()),
            unread: UnreadAnswers::default(),
            news: News::default(),
        }
    }

    /// Counts the registrations.
    #[must_use]
    pub fn registrations(&self) -> usize {
        self.registry.len()
    }

    /// A peer has its first connection, or its first again.
    pub fn peer_came(&mut self, peer: PeerId) {
        self.registry.came(peer);
    }

    /// The last connection of a peer is gone. If it does not come back soon, its registrations end.
    pub fn peer_left(&mut self, now: Instant, peer: PeerId) {
        self.registry.left(now, peer);
    }

    /// Answers a question that came from this address, if it is known.
    pub fn on_question(
        &mut self,
        now: Instant,
        question: Question,
        ip: Option<IpAddr>,
    ) -> Option<Event> {
        let from = (question.peer, ip);
        let (answer, event) = self.answer(now, from, question.packet);
        question.reply.send(answer, || self.unread.add(ip));
        event
    }

    /// Answers a question of somebody who may ask nothing.
    pub fn refuse(&mut self, question: Question, ip: Option<IpAddr>) {
        let answer = match &question.packet {
            Packet {
                register: Some(_), ..
            } => Some(registered(Status::NotAuthorized, 0)),
            Packet {
                discover: Some(_), ..
            } => Some(discovered(Err(Status::NotAuthorized))),
            _ => None,
        };
        question.reply.send(answer, || self.unread.add(ip));
    }

    /// Ends the registrations of a peer.
    pub fn expel(&mut self, peer: PeerId) -> Vec<Event> {
        let namespaces = self.registry.namespaces_of(peer).into_iter();
        let gone = namespaces.filter(|namespace| self.registry.remove(peer, namespace));
        gone.map(|namespace| Event::Unregistered {
            peer,
            namespace: namespace.to_string(),
            expired: false,
        })
        .collect()
    }

    /// Returns when the next registration expires, or the next peers are to be told.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let expiry = self.registry.next_expiry();
        expiry.into_iter().chain(self.news.next()).min()
    }

    /// Returns what to tell the peers of a namespace that somebody has come to, for [`Behaviour::tell`]. To be called until
    /// there is nothing.
    pub fn news(&mut self, now: Instant) -> Option<Word> {
        let registry = &self.registry;
        let (namespace, first) = self.news.told(now, |namespace| registry.size(namespace))?;
        let one_more = MAX_NEWS as u64 + 1;
        let (came, _) = registry.since(&namespace, Some(first - 1), Some(one_more));
        let bytes = came.iter().map(|registration| registration.record.len());
        let packet = match came.len() <= MAX_NEWS && bytes.sum::<usize>() <= MAX_NEWS_BYTES {
            true => discovered(Ok(DiscoverResponse {
                registrations: came.into_iter().map(|r| entry(r, now)).collect(),
                cookie: None,
                status: Some(Status::Ok as i32),
            })),
            false => Packet::default(),
        };
        Some(Word::new(registry.present(&namespace), &packet))
    }

    /// Removes the next registration that has expired by `now`. To be called until there is none.
    pub fn handle_timeout(&mut self, now: Instant) -> Option<Event> {
        let gone = self.registry.expired(now)?;
        Some(Event::Unregistered {
            peer: gone.peer,
            namespace: gone.namespace.to_string(),
            expired: true,
        })
    }

    fn answer(
        &mut self,
        now: Instant,
        from: Source,
        question: Packet,
    ) -> (Option<Packet>, Option<Event>) {
        if let Some(register) = question.register {
            let (answer, event) = self.register(now, from, register);
            return (Some(answer), Some(event));
        }
        if let Some(discover) = question.discover {
            return (Some(discovered(self.page(now, discover))), None);
        }
        let (peer, _) = from;
        let namespace = question.unregister.and_then(|u| u.namespace);
        let namespace = namespace.filter(|namespace| self.registry.remove(peer, namespace));
        let event = namespace.map(|namespace| Event::Unregistered {
            peer,
            namespace,
            expired: false,
        });
        (None, event)
    }

    fn register(&mut self, now: Instant, from: Source, register: Register) -> (Packet, Event) {
        let (peer, _) = from;
        let namespace = register.namespace.unwrap_or_default();
        let ttl = register.ttl.unwrap_or(self.limits.max_ttl);
        let outcome = checked(peer, register.record)
            .and_then(|record| self.registry.register(now, from, &namespace, record, ttl));
        let (status, event) = match outcome {
            Ok(renewed) => {
                self.news.came(now, &namespace, self.registry.last());
                let event = Event::Registered {
                    peer,
                    namespace,
                    ttl,
                    renewed,
                };
                (Status::Ok, event)
            }
            Err(status) => {
                tracing::debug!(%peer, ?namespace, ?status, "registration refused");
                (status, Event::Refused { peer })
            }
        };
        (registered(status, ttl), event)
    }

    fn page(&self, now: Instant, discover: Discover) -> Result<DiscoverResponse, Status> {
        // A namespace is a room: who does not know its name has no business there.
        let namespace = discover.namespace;
        let namespace = namespace.filter(|n| (1..=MAX_NAMESPACE_BYTES).contains(&n.len()));
        let namespace = namespace.ok_or(Status::InvalidNamespace)?;
        // An empty cookie is none, as protobuf's writers see it.
        let cookie = discover.cookie.filter(|cookie| !cookie.is_empty());
        let seen = match cookie {
            Some(cookie) => Some(read_cookie(&cookie, &namespace).ok_or(Status::InvalidCookie)?),
            None => None,
        };
        let (found, seen) = self.registry.since(&namespace, seen, discover.limit);
        Ok(DiscoverResponse {
            registrations: found.into_iter().map(|r| entry(r, now)).collect(),
            cookie: Some(write_cookie(seen, &namespace)),
            status: Some(Status::Ok as i32),
        })
    }
}

fn registered(status: Status, ttl: u64) -> Packet {
    Packet {
        kind: Some(Kind::RegisterResponse as i32),
        register_response: Some(RegisterResponse {
            status: Some(status as i32),
            ttl: (status == Status::Ok).then_some(ttl),
        }),
        ..Packet::default()
    }
}

fn discovered(page: Result<DiscoverResponse, Status>) -> Packet {
    let answer = page.unwrap_or_else(|status| DiscoverResponse {
        status: Some(status as i32),
        ..DiscoverResponse::default()
    });
    Packet {
        kind: Some(Kind::DiscoverResponse as i32),
        discover_response: Some(answer),
        ..Packet::default()
    }
}

/// Returns the number to begin after. Numbers of a later start are higher, so that cookies of an earlier one stay valid: 2^20 for each
/// millisecond since 1970 are more than can be given out in it.
fn first_number() -> Number {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let milliseconds = since.unwrap_or_default().as_millis();
    u64::try_from(milliseconds).unwrap_or_default() << 20
}

/// Returns what a peer signed, if it did.
fn checked(peer: PeerId, record: Option<Vec<u8>>) -> Result<Vec<u8>, Status> {
    let bytes = record.filter(|bytes| bytes.len() <= MAX_RECORD_BYTES);
    let bytes = bytes.ok_or(Status::InvalidRecord)?;
    let record = read_record(&bytes).ok_or(Status::InvalidRecord)?;
    if record.peer_id() == peer {
        Ok(bytes)
    } else {
        Err(Status::NotAuthorized)
    }
}

fn entry(registration: &Registration, now: Instant) -> Register {
    let left = registration.expires.saturating_duration_since(now);
    Register {
        namespace: Some(registration.namespace.to_string()),
        record: Some(registration.record.clone()),
        ttl: Some(left.as_secs()),
    }
}

/// Encodes a cookie: a number, then the namespace that it is of: libp2p's clients look for both.
fn write_cookie(seen: Number, namespace: &str) -> Vec<u8> {
    [&seen.to_be_bytes(), namespace.as_bytes()].concat()
}

fn read_cookie(cookie: &[u8], namespace: &str) -> Option<Number> {
    let (number, of) = cookie.split_first_chunk()?;
    (of == namespace.as_bytes()).then_some(Number::from_be_bytes(*number))
}
