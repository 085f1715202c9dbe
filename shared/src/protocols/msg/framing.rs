//! Reads and writes msg's frames on a stream, through buffers.
//!
//! Whoever owns the stream calls [`FrameReader::next_frame`] until there is none, then
//! [`FrameReader::poll_fill`]; and [`FrameWriter::push`] while the writer has room, then
//! [`FrameWriter::poll_write`] and [`FrameWriter::poll_flush`].

#[cfg(test)]
mod tests;

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes, BytesMut};
use futures::{AsyncRead, AsyncWrite};

use crate::delivery::frames::{FrameError, Kind, MAX_FRAME_BYTES, MAX_PREFIX_BYTES};

/// Why a stream of frames is of no use any more.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StreamError {
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error("the stream ended inside a frame")]
    Truncated,
    #[error("{0}")]
    Io(#[from] io::Error),
}

const MIN_READ_BYTES: usize = 2 * 1024;
const MAX_READ_BYTES: usize = MAX_FRAME_BYTES + MAX_PREFIX_BYTES;

/// Reads frames. Its buffer starts small and grows with the traffic up to the largest frame.
#[derive(Debug)]
pub(crate) struct FrameReader {
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

impl Default for FrameReader {
    fn default() -> Self {
        Self {
            buffer: vec![0; MIN_READ_BYTES],
            start: 0,
            end: 0,
        }
    }
}

impl FrameReader {
    /// Takes the next frame that has been read completely.
    pub(crate) fn next_frame(&mut self) -> Result<Option<Kind>, FrameError> {
        let decoded = Kind::decode(&self.buffer[self.start..self.end])?;
        Ok(decoded.map(|(kind, len)| {
            self.start += len;
            kind
        }))
    }

    /// Reads what is there. `Ok(false)`: the remote has closed its side, between two frames.
    pub(crate) fn poll_fill(
        &mut self,
        cx: &mut Context<'_>,
        stream: Pin<&mut impl AsyncRead>,
    ) -> Poll<Result<bool, StreamError>> {
        self.make_room();
        let read = ready!(stream.poll_read(cx, &mut self.buffer[self.end..]))?;
        self.end += read;
        Poll::Ready(match read {
            0 if self.start < self.end => Err(StreamError::Truncated),
            read => Ok(read > 0),
        })
    }

    fn make_room(&mut self) {
        if self.start == self.end {
            self.start = 0;
            self.end = 0;
        }
        if self.end < self.buffer.len() {
            return;
        }
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        // The last read filled the buffer: the traffic deserves a larger one.
        let larger = (self.buffer.len() * 2).min(MAX_READ_BYTES);
        self.buffer.resize(larger, 0);
    }
}

/// Writes frames, several at a time.
#[derive(Debug, Default)]
pub(crate) struct FrameWriter {
    /// A large frame, which is written as it is. It goes before what is in the buffer.
    large: Bytes,
    buffer: BytesMut,
    dirty: bool,
}

impl FrameWriter {
    /// Frames are collected up to this size before they are written.
    const BATCH_BYTES: usize = 64 * 1024;
    /// A frame of this size is not worth copying to share a write with others.
    const LARGE_BYTES: usize = 16 * 1024;
    /// Receivers in browsers buffer 16 KiB of a WebRTC stream.
    const MAX_WEBRTC_WRITE: usize = 8 * 1024;

    /// Whether more frames should be collected.
    pub(crate) fn has_room(&self) -> bool {
        self.large.is_empty() && self.buffer.len() < Self::BATCH_BYTES
    }

    /// Whether everything has been written.
    pub(crate) fn is_empty(&self) -> bool {
        self.large.is_empty() && self.buffer.is_empty()
    }

    /// Appends a frame.
    pub(crate) fn push(&mut self, frame: &Bytes) {
        if frame.len() >= Self::LARGE_BYTES && self.is_empty() {
            self.large = frame.clone();
        } else {
            self.buffer.extend_from_slice(frame);
        }
    }

    /// Writes everything.
    pub(crate) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        mut stream: Pin<&mut impl AsyncWrite>,
        small_writes: bool,
    ) -> Poll<io::Result<()>> {
        while !self.is_empty() {
            let next: &[u8] = if self.large.is_empty() {
                &self.buffer
            } else {
                &self.large
            };
            let most = if small_writes {
                next.len().min(Self::MAX_WEBRTC_WRITE)
            } else {
                next.len()
            };
            let wrote = ready!(stream.as_mut().poll_write(cx, &next[..most]))?;
            if wrote == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            if self.large.is_empty() {
                self.buffer.advance(wrote);
            } else {
                self.large.advance(wrote);
            }
            self.dirty = true;
        }
        Poll::Ready(Ok(()))
    }

    /// Flushes what has been written.
    pub(crate) fn poll_flush(
        &mut self,
        cx: &mut Context<'_>,
        stream: Pin<&mut impl AsyncWrite>,
    ) -> Poll<io::Result<()>> {
        if self.dirty {
            ready!(stream.poll_flush(cx))?;
            self.dirty = false;
        }
        Poll::Ready(Ok(()))
    }
}
