//! How long a connection may keep the server waiting.
//!
//! [`Impatient`] wraps a socket. What was written must be taken within a while, and the first bytes must come within
//! another; a WebSocket has timeouts of its own, so that its connection is [released](Patience::release).

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_io_timeout::TimeoutStream;

/// What was written and is not taken for so long is given up, with its connection.
const UNREAD_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the first bytes may take: HTTP/2 in hyper has no timeout of its own for them.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(10);

/// Ends the patience with a connection, from where requests are answered. Clones are one.
#[derive(Debug, Clone, Default)]
pub(super) struct Patience(Arc<AtomicBool>);

impl Patience {
    /// Has the connection wait for as long as its user likes, from the next write on.
    pub(super) fn release(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn is_released(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// A connection that does not wait for ever.
#[derive(Debug)]
pub(super) struct Impatient<S> {
    inner: Pin<Box<TimeoutStream<S>>>,
    /// What was read before, and comes first.
    begun: Vec<u8>,
    patience: Patience,
    /// Whether anything has come.
    is_heard: bool,
}

impl<S: AsyncRead + AsyncWrite> Impatient<S> {
    /// Of a stream of which this has been read already.
    pub(super) fn new(stream: S, begun: Vec<u8>, patience: Patience) -> Self {
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(UNREAD_TIMEOUT));
        stream.set_read_timeout(Some(SILENCE_TIMEOUT));
        Self {
            inner: Box::pin(stream),
            begun,
            patience,
            is_heard: false,
        }
    }

    fn for_writing(&mut self) -> Pin<&mut TimeoutStream<S>> {
        let mut inner = self.inner.as_mut();
        if self.patience.is_released() && inner.write_timeout().is_some() {
            inner.as_mut().set_write_timeout_pinned(None);
        }
        inner
    }
}

impl<S: AsyncRead + AsyncWrite> AsyncRead for Impatient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.begun.is_empty() {
            let read = self.begun.len().min(buffer.remaining());
            buffer.put_slice(&self.begun[..read]);
            self.begun.drain(..read);
            return Poll::Ready(Ok(()));
        }
        ready!(self.inner.as_mut().poll_read(cx, buffer))?;
        if !self.is_heard {
            self.is_heard = true;
            self.inner.as_mut().set_read_timeout_pinned(None);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite> AsyncWrite for Impatient<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.for_writing().poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.for_writing().poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.for_writing().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.for_writing().poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt, duplex},
        time,
    };

    use super::*;

    #[tokio::test]
    async fn what_was_read_before_comes_first() {
        let (ours, mut theirs) = duplex(16);
        let mut stream = Impatient::new(ours, b"ab".to_vec(), Patience::default());
        theirs.write_all(b"c").await.unwrap();
        let mut read = [0; 3];
        stream.read_exact(&mut read).await.unwrap();
        assert_eq!(&read, b"abc");
    }

    /// Longer than any patience.
    const LONG: Duration = Duration::from_secs(3_600);

    #[tokio::test(start_paused = true)]
    async fn who_says_nothing_is_given_up_and_who_has_said_something_is_not() {
        let (ours, _theirs) = duplex(16);
        let mut stream = Impatient::new(ours, Vec::new(), Patience::default());
        let error = stream.read_u8().await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);

        let (ours, mut theirs) = duplex(16);
        let mut stream = Impatient::new(ours, Vec::new(), Patience::default());
        theirs.write_all(b"ab").await.unwrap();
        assert_eq!(stream.read_u16().await.unwrap(), 0x6162);
        assert!(time::timeout(LONG, stream.read_u8()).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn who_takes_nothing_is_given_up_unless_it_is_released() {
        for is_released in [false, true] {
            let (ours, _theirs) = duplex(1);
            let patience = Patience::default();
            let mut stream = Impatient::new(ours, Vec::new(), patience.clone());
            if is_released {
                patience.release();
            }
            let written = time::timeout(LONG, stream.write_all(b"ab")).await;
            match is_released {
                true => assert!(written.is_err()),
                false => assert_eq!(
                    written.unwrap().unwrap_err().kind(),
                    io::ErrorKind::TimedOut
                ),
            }
        }
    }
}
