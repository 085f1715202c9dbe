//! Labels of metrics. Each has a closed set of values, so that no remote decides how many series there are.

use std::{fmt, hash::Hash};

use prometheus_client::{
    encoding::{EncodeLabel, EncodeLabelSet, LabelSetEncoder},
    metrics::family::Family,
};

/// A label, by the values that it may have.
pub(crate) trait Label: Copy + Eq + Hash + fmt::Debug + Send + Sync + 'static {
    const NAME: &'static str;
    const ALL: &'static [Self];

    fn value(self) -> &'static str;
}

/// The set of one label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct By<L>(pub(crate) L);

impl<L: Label> EncodeLabelSet for By<L> {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        (L::NAME, self.0.value()).encode(encoder.encode_label())
    }
}

/// One metric for each value of a label. All are there from the start: a series that begins with its first event has no
/// rate to warn of.
pub(crate) fn family<L: Label, M: Default>() -> Family<By<L>, M> {
    let family = Family::default();
    for label in L::ALL {
        drop(family.get_or_create(&By(*label)));
    }
    family
}

macro_rules! labels {
    ($($(#[$doc:meta])* $enum:ident($name:literal) { $($variant:ident = $value:literal,)+ })+) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub(crate) enum $enum { $($variant,)+ }

        impl Label for $enum {
            const NAME: &'static str = $name;
            const ALL: &'static [Self] = &[$(Self::$variant,)+];

            fn value(self) -> &'static str {
                match self { $(Self::$variant => $value,)+ }
            }
        }
    )+};
}

labels! {
    /// What a connection runs over.
    Transport("transport") {
        Tcp = "tcp",
        Quic = "quic",
        Ws = "ws",
        WebrtcDirect = "webrtc-direct",
        Other = "other",
    }

    /// What became of a request for a reservation.
    ReservationResult("result") {
        New = "new",
        Renewed = "renewed",
        Denied = "denied",
    }

    /// What became of a request for a circuit.
    CircuitResult("result") {
        Accepted = "accepted",
        Denied = "denied",
        NoReservation = "no_reservation",
    }

    /// What became of a request to be registered.
    RegistrationResult("result") {
        New = "new",
        Renewed = "renewed",
        Denied = "denied",
    }

    /// Which way bytes go through a circuit.
    Direction("direction") {
        ToCallee = "to_callee",
        ToCaller = "to_caller",
    }

    /// Why there is no answer to a ping.
    PingFailure("cause") {
        Timeout = "timeout",
        Unsupported = "unsupported",
        Other = "other",
    }

    /// What a client of AutoNAT was told.
    Reachability("result") {
        Reachable = "reachable",
        Unreachable = "unreachable",
    }

    /// The first digit of an HTTP status.
    StatusClass("status") {
        Success = "2xx",
        Redirection = "3xx",
        ClientError = "4xx",
        ServerError = "5xx",
    }
}

impl From<punchline::path::Transport> for Transport {
    fn from(transport: punchline::path::Transport) -> Self {
        use punchline::path::Transport as Of;
        match transport {
            Of::Tcp => Self::Tcp,
            Of::Quic => Self::Quic,
            Of::Ws => Self::Ws,
            Of::WebrtcDirect => Self::WebrtcDirect,
            Of::Webrtc | Of::Circuit => Self::Other,
        }
    }
}
