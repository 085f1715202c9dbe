//! The client's side: register, unregister, discover.
//!
//! It keeps nothing but the questions that are out.

use libp2p::{
    Multiaddr, PeerId,
    core::PeerRecord,
    identity::Keypair,
    request_response::{self as rr, OutboundRequestId, ProtocolSupport},
};

use super::packet::{
    Codec, Discover, Kind, PROTOCOL, Packet, Register, Status, Unregister, read_record,
};
use crate::reason::{Cause, Reason};
use crate::{
    address,
    config::{MAX_ADDRESSES_PER_PEER, MAX_REGISTRATIONS, RENDEZVOUS_TIMEOUT},
    connector::Input,
    table::Table,
};

/// The behaviour.
pub(crate) type Behaviour = rr::Behaviour<Codec>;
/// Its events.
pub(crate) type Event = rr::Event<Packet, Packet>;

pub(crate) fn new() -> Behaviour {
    let config = rr::Config::default().with_request_timeout(RENDEZVOUS_TIMEOUT);
    Behaviour::with_codec(Codec, [(PROTOCOL, ProtocolSupport::Outbound)], config)
}

/// What has been asked of rendezvous points, and what their answers mean.
#[derive(Debug)]
pub(crate) struct Client {
    namespace: String,
    asked: Table<OutboundRequestId, Question>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Question {
    Register,
    Discover,
}

impl Client {
    pub(crate) fn new(namespace: String) -> Self {
        Self {
            namespace,
            asked: Table::new(),
        }
    }

    /// Registers these addresses for the rendezvous point's default time.
    pub(crate) fn register(
        &mut self,
        behaviour: &mut Behaviour,
        key: &Keypair,
        addresses: Vec<Multiaddr>,
        relay: PeerId,
    ) -> Result<(), Cause> {
        if addresses.is_empty() {
            let text = "no address of ours is known yet";
            return Err(Cause::new(Reason::NoExternalAddress, text));
        }
        let record = PeerRecord::new(key, best(&addresses, relay))
            .map_err(|e| Cause::of_error(Reason::Other, &e))?;
        let packet = Packet {
            kind: Some(Kind::Register as i32),
            register: Some(Register {
                namespace: Some(self.namespace.clone()),
                record: Some(record.into_signed_envelope().into_protobuf_encoding()),
                ttl: None,
            }),
            ..Packet::default()
        };
        let id = behaviour.send_request(&relay, packet);
        self.asked.insert(id, Question::Register);
        Ok(())
    }

    /// Takes our registration back. There is no answer to this.
    pub(crate) fn unregister(&self, behaviour: &mut Behaviour, relay: PeerId) {
        let packet = Packet {
            kind: Some(Kind::Unregister as i32),
            unregister: Some(Unregister {
                namespace: Some(self.namespace.clone()),
            }),
            ..Packet::default()
        };
        behaviour.send_request(&relay, packet);
    }

    /// Asks who has registered since the cookie was given.
    pub(crate) fn discover(
        &mut self,
        behaviour: &mut Behaviour,
        cookie: Option<Vec<u8>>,
        relay: PeerId,
    ) {
        let packet = Packet {
            kind: Some(Kind::Discover as i32),
            discover: Some(Discover {
                namespace: Some(self.namespace.clone()),
                limit: Some(MAX_REGISTRATIONS as u64),
                cookie,
            }),
            ..Packet::default()
        };
        let id = behaviour.send_request(&relay, packet);
        self.asked.insert(id, Question::Discover);
    }

    /// What an event means for the session.
    pub(crate) fn on_event(&mut self, event: Event) -> Option<Input> {
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
                Some(question.answered(peer, response, &self.namespace))
            }
            rr::Event::OutboundFailure {
                peer,
                request_id,
                error,
                ..
            } => {
                let question = self.asked.remove(&request_id)?;
                // No answer is the session's to notice: it has a clock, and may have asked again.
                let none = matches!(
                    error,
                    rr::OutboundFailure::Timeout | rr::OutboundFailure::ConnectionClosed
                );
                (!none).then(|| {
                    let code = match error {
                        rr::OutboundFailure::UnsupportedProtocols => Reason::Incompatible,
                        rr::OutboundFailure::DialFailure => Reason::ConnectionClosed,
                        _ => Reason::ProtocolViolation,
                    };
                    question.failed(peer, Cause::of_error(code, &error))
                })
            }
            _ => None,
        }
    }
}

