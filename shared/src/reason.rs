//! Why something failed: a code for programs and words for people.
//!
//! libp2p's errors are chains whose outer links repeat the inner ones or say nothing (libp2p-core 0.44.0 boxes each
//! transport's error in an `io::Error`, whose content is no source of it). So a [`Cause`] is read from the innermost
//! link. Not reported, as far as known; the tests of this module fail without it.
//!
//! A [`Reason`] is stable: programs, the page and tests go by it. The text beside it in a [`Cause`] is for a
//! person to read, in no fixed form.

#[cfg(test)]
mod tests;

use std::{error::Error, fmt, io};

use libp2p::{
    TransportError, relay,
    relay::outbound::hop::{ConnectError, ReserveError},
    swarm::{ConnectionDenied, ConnectionError, DialError},
};
use serde::{Deserialize, Serialize};

/// Why a connection of a peer is denied that our person wants nothing to do with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this peer is blocked")]
pub(crate) struct Blocked;

/// What kind of thing went wrong. Serialised in kebab case, as the field `code`.
///
/// Codes may be added; one that exists keeps its meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(tsify::Tsify))]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Reason {
    /// An address cannot be used: it is malformed, leads to ourselves, or names no peer where one is needed.
    InvalidAddress,
    /// There is no transport for this kind of address.
    NoTransport,
    /// No address of the peer is known.
    NoAddress,
    /// A name could not be resolved.
    NameNotFound,
    /// Nothing listens there.
    ConnectionRefused,
    /// No route leads there.
    Unreachable,
    /// Something at another layer went wrong while connecting; the text says what.
    TransportFailed,
    /// No answer came in time.
    NoAnswer,
    /// Another peer than the wanted one answers there.
    WrongPeer,
    /// The other side closed the connection, or it broke.
    ConnectionClosed,
    /// This side has too many connections, or the other side says that it has.
    TooManyConnections,
    /// The attempt was given up for another one.
    Aborted,
    /// A limit of this node on peers, relays or addresses is reached.
    TooMany,
    /// The remote speaks none of the protocols that are needed.
    Incompatible,
    /// The remote broke a protocol's rules.
    ProtocolViolation,
    /// What answers at a relay's address is no relay.
    NotARelay,
    /// The relay refused a reservation, or ended one.
    ReservationRefused,
    /// The relay refused a circuit to a peer, or could not make one; the text says which.
    CircuitRefused,
    /// The relay has no more circuits for this peer, or for the one that it wants.
    RelayFull,
    /// Our person wants nothing to do with the peer.
    Blocked,
    /// The rendezvous point does not allow this namespace.
    NamespaceRefused,
    /// The rendezvous point refused a registration or a discovery for another reason; the text says which.
    RendezvousRefused,
    /// The rendezvous point has no room for another registration.
    RendezvousFull,
    /// No address is known yet that others could reach this peer at.
    NoExternalAddress,
    /// This machine moved to another network.
    NetworkChanged,
    /// A listener could not start.
    ListenFailed,
    /// A relay's URL does not serve a usable /bootstrap.json.
    BootstrapFailed,
    /// Peers on the own network cannot be found by mDNS.
    LanUnavailable,
    /// The own network's gateway does not let others reach this peer.
    PortMappingUnavailable,
    /// No hole could be punched: the path stays relayed.
    HolePunchFailed,
    /// A message was not acked in time.
    NotAcked,
    /// The peer left for good, by its own word.
    Left,
    /// The peer belongs to another room than we do.
    OtherRoom,
    /// A typed line is no command, or one that cannot be carried out.
    InvalidCommand,
    /// Another process uses the same identity.
    IdentityInUse,
    /// This node has stopped.
    Stopped,
    /// Something else; the text says what.
    Other,
}

