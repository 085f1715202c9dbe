//! The older form of msg: a stream for each message, one length-prefixed packet, no ack.

#[cfg(test)]
mod tests;

use std::{
    collections::VecDeque,
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use futures::{
    AsyncRead, AsyncWrite, AsyncWriteExt, FutureExt, StreamExt, future::BoxFuture,
    stream::FuturesOrdered,
};
use futures_timer::Delay;
use libp2p::Stream;
use prost::Message;

use super::HELLO_TIMEOUT;
use crate::{
    delivery::frames::{Frame, Kind},
    protocols::wire,
};

/// The largest packet of the one-shot form, as its first implementation had it.
pub(crate) const MAX_ONESHOT_BYTES: usize = 2_048;
/// How long a remote that has got a packet may leave the stream open.
const END_TIMEOUT: Duration = Duration::from_secs(5);
/// Streams of one connection that are read at a time.
pub(crate) const MAX_ONESHOT_STREAMS: usize = 16;

/// Reads the packets of a connection's streams, in the order the streams were opened.
#[derive(Default)]
pub(crate) struct OneshotReceiver {
    reading: FuturesOrdered<BoxFuture<'static, io::Result<String>>>,
}

impl OneshotReceiver {
    /// Reads one more stream; `false` when too many are being read already.
    pub(crate) fn push(&mut self, stream: Stream) -> bool {
        if self.reading.len() >= MAX_ONESHOT_STREAMS {
            return false;
        }
        self.reading.push_back(within_time(receive(stream)).boxed());
        true
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.reading.is_empty()
    }

    /// Returns the next packet, once it has been read.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<String>> {
        match self.reading.poll_next_unpin(cx) {
            Poll::Ready(Some(result)) => Poll::Ready(result),
            Poll::Ready(None) | Poll::Pending => Poll::Pending,
        }
    }
}

/// Writes one packet after the other, each on its own stream.
#[derive(Default)]
pub(crate) struct OneshotSender {
    /// The body that waits for its stream.
    waiting: VecDeque<String>,
    /// The sequence number of the message that waits or is written.
    seq: u64,
    writing: Option<BoxFuture<'static, io::Result<()>>>,
}

impl OneshotSender {
    pub(crate) fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.writing.is_none()
    }

    /// Takes the message of a frame. The caller asks for a stream then.
    pub(crate) fn start(&mut self, frame: &[u8]) -> io::Result<()> {
        let body = match Frame::decode_length_delimited(frame).map(|frame| frame.kind) {
            Ok(Some(Kind::Data(data))) => {
                self.seq = data.seq;
                data.body
            }
            _ => return Err(io::ErrorKind::InvalidData.into()),
        };
        if body.len() > MAX_ONESHOT_BYTES {
            return Err(io::Error::other(format!(
                "{} bytes are too long for this peer, which speaks only /p2p/msg/1.0.0 (at most {MAX_ONESHOT_BYTES})",
                body.len()
            )));
        }
        self.waiting.push_back(body);
        Ok(())
    }

    /// Returns the number of the message that was started last.
    pub(crate) const fn seq(&self) -> u64 {
        self.seq
    }

    /// Takes the stream, and begins to write.
    pub(crate) fn opened(&mut self, stream: Stream) {
        if let Some(body) = self.waiting.pop_front() {
            self.writing = Some(within_time(send(stream, body)).boxed());
        }
    }

    /// Gives the message up: its stream cannot be had.
    pub(crate) fn failed(&mut self) {
        self.waiting.clear();
        self.writing = None;
    }

    /// Returns whether the packet was written, once that is known.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(writing) = &mut self.writing else {
            return Poll::Pending;
        };
        let result = futures::ready!(Pin::new(writing).poll(cx));
        self.writing = None;
        Poll::Ready(result)
    }
}

async fn within_time<T>(work: impl Future<Output = io::Result<T>> + Send) -> io::Result<T> {
    let work = std::pin::pin!(work);
    match futures::future::select(work, Delay::new(HELLO_TIMEOUT)).await {
        futures::future::Either::Left((result, _)) => result,
        futures::future::Either::Right(_) => Err(io::ErrorKind::TimedOut.into()),
    }
}

async fn receive(mut stream: impl AsyncRead + AsyncWrite + Unpin + Send) -> io::Result<String> {
    let body = wire::read_bytes(&mut stream, MAX_ONESHOT_BYTES).await?;
    // The packet is complete: how the stream ends does not matter any more.
    let _ = stream.close().await;
    String::from_utf8(body).map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))
}

async fn send(
    mut stream: impl AsyncRead + AsyncWrite + Unpin + Send,
    body: String,
) -> io::Result<()> {
    let mut packet = Vec::with_capacity(body.len() + 2);
    prost::encode_length_delimiter(body.len(), &mut packet).map_err(io::Error::other)?;
    packet.extend_from_slice(body.as_bytes());
    stream.write_all(&packet).await?;
    stream.close().await?;
    let end = std::pin::pin!(wire::wait_for_end(&mut stream));
    match futures::future::select(end, Delay::new(END_TIMEOUT)).await {
        futures::future::Either::Left((result, _)) => result,
        // It has agreed to the protocol long ago, and leaves the stream open.
        futures::future::Either::Right(_) => Ok(()),
    }
}

impl std::fmt::Debug for OneshotReceiver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OneshotReceiver")
            .field("reading", &self.reading.len())
            .finish()
    }
}

impl std::fmt::Debug for OneshotSender {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OneshotSender")
            .field("waiting", &self.waiting.len())
            .finish_non_exhaustive()
    }
}
