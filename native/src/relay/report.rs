//! What a relay reports to its operator, as NDJSON or as text. docs/operating.md explains each line.

use std::fmt;

use libp2p::PeerId;
use punchline::event::Event;
use serde::Serialize;

/// What only a relay reports. In JSON it has the shape of [`Event`]: the field `event` names the variant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(crate) enum RelayEvent {
    /// The HTTP server is up. The URL is the one that this machine itself would use.
    Http { url: String },
    /// The STUN server is up, at the address that this machine itself would use.
    Stun { address: String },
    /// A peer registered in a namespace, or refreshed its registration.
    PeerRegistered {
        peer: PeerId,
        namespace: String,
        /// Seconds.
        ttl: u64,
        /// Whether the peer was registered already.
        renewed: bool,
    },
    /// A registration has been withdrawn, or was not refreshed in time.
    PeerUnregistered {
        peer: PeerId,
        namespace: String,
        expired: bool,
    },
    /// A peer can be reached through the relay from now on, or for longer.
    ReservationAccepted { peer: PeerId, renewed: bool },
    /// The last reservation of a peer is gone.
    ReservationEnded { peer: PeerId },
    /// Two peers talk through the relay.
    CircuitOpened { from: PeerId, to: PeerId },
    /// A circuit between two peers has ended.
    CircuitClosed { from: PeerId, to: PeerId },
    /// The relay was asked to stop, and waits for so many circuits, for so many seconds at most.
    Draining { circuits: usize, seconds: u64 },
}

/// How much there is at the moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) registrations: usize,
    pub(crate) reservations: usize,
    pub(crate) circuits: usize,
}

/// One report, which is one line of output.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub(crate) enum Report {
    /// What peers report too.
    Shared(Event),
    /// What only a relay reports.
    RelayOnly(RelayEvent),
}

impl Report {
    /// The report as one JSON object.
    pub(crate) fn json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self)
    }

    /// The report as text for a person; `None` if it is not worth a line.
    pub(crate) fn text(&self, counts: Counts) -> Option<String> {
        match self {
            Self::Shared(event) => shared_text(event),
            Self::RelayOnly(event) => relay_text(event, counts),
        }
    }
}

impl From<Event> for Report {
    fn from(event: Event) -> Self {
        Self::Shared(event)
    }
}

impl From<RelayEvent> for Report {
    fn from(event: RelayEvent) -> Self {
        Self::RelayOnly(event)
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
        Event::Started { peer_id, .. } => format!("Local peer id: {peer_id}"),
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
        RelayEvent::Draining { circuits, seconds } => {
            format!("Stopping when {circuits} circuits have ended, or in {seconds} s")
        }
    };
    Some(format!("{what} {counts}"))
}
