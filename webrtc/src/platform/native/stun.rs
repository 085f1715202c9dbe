//! Asking a STUN server where it sees us ([RFC 8489]).
//!
//! [RFC 8489]: https://www.rfc-editor.org/rfc/rfc8489

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use ::stun::{
    agent::TransactionId,
    message::{BINDING_REQUEST, BINDING_SUCCESS, Getter, Message},
    xoraddr::XorMappedAddress,
};

use super::{links::Links, table::Packet};

/// A question is repeated after this time, which doubles each time.
const FIRST_WAIT: Duration = Duration::from_millis(500);
/// How often it is asked.
const ATTEMPTS: u32 = 5;

/// Questions to some servers, from each of our addresses of their family.
#[derive(Debug)]
pub(super) struct Questions {
    open: Vec<Question>,
    attempts: u32,
    pub(super) next: Option<Instant>,
}

#[derive(Debug)]
struct Question {
    from: SocketAddr,
    to: SocketAddr,
    message: Message,
}

impl Questions {
    pub(super) fn new(links: &Links, servers: &[SocketAddr], now: Instant) -> Self {
        let mut open = Vec::new();
        for server in servers {
            let same_family = |from: &SocketAddr| from.is_ipv4() == server.is_ipv4();
            for from in links.addresses().filter(same_family) {
                let mut message = Message::new();
                let id = Box::new(TransactionId::new());
                if message.build(&[id, Box::new(BINDING_REQUEST)]).is_ok() {
                    open.push(Question {
                        from,
                        to: *server,
                        message,
                    });
                }
            }
        }
        Self {
            open,
            attempts: 0,
            next: Some(now),
        }
    }

    /// Asks what is due.
    pub(super) fn ask(&mut self, links: &mut Links, now: Instant) {
        if self.next.is_none_or(|next| next > now) {
            return;
        }
        for question in &self.open {
            links.send(question.from, question.to, &question.message.raw);
        }
        let wait = FIRST_WAIT * 2u32.pow(self.attempts);
        self.attempts += 1;
        let again = self.attempts < ATTEMPTS && !self.open.is_empty();
        self.next = again.then(|| now + wait);
    }

    /// Takes in a packet. If it answers a question: where we are seen, and our address there.
    pub(super) fn answer(&mut self, packet: &Packet) -> Option<(SocketAddr, SocketAddr)> {
        let asked = |q: &Question| q.to == packet.from && q.from == packet.to;
        // Everything else from there is not looked at twice.
        if !self.open.iter().any(asked) {
            return None;
        }
        let mut message = Message::new();
        message.unmarshal_binary(&packet.bytes).ok()?;
        let is_answer =
            |q: &Question| asked(q) && q.message.transaction_id == message.transaction_id;
        let at = self.open.iter().position(is_answer)?;
        if message.typ != BINDING_SUCCESS {
            return None;
        }
        let mut seen = XorMappedAddress::default();
        seen.get_from(&message).ok()?;
        self.open.swap_remove(at);
        Some((SocketAddr::new(seen.ip, seen.port), packet.to))
    }
}

#[cfg(test)]
mod tests;
