//! Notices sockets that failed or were closed, which libp2p's WebSocket does not.
//!
//! # Around libp2p's socket
//!
//! libp2p-websocket-websys 0.6.0 wakes nobody who waits for a socket that could not be opened, or that the other side
//! closed: both would show with the next write, or never. And its flush waits for a timer, ten times a second at best
//! and once a minute in a hidden tab, although a browser sends what it has by itself. Not reported, as far as known.
//!
//! Without it `a_relay_that_is_not_there_is_reported_and_waited_for` of the package `web` fails, and tests/browser's
//! faults take their time. It may go when the library wakes readers and writers on `close` and `error`, and flushes
//! without a timer.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use futures::{AsyncRead, AsyncWrite, FutureExt};
use futures_timer::Delay;
use libp2p::websocket_websys::Connection;

/// How often whoever waits looks whether the socket is still there.
const CHECK_INTERVAL: Duration = Duration::from_millis(200);

/// A WebSocket that fails soon after it has failed.
pub(super) struct Socket {
    inner: Connection,
    check: Delay,
}

impl Socket {
    pub(super) fn new(inner: Connection) -> Self {
        Self {
            inner,
            check: Delay::new(CHECK_INTERVAL),
        }
    }

    /// Whoever has to wait is woken for another look.
    fn look_again<T>(&mut self, cx: &mut Context<'_>, poll: Poll<T>) -> Poll<T> {
        if poll.is_pending() && self.check.poll_unpin(cx).is_ready() {
            self.check.reset(CHECK_INTERVAL);
            let _ = self.check.poll_unpin(cx);
        }
        poll
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.inner).poll_read(cx, buf);
        self.look_again(cx, poll)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.inner).poll_write(cx, buf);
        self.look_again(cx, poll)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let poll = Pin::new(&mut self.inner).poll_close(cx);
        self.look_again(cx, poll)
    }
}
