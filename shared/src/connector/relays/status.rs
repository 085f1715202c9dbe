//! How the relays are, for whoever asks.

use libp2p::{Multiaddr, PeerId};
use serde::{Deserialize, Serialize};
use web_time::Instant;

use super::relay::{Progress, Relay};
use crate::{connector::milliseconds, reason::Reason};

/// A relay, and how it is with us.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(tsify::Tsify))]
pub struct RelayInfo {
    /// Who it is, once that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<PeerId>,
    /// Where it is, without `/p2p/…`.
    pub addresses: Vec<Multiaddr>,
    /// How far we are with it.
    pub state: RelayState,
    /// Milliseconds until the next try, while waiting.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_in_ms: Option<u64>,
    /// What ended the last try, or keeps others from being found, for programs, unless all is well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<Reason>,
    /// The same, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// How far we are with a relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(tsify::Tsify))]
#[serde(rename_all = "snake_case")]
pub enum RelayState {
    /// Something is being tried.
    Connecting,
    /// Reservation and registration stand.
    Online,
    /// Nothing is tried before the next retry.
    Waiting,
}

impl Relay {
    pub(super) fn info(&self, now: Instant) -> RelayInfo {
        let (state, retry) = self.state();
        let cause = self.cause.as_ref().filter(|_| state != RelayState::Online);
        let cause = cause.or(self.rendezvous.refusal());
        RelayInfo {
            peer: self.peer,
            addresses: self.addresses.clone(),
            state,
            retry_in_ms: retry.map(|at| milliseconds(at.saturating_duration_since(now))),
            code: cause.map(|cause| cause.code),
            reason: cause.map(|cause| cause.text.clone()),
        }
    }

    /// The state, and when the next try is.
    fn state(&self) -> (RelayState, Option<Instant>) {
        let retry = match &self.progress {
            Progress::Waiting(at) => Some(*at),
            Progress::Standing { .. } if self.rendezvous.is_registered() => {
                return (RelayState::Online, None);
            }
            Progress::Standing { .. } => self.rendezvous.registers_at(),
            _ => None,
        };
        match retry {
            Some(_) => (RelayState::Waiting, retry),
            None => (RelayState::Connecting, None),
        }
    }
}
