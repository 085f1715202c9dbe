//! WebRTC in memory, for tests: descriptions and candidates are names of connections, and nothing leaves the process.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use parking_lot::Mutex;

use super::{Backend, BackendConnection, ChannelId, Command, Event};
use crate::{Error, MAX_BUFFERED};

/// Makes connections. Clones share a network.
#[derive(Debug, Clone, Default)]
pub struct Mock(Arc<Mutex<Network>>);

impl Mock {
    /// From now on no candidates reach each other, which is known at once.
    pub fn block(&self) {
        self.0.lock().blocked = true;
    }

    /// Every connection ends, as if its network was gone.
    pub fn cut(&self) {
        let mut network = self.0.lock();
        let ends: Vec<_> = network.ends.keys().copied().collect();
        for end in ends {
            network.push(end, Event::Closed(Error::NoPath));
        }
    }

    /// Connections that have not been dropped, each end counted.
    #[must_use]
    pub fn ends(&self) -> usize {
        self.0.lock().ends.len()
    }
}

#[derive(Debug, Default)]
struct Network {
    ends: HashMap<u64, End>,
    made: u64,
    blocked: bool,
}

#[derive(Debug, Default)]
struct End {
    remote: Option<u64>,
    /// A candidate of the remote has come.
    heard: bool,
    connected: bool,
    events: VecDeque<Event>,
    /// What the remote has not taken, by channel.
    buffered: HashMap<ChannelId, usize>,
    waker: Option<Waker>,
}

impl Network {
    fn push(&mut self, end: u64, event: Event) {
        if let Some(end) = self.ends.get_mut(&end) {
            end.events.push_back(event);
            if let Some(waker) = end.waker.take() {
                waker.wake();
            }
        }
    }

    fn describe(&mut self, end: u64) {
        self.push(end, Event::Described(end.to_string()));
        self.push(end, Event::Candidate(end.to_string()));
    }

    fn remote_of(&self, end: u64) -> Option<u64> {
        self.ends.get(&end)?.remote
    }

    fn pair(&mut self, end: u64, description: &str) {
        match description.parse() {
            Ok(remote) if self.ends.contains_key(&remote) => {
                self.ends.entry(end).or_default().remote = Some(remote);
            }
            _ => {
                let error = Error::Backend("this is no description".into());
                self.push(end, Event::Closed(error));
            }
        }
    }

    fn hear(&mut self, end: u64, candidate: &str) {
        let of: Option<u64> = candidate.parse().ok();
        let remote = self.remote_of(end);
        let Some(other) = remote.filter(|_| remote == of) else {
            return;
        };
        if self.blocked {
            return self.push(end, Event::Closed(Error::NoPath));
        }
        self.ends.entry(end).or_default().heard = true;
        let heard = |end| self.ends.get(&end).is_some_and(|end| end.heard);
        if heard(end) && heard(other) {
            for end in [end, other] {
                let is_new = self
                    .ends
                    .get_mut(&end)
                    .is_some_and(|end| !std::mem::replace(&mut end.connected, true));
                if is_new {
                    self.push(end, Event::Connected);
                }
            }
        }
    }

    fn pop(&mut self, end: u64) -> Option<Event> {
        let event = self.ends.get_mut(&end)?.events.pop_front()?;
        if let Event::Message(channel, message) = &event
            && let Some(remote) = self.remote_of(end)
            && let Some(sender) = self.ends.get_mut(&remote)
        {
            let buffered = sender.buffered.entry(*channel).or_default();
            let before = *buffered;
            *buffered -= message.len();
            let low = MAX_BUFFERED / 2;
            if before > low && *buffered <= low {
                self.push(remote, Event::Drained(*channel));
            }
        }
        Some(event)
    }
}

/// One end of a connection.
#[derive(Debug)]
pub struct Connection {
    network: Arc<Mutex<Network>>,
    end: u64,
    opened: u32,
}

impl Backend for Mock {
    type Connection = Connection;

    fn open(&self) -> Result<Connection, Error> {
        let mut network = self.0.lock();
        network.made += 1;
        let end = network.made;
        network.ends.insert(end, End::default());
        drop(network);
        Ok(Connection {
            network: self.0.clone(),
            end,
            opened: 1,
        })
    }
}

impl BackendConnection for Connection {
    fn execute(&mut self, command: Command) {
        let mut network = self.network.lock();
        let remote = network.remote_of(self.end);
        match command {
            Command::Offer | Command::OfferDirect { .. } => network.describe(self.end),
            Command::Answer(offer) => {
                network.pair(self.end, &offer);
                network.describe(self.end);
            }
            Command::TakeAnswer(answer) => network.pair(self.end, &answer),
            Command::AddCandidate(candidate) => network.hear(self.end, &candidate),
            Command::CloseInit => {}
            Command::CloseChannel(id) => {
                for end in [Some(self.end), remote].into_iter().flatten() {
                    network.push(end, Event::ChannelClosed(id));
                }
            }
            Command::Close => {
                if let Some(remote) = remote {
                    network.push(remote, Event::Closed(Error::Closed));
                }
            }
        }
    }

    fn open_channel(&mut self) -> Result<ChannelId, Error> {
        let mut network = self.network.lock();
        let remote = network.remote_of(self.end).ok_or(Error::Closed)?;
        // Both ends use the same number: of two that open at once one has the even ones.
        let id = ChannelId(2 * self.opened + u32::from(self.end > remote));
        self.opened += 1;
        network.push(self.end, Event::ChannelReady(id));
        network.push(remote, Event::ChannelOpened(id));
        Ok(id)
    }

    fn send(&mut self, channel: ChannelId, message: Bytes) -> Result<(), Error> {
        let mut network = self.network.lock();
        let remote = network.remote_of(self.end).ok_or(Error::Closed)?;
        if !network.ends.contains_key(&remote) {
            return Err(Error::Closed);
        }
        if let Some(end) = network.ends.get_mut(&self.end) {
            *end.buffered.entry(channel).or_default() += message.len();
        }
        network.push(remote, Event::Message(channel, message));
        Ok(())
    }

    fn buffered(&mut self, channel: ChannelId) -> usize {
        let network = self.network.lock();
        let end = network.ends.get(&self.end);
        end.and_then(|end| end.buffered.get(&channel).copied())
            .unwrap_or_default()
    }

    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        let mut network = self.network.lock();
        match network.pop(self.end) {
            Some(event) => Poll::Ready(event),
            None => {
                if let Some(end) = network.ends.get_mut(&self.end) {
                    end.waker = Some(cx.waker().clone());
                }
                Poll::Pending
            }
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.execute(Command::Close);
        self.network.lock().ends.remove(&self.end);
    }
}
