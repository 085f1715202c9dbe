//! What a relay says, as NDJSON or as text. `docs/operating.md` explains each line.

use std::fmt;

use libp2p::PeerId;
use punchline::event::Event;
use serde::Serialize;

/// What only a relay has to say. The same shape as [`Event`]: the field `event` names the variant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(crate) enum RelayEvent {
    /// The HTTP server is up. The URL is as this machine would say it.
    Http { url: String },
    /// The STUN server is up, likewise.
    Stun { address: String },
    /// A peer registered in a namespace, or refreshed its registration.
    PeerRegistered {
        peer: PeerId,
        namespace: String,
        /// Seconds.
        ttl: u64,
        /// Whether it was registered already.
        renewed: bool,
    },
    /// A registration has been withdrawn, or was not refreshed in time.
    PeerUnregistered {
        peer: PeerId,
        namespace: String,
        expired: bool,
    },
    /// A peer can be reached through us from now on, or goes on to be.
    ReservationAccepted { peer: PeerId, renewed: bool },
    /// The last reservation of a peer is gone.
    ReservationEnded { peer: PeerId },
    /// Two peers talk through us.
    CircuitOpened { from: PeerId, to: PeerId },
    /// They no longer do.
    CircuitClosed { from: PeerId, to: PeerId },
}

/// How much is going on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) registrations: usize,
    pub(crate) reservations: usize,
    pub(crate) circuits: usize,
}

/// One line of output.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub(crate) enum Line {
    /// What peers say too.
    Shared(Event),
    /// What only a relay says.
    Relay(RelayEvent),
}

impl Line {
    /// As one JSON object.
    pub(crate) fn json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self)
    }

    /// As text for a person; `None` where there is nothing worth a line.
    pub(crate) fn text(&self, counts: Counts) -> Option<String> {
        match self {
            Self::Shared(event) => shared_text(event),
            Self::Relay(event) => relay_text(event, counts),
        }
    }
}

impl From<Event> for Line {
    fn from(event: Event) -> Self {
        Self::Shared(event)
    }
}

impl From<RelayEvent> for Line {
    fn from(event: RelayEvent) -> Self {
        Self::Relay(event)
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "[{} registered, {} reserved, {} circuits]",
            self.registrations, self.reservations, self.circuits
        )
    }
}

fn shared_text(event: &Event) -> Option<String> {
    Some(match event {
        Event::Started { peer_id } => format!("Local peer id: {peer_id}"),
        Event::Listening { address } => format!("Listening on {address}"),
        Event::ExternalAddress { address } => format!("Announcing {address}"),
        Event::Error { message, .. } => format!("Error: {message}"),
        Event::Ready {} => "Ready".into(),
        _ => return None,
    })
}

fn relay_text(event: &RelayEvent, counts: Counts) -> Option<String> {
    let what = match event {
        RelayEvent::Http { url } => return Some(format!("HTTP on {url}")),
        RelayEvent::Stun { address } => return Some(format!("STUN on udp {address}")),
        RelayEvent::PeerRegistered { renewed: true, .. }
        | RelayEvent::ReservationAccepted { renewed: true, .. } => return None,
        RelayEvent::PeerRegistered {
            peer,
            namespace,
            ttl,
            ..
        } => format!("{peer} registered in {namespace:?} for {ttl} s"),
        RelayEvent::PeerUnregistered {
            peer,
            namespace,
            expired: false,
        } => format!("{peer} unregistered from {namespace:?}"),
        RelayEvent::PeerUnregistered {
            peer, namespace, ..
        } => format!("{peer} has expired in {namespace:?}"),
        RelayEvent::ReservationAccepted { peer, .. } => format!("{peer} has a reservation"),
        RelayEvent::ReservationEnded { peer } => format!("{peer} has no reservation any more"),
        RelayEvent::CircuitOpened { from, to } => format!("{from} -> {to}: circuit opened"),
        RelayEvent::CircuitClosed { from, to } => format!("{from} -> {to}: circuit closed"),
    };
    Some(format!("{what} {counts}"))
}
