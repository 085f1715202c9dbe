//! What a person reads at the start: with a relay who is there and how others come in, in place of addresses, which are kept
//! for `/addresses`.

use punchline::event::Event;

use super::Renderer;
use crate::common::sanitise::sanitised;

/// Addresses of our own that are remembered for `/addresses`.
const MAX_ADDRESSES: usize = 64;

/// What a person at a prompt wants to know once the peer is ready, in place of addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Welcome {
    /// The room.
    pub(crate) room: String,
    /// How others come in: a link, or what to type.
    pub(crate) invitation: String,
}

impl Renderer {
    /// Takes in what an event says of peers and addresses.
    pub(super) fn learn(&mut self, event: &Event) {
        match event {
            Event::Started { peer_id, name } => self.names.call(*peer_id, name),
            Event::Connected { peer, name, .. } | Event::Renamed { peer, name } => {
                self.names.call(*peer, name);
            }
            Event::Message { from, name, .. } => self.names.call(*from, name),
            Event::Listening { address }
            | Event::ExternalAddress { address }
            | Event::Reserved { address, .. } => {
                let address = sanitised(&address.to_string()).into_owned();
                if self.addresses.len() < MAX_ADDRESSES && !self.addresses.contains(&address) {
                    self.addresses.push(address);
                }
            }
            _ => {}
        }
        match event {
            Event::Connected {
                peer,
                in_room: true,
                ..
            }
            | Event::Membership {
                peer,
                in_room: true,
            } if !self.here.contains(peer) => self.here.push(*peer),
            Event::Disconnected { peer, .. }
            | Event::Membership {
                peer,
                in_room: false,
            } => self.here.retain(|known| known != peer),
            _ => {}
        }
    }

    /// What `/addresses` prints.
    pub(crate) fn addresses(&self) -> String {
        if self.addresses.is_empty() {
            return "nobody can dial you yet".into();
        }
        format!("others dial:\n  {}", self.addresses.join("\n  "))
    }

    /// The room, who is there, how others come in, and what to do.
    pub(super) fn welcome(&mut self, welcome: &Welcome) -> String {
        let here: Vec<_> = self
            .here
            .clone()
            .into_iter()
            .map(|peer| self.name(peer))
            .collect();
        let here = match here.is_empty() {
            true => "nobody else is here yet".into(),
            false => format!("here: {}", here.join(", ")),
        };
        let room = sanitised(&welcome.room);
        let ready = self
            .paint
            .good("type a line and press Enter; /help lists what else");
        format!(
            "room '{room}': {here}\ninvite others: {}\n{ready}",
            sanitised(&welcome.invitation)
        )
    }
}

/// Whether an event is of no interest to somebody who wants to talk by a relay.
pub(super) const fn is_noise(event: &Event) -> bool {
    matches!(
        event,
        Event::Listening { .. }
            | Event::ExternalAddress { .. }
            | Event::Reserved { .. }
            | Event::Registered { .. }
            | Event::Discovered { .. }
    )
}
