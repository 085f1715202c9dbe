//! How two peers agree on a connection: an offer, an answer, and candidates both ways. No clock, no I/O.
//!
//! ```text
//!   offerer                                       answerer
//!      | -- SDP_OFFER ------------------------------> |
//!      | -- ICE_CANDIDATE, as they are found -------> |
//!      | <------------------------------ SDP_ANSWER -- |
//!      | <------- ICE_CANDIDATE, as they are found --- |
//!      ... ICE, DTLS ...
//!      closes the channel "init", and both the stream
//! ```
//!
//! Specification: <https://github.com/libp2p/specs/blob/master/webrtc/webrtc.md>. It leaves open that candidates come before
//! the description that they belong to: they are kept, a bounded number of them. Some implementations take whatever comes
//! first for the description, so a candidate is never sent before it.

use std::collections::VecDeque;

use crate::{
    Error,
    backend::{Command, Event, Role},
    wire::{Signal, SignalKind},
};

/// Candidates of the remote that are tried, and those of its own that are sent. Further ones are ignored.
pub const MAX_CANDIDATES: usize = 64;
/// Signals of the remote. One that sends more wants something else.
pub const MAX_SIGNALS: usize = 256;

/// One side of the exchange.
#[derive(Debug)]
pub(crate) struct Signalling {
    role: Role,
    /// What the remote described itself with.
    theirs: Option<String>,
    /// Our description has been sent.
    described: bool,
    /// Candidates of the remote that its description has to come before.
    early: VecDeque<String>,
    /// The same for our own.
    unsent: VecDeque<String>,
    /// Candidates of the remote so far.
    candidates: usize,
    /// Candidates of our own that were sent, or wait to be.
    offered: usize,
    signals: usize,
    outputs: VecDeque<Output>,
}

/// What the exchange wants done.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Output {
    /// Send this.
    Send(Signal),
    /// Have the backend do this.
    Do(Command),
    /// There is a connection. Nothing comes after it.
    Connected,
}

impl Signalling {
    pub(crate) fn new(role: Role) -> Self {
        let begin = match role {
            Role::Offerer => Some(Output::Do(Command::Offer)),
            Role::Answerer => None,
        };
        Self {
            role,
            theirs: None,
            described: false,
            early: VecDeque::new(),
            unsent: VecDeque::new(),
            candidates: 0,
            offered: 0,
            signals: 0,
            outputs: begin.into_iter().collect(),
        }
    }

    pub(crate) fn next(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Takes in what the remote sent.
    pub(crate) fn on_signal(&mut self, signal: Signal) -> Result<(), Error> {
        self.signals += 1;
        if self.signals > MAX_SIGNALS {
            return Err(Error::Protocol("too many messages"));
        }
        match (signal.into_parts(), self.role) {
            (Some((SignalKind::IceCandidate, candidate)), _) => self.on_candidate(candidate),
            (Some((SignalKind::SdpOffer, offer)), Role::Answerer) => {
                return self.on_description(offer, Command::Answer);
            }
            (Some((SignalKind::SdpAnswer, answer)), Role::Offerer) => {
                if !self.described {
                    return Err(Error::Protocol("an answer before the offer"));
                }
                return self.on_description(answer, Command::TakeAnswer);
            }
            (Some(_), _) => return Err(Error::Protocol("a description of the wrong side")),
            // A later version's.
            (None, _) => {}
        }
        Ok(())
    }

    fn on_description(
        &mut self,
        text: String,
        command: fn(String) -> Command,
    ) -> Result<(), Error> {
        match &self.theirs {
            Some(before) if *before == text => return Ok(()),
            Some(_) => return Err(Error::Protocol("two descriptions")),
            None => self.theirs = Some(text.clone()),
        }
        self.outputs.push_back(Output::Do(command(text)));
        let early = self.early.drain(..).map(Command::AddCandidate);
        self.outputs.extend(early.map(Output::Do));
        Ok(())
    }

    fn on_candidate(&mut self, candidate: String) {
        // The end of candidates: nothing to be tried.
        if candidate.is_empty() || candidate == "null" || self.candidates >= MAX_CANDIDATES {
            return;
        }
        self.candidates += 1;
        if self.theirs.is_none() {
            self.early.push_back(candidate);
        } else {
            let command = Command::AddCandidate(candidate);
            self.outputs.push_back(Output::Do(command));
        }
    }

    /// The remote sends no more.
    pub(crate) fn on_end(&self, reason: String) -> Result<(), Error> {
        match &self.theirs {
            Some(_) => Ok(()),
            None => Err(Error::Signalling(reason)),
        }
    }

    /// Takes in what the backend reports.
    pub(crate) fn on_event(&mut self, event: Event) -> Result<(), Error> {
        match event {
            Event::Described(text) if !self.described => {
                self.described = true;
                let kind = match self.role {
                    Role::Offerer => SignalKind::SdpOffer,
                    Role::Answerer => SignalKind::SdpAnswer,
                };
                self.send(kind, text);
                while let Some(candidate) = self.unsent.pop_front() {
                    self.send(SignalKind::IceCandidate, candidate);
                }
            }
            Event::Candidate(candidate) if self.offered < MAX_CANDIDATES => {
                self.offered += 1;
                if self.described {
                    self.send(SignalKind::IceCandidate, candidate);
                } else {
                    self.unsent.push_back(candidate);
                }
            }
            Event::Connected => {
                if self.role == Role::Offerer {
                    self.outputs.push_back(Output::Do(Command::CloseInit));
                }
                self.outputs.push_back(Output::Connected);
            }
            Event::Closed(error) => return Err(error),
            // Of channels: the connection has them.
            _ => {}
        }
        Ok(())
    }

    fn send(&mut self, kind: SignalKind, data: String) {
        let signal = Signal::new(kind, data);
        self.outputs.push_back(Output::Send(signal));
    }
}

#[cfg(test)]
mod tests;
