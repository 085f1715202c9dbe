//! Which connection a packet belongs to, where many share a socket.
//!
//! A request of STUN names the user of the connection that it is for. An answer bears the number of its question. Everything
//! else is known by where it comes from: the first connection that an address belongs to has it until it ends, so that
//! nobody else can draw its packets to himself. Requests from other addresses are lost, and cause nothing.

use std::{
    collections::{HashMap, VecDeque},
    net::SocketAddr,
};

use str0m::ice::StunMessage;

/// Addresses of a remote from which packets are taken, for each connection.
pub const MAX_SOURCES: usize = 16;
/// Questions of all connections that may still be answered. Of more, the oldest are forgotten.
pub const MAX_QUESTIONS: usize = 1_024;

/// A connection, as its socket knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct LinkId(pub(super) u64);

/// The number of a question.
pub(super) type Transaction = [u8; 12];

/// What a packet says of itself.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// It asks whether the path works.
    Request(Transaction),
    /// It answers such a question.
    Answer(Transaction),
    /// DTLS, and all that goes by it.
    Other,
}

/// Header of STUN: kind, length, magic cookie, transaction ([RFC 8489, section 5]).
///
/// [RFC 8489, section 5]: https://www.rfc-editor.org/rfc/rfc8489#section-5
const HEADER: usize = 20;
const MAGIC: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];

impl Kind {
    pub(super) fn of(packet: &[u8]) -> Self {
        let is_stun = packet.len() >= HEADER && packet[0] < 4 && packet[4..8] == MAGIC;
        if !is_stun {
            return Self::Other;
        }
        // Two bits tell requests and indications from answers, the lower of which is set in indications, too.
        let mut number = Transaction::default();
        number.copy_from_slice(&packet[8..HEADER]);
        match packet[0] & 1 {
            0 => Self::Request(number),
            _ => Self::Answer(number),
        }
    }
}

/// The connections of a socket.
#[derive(Debug, Default)]
pub(super) struct Routes {
    users: HashMap<String, LinkId>,
    sources: HashMap<SocketAddr, LinkId>,
    questions: HashMap<Transaction, LinkId>,
    oldest: VecDeque<Transaction>,
}

impl Routes {
    /// The packets of this user are for this connection.
    pub(super) fn add(&mut self, link: LinkId, user: String) {
        self.users.insert(user, link);
    }

    /// A connection has ended.
    pub(super) fn remove(&mut self, link: LinkId) {
        self.users.retain(|_, of| *of != link);
        self.sources.retain(|_, of| *of != link);
        self.questions.retain(|_, of| *of != link);
        let questions = &self.questions;
        self.oldest.retain(|number| questions.contains_key(number));
    }

    /// The connection asks somebody this.
    pub(super) fn asked(&mut self, link: LinkId, number: Transaction) {
        if self.questions.insert(number, link).is_none() {
            self.oldest.push_back(number);
        }
        if self.oldest.len() > MAX_QUESTIONS
            && let Some(number) = self.oldest.pop_front()
        {
            self.questions.remove(&number);
        }
    }

    /// What comes from there is for this connection, if it is nobody else's and the connection has not many such.
    pub(super) fn claim(&mut self, link: LinkId, source: SocketAddr) {
        let count = self.sources.values().filter(|of| **of == link).count();
        if count < MAX_SOURCES {
            self.sources.entry(source).or_insert(link);
        }
    }

    /// Returns whose packet it is; `None` if it is a stranger's.
    pub(super) fn find(&mut self, source: SocketAddr, packet: &[u8]) -> Option<LinkId> {
        match Kind::of(packet) {
            Kind::Answer(number) => self.questions.get(&number).copied(),
            Kind::Other => self.sources.get(&source).copied(),
            Kind::Request(_) => {
                let request = StunMessage::parse(packet).ok()?;
                let (user, _) = request.split_username()?;
                let link = *self.users.get(user)?;
                // DTLS may begin before we have sent anything else than answers there.
                if !self.sources.contains_key(&source) {
                    self.claim(link, source);
                }
                (self.sources.get(&source) == Some(&link)).then_some(link)
            }
        }
    }
}

#[cfg(test)]
mod tests;
