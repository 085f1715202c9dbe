//! What a connection's muxer and its streams share: the backend, and the channels.

use std::{
    collections::VecDeque,
    io,
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use futures::FutureExt;
use futures_timer::Delay;

use crate::{
    Error,
    backend::{BackendConnection, ChannelId, Command, Event},
    channel::Channel,
    entries::Entries,
    wire::{Flag, Frame},
};

/// Channels that are open at a time, whoever opened them.
pub const MAX_CHANNELS: usize = 256;
/// Bytes that have arrived and that nobody has read yet, on all channels together. The protocol has no window of its own, so
/// a stream that goes beyond is reset.
pub const MAX_UNREAD: usize = 8 * 1024 * 1024;
/// Bytes that a channel takes beyond what has been sent. More wait at the writer.
pub const MAX_BUFFERED: usize = 256 * 1024;
/// How long the remote may take to confirm the end of a stream.
pub const LINGER: Duration = Duration::from_secs(10);
/// How long a connection that closes goes on sending what was written.
pub const CLOSE_TIME: Duration = Duration::from_secs(1);

/// A connection.
#[derive(Debug)]
pub(crate) struct Core<C> {
    backend: C,
    channels: Entries<ChannelId, Entry>,
    /// Opened by the remote, and not yet taken.
    incoming: VecDeque<ChannelId>,
    unread: usize,
    ended: Option<Error>,
    closing: Option<Delay>,
    /// Of whoever polls the muxer.
    waker: Option<Waker>,
}

#[derive(Debug, Default)]
struct Entry {
    channel: Channel,
    ready: bool,
    /// Nobody has the stream any more; until this time the remote may confirm its end.
    lingering: Option<Delay>,
    /// The backend has closed it, or was told to.
    closed: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Entry {
    fn wake(&mut self) {
        let wakers = [self.reader.take(), self.writer.take()];
        wakers.into_iter().flatten().for_each(Waker::wake);
    }
}

impl<C: BackendConnection> Core<C> {
    pub(crate) fn new(backend: C) -> Self {
        Self {
            backend,
            channels: Entries::default(),
            incoming: VecDeque::new(),
            unread: 0,
            ended: None,
            closing: None,
            waker: None,
        }
    }

    pub(crate) fn execute(&mut self, command: Command) {
        self.backend.execute(command);
    }

    /// A channel that both sides have without saying so.
    pub(crate) fn expect(&mut self, id: ChannelId) {
        self.channels.insert(id, Entry::default());
    }

    /// Takes in what the backend reports of channels, and returns the first event that is not about them.
    pub(crate) fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        self.waker = Some(cx.waker().clone());
        self.end_lingering(cx);
        while let Poll::Ready(event) = self.backend.poll_event(cx) {
            match event {
                Event::ChannelOpened(id) => self.on_opened(id),
                Event::ChannelReady(id) => self.with(id, |entry| entry.ready = true),
                Event::Drained(id) => self.with(id, |_| {}),
                Event::Message(id, message) => self.on_message(id, message),
                Event::ChannelClosed(id) => self.on_channel_closed(id),
                Event::Closed(error) => {
                    self.end(error.clone());
                    return Poll::Ready(Event::Closed(error));
                }
                event => return Poll::Ready(event),
            }
        }
        Poll::Pending
    }

    fn with(&mut self, id: ChannelId, change: impl FnOnce(&mut Entry)) {
        if let Some(entry) = self.channels.get_mut(&id) {
            change(entry);
            entry.wake();
        }
    }

    fn on_opened(&mut self, id: ChannelId) {
        if self.channels.len() >= MAX_CHANNELS {
            return self.backend.execute(Command::CloseChannel(id));
        }
        let entry = Entry {
            ready: true,
            ..Entry::default()
        };
        self.channels.insert(id, entry);
        self.incoming.push_back(id);
    }

    fn on_message(&mut self, id: ChannelId, message: Bytes) {
        let Some(entry) = self.channels.get_mut(&id) else {
            return;
        };
        let received = entry.channel.receive(message);
        if let Ok(received) = &received {
            self.unread += received.bytes;
            self.unread -= received.discarded;
        }
        entry.wake();
        match received {
            Ok(received) if self.unread <= MAX_UNREAD => self.send_flags(id, received.reply),
            _ => {
                tracing::debug!(?id, ?received, unread = self.unread, "a stream is reset");
                self.abandon(id);
            }
        }
        self.clear_away(id);
    }

    fn on_channel_closed(&mut self, id: ChannelId) {
        self.with(id, |entry| {
            entry.channel.closed();
            entry.closed = true;
        });
        self.clear_away(id);
    }

    fn end(&mut self, error: Error) {
        for (_, entry) in self.channels.iter_mut() {
            entry.channel.closed();
            entry.closed = true;
            entry.wake();
        }
        self.ended.get_or_insert(error);
    }

    /// Tells the remote that a stream is of no interest any more.
    fn abandon(&mut self, id: ChannelId) {
        if let Some(entry) = self.channels.get_mut(&id) {
            let (flags, discarded) = entry.channel.abandon();
            let ready = entry.ready;
            self.unread -= discarded;
            // Before that the remote knows of no stream.
            self.send_flags(id, flags.into_iter().filter(|_| ready));
        }
    }

    fn send_flags(&mut self, id: ChannelId, flags: impl IntoIterator<Item = Flag>) {
        for flag in flags {
            // An error means that it is closed, which says more than a flag.
            let _ = self.backend.send(id, Frame::of_flag(flag).encode());
        }
    }

    /// Closes a channel that is over, and forgets it when nobody has its stream any more.
    fn clear_away(&mut self, id: ChannelId) {
        let Some(entry) = self.channels.get_mut(&id) else {
            return;
        };
        if entry.channel.is_over() && !entry.closed {
            entry.closed = true;
            self.backend.execute(Command::CloseChannel(id));
        }
        if entry.closed && entry.lingering.is_some() {
            self.channels.remove(&id);
            // There is room for one more.
            self.wake();
        }
    }

    fn end_lingering(&mut self, cx: &mut Context<'_>) {
        let mut late = Vec::new();
        for (id, entry) in self.channels.iter_mut() {
            if let Some(time) = &mut entry.lingering
                && time.poll_unpin(cx).is_ready()
            {
                entry.channel.closed();
                late.push(*id);
            }
        }
        for id in late {
            self.clear_away(id);
        }
    }

    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

/// What the muxer asks for.
impl<C: BackendConnection> Core<C> {
    pub(crate) fn check(&self) -> Result<(), Error> {
        self.ended.clone().map_or(Ok(()), Err)
    }

    pub(crate) fn poll_inbound(&mut self, cx: &mut Context<'_>) -> Poll<Result<ChannelId, Error>> {
        self.check()?;
        self.waker = Some(cx.waker().clone());
        match self.incoming.pop_front() {
            Some(id) => Poll::Ready(Ok(id)),
            None => Poll::Pending,
        }
    }

    pub(crate) fn poll_outbound(&mut self, cx: &mut Context<'_>) -> Poll<Result<ChannelId, Error>> {
        self.check()?;
        if self.channels.len() >= MAX_CHANNELS {
            self.waker = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let id = self.backend.open_channel()?;
        self.channels.insert(id, Entry::default());
        Poll::Ready(Ok(id))
    }

    /// Closes at once.
    pub(crate) fn close(&mut self) {
        if self.ended.is_none() {
            self.backend.execute(Command::Close);
            self.end(Error::Closed);
        }
    }

    /// Closes once all that was written has been sent, or [`CLOSE_TIME`] is over.
    pub(crate) fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while let Poll::Ready(event) = self.poll_event(cx) {
            if matches!(event, Event::Closed(_)) {
                break;
            }
        }
        let time = self.closing.get_or_insert_with(|| Delay::new(CLOSE_TIME));
        let backend = &mut self.backend;
        let is_empty = |(id, _): &(ChannelId, Entry)| backend.buffered(*id) == 0;
        let done = self.ended.is_some() || self.channels.iter().all(is_empty);
        if !done && time.poll_unpin(cx).is_pending() {
            return Poll::Pending;
        }
        self.close();
        Poll::Ready(())
    }
}

/// What a stream asks for.
impl<C: BackendConnection> Core<C> {
    pub(crate) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        id: ChannelId,
        into: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let Some(entry) = self.channels.get_mut(&id) else {
            return Poll::Ready(Err(Error::Closed.into()));
        };
        match entry.channel.read(into) {
            Ok(Some(len)) => {
                self.unread -= len;
                Poll::Ready(Ok(len))
            }
            Ok(None) => {
                entry.reader = Some(cx.waker().clone());
                Poll::Pending
            }
            Err(_) => Poll::Ready(Err(reset(self.ended.clone()))),
        }
    }

    /// Sends as much as fits into a frame.
    pub(crate) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        id: ChannelId,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        let Some(entry) = self.channels.get_mut(&id) else {
            return Poll::Ready(Err(Error::Closed.into()));
        };
        if !entry.channel.is_writable() {
            return Poll::Ready(Err(reset(self.ended.clone())));
        }
        if data.is_empty() {
            return Poll::Ready(Ok(0));
        }
        if !entry.ready || self.backend.buffered(id) >= MAX_BUFFERED {
            entry.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let frame = Frame::of_payload(data);
        let len = frame.message.as_ref().map_or(0, Bytes::len);
        self.backend.send(id, frame.encode())?;
        Poll::Ready(Ok(len))
    }

    /// Says that all is written. Nobody waits until the remote confirms it: the channel stays until then.
    pub(crate) fn poll_finish(
        &mut self,
        cx: &mut Context<'_>,
        id: ChannelId,
    ) -> Poll<io::Result<()>> {
        let Some(entry) = self.channels.get_mut(&id) else {
            return Poll::Ready(Err(Error::Closed.into()));
        };
        if entry.channel.is_writable() && !entry.ready {
            entry.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let flag = entry.channel.finish();
        self.send_flags(id, flag);
        self.clear_away(id);
        Poll::Ready(Ok(()))
    }

    /// The stream was dropped.
    pub(crate) fn release(&mut self, id: ChannelId) {
        self.abandon(id);
        if let Some(entry) = self.channels.get_mut(&id) {
            entry.lingering = Some(Delay::new(LINGER));
        }
        self.clear_away(id);
        // The new timer has to be polled.
        self.wake();
    }
}

impl<C> Core<C> {
    pub(crate) fn backend(&mut self) -> &mut C {
        &mut self.backend
    }
}

/// What tests look at.
#[cfg(test)]
impl<C> Core<C> {
    pub(crate) fn channels(&self) -> usize {
        self.channels.len()
    }

    pub(crate) const fn unread(&self) -> usize {
        self.unread
    }
}

fn reset(ended: Option<Error>) -> io::Error {
    match ended {
        Some(error) => error.into(),
        None => io::Error::new(io::ErrorKind::ConnectionReset, "the stream was reset"),
    }
}
