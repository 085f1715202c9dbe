//! yamux, with a bound on what it keeps for streams that nobody reads.
//!
//! # Instead of libp2p-yamux
//!
//! yamux gives each stream a window of 256 KiB, and libp2p-yamux 0.48.0 lets a remote open 512 streams, whether or not
//! they are accepted, and lets windows grow up to 1 GiB a connection: one stranger can fill 128 MiB of ours, and 200 of
//! them did fill 660 MiB. Its configuration offers no other bound. Not reported, as far as known. Here windows do not
//! grow, and a connection whose unread bytes are more than an honest peer's can be is closed: flow control per stream
//! cannot hold such a remote up, and not to read from it would hold up the answers that it owes us, too.
//!
//! Without it `a_flood_by_tcp_takes_little_memory` (tests/strangers) fails. It may go when libp2p-yamux bounds the
//! unread bytes of a connection.

mod account;
#[cfg(test)]
mod tests;

use std::{
    collections::VecDeque,
    future::{Ready, ready},
    io,
    pin::Pin,
    sync::{Arc, atomic::AtomicUsize},
    task::{Context, Poll, Waker, ready},
};

use futures::{AsyncRead, AsyncWrite};
use libp2p::core::{
    muxing::{StreamMuxer, StreamMuxerEvent},
    upgrade::{InboundConnectionUpgrade, OutboundConnectionUpgrade, UpgradeInfo},
};
use yamux::{Connection, ConnectionError, DEFAULT_CREDIT, Mode};

use self::account::{Account, Counted};

/// Unread bytes of one connection that the remote has made: one stream that waits for the application with all of its
/// window, and half of that for all others.
pub(super) const MAX_UNREAD_BYTES: usize = DEFAULT_CREDIT as usize * 3 / 2;
/// Unread bytes of all connections, beyond which those that we have made have the same bound: a busy relay's may have
/// more for a moment.
const MAX_ALL_UNREAD_BYTES: usize = 48 * 1024 * 1024;
/// The body of a frame: a window's worth. Those of rust have 16 KiB, those of Go and JavaScript 64 KiB at most.
const MAX_FRAME_BYTES: usize = DEFAULT_CREDIT as usize;
/// Streams of one connection: a circuit for each peer of a large room goes by its relay's.
const MAX_STREAMS: usize = 512;
/// Streams that the remote has opened and that wait to be accepted. More are refused.
const MAX_WAITING_STREAMS: usize = 64;

/// Makes muxers. Clones count the unread bytes of all their connections together.
#[derive(Debug, Clone, Default)]
pub(super) struct Config {
    unread: Arc<AtomicUsize>,
}

impl Config {
    fn muxer<C: AsyncRead + AsyncWrite + Unpin>(self, io: C, mode: Mode) -> Muxer<C> {
        let account = Account::new(self.unread, matches!(mode, Mode::Server));
        let mut config = yamux::Config::default();
        // All of this is what the streams have at first: so no window grows.
        config
            .set_max_num_streams(MAX_STREAMS)
            .set_max_connection_receive_window(Some(MAX_STREAMS * DEFAULT_CREDIT as usize));
        Muxer {
            connection: Connection::new(Counted::new(io, account.clone()), config, mode),
            account,
            waiting: VecDeque::new(),
            accepting: None,
        }
    }
}

/// The streams of one connection.
#[derive(Debug)]
pub(super) struct Muxer<C> {
    connection: Connection<Counted<C>>,
    account: Account,
    /// Opened by the remote while nobody asked for streams.
    waiting: VecDeque<Substream>,
    /// Whoever asked for one.
    accepting: Option<Waker>,
}

impl<C: AsyncRead + AsyncWrite + Unpin> Muxer<C> {
    fn poll_opened(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Substream>> {
        let stream = ready!(self.connection.poll_next_inbound(cx));
        Poll::Ready(match stream {
            Some(Ok(stream)) => Ok(Substream::new(stream, &self.account)),
            Some(Err(e)) => Err(io_error(e)),
            None => Err(io_error(ConnectionError::Closed)),
        })
    }
}

impl<C: AsyncRead + AsyncWrite + Unpin> StreamMuxer for Muxer<C> {
    type Substream = Substream;
    type Error = io::Error;

    fn poll_inbound(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<Substream>> {
        if let Some(stream) = self.waiting.pop_front() {
            return Poll::Ready(Ok(stream));
        }
        let opened = self.poll_opened(cx);
        if opened.is_pending() {
            self.accepting = Some(cx.waker().clone());
        }
        opened
    }

    fn poll_outbound(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<Substream>> {
        let stream = ready!(self.connection.poll_new_outbound(cx)).map_err(io_error)?;
        Poll::Ready(Ok(Substream::new(stream, &self.account)))
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.connection.poll_close(cx).map_err(io_error)
    }

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<StreamMuxerEvent>> {
        let stream = ready!(self.poll_opened(cx))?;
        if self.waiting.len() < MAX_WAITING_STREAMS {
            self.waiting.push_back(stream);
            if let Some(accepting) = self.accepting.take() {
                accepting.wake();
            }
        }
        // Others get their turn before the next one.
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

/// One stream. What it holds unread leaves the account with it.
#[derive(Debug)]
pub(super) struct Substream {
    stream: yamux::Stream,
    number: u32,
    account: Account,
}

impl Substream {
    fn new(stream: yamux::Stream, account: &Account) -> Self {
        let number = stream.id().val();
        account.open(number);
        Self {
            stream,
            number,
            account: account.clone(),
        }
    }
}

impl Drop for Substream {
    fn drop(&mut self) {
        self.account.close(self.number);
    }
}

impl AsyncRead for Substream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let read = ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        self.account.taken(self.number, read);
        Poll::Ready(Ok(read))
    }
}

impl AsyncWrite for Substream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_close(cx)
    }
}

impl UpgradeInfo for Config {
    type Info = &'static str;
    type InfoIter = std::iter::Once<Self::Info>;

    fn protocol_info(&self) -> Self::InfoIter {
        std::iter::once("/yamux/1.0.0")
    }
}

impl<C: AsyncRead + AsyncWrite + Unpin> InboundConnectionUpgrade<C> for Config {
    type Output = Muxer<C>;
    type Error = io::Error;
    type Future = Ready<io::Result<Muxer<C>>>;

    fn upgrade_inbound(self, io: C, _: Self::Info) -> Self::Future {
        ready(Ok(self.muxer(io, Mode::Server)))
    }
}

impl<C: AsyncRead + AsyncWrite + Unpin> OutboundConnectionUpgrade<C> for Config {
    type Output = Muxer<C>;
    type Error = io::Error;
    type Future = Ready<io::Result<Muxer<C>>>;

    fn upgrade_outbound(self, io: C, _: Self::Info) -> Self::Future {
        ready(Ok(self.muxer(io, Mode::Client)))
    }
}

fn io_error(error: ConnectionError) -> io::Error {
    match error {
        ConnectionError::Io(e) => e,
        error => io::Error::other(error),
    }
}
