//! What a platform does for WebRTC: one trait for a connection, driven by commands and events.
//!
//! Everything that the protocol decides stands outside of it, in `signalling` and `channel`. A backend
//! makes descriptions and candidates, runs ICE, DTLS and SCTP, and moves messages of data channels, each of them whole,
//! reliable and in order.

pub mod mock;

use std::{
    net::SocketAddr,
    task::{Context, Poll},
};

use bytes::Bytes;
use libp2p::Multiaddr;

use crate::{Error, direct::Fingerprint};

/// The label of the channel that an offer needs to have data channels at all. Its user closes it once connected, and never
/// takes it for a stream.
pub const INIT_LABEL: &str = "init";

/// A data channel, as the backend numbers them, from 1 on. No number is used twice on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChannelId(pub u32);

/// The channel of [`Command::OfferDirect`], which is there without being announced: its stream id is 0 on both sides.
pub const HANDSHAKE: ChannelId = ChannelId(0);

/// Who describes itself first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The side that dialled.
    Offerer,
    /// The other one.
    Answerer,
}

/// Makes connections.
pub trait Backend: Clone + Send + 'static {
    /// What it makes.
    type Connection: BackendConnection;

    /// Whether [`Command::OfferDirect`] with a user never fails. Browsers are about to refuse it.
    const TAKES_USERS: bool = false;

    /// Whether there is any: without it, nobody is told that we have it.
    fn is_available(&self) -> bool {
        true
    }

    /// Whether the swarm can be reached at this address from outside, as by a port that a router maps. What is no address of
    /// webrtc-direct is nothing to a backend.
    fn reached_at(&self, _address: &Multiaddr, _is_so: bool) {}

    /// Makes one that does nothing until it is told to.
    ///
    /// # Errors
    ///
    /// The platform has no WebRTC, or no room for one more.
    fn open(&self) -> Result<Self::Connection, Error>;
}

/// One `RTCPeerConnection`, or what is like it. Dropped, it is closed.
pub trait BackendConnection: Send + Unpin + 'static {
    /// Begins to do this. [`Event`]s say what comes of it.
    fn execute(&mut self, command: Command);

    /// Opens a channel for a stream. It takes messages from [`Event::ChannelReady`] on.
    ///
    /// # Errors
    ///
    /// The connection is closed, or has no room for one more.
    fn open_channel(&mut self) -> Result<ChannelId, Error>;

    /// Sends a message on a channel that is ready, or was opened by the remote.
    ///
    /// # Errors
    ///
    /// The channel is not open.
    fn send(&mut self, channel: ChannelId, message: Bytes) -> Result<(), Error>;

    /// Bytes that were given to [`Self::send`] and have not left yet. When they are few again, there is [`Event::Drained`].
    fn buffered(&mut self, channel: ChannelId) -> usize;

    /// What has happened.
    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Event>;
}

/// A backend that strangers can come to.
pub trait Listen: Backend {
    /// A socket that it listens on.
    type Listener: BackendListener<Connection = Self::Connection>;

    /// Listens there for webrtc-direct.
    ///
    /// # Errors
    ///
    /// The address is not ours, or somebody else's, or there is no certificate.
    fn listen(&self, at: SocketAddr) -> Result<Self::Listener, Error>;

    /// The hash of the certificate that the remote of a connected one has.
    fn remote_fingerprint(connection: &mut Self::Connection) -> Option<Fingerprint>;
}

/// A socket on which strangers are taken for what they say in their first packets. Dropped, it is closed, and what came
/// by it stays.
pub trait BackendListener: Send + Unpin + 'static {
    /// What they become.
    type Connection: BackendConnection;

    /// The hash of our certificate.
    fn fingerprint(&self) -> Fingerprint;

    /// What has happened.
    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<ListenerEvent<Self::Connection>>;
}

/// What a listener reports.
#[derive(Debug)]
pub enum ListenerEvent<C> {
    /// It can be reached there.
    Address(SocketAddr),
    /// It cannot any more.
    Gone(SocketAddr),
    /// Somebody is there. Connected, there will be [`HANDSHAKE`].
    Incoming {
        /// What he gets.
        connection: C,
        /// Where he is.
        from: SocketAddr,
        /// Our address that he came to.
        to: SocketAddr,
    },
}

/// What a backend is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Make an offer, with a channel [`INIT_LABEL`] in it.
    Offer,
    /// Make an offer with the channel [`HANDSHAKE`] in it.
    OfferDirect {
        /// ICE's user, and its password, too, in place of those that the backend chose.
        ufrag: Option<String>,
    },
    /// Take this offer, and answer it.
    Answer(String),
    /// Take the answer to the offer.
    TakeAnswer(String),
    /// Take a candidate of the remote, in JSON. What cannot be read is ignored.
    AddCandidate(String),
    /// Close the channel [`INIT_LABEL`].
    CloseInit,
    /// Close a channel once all is sent that was given to it.
    CloseChannel(ChannelId),
    /// Close the connection.
    Close,
}

/// What a backend reports.
#[derive(Debug, Clone)]
pub enum Event {
    /// Its own description, which the remote needs: the offer or the answer.
    Described(String),
    /// A candidate of its own, in JSON.
    Candidate(String),
    /// ICE and DTLS are through.
    Connected,
    /// There is no connection, or not any more.
    Closed(Error),
    /// The remote has opened a channel.
    ChannelOpened(ChannelId),
    /// A channel that [`BackendConnection::open_channel`] opened takes messages.
    ChannelReady(ChannelId),
    /// A message came.
    Message(ChannelId, Bytes),
    /// The channel takes more again.
    Drained(ChannelId),
    /// The channel is closed.
    ChannelClosed(ChannelId),
}
