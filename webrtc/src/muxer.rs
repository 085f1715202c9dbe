//! A connection as libp2p sees it: a muxer, and streams.

use std::{
    fmt, io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures::{AsyncRead, AsyncWrite};
use libp2p::core::{StreamMuxer, muxing::StreamMuxerEvent};
use parking_lot::Mutex;

use crate::{
    Error,
    backend::{BackendConnection, ChannelId},
    connection::Core,
};

/// A WebRTC connection.
pub struct Connection<C: BackendConnection>(Arc<Mutex<Core<C>>>);

impl<C: BackendConnection> Connection<C> {
    pub(crate) fn new(core: Core<C>) -> Self {
        Self(Arc::new(Mutex::new(core)))
    }

    pub(crate) fn stream(&self, channel: ChannelId) -> Stream<C> {
        Stream {
            core: self.0.clone(),
            channel,
        }
    }
}

impl<C: BackendConnection> StreamMuxer for Connection<C> {
    type Substream = Stream<C>;
    type Error = Error;

    fn poll_inbound(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Self::Substream, Error>> {
        let channel = self.0.lock().poll_inbound(cx);
        channel.map_ok(|channel| self.stream(channel))
    }

    fn poll_outbound(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Self::Substream, Error>> {
        let channel = self.0.lock().poll_outbound(cx);
        channel.map_ok(|channel| self.stream(channel))
    }

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<StreamMuxerEvent, Error>> {
        let mut core = self.0.lock();
        core.check()?;
        // Descriptions and candidates come too late now.
        while core.poll_event(cx).is_ready() {
            core.check()?;
        }
        Poll::Pending
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.0.lock().poll_close(cx).map(Ok)
    }
}

/// Streams may outlive their muxer, but nobody drives them any more.
impl<C: BackendConnection> Drop for Connection<C> {
    fn drop(&mut self) {
        self.0.lock().close();
    }
}

impl<C: BackendConnection> fmt::Debug for Connection<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").finish_non_exhaustive()
    }
}

/// A stream of a [`Connection`]. Dropped before it was closed, it is reset.
pub struct Stream<C: BackendConnection> {
    core: Arc<Mutex<Core<C>>>,
    channel: ChannelId,
}

impl<C: BackendConnection> AsyncRead for Stream<C> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        self.core.lock().poll_read(cx, self.channel, into)
    }
}

impl<C: BackendConnection> AsyncWrite for Stream<C> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.core.lock().poll_write(cx, self.channel, data)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // What was written is on its way.
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.core.lock().poll_finish(cx, self.channel)
    }
}

impl<C: BackendConnection> Drop for Stream<C> {
    fn drop(&mut self) {
        self.core.lock().release(self.channel);
    }
}

impl<C: BackendConnection> fmt::Debug for Stream<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Stream").field(&self.channel).finish()
    }
}

#[cfg(test)]
mod tests;
