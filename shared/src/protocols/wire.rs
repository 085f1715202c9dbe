//! Protobuf messages behind a length prefix: what greet, rendezvous, punch, the one-shot form of msg and a relay's own
//! protocols have in common.

use std::io;

use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use libp2p::core::upgrade::NegotiationError;
use prost::Message;

/// Reads one message of at most `max` bytes.
pub async fn read<M: Message + Default>(
    stream: &mut (impl AsyncRead + Unpin + Send),
    max: usize,
) -> io::Result<M> {
    let bytes = read_bytes(stream, max).await?;
    M::decode(bytes.as_slice()).map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))
}

/// Writes one message, and leaves the stream open.
pub async fn send(
    stream: &mut (impl AsyncWrite + Unpin + Send),
    message: impl Message,
) -> io::Result<()> {
    let bytes = message.encode_length_delimited_to_vec();
    drop(message);
    stream.write_all(&bytes).await?;
    stream.flush().await
}

/// Writes one message, and closes our side of the stream.
pub async fn write(
    stream: &mut (impl AsyncWrite + Unpin + Send),
    message: impl Message,
) -> io::Result<()> {
    let bytes = message.encode_length_delimited_to_vec();
    // The remote may take its time: one copy is enough meanwhile.
    drop(message);
    stream.write_all(&bytes).await?;
    stream.close().await
}

/// Waits until the remote has closed a stream on which we only write.
///
/// Protocols are negotiated with the first data along (multistream-select's `V1Lazy`). A stream that is dropped before the
/// remote has agreed to the protocol tells it to stop sending: it then takes the negotiation for failed, and throws away
/// what was written. That is an error only if the remote does not speak the protocol.
pub async fn wait_for_end(stream: &mut (impl AsyncRead + Unpin + Send)) -> io::Result<()> {
    match stream.read(&mut [0]).await {
        Err(e) if is_unsupported(&e) => Err(e),
        // However it ends: the remote has read what it wanted.
        _ => Ok(()),
    }
}

/// Whether a stream failed because the remote does not speak its protocol.
pub(crate) fn is_unsupported(error: &io::Error) -> bool {
    let cause = error.get_ref();
    cause.is_some_and(|cause| matches!(cause.downcast_ref(), Some(NegotiationError::Failed)))
}

/// Reads an unsigned varint and as many bytes as it says, at most `max`.
pub async fn read_bytes(
    stream: &mut (impl AsyncRead + Unpin + Send),
    max: usize,
) -> io::Result<Vec<u8>> {
    let len = read_len(stream, max).await?;
    // Grows with what really comes: a prefix alone must not cost a remote's claim of memory.
    let mut bytes = Vec::new();
    let read = stream.take(len as u64).read_to_end(&mut bytes).await?;
    if read < len {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(bytes)
}

async fn read_len(stream: &mut (impl AsyncRead + Unpin + Send), max: usize) -> io::Result<usize> {
    let mut len = 0usize;
    for shift in (0..28).step_by(7) {
        let mut byte = [0];
        stream.read_exact(&mut byte).await?;
        len |= usize::from(byte[0] & 0x7f) << shift;
        if len > max {
            break;
        }
        if byte[0] & 0x80 == 0 {
            // Only the shortest form of a number is valid.
            if shift > 0 && byte[0] == 0 {
                return Err(invalid("invalid length prefix".into()));
            }
            return Ok(len);
        }
    }
    Err(invalid(format!("more than {max} bytes")))
}

fn invalid(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
