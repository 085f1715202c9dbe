//! The messages of circuit relay v2, as its [specification] has them.
//!
//! [specification]: https://github.com/libp2p/specs/blob/master/relay/circuit-v2.md

use libp2p::{PeerId, StreamProtocol};

/// What peers ask a relay by.
pub(super) const HOP: StreamProtocol = StreamProtocol::new("/libp2p/circuit/relay/0.2.0/hop");
/// What a relay tells a peer by that somebody calls it.
pub(super) const STOP: StreamProtocol = StreamProtocol::new("/libp2p/circuit/relay/0.2.0/stop");
/// The longest message: a peer may send some addresses along, which are not looked at.
pub(super) const MAX_MESSAGE_BYTES: usize = 4_096;

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct HopMessage {
    #[prost(enumeration = "HopType", required, tag = "1")]
    pub(super) r#type: i32,
    #[prost(message, optional, tag = "2")]
    pub(super) peer: Option<Peer>,
    #[prost(message, optional, tag = "3")]
    pub(super) reservation: Option<Reservation>,
    #[prost(message, optional, tag = "4")]
    pub(super) limit: Option<Limit>,
    #[prost(enumeration = "Status", optional, tag = "5")]
    pub(super) status: Option<i32>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct StopMessage {
    #[prost(enumeration = "StopType", required, tag = "1")]
    pub(super) r#type: i32,
    #[prost(message, optional, tag = "2")]
    pub(super) peer: Option<Peer>,
    #[prost(message, optional, tag = "3")]
    pub(super) limit: Option<Limit>,
    #[prost(enumeration = "Status", optional, tag = "4")]
    pub(super) status: Option<i32>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Peer {
    #[prost(bytes = "vec", required, tag = "1")]
    pub(super) id: Vec<u8>,
    #[prost(bytes = "vec", repeated, tag = "2")]
    pub(super) addrs: Vec<Vec<u8>>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Reservation {
    /// Seconds since 1970.
    #[prost(uint64, required, tag = "1")]
    pub(super) expire: u64,
    /// The relay's addresses.
    #[prost(bytes = "vec", repeated, tag = "2")]
    pub(super) addrs: Vec<Vec<u8>>,
    #[prost(bytes = "vec", optional, tag = "3")]
    pub(super) voucher: Option<Vec<u8>>,
}

/// What one circuit may take.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub(super) struct Limit {
    /// Seconds.
    #[prost(uint32, optional, tag = "1")]
    pub(super) duration: Option<u32>,
    /// Bytes.
    #[prost(uint64, optional, tag = "2")]
    pub(super) data: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub(super) enum HopType {
    Reserve = 0,
    Connect = 1,
    Status = 2,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub(super) enum StopType {
    Connect = 0,
    Status = 1,
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub(crate) enum Status {
    /// None: what a message without one says.
    Unused = 0,
    Ok = 100,
    ReservationRefused = 200,
    ResourceLimitExceeded = 201,
    PermissionDenied = 202,
    ConnectionFailed = 203,
    NoReservation = 204,
    MalformedMessage = 400,
    UnexpectedMessage = 401,
}

impl HopMessage {
    /// An answer that says how it ended, and no more.
    pub(super) fn ending(status: Status) -> Self {
        Self {
            r#type: HopType::Status as i32,
            status: Some(status as i32),
            ..Self::default()
        }
    }
}

impl StopMessage {
    /// Somebody calls.
    pub(super) fn call(from: PeerId, limit: Limit) -> Self {
        Self {
            r#type: StopType::Connect as i32,
            peer: Some(Peer {
                id: from.to_bytes(),
                addrs: Vec::new(),
            }),
            limit: Some(limit),
            status: None,
        }
    }

    /// What the callee answers.
    pub(super) fn answer(&self) -> Status {
        match (StopType::try_from(self.r#type), self.status) {
            (Ok(StopType::Status), Some(status)) => {
                Status::try_from(status).unwrap_or(Status::MalformedMessage)
            }
            (Ok(StopType::Connect), _) => Status::UnexpectedMessage,
            _ => Status::MalformedMessage,
        }
    }
}