/// Says what an error means that only this platform has, or `None`; see [`crate::platform::reason_of`].
pub type KnownErrors = fn(&(dyn Error + 'static)) -> Option<Reason>;

/// A reason, and what a person is to read of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// The code.
    pub code: Reason,
    /// The words: short, on one line.
    pub text: String,
}

impl Cause {
    /// Makes a cause in these words.
    #[must_use]
    pub fn new(code: Reason, text: impl Into<String>) -> Self {
        Self {
            code,
            text: text.into(),
        }
    }

    /// Returns why a connection ended, by what the swarm says of it. Without an error it ended in an orderly way.
    #[must_use]
    pub fn of_close(error: Option<&ConnectionError>) -> Self {
        let text = error.map_or_else(|| "the connection was closed".into(), |e| of_chain(e));
        let code = match error {
            Some(ConnectionError::KeepAliveTimeout) | None => Reason::ConnectionClosed,
            Some(ConnectionError::IO(e)) if e.kind() == io::ErrorKind::TimedOut => Reason::NoAnswer,
            Some(ConnectionError::IO(_)) => Reason::ConnectionClosed,
        };
        Self { code, text }
    }

    /// Returns why a transport could not dial or listen.
    ///
    /// `known` maps the errors that only this platform's transports have.
    #[must_use]
    pub fn of_transport(error: &TransportError<io::Error>, known: KnownErrors) -> Self {
        match error {
            TransportError::MultiaddrNotSupported(_) => {
                Self::new(Reason::NoTransport, "no transport for this kind of address")
            }
            TransportError::Other(e) => {
                let code = code_of_chain(e, known).unwrap_or(Reason::TransportFailed);
                Self::new(code, of_chain(e))
            }
        }
    }

    /// Returns why the listener that stands for a reservation failed.
    #[must_use]
    pub fn of_reservation(error: &io::Error) -> Self {
        let code = code_of_chain(error, |_| None).unwrap_or(Reason::ReservationRefused);
        Self::new(code, of_chain(error))
    }

    /// Returns why a dial failed.
    ///
    /// Those of several addresses are [joined](Self::join). `known` maps the errors that only
    /// this platform's transports have.
    #[must_use]
    pub fn of_dial(error: &DialError, known: KnownErrors) -> Self {
        match error {
            DialError::Transport(errors) => {
                Self::join(errors.iter().map(|(_, e)| Self::of_transport(e, known)))
            }
            DialError::WrongPeerId { obtained, .. } => Self::new(
                Reason::WrongPeer,
                format!("another peer answers there: {obtained}"),
            ),
            DialError::LocalPeerId { .. } => {
                Self::new(Reason::InvalidAddress, "that is this peer itself")
            }
            DialError::NoAddresses => Self::new(Reason::NoAddress, "no address is known"),
            DialError::Aborted => Self::new(Reason::Aborted, "given up"),
            DialError::Denied { cause } if is_blocked(cause) => {
                Self::new(Reason::Blocked, "this peer is blocked")
            }
            DialError::Denied { .. } => {
                Self::new(Reason::TooManyConnections, "too many connections")
            }
            DialError::DialPeerConditionFalse(_) => {
                Self::new(Reason::Aborted, "it is connected already")
            }
        }
    }

    /// Joins the causes of attempts that failed at the same thing, the one that matters most first.
    ///
    /// The texts are all there, each once. The code is that of the first attempt that was made at all: that some
    /// address has no transport is [`Reason::NoTransport`] only if all have none. Of no cause it is
    /// [`Reason::TransportFailed`].
    #[must_use]
    pub fn join(causes: impl IntoIterator<Item = Self>) -> Self {
        let mut code = None;
        let mut texts: Vec<String> = Vec::new();
        for cause in causes {
            if matches!(code, None | Some(Reason::NoTransport)) {
                code = Some(cause.code);
            }
            if !texts.contains(&cause.text) {
                texts.push(cause.text);
            }
        }
        Self::new(code.unwrap_or(Reason::TransportFailed), texts.join("; "))
    }

    /// Makes a cause of any other error, with this code.
    #[must_use]
    pub fn of_error(code: Reason, error: &(dyn Error + 'static)) -> Self {
        Self::new(code, of_chain(error))
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Returns the innermost cause of an error that says anything, which is what a person can act on.
pub(crate) fn of_chain(error: &(dyn Error + 'static)) -> String {
    let mut reason = one_line(&error.to_string());
    for error in causes(error).skip(1) {
        let cause = one_line(&error.to_string());
        if !cause.is_empty() {
            reason = cause;
        }
    }
    reason
}

fn is_blocked(denied: &ConnectionDenied) -> bool {
    denied.source().is_some_and(|cause| cause.is::<Blocked>())
}

/// Returns what the innermost error of a known kind means. Kinds that only the platform knows come first.
fn code_of_chain(error: &(dyn Error + 'static), known: KnownErrors) -> Option<Reason> {
    let code = |error| code_of_relay(error).or_else(|| code_of_io(error));
    let of_platform = causes(error).filter_map(known).last();
    of_platform.or_else(|| causes(error).filter_map(code).last())
}

/// Returns what an error of libp2p's relay client means, unless there is a cause inside that says more.
fn code_of_relay(error: &(dyn Error + 'static)) -> Option<Reason> {
    if let Some(error) = error.downcast_ref::<ReserveError>() {
        return match error {
            ReserveError::Refused | ReserveError::ResourceLimitExceeded => {
                Some(Reason::ReservationRefused)
            }
            ReserveError::Unsupported => Some(Reason::NotARelay),
            ReserveError::Protocol(_) => Some(Reason::ProtocolViolation),
            ReserveError::Io(_) => None,
        };
    }
    if let Some(error) = error.downcast_ref::<ConnectError>() {
        return match error {
            ConnectError::ResourceLimitExceeded => Some(Reason::RelayFull),
            ConnectError::ConnectionFailed
            | ConnectError::NoReservation
            | ConnectError::PermissionDenied => Some(Reason::CircuitRefused),
            ConnectError::Unsupported => Some(Reason::NotARelay),
            ConnectError::Protocol(_) => Some(Reason::ProtocolViolation),
            ConnectError::Io(_) => None,
        };
    }
    match error.downcast_ref::<relay::client::transport::Error>()? {
        relay::client::transport::Error::ResponseFromBehaviourCanceled(_) => {
            Some(Reason::ConnectionClosed)
        }
        _ => None,
    }
}

fn code_of_io(error: &(dyn Error + 'static)) -> Option<Reason> {
    match error.downcast_ref::<io::Error>()?.kind() {
        io::ErrorKind::ConnectionRefused => Some(Reason::ConnectionRefused),
        io::ErrorKind::TimedOut => Some(Reason::NoAnswer),
        io::ErrorKind::HostUnreachable
        | io::ErrorKind::NetworkUnreachable
        | io::ErrorKind::NetworkDown => Some(Reason::Unreachable),
        io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::BrokenPipe
        | io::ErrorKind::UnexpectedEof => Some(Reason::ConnectionClosed),
        _ => None,
    }
}

/// Returns the error, and what is inside it. An I/O error's own content is no source of it.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| {
        let error: &'a (dyn Error + 'static) = *error;
        let io = error.downcast_ref::<io::Error>();
        match io.and_then(io::Error::get_ref) {
            Some(content) => Some(content),
            None => error.source(),
        }
    })
}

fn one_line(text: &str) -> String {
    text.lines().map(str::trim).collect::<Vec<_>>().join(" ")
}
