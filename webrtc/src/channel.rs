//! A stream on a data channel: frames, and how each direction ends. No clock, no I/O.
//!
//! ```text
//!   writing: Open --finish--> Finished --FIN_ACK--> Over          reading: Open --FIN--> Ended
//!              |                                      ^                      |
//!              +--- abandoned, or STOP_SENDING came --+                      +-- abandoned, RESET_STREAM --> Broken
//! ```
//!
//! Once both directions are over the data channel may be closed: what was sent has arrived.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::wire::{Flag, Frame, Frames, NoMessage};

/// One stream.
#[derive(Debug, Default)]
pub(crate) struct Channel {
    frames: Frames,
    unread: VecDeque<Bytes>,
    reading: Reading,
    writing: Writing,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Reading {
    #[default]
    Open,
    /// The remote has sent all.
    Ended,
    /// The remote gave up, or this side wants no more.
    Broken,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Writing {
    #[default]
    Open,
    /// All is sent, and not known to have arrived.
    Finished,
    /// Nothing more goes, and nothing is waited for.
    Over,
}

/// What came of a message.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Received {
    /// Bytes that can be read now and could not before.
    pub(crate) bytes: usize,
    /// Bytes that will not be read any more, of those that could.
    pub(crate) discarded: usize,
    /// To be sent back.
    pub(crate) reply: Option<Flag>,
}

/// The direction has been broken off.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Reset;

impl Channel {
    /// Takes in a message of the data channel.
    pub(crate) fn receive(&mut self, message: Bytes) -> Result<Received, NoMessage> {
        self.frames.push(message);
        let mut received = Received::default();
        while let Some(frame) = self.frames.next()? {
            self.receive_frame(frame, &mut received);
        }
        Ok(received)
    }

    fn receive_frame(&mut self, frame: Frame, received: &mut Received) {
        // A flag ends what the payload beside it belongs to.
        if let Some(payload) = frame.message
            && !payload.is_empty()
            && self.reading == Reading::Open
        {
            received.bytes += payload.len();
            self.unread.push_back(payload);
        }
        // Flags that this version does not know mean nothing to it.
        match frame.flag.map(Flag::try_from) {
            Some(Ok(Flag::Fin)) => {
                if self.reading == Reading::Open {
                    self.reading = Reading::Ended;
                }
                received.reply = Some(Flag::FinAck);
            }
            Some(Ok(Flag::ResetStream)) if self.reading == Reading::Open => {
                self.reading = Reading::Broken;
                received.discarded += self.discard();
            }
            Some(Ok(Flag::StopSending)) => self.writing = Writing::Over,
            Some(Ok(Flag::FinAck)) if self.writing == Writing::Finished => {
                self.writing = Writing::Over;
            }
            _ => {}
        }
    }

    /// The data channel is gone. What arrived can still be read.
    pub(crate) fn closed(&mut self) {
        if self.reading == Reading::Open {
            self.reading = Reading::Broken;
        }
        self.writing = Writing::Over;
    }

    /// Copies what has arrived. `None`: nothing yet; 0: there is no more.
    pub(crate) fn read(&mut self, into: &mut [u8]) -> Result<Option<usize>, Reset> {
        let mut copied = 0;
        while copied < into.len()
            && let Some(first) = self.unread.front_mut()
        {
            let part = first.split_to(first.len().min(into.len() - copied));
            into[copied..copied + part.len()].copy_from_slice(&part);
            copied += part.len();
            if first.is_empty() {
                self.unread.pop_front();
            }
        }
        match self.reading {
            _ if copied > 0 || into.is_empty() => Ok(Some(copied)),
            Reading::Open => Ok(None),
            Reading::Ended => Ok(Some(0)),
            Reading::Broken => Err(Reset),
        }
    }

    /// Whether anything more may be written.
    pub(crate) fn is_writable(&self) -> bool {
        self.writing == Writing::Open
    }

    /// All is written. Returns what to send about it.
    pub(crate) fn finish(&mut self) -> Option<Flag> {
        let first = self.writing == Writing::Open;
        if first {
            self.writing = Writing::Finished;
        }
        first.then_some(Flag::Fin)
    }

    /// Nobody reads or writes any more. Returns what to send about it, and how many bytes nobody will read.
    pub(crate) fn abandon(&mut self) -> (Vec<Flag>, usize) {
        let mut flags = Vec::new();
        if self.reading == Reading::Open {
            self.reading = Reading::Broken;
            flags.push(Flag::StopSending);
        }
        if self.writing == Writing::Open {
            self.writing = Writing::Over;
            flags.push(Flag::ResetStream);
        }
        (flags, self.discard())
    }

    /// Whether neither direction is waited for.
    pub(crate) fn is_over(&self) -> bool {
        self.reading != Reading::Open && self.writing == Writing::Over
    }

    fn discard(&mut self) -> usize {
        self.unread.drain(..).map(|part| part.len()).sum()
    }
}

#[cfg(test)]
mod tests;
