//! The channels of a connection, and what str0m had no room for.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use bytes::Bytes;
use str0m::channel::ChannelId as StrId;

use super::Connection;
use crate::{
    Error, MAX_BUFFERED, MAX_CHANNELS,
    backend::{ChannelId, Event, INIT_LABEL},
    entries::Entries,
};

#[derive(Debug, Default)]
pub(super) struct Channels {
    all: Entries<ChannelId, Channel>,
    opened: u32,
    backlog: VecDeque<(ChannelId, Bytes)>,
    /// Of the remote, and to be closed by it, or by us at this time.
    leaving: VecDeque<(Instant, StrId)>,
}

/// How long the remote may take to close a channel that it opened and that is over.
///
/// Where both sides close at once, sctp-proto 0.10 asks for the end of the same number twice, and refuses the next channel of
/// that number: a browser that opens one at once, as js-libp2p does, lost one stream of a hundred.
const LEAVE_TIME: Duration = Duration::from_secs(2);

#[derive(Debug)]
struct Channel {
    id: StrId,
    /// The remote opened it.
    theirs: bool,
    /// In the backlog.
    waiting: usize,
    /// To be closed once nothing is.
    closing: bool,
}

impl Channels {
    /// The name of a channel that str0m numbers so.
    pub(super) fn named(&self, id: StrId) -> Option<ChannelId> {
        let found = self.all.iter().find(|(_, channel)| channel.id == id);
        found.map(|(name, _)| *name)
    }

    pub(super) fn add(&mut self, id: StrId, theirs: bool) -> ChannelId {
        self.opened = self.opened.wrapping_add(1);
        let name = ChannelId(self.opened);
        self.insert(name, id, theirs);
        name
    }

    pub(super) fn insert(&mut self, name: ChannelId, id: StrId, theirs: bool) {
        let channel = Channel {
            id,
            theirs,
            waiting: 0,
            closing: false,
        };
        self.all.insert(name, channel);
    }

    pub(super) fn remove(&mut self, name: ChannelId) {
        self.all.remove(&name);
    }

    pub(super) fn push(&mut self, name: ChannelId, message: Bytes) -> Result<(), Error> {
        let channel = self.all.get_mut(&name).ok_or(Error::Closed)?;
        channel.waiting += message.len();
        self.backlog.push_back((name, message));
        Ok(())
    }
}

impl Connection {
    /// Gives str0m what it had no room for. Returns whether it took anything.
    pub(super) fn send_backlog(&mut self) -> bool {
        let Some((channel, message)) = self.channels.backlog.front() else {
            return false;
        };
        let (channel, len) = (*channel, message.len());
        let Some(entry) = self.channels.all.get_mut(&channel) else {
            self.channels.backlog.pop_front();
            return true;
        };
        let written = self
            .rtc
            .channel(entry.id)
            .map(|mut channel| channel.write(true, message));
        match written {
            Some(Ok(false)) => return false,
            // Without a channel nobody is there to be told: it was given up before it was open.
            Some(Ok(true)) | None => {}
            // Whoever waits for what is behind it must not wait for it.
            Some(Err(_)) => {
                self.channels.remove(channel);
                self.push(Event::ChannelClosed(channel));
                return true;
            }
        }
        entry.waiting -= len;
        let drained = entry.waiting == 0;
        let leaves = (drained && entry.closing).then_some((entry.id, entry.theirs));
        if let Some((id, theirs)) = leaves {
            self.leave(id, theirs);
        }
        self.channels.backlog.pop_front();
        self.push(Event::Drained(channel));
        true
    }

    pub(super) fn on_open(&mut self, id: StrId, label: &str) {
        if let Some(mut channel) = self.rtc.channel(id) {
            channel.set_buffered_amount_low_threshold(MAX_BUFFERED / 2);
        }
        match self.channels.named(id) {
            Some(channel) => self.push(Event::ChannelReady(channel)),
            // That of the offer: its maker closes it.
            None if label == INIT_LABEL || self.init == Some(id) => {}
            None => {
                let channel = self.channels.add(id, true);
                self.push(Event::ChannelOpened(channel));
            }
        }
    }

    /// Bytes that have not left yet.
    pub(super) fn buffered_in(&mut self, channel: ChannelId) -> usize {
        let Some(entry) = self.channels.all.get_mut(&channel) else {
            return 0;
        };
        let in_flight = self.rtc.channel(entry.id);
        let in_flight = in_flight.map_or(0, |mut channel| channel.buffered_amount());
        entry.waiting + in_flight
    }

    pub(super) fn close_channel(&mut self, channel: ChannelId) {
        if let Some(entry) = self.channels.all.get_mut(&channel) {
            entry.closing = true;
            if entry.waiting == 0 {
                let (id, theirs) = (entry.id, entry.theirs);
                self.leave(id, theirs);
            }
        }
    }

    /// Closes a channel, or has the remote close it.
    fn leave(&mut self, id: StrId, theirs: bool) {
        if !theirs {
            return self.rtc.direct_api().close_data_channel(id);
        }
        let now = Instant::now();
        self.channels.leaving.push_back((now + LEAVE_TIME, id));
        self.close_overdue(now);
    }

    /// Closes what the remote should have closed by now. One that it has closed is none any more.
    pub(super) fn close_overdue(&mut self, now: Instant) {
        let leaving = &mut self.channels.leaving;
        while let Some((at, id)) = leaving.front().copied()
            && (at <= now || leaving.len() > MAX_CHANNELS)
        {
            leaving.pop_front();
            self.rtc.direct_api().close_data_channel(id);
        }
    }
}
