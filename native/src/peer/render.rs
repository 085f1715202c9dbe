//! Events as lines of text for a person.

mod start;
mod table;

use libp2p::{Multiaddr, PeerId, multiaddr::Protocol};
use punchline::{
    event::{DeliveryState, Event, Scope},
    path::Path,
};

pub(crate) use self::start::Welcome;
use self::start::is_noise;
use super::{names::PeerNames, paint::Paint};
use crate::common::sanitise::{sanitised, sanitised_body};

/// How many protocols of an incompatible peer are listed.
const MAX_SHOWN_PROTOCOLS: usize = 5;

/// What `/help` prints.
pub(crate) const HELP: &str = "\
  TEXT            to everybody in the room
  /to PEER TEXT   to one peer alone: its name, its id, or the end of it (Tab completes)
  /name NAME      what others read of you
  /peers          who is here: path, transport, round trip
  /block PEER     nothing more from it, and nothing to it; /unblock PEER
  /addresses      where others can dial you
  /dial ADDR      dial another peer
  /quit           leave (Ctrl-D and Ctrl-C too)
  //TEXT          a line that begins with a slash";

/// Turns events into lines of text.
#[derive(Debug)]
pub(crate) struct Renderer {
    pub(crate) names: PeerNames,
    paint: Paint,
    prompt: bool,
    /// In place of what happens until the peer is ready.
    welcome: Option<Welcome>,
    addresses: Vec<String>,
    /// Who of the room is connected.
    here: Vec<PeerId>,
    /// Whether the previous line was an address, which a heading stands above.
    in_addresses: bool,
}

impl Renderer {
    /// `prompt`: the lines appear above a prompt. With a `welcome` that is shown in place of addresses and of what
    /// relays report.
    pub(crate) fn new(paint: Paint, prompt: bool, welcome: Option<Welcome>) -> Self {
        Self {
            names: PeerNames::default(),
            paint,
            prompt,
            welcome,
            addresses: Vec::new(),
            here: Vec::new(),
            in_addresses: false,
        }
    }

    /// A peer's name, painted.
    pub(crate) fn name(&mut self, peer: PeerId) -> String {
        let colour = self.names.colour_of(peer);
        self.paint.name(colour, &sanitised(&self.names.of(peer)))
    }

    /// The text for an event; `None` if nothing is shown. For deliveries see [`Self::receipt`] and
    /// [`Self::failure`].
    pub(crate) fn event(&mut self, event: &Event) -> Option<String> {
        self.learn(event);
        if self.welcome.is_some() && is_noise(event) {
            return None;
        }
        let after_addresses = std::mem::take(&mut self.in_addresses);
        if let Event::Listening { address } = event {
            if is_link_local(address) {
                self.in_addresses = after_addresses;
                return None;
            }
            self.in_addresses = true;
            let heading = if after_addresses {
                ""
            } else {
                "others dial:\n"
            };
            return Some(format!("{heading}  {}", sanitised(&address.to_string())));
        }
        self.node_event(event)
            .or_else(|| self.peer_event(event))
            .or_else(|| self.message_or_greeting(event))
    }

    fn node_event(&mut self, event: &Event) -> Option<String> {
        Some(match event {
            Event::Started { peer_id, .. } => {
                let name = self.name(*peer_id);
                match self.welcome {
                    Some(_) => format!("you are {name}; /name NAME changes that"),
                    None => format!("you are {name}, in full {peer_id}"),
                }
            }
            Event::Ready {} if self.welcome.is_some() => {
                let welcome = self.welcome.clone()?;
                self.welcome(&welcome)
            }
            Event::Ready {} if self.prompt => self
                .paint
                .good("ready: type a line and press Enter, or /help"),
            Event::Ready {} => self.paint.good("ready"),
            Event::ExternalAddress { address } => {
                let address = address.to_string();
                self.paint
                    .dim(&format!("seen from outside at {}", sanitised(&address)))
            }
            Event::Reserved { relay, address } => {
                let name = self.name(*relay);
                let address = address.to_string();
                format!(
                    "relay {name}: reserved; others dial:\n  {}",
                    sanitised(&address)
                )
            }
            Event::ReservationLost { relay, reason, .. } => {
                let name = self.name(*relay);
                let lost = self.paint.bad("lost");
                format!("relay {name}: {lost} ({}); retrying", sanitised(reason))
            }
            Event::Registered {
                relay,
                namespace,
                ttl,
            } => {
                let name = self.name(*relay);
                format!(
                    "relay {name}: registered in '{}' for {ttl} s",
                    sanitised(namespace)
                )
            }
            Event::Error { message, .. } => self.error(message),
            _ => return None,
        })
    }

