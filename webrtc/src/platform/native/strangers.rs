//! Who knocks at a listener of webrtc-direct, before there is a connection.
//!
//! A stranger's first packets ask whether the path works. They are answered from what stands in them, and nothing is kept
//! but the last of each address, for a while: a forged one costs its sender more than us. The first packet of DTLS makes a
//! connection of it.

use std::{
    collections::{HashMap, VecDeque},
    net::SocketAddr,
};

use str0m::ice::StunMessage;

use super::{credentials::Credentials, routes::Kind};

/// Addresses of strangers that are remembered. Of more, the oldest are forgotten, and have to knock again.
pub const MAX_STRANGERS: usize = 1_024;
/// The longest packet with a question. That of a browser has some 120 bytes.
const MAX_REQUEST: usize = 800;
/// The first byte of a DTLS record with a handshake in it ([RFC 6347]).
///
/// [RFC 6347]: https://www.rfc-editor.org/rfc/rfc6347
const HANDSHAKE_RECORD: u8 = 22;

/// Makes the keyed hash of STUN.
pub(super) type Hmac<'a> = &'a dyn Fn(&[u8], &[&[u8]]) -> [u8; 20];

/// Somebody who may become a connection.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Stranger {
    pub(super) credentials: Credentials,
    /// The last question, which the connection wants to see itself.
    pub(super) request: Vec<u8>,
}

/// What to do about a packet.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Ignore,
    Reply(Vec<u8>),
    /// Make a connection, which begins with the question and with this packet.
    Admit(Stranger),
}

/// All that are remembered.
#[derive(Debug, Default)]
pub(super) struct Strangers {
    known: HashMap<SocketAddr, Stranger>,
    oldest: VecDeque<SocketAddr>,
}

impl Strangers {
    /// Takes a packet that belongs to no connection.
    pub(super) fn on_packet(&mut self, from: SocketAddr, packet: &[u8], hmac: Hmac<'_>) -> Verdict {
        match Kind::of(packet) {
            Kind::Request(_) => match answer(from, packet, hmac) {
                Some((stranger, reply)) => {
                    self.remember(from, stranger);
                    Verdict::Reply(reply)
                }
                None => Verdict::Ignore,
            },
            Kind::Other if packet.first() == Some(&HANDSHAKE_RECORD) => {
                match self.known.remove(&from) {
                    Some(stranger) => {
                        self.oldest.retain(|address| *address != from);
                        Verdict::Admit(stranger)
                    }
                    None => Verdict::Ignore,
                }
            }
            _ => Verdict::Ignore,
        }
    }

    fn remember(&mut self, from: SocketAddr, stranger: Stranger) {
        if self.known.insert(from, stranger).is_none() {
            self.oldest.push_back(from);
        }
        if self.oldest.len() > MAX_STRANGERS
            && let Some(address) = self.oldest.pop_front()
        {
            self.known.remove(&address);
        }
    }
}

/// Reads a question, and answers it, if it was made with the password that it names.
fn answer(from: SocketAddr, packet: &[u8], hmac: Hmac<'_>) -> Option<(Stranger, Vec<u8>)> {
    if packet.len() > MAX_REQUEST {
        return None;
    }
    let request = StunMessage::parse(packet).ok()?;
    let (server, client) = request.split_username()?;
    let credentials = Credentials::of(server, client)?;
    let password = credentials.server.as_bytes();
    if !request.is_binding_request() || !request.verify(password, hmac) {
        return None;
    }
    let mut reply = vec![0; MAX_REPLY];
    let len = StunMessage::binding_reply(request.trans_id(), from)
        .to_bytes(Some(password), &mut reply, hmac)
        .ok()?;
    reply.truncate(len);
    let stranger = Stranger {
        credentials,
        request: packet.to_vec(),
    };
    Some((stranger, reply))
}

/// Header, address, integrity, fingerprint: 76 bytes with an IPv6 address.
const MAX_REPLY: usize = 128;

#[cfg(test)]
mod tests;
