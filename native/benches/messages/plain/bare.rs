//! The least that a framed stream can cost: length-prefixed frames one way and a framed ack for each the other way,
//! by a loop with buffers of its own.

use anyhow::{Result, bail};
use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::Sender;
use crate::LARGE;

const BUFFER: usize = 128 * 1024;
/// An ack is a frame, too: its length, and the number of the message.
const ACK_BYTES: usize = size_of::<u32>() + size_of::<u64>();

pub(crate) struct Pair<S> {
    stream: S,
    buffer: Vec<u8>,
    out: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Pair<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self {
            stream,
            buffer: vec![0; BUFFER],
            out: Vec::new(),
        }
    }

    async fn write(&mut self) -> Result<()> {
        self.stream.write_all(&self.out).await?;
        self.out.clear();
        Ok(())
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Sender for Pair<S> {
    async fn queue(&mut self, body: &str) -> Result<()> {
        let length = u32::try_from(body.len())?;
        self.out.extend_from_slice(&length.to_be_bytes());
        self.out.extend_from_slice(body.as_bytes());
        if self.out.len() >= 64 * 1024 {
            self.write().await?;
        }
        Ok(())
    }

    async fn acks(&mut self) -> Result<u64> {
        self.write().await?;
        self.stream.flush().await?;
        let mut have = 0;
        loop {
            let read = self.stream.read(&mut self.buffer[have..]).await?;
            if read == 0 {
                bail!("the receiver has gone");
            }
            have += read;
            if have.is_multiple_of(ACK_BYTES) {
                return Ok(u64::try_from(have / ACK_BYTES)?);
            }
        }
    }
}

/// Reads frames and acks each; the acks of what a read completes are written together.
pub(crate) async fn ack_all(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> Result<()> {
    let mut buffer = vec![0; BUFFER + LARGE];
    let (mut from, mut to) = (0, 0);
    let mut seq = 0u64;
    let mut acks = Vec::new();
    loop {
        if to == buffer.len() {
            buffer.copy_within(from..to, 0);
            to -= from;
            from = 0;
        }
        let read = stream.read(&mut buffer[to..]).await?;
        if read == 0 {
            return Ok(());
        }
        to += read;
        while let Some(prefix) = buffer[from..to].first_chunk::<4>() {
            let len = 4 + u32::from_be_bytes(*prefix) as usize;
            if to - from < len {
                break;
            }
            // Any receiver has to make a text of the body.
            let body = buffer[from + 4..from + len].to_vec();
            std::hint::black_box(String::from_utf8(body)?);
            from += len;
            seq += 1;
            acks.extend_from_slice(&u32::try_from(size_of::<u64>())?.to_be_bytes());
            acks.extend_from_slice(&seq.to_be_bytes());
        }
        if from == to {
            (from, to) = (0, 0);
        }
        if !acks.is_empty() {
            stream.write_all(&acks).await?;
            stream.flush().await?;
            acks.clear();
        }
    }
}