    fn peer_event(&mut self, event: &Event) -> Option<String> {
        Some(match event {
            Event::Discovered { peer, .. } => {
                let name = self.name(*peer);
                format!("discovered {name}: {peer}")
            }
            Event::Connected {
                peer,
                path,
                transport,
                address,
                in_room,
                ..
            } => {
                let name = self.name(*peer);
                let place = match path {
                    Path::Direct if self.welcome.is_none() => {
                        format!(" at {}", sanitised(&address.to_string()))
                    }
                    Path::Direct | Path::Relayed => String::new(),
                };
                let guest = match in_room {
                    true => "",
                    false => "; in another room: you talk one to one, with /to",
                };
                format!("connected to {name} ({path}, {transport}){place}{guest}")
            }
            Event::PathChanged {
                peer,
                from,
                to,
                transport,
                ..
            } => {
                let name = self.name(*peer);
                let now = format!("now {to} over {transport}");
                match (from, to) {
                    (Path::Direct, Path::Relayed) => {
                        format!("{name}: {}, the direct path is gone", self.paint.bad(&now))
                    }
                    _ => format!("{name}: {}", self.paint.good(&now)),
                }
            }
            Event::Disconnected {
                peer, left: true, ..
            } => {
                let name = self.name(*peer);
                format!("{name}: {}", self.paint.bad("left"))
            }
            Event::Disconnected { peer, reason, .. } => {
                let name = self.name(*peer);
                let away = self.paint.bad("away");
                format!("{name}: {away} ({}); may come back", sanitised(reason))
            }
            Event::Renamed { peer, .. } => {
                let end = self.names.end_of(*peer);
                format!("…{end} is called {} now", self.name(*peer))
            }
            Event::Membership {
                peer,
                in_room: true,
            } => format!("{} is in the room now", self.name(*peer)),
            Event::Membership { peer, .. } => {
                format!("{} is in another room now", self.name(*peer))
            }
            Event::Incompatible { peer, protocols } => {
                let name = self.name(*peer);
                let shown: Vec<_> = protocols
                    .iter()
                    .take(MAX_SHOWN_PROTOCOLS)
                    .map(|p| sanitised(p))
                    .collect();
                let shown = shown.join(", ");
                let more = if protocols.len() > MAX_SHOWN_PROTOCOLS {
                    ", …"
                } else {
                    ""
                };
                let speaks_none = self.paint.bad("speaks none of our protocols");
                format!("{name}: {speaks_none}, and was disconnected. It speaks {shown}{more}")
            }
            _ => return None,
        })
    }

    fn message_or_greeting(&mut self, event: &Event) -> Option<String> {
        Some(match event {
            Event::Message {
                from, body, scope, ..
            } => {
                let name = self.name(*from);
                let to = match scope {
                    Scope::Room => String::new(),
                    Scope::Private => self.paint.dim(" → you alone"),
                };
                format!("{name}{to}: {}", sanitised_body(body))
            }
            Event::Greeting { from, message } => {
                let name = self.name(*from);
                format!(
                    "{name} {}",
                    self.paint.dim(&format!("greets: {}", sanitised(message)))
                )
            }
            Event::GreetingReply {
                from,
                message,
                address,
            } => {
                let name = self.name(*from);
                let address = address.to_string();
                let text = format!(
                    "replies: {} (sees us at {})",
                    sanitised(message),
                    sanitised(&address)
                );
                format!("{name} {}", self.paint.dim(&text))
            }
            _ => return None,
        })
    }

    fn error(&self, message: &str) -> String {
        format!("{} {}", self.paint.bad("error:"), sanitised(message))
    }

    /// A receipt, dimmed.
    pub(crate) fn receipt(&self, receipt: &str) -> String {
        format!("  {}", self.paint.dim(receipt))
    }

    /// The text for a message that failed: its line's number, its receiver and the reason.
    pub(crate) fn failure(&mut self, line: Option<u64>, event: &Event) -> Option<String> {
        let Event::Delivery {
            to,
            state: DeliveryState::Failed,
            reason,
            ..
        } = event
        else {
            return None;
        };
        let name = self.name(*to);
        let line = line.map_or_else(String::new, |line| format!("#{line} "));
        let reason = reason.as_deref().unwrap_or("no reason was given");
        let text = self.paint.bad(&format!("✗ {line}not delivered to"));
        Some(format!("  {text} {name}: {}", sanitised(reason)))
    }
}

/// Whether an address is link-local: nobody can dial it without an interface, which it does not name.
fn is_link_local(address: &Multiaddr) -> bool {
    match address.iter().next() {
        Some(Protocol::Ip4(ip)) => ip.is_link_local(),
        Some(Protocol::Ip6(ip)) => ip.is_unicast_link_local(),
        _ => false,
    }
}

#[cfg(test)]
mod tests;