/// As many addresses as anybody reads: where we are without a relay, by this one, by others.
fn best(addresses: &[Multiaddr], relay: PeerId) -> Vec<Multiaddr> {
    let rank = |address: &Multiaddr| match address::without_circuit(address) {
        None => 0,
        Some(by) if address::peer_of(&by) == Some(relay) => 1,
        Some(_) => 2,
    };
    (0..3)
        .flat_map(|wanted| addresses.iter().filter(move |a| rank(a) == wanted))
        .take(MAX_ADDRESSES_PER_PEER)
        .cloned()
        .collect()
}

impl Question {
    fn answered(self, relay: PeerId, packet: Packet, namespace: &str) -> Input {
        match (self, packet.register_response, packet.discover_response) {
            (Self::Register, Some(answer), _) => match refusal(answer.status) {
                None => Input::Registered {
                    point: relay,
                    ttl: answer.ttl.unwrap_or_default(),
                },
                Some(cause) => self.failed(relay, cause),
            },
            (Self::Discover, _, Some(answer)) => match refusal(answer.status) {
                None => Input::Discovered {
                    point: relay,
                    peers: read_registrations(relay, answer.registrations, namespace),
                    cookie: answer.cookie.unwrap_or_default(),
                },
                Some(cause) => self.failed(relay, cause),
            },
            _ => self.failed(
                relay,
                Cause::new(Reason::ProtocolViolation, "it answered something else"),
            ),
        }
    }

    fn failed(self, relay: PeerId, cause: Cause) -> Input {
        match self {
            Self::Register => Input::RegisterFailed {
                point: relay,
                cause,
            },
            Self::Discover => Input::DiscoverFailed {
                point: relay,
                cause,
            },
        }
    }
}

/// The registrations that are signed by the peers they are of; the others are left out.
fn read_registrations(
    relay: PeerId,
    registrations: Vec<Register>,
    namespace: &str,
) -> Vec<(PeerId, Vec<Multiaddr>)> {
    registrations
        .into_iter()
        .take(MAX_REGISTRATIONS)
        .filter(|registration| registration.namespace.as_deref() == Some(namespace))
        .filter_map(|registration| {
            let record = read_record(&registration.record.unwrap_or_default());
            if record.is_none() {
                tracing::debug!(%relay, "a registration without a valid peer record");
            }
            let record = record?;
            let addresses = record.addresses().iter().take(MAX_ADDRESSES_PER_PEER);
            Some((record.peer_id(), addresses.cloned().collect()))
        })
        .collect()
}

/// Why a rendezvous point refused; `None` when it did not.
fn refusal(status: Option<i32>) -> Option<Cause> {
    let Some(number) = status else {
        let text = "it answered without a status";
        return Some(Cause::new(Reason::ProtocolViolation, text));
    };
    let refused = Reason::RendezvousRefused;
    let (code, text) = match Status::try_from(number) {
        Ok(Status::Ok) => return None,
        Ok(Status::InvalidNamespace) => {
            (Reason::NamespaceRefused, "it does not allow this namespace")
        }
        Ok(Status::InvalidRecord) => (refused, "it does not accept our peer record"),
        Ok(Status::InvalidTtl) => (refused, "it does not allow this time to live"),
        Ok(Status::InvalidCookie) => (refused, "it does not know the cookie"),
        Ok(Status::NotAuthorized) => (refused, "it does not allow us to"),
        Ok(Status::InternalError) => (refused, "it has an internal error"),
        Ok(Status::Unavailable) => (Reason::RendezvousFull, "it has no room"),
        Err(_) => {
            let text = format!("it answered with the unknown status {number}");
            return Some(Cause::new(Reason::ProtocolViolation, text));
        }
    };
    Some(Cause::new(code, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_addresses_the_best_are_registered() {
        let [relay, other, me] = [(); 3].map(|()| PeerId::random());
        let circuit = |by: PeerId, port: u16| -> Multiaddr {
            let address = format!("/ip4/192.0.2.1/tcp/{port}/p2p/{by}/p2p-circuit/p2p/{me}");
            address.parse().unwrap()
        };
        let direct: Multiaddr = "/ip4/192.0.2.2/tcp/1".parse().unwrap();
        let mut addresses: Vec<_> = (1..=10).map(|port| circuit(other, port)).collect();
        addresses.extend((1..=10).map(|port| circuit(relay, port)));
        addresses.push(direct.clone());
        let best = best(&addresses, relay);
        assert_eq!(best.len(), MAX_ADDRESSES_PER_PEER);
        assert_eq!(best[0], direct);
        assert_eq!(best[1..11], addresses[10..20]);
        assert_eq!(best[11..], addresses[..5]);
    }
}
