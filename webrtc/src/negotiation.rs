//! The signalling exchange on a stream: from a stream and a backend to a connection.

use std::{future::poll_fn, pin::Pin, task::Poll, time::Duration};

use bytes::Bytes;
use futures::{
    AsyncRead, AsyncWrite, AsyncWriteExt,
    future::{Either, select},
};
use futures_timer::Delay;
use prost::Message;

use crate::{
    Error,
    backend::{BackendConnection, Role},
    connection::Core,
    muxer::Connection,
    signalling::{Output, Signalling},
    wire::{NoMessage, Signals},
};

/// From the signalling's first message until there is a connection. A browser gives up after 15 s without a pair of
/// candidates that works, and waits for ever where it got no candidate.
pub const NEGOTIATION_TIMEOUT: Duration = Duration::from_secs(20);

/// When a negotiation that begins now has taken too long.
pub(crate) fn deadline() -> Delay {
    Delay::new(NEGOTIATION_TIMEOUT)
}

/// Makes a connection, before the deadline.
pub(crate) async fn negotiate<C: BackendConnection>(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    backend: C,
    role: Role,
    deadline: impl Future<Output = ()> + Unpin,
) -> Result<Connection<C>, Error> {
    let exchange = std::pin::pin!(exchange(stream, backend, role));
    match select(exchange, deadline).await {
        Either::Left((result, _)) => result,
        Either::Right(_) => Err(Error::Timeout(NEGOTIATION_TIMEOUT)),
    }
}

async fn exchange<C: BackendConnection>(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    backend: C,
    role: Role,
) -> Result<Connection<C>, Error> {
    let mut core = Core::new(backend);
    let mut machine = Signalling::new(role);
    let mut signals = Signals::default();
    let mut piece = vec![0; PIECE];
    let mut reading = true;
    loop {
        while let Some(output) = machine.next() {
            match output {
                Output::Do(command) => core.execute(command),
                Output::Send(signal) => {
                    let bytes = signal.encode_length_delimited_to_vec();
                    let sent = stream.write_all(&bytes).await;
                    let sent = match sent {
                        Ok(()) => stream.flush().await,
                        error => error,
                    };
                    sent.or_else(|error| machine.on_end(error.to_string()))?;
                }
                Output::Connected => {
                    // Whatever the remote thinks of its end: there is a connection.
                    let _ = stream.close().await;
                    return Ok(Connection::new(core));
                }
            }
        }
        let read = poll_fn(|cx| match reading {
            true => Pin::new(&mut stream).poll_read(cx, &mut piece),
            false => Poll::Pending,
        });
        let event = poll_fn(|cx| core.poll_event(cx));
        match select(event, read).await {
            Either::Left((event, _)) => machine.on_event(event)?,
            Either::Right((Ok(len @ 1..), _)) => {
                signals.push(Bytes::copy_from_slice(&piece[..len]));
                let broken = |NoMessage| Error::Protocol("what is no message");
                while let Some(signal) = signals.next().map_err(broken)? {
                    machine.on_signal(signal)?;
                }
            }
            Either::Right((end, _)) => {
                reading = false;
                let error = end.err().map(|error| error.to_string());
                machine.on_end(error.unwrap_or("the stream was closed".into()))?;
            }
        }
    }
}

/// What is read at once. A description has some hundred bytes.
const PIECE: usize = 4 * 1024;

#[cfg(test)]
mod tests;
