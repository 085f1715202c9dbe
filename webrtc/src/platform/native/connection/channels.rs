//! The channels of a connection, and what str0m had no room for.

use std::collections::VecDeque;

use bytes::Bytes;
use str0m::channel::ChannelId as StrId;

use super::Connection;
use crate::{
    Error, MAX_BUFFERED,
    backend::{ChannelId, Event, INIT_LABEL},
    entries::Entries,
};

#[derive(Debug, Default)]
pub(super) struct Channels {
    all: Entries<ChannelId, Channel>,
    opened: u32,
    backlog: VecDeque<(ChannelId, Bytes)>,
}

#[derive(Debug)]
struct Channel {
    id: StrId,
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

    pub(super) fn add(&mut self, id: StrId) -> ChannelId {
        self.opened = self.opened.wrapping_add(1);
        let name = ChannelId(self.opened);
        self.insert(name, id);
        name
    }

    pub(super) fn insert(&mut self, name: ChannelId, id: StrId) {
        let channel = Channel {
            id,
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
        if drained && entry.closing {
            let id = entry.id;
            self.rtc.direct_api().close_data_channel(id);
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
                let channel = self.channels.add(id);
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
                let id = entry.id;
                self.rtc.direct_api().close_data_channel(id);
            }
        }
    }
}
