#![doc = include_str!("../README.md")]

mod address;
pub mod backend;
mod behaviour;
mod channel;
mod connection;
pub mod direct;
mod entries;
mod error;
mod glare;
mod handler;
mod ice_server;
mod muxer;
mod negotiation;
pub mod platform;
mod signalling;
mod transport;
mod wire;

use futures::channel::mpsc;
use libp2p::{PeerId, StreamProtocol};

pub use crate::{
    behaviour::{Behaviour, MAX_WAITING},
    connection::{CLOSE_TIME, LINGER, MAX_BUFFERED, MAX_CHANNELS, MAX_UNREAD},
    direct::DIRECT_TIMEOUT,
    error::Error,
    handler::{Dial, Handler, PAUSE},
    ice_server::IceServer,
    muxer::{Connection, Stream},
    negotiation::NEGOTIATION_TIMEOUT,
    signalling::{MAX_CANDIDATES, MAX_SIGNALS},
    transport::Transport,
    wire::{MAX_FRAME, MAX_PAYLOAD, MAX_SIGNAL},
};

/// The protocol of offers, answers and candidates, spoken over a circuit.
pub const SIGNALLING_PROTOCOL: StreamProtocol = StreamProtocol::new("/webrtc-signaling/0.0.1");

/// Makes the transport and the behaviour of the peer with this id. Both belong into the same swarm.
#[must_use]
pub fn new<B: backend::Backend>(
    me: PeerId,
    backend: B,
) -> (Transport<B::Connection>, Behaviour<B>) {
    let (requests, from_transport) = mpsc::channel(transport::MAX_REQUESTS);
    let (to_transport, incoming) = mpsc::channel(transport::MAX_INCOMING);
    let transport = Transport::new(requests, incoming);
    (
        transport,
        Behaviour::new(me, backend, from_transport, to_transport),
    )
}
