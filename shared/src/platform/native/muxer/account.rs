//! What the streams of a connection hold that nobody has read.

use std::{
    collections::HashMap,
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
};

use futures::{AsyncRead, AsyncWrite};
use parking_lot::Mutex;

use super::{MAX_ALL_UNREAD_BYTES, MAX_FRAME_BYTES, MAX_UNREAD_BYTES};

/// The unread bytes of one connection. Clones are the same account.
#[derive(Debug, Clone)]
pub(super) struct Account {
    streams: Arc<Mutex<Streams>>,
    /// The remote made the connection.
    inbound: bool,
}

#[derive(Debug)]
struct Streams {
    /// By the stream's number.
    unread: HashMap<u32, usize>,
    sum: usize,
    /// That of all connections.
    all: Arc<AtomicUsize>,
}

impl Account {
    pub(super) fn new(all: Arc<AtomicUsize>, inbound: bool) -> Self {
        let streams = Streams {
            unread: HashMap::new(),
            sum: 0,
            all,
        };
        Self {
            streams: Arc::new(Mutex::new(streams)),
            inbound,
        }
    }

    /// A stream begins.
    pub(super) fn open(&self, stream: u32) {
        self.streams.lock().unread.entry(stream).or_default();
    }

    /// A stream has gone, with all that it held.
    pub(super) fn close(&self, stream: u32) {
        let mut streams = self.streams.lock();
        let unread = streams.unread.remove(&stream).unwrap_or_default();
        streams.sum -= unread;
        streams.all.fetch_sub(unread, Relaxed);
    }

    /// Bytes of a stream have been read by whom they are for.
    pub(super) fn taken(&self, stream: u32, bytes: usize) {
        let mut streams = self.streams.lock();
        let Some(unread) = streams.unread.get_mut(&stream) else {
            return;
        };
        let taken = bytes.min(*unread);
        *unread -= taken;
        streams.sum -= taken;
        streams.all.fetch_sub(taken, Relaxed);
    }

    /// Bytes for a stream have come. What is for none is thrown away, and does not count.
    fn arrived(&self, stream: u32, bytes: usize) -> io::Result<()> {
        let mut streams = self.streams.lock();
        let Some(unread) = streams.unread.get_mut(&stream) else {
            return Ok(());
        };
        *unread += bytes;
        streams.sum += bytes;
        let all = streams.all.fetch_add(bytes, Relaxed) + bytes;
        if streams.sum > MAX_UNREAD_BYTES && (self.inbound || all > MAX_ALL_UNREAD_BYTES) {
            return Err(io::Error::other(format!(
                "it has sent {} bytes that nobody reads",
                streams.sum
            )));
        }
        Ok(())
    }
}

impl Drop for Streams {
    fn drop(&mut self) {
        self.all.fetch_sub(self.sum, Relaxed);
    }
}

/// The bytes of a connection on their way to yamux, whose frames tell for which stream each is.
///
/// A frame has a header of 12 bytes: version, type, flags (2), stream (4), length (4). Only frames of data have a body.
#[derive(Debug)]
pub(super) struct Counted<C> {
    inner: C,
    account: Account,
    header: [u8; HEADER_BYTES],
    /// How much of the header has come.
    header_len: usize,
    /// The stream that the body is for, and what is still to come of it.
    body: (u32, usize),
}

const HEADER_BYTES: usize = 12;
const DATA: u8 = 0;
const WINDOW_UPDATE: u8 = 1;
const SYN: u8 = 1;

impl<C> Counted<C> {
    pub(super) fn new(inner: C, account: Account) -> Self {
        Self {
            inner,
            account,
            header: [0; HEADER_BYTES],
            header_len: 0,
            body: (0, 0),
        }
    }

    fn count(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let (stream, body) = self.body;
            if body > 0 {
                let part = body.min(bytes.len());
                self.account.arrived(stream, part)?;
                self.body.1 -= part;
                bytes = &bytes[part..];
                continue;
            }
            let part = (HEADER_BYTES - self.header_len).min(bytes.len());
            self.header[self.header_len..][..part].copy_from_slice(&bytes[..part]);
            self.header_len += part;
            bytes = &bytes[part..];
            if self.header_len == HEADER_BYTES {
                self.header_len = 0;
                self.on_header()?;
            }
        }
        Ok(())
    }

    fn on_header(&mut self) -> io::Result<()> {
        let [_, kind, _, flags, rest @ ..] = self.header;
        let [s0, s1, s2, s3, l0, l1, l2, l3] = rest;
        let stream = u32::from_be_bytes([s0, s1, s2, s3]);
        let len = u32::from_be_bytes([l0, l1, l2, l3]) as usize;
        if matches!(kind, DATA | WINDOW_UPDATE) && flags & SYN != 0 {
            self.account.open(stream);
        }
        if kind == DATA {
            // yamux takes room for all of a frame when it begins.
            if len > MAX_FRAME_BYTES {
                return Err(io::Error::other(format!("a frame of {len} bytes")));
            }
            self.body = (stream, len);
        }
        Ok(())
    }
}

impl<C: AsyncRead + Unpin> AsyncRead for Counted<C> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let read = ready!(Pin::new(&mut self.inner).poll_read(cx, buffer))?;
        self.count(&buffer[..read])?;
        Poll::Ready(Ok(read))
    }
}

impl<C: AsyncWrite + Unpin> AsyncWrite for Counted<C> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_close(cx)
    }
}
