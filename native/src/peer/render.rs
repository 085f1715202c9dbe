//! Events as lines of text for a person.

use std::time::Duration;

use libp2p::{Multiaddr, PeerId, multiaddr::Protocol};
use punchline::{
    event::{DeliveryState, Event, Scope},
    node::PeerInfo,
    path::Path,
};

use super::{names::PeerNames, paint::Paint};
use crate::common::sanitise::{sanitised, sanitised_body};

/// How many protocols of an incompatible peer are listed.
const MAX_SHOWN_PROTOCOLS: usize = 5;

/// What `/help` prints.
pub(crate) const HELP: &str = "\
  TEXT            to everybody who is here
  /to PEER TEXT   to one peer: its name, its id, or the end of it
  /dial ADDR      dial another peer
  /peers          who is here: id, path, transport, round trip
  /quit           leave (Ctrl-D and Ctrl-C too)
  //TEXT          a line that begins with a slash";

/// Turns events into lines of text.
#[derive(Debug)]
pub(crate) struct Renderer {
    pub(crate) names: PeerNames,
    paint: Paint,
    prompt: bool,
    /// Whether the previous line was an address, which a heading stands above.
    in_addresses: bool,
}

impl Renderer {
    /// `prompt`: the lines appear above a prompt.
    pub(crate) fn new(paint: Paint, prompt: bool) -> Self {
        Self {
            names: PeerNames::default(),
            paint,
            prompt,
            in_addresses: false,
        }
    }

    /// A peer's name, painted.
    pub(crate) fn name(&mut self, peer: PeerId) -> String {
        self.paint.name(&self.names.of(peer))
    }

    /// The text for an event; `None` if nothing is shown. For deliveries see [`Self::receipt`] and
    /// [`Self::failure`].
    pub(crate) fn event(&mut self, event: &Event) -> Option<String> {
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
                format!("you are {name}, in full {peer_id}")
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
                ..
            } => {
                let name = self.name(*peer);
                let place = match path {
                    Path::Direct => format!(" at {}", sanitised(&address.to_string())),
                    Path::Relayed => String::new(),
                };
                format!("connected to {name} ({path}, {transport}){place}")
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
            Event::Renamed { peer, name } => {
                let peer = self.name(*peer);
                format!("{peer} is called {} now", sanitised(name))
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

    /// The table that `/peers` prints.
    pub(crate) fn peers(&mut self, peers: &[PeerInfo]) -> String {
        if peers.is_empty() {
            return "nobody is here yet".into();
        }
        let why_relayed = match peers.iter().any(|peer| peer.reason.is_some()) {
            true => "why not direct",
            false => "",
        };
        let heading = [
            "name",
            "peer id",
            "path",
            "transport",
            "rtt",
            "unacked",
            "address",
            why_relayed,
        ];
        let mut rows = vec![heading.map(String::from)];
        rows.extend(peers.iter().map(|peer| self.row(peer)));
        table(&rows)
    }

    fn row(&mut self, peer: &PeerInfo) -> [String; 8] {
        let no_path = || "-".to_owned();
        [
            self.names.of(peer.peer),
            peer.peer.to_string(),
            peer.path
                .map_or_else(|| "away".into(), |path| path.to_string()),
            peer.transport
                .map_or_else(no_path, |transport| transport.to_string()),
            peer.rtt.map_or_else(no_path, milliseconds),
            peer.unacked.to_string(),
            peer.address
                .as_ref()
                .map_or_else(no_path, |a| sanitised(&a.to_string()).into_owned()),
            peer.reason
                .as_ref()
                .map_or_else(String::new, |reason| sanitised(reason).into_owned()),
        ]
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

fn milliseconds(rtt: Duration) -> String {
    format!("{:.1} ms", rtt.as_secs_f64() * 1_000.0)
}

/// Rows with aligned columns.
fn table<const N: usize>(rows: &[[String; N]]) -> String {
    let width = |column: usize| {
        let widths = rows.iter().map(|row| row[column].chars().count());
        widths.max().unwrap_or(0)
    };
    let widths: [usize; N] = std::array::from_fn(width);
    let line = |row: &[String; N]| {
        let cells = row.iter().zip(widths);
        let padded: Vec<_> = cells
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        format!("  {}", padded.join("  ").trim_end())
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests;
