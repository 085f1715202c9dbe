//! Carries out what is typed.

use std::{sync::Arc, time::Duration};

use libp2p::PeerId;
use punchline::{
    command::{Command, ParseCommandError},
    error::SendError,
    event::Scope,
    name::PeerName,
    node::Node,
};
use tokio::time;

use super::{
    connectivity::ConnectedPeers,
    input::{InputLine, InputLines},
    names::LookupError,
    reporter::Reporter,
};
use crate::common::company::settled_with;

/// How long piped lines wait for a first receiver, from the moment when the writer can write no more.
pub(crate) const PEER_TIMEOUT: Duration = Duration::from_secs(30);
/// How long the first piped line waits for all who are known to be there, once they are known.
const GATHER_TIMEOUT: Duration = Duration::from_secs(10);
/// How long neighbours on the own network may take to announce themselves.
const LAN_TIME: Duration = Duration::from_secs(2);

/// What a pasted text can be addressed with.
const TO: &str = "/to ";

/// Where lines come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum InputSource {
    /// A person, who sees that nobody is connected and can try again.
    Person,
    /// A program or a file, whose lines wait for a receiver.
    Pipe,
}

/// Why no more lines are carried out.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// `/quit` was typed, or the program was asked to stop.
    Quit,
    /// Every message of a pipe has been acked, or has failed.
    Delivered,
    /// No peer connected in time.
    Nobody,
}

/// Carries out lines, one after the other. [`run`](Self::run) is the whole of its life.
#[derive(Debug)]
pub(crate) struct CommandRunner {
    pub(crate) node: Node,
    pub(crate) reporter: Arc<Reporter>,
    pub(crate) connected: ConnectedPeers,
    pub(crate) source: InputSource,
    /// Neighbours are looked for, too.
    pub(crate) mdns: bool,
    /// Lines have gone out: whoever comes later has not missed any of the rest.
    pub(crate) gathered: bool,
    /// Who was blocked, to be found again.
    pub(crate) blocked: Vec<PeerId>,
}

/// No peer connected in time.
struct NoReceiver;

impl CommandRunner {
    /// Carries out all lines, and waits for the acks of those from a pipe. An empty pipe, such as `/dev/null`, does
    /// not end the program.
    pub(crate) async fn run(mut self, mut lines: InputLines) -> Ending {
        let mut any = false;
        while let Some(line) = lines.next().await {
            any = true;
            match self.carry_out(line, &mut lines).await {
                Ok(true) => {}
                Ok(false) => break,
                Err(NoReceiver) => return Ending::Nobody,
            }
        }
        match self.source {
            InputSource::Person => Ending::Quit,
            InputSource::Pipe if any => {
                self.node.drained().await;
                Ending::Delivered
            }
            InputSource::Pipe => std::future::pending().await,
        }
    }

    /// Returns whether to go on.
    async fn carry_out(
        &mut self,
        line: InputLine,
        lines: &mut InputLines,
    ) -> Result<bool, NoReceiver> {
        let command = match line {
            InputLine::Invalid(message) => {
                self.reporter.refuse(message).await;
                return Ok(true);
            }
            InputLine::Text(line) => line.parse(),
            // `/to PEER` can be typed in front of what is pasted.
            InputLine::Pasted(text) if text.starts_with(TO) => text.parse(),
            InputLine::Pasted(body) => Ok(Command::Broadcast { body }),
        };
        match command {
            Ok(Command::Broadcast { body }) => self.broadcast(&body, lines).await?,
            Ok(Command::Send { to, body }) => self.send_to(&to, &body, lines).await?,
            // An error means that the node has stopped, which ends the program.
            Ok(Command::Dial { address }) => drop(self.node.dial(address).await),
            Ok(Command::Peers) => {
                let peers = self.node.peers().await.unwrap_or_default();
                self.reporter.peers(&peers).await;
            }
            Ok(Command::Block { peer }) => self.block(&peer).await,
            Ok(Command::Unblock { peer }) => self.unblock(&peer).await,
            Ok(Command::Addresses) => self.reporter.addresses().await,
            Ok(Command::Name { name }) => match PeerName::chosen(&name) {
                Ok(name) => self.node.set_name(Some(name)),
                Err(e) => self.reporter.refuse(e.to_string()).await,
            },
            Ok(Command::Help) => self.reporter.help().await,
            Ok(Command::Quit) => return Ok(false),
            Err(ParseCommandError::Empty) => {}
            Err(e) => self.reporter.refuse(e.to_string()).await,
        }
        Ok(true)
    }

    async fn broadcast(&mut self, body: &str, lines: &mut InputLines) -> Result<(), NoReceiver> {
        if self.source == InputSource::Pipe {
            let node = self.node.clone();
            self.wait_for_someone(lines, || !node.room().is_empty())
                .await?;
        }
        let room = self.node.room();
        if room.is_empty() {
            self.reporter
                .refuse("nobody is here yet: not sent".into())
                .await;
        }
        self.send(&room, Scope::Room, body).await;
        Ok(())
    }

    async fn send_to(
        &mut self,
        typed: &str,
        body: &str,
        lines: &mut InputLines,
    ) -> Result<(), NoReceiver> {
        let node = self.node.clone();
        let reporter = self.reporter.clone();
        let find = || reporter.find(typed, &node.here());
        if self.source == InputSource::Pipe {
            // It may be of another room.
            self.wait_for_someone(lines, || !node.here().is_empty())
                .await?;
            let known = || find() != Err(LookupError::Unknown);
            // After a timeout the look-up below fails, and the line is refused.
            let _ = time::timeout(PEER_TIMEOUT, self.connected.until(known)).await;
        }
        match find() {
            Ok(peer) => self.send(&[peer], Scope::Private, body).await,
            Err(LookupError::Unknown) => {
                let message =
                    format!("no peer here is called {typed}: not sent; /peers lists who is here");
                self.reporter.refuse(message).await;
            }
            Err(LookupError::Ambiguous) => {
                let message =
                    format!("several peers here are called {typed}: not sent; type more of the id");
                self.reporter.refuse(message).await;
            }
        }
        Ok(())
    }

    async fn block(&mut self, typed: &str) {
        let Some(peer) = self.find(typed, &self.node.here()).await else {
            return;
        };
        // An error means that the node has stopped, which ends the program.
        let _ = self.node.block(peer).await;
        self.blocked.retain(|blocked| *blocked != peer);
        self.blocked.push(peer);
        let name = self.reporter.name(peer);
        let text = format!("{name} is blocked until you stop, or type /unblock {typed}");
        self.reporter.note(&text).await;
    }

    async fn unblock(&mut self, typed: &str) {
        let Some(peer) = self.find(typed, &self.blocked.clone()).await else {
            return;
        };
        let _ = self.node.unblock(peer).await;
        self.blocked.retain(|blocked| *blocked != peer);
        let name = self.reporter.name(peer);
        self.reporter
            .note(&format!("{name} is no longer blocked"))
            .await;
    }

    /// Who of these is meant; says so if it is nobody, or several.
    async fn find(&self, typed: &str, among: &[PeerId]) -> Option<PeerId> {
        let why = match self.reporter.find(typed, among) {
            Ok(peer) => return Some(peer),
            Err(LookupError::Unknown) => format!("no peer here is called {typed}"),
            Err(LookupError::Ambiguous) => {
                format!("several peers here are called {typed}: type more of the id")
            }
        };
        self.reporter.refuse(why).await;
        None
    }

    /// Waits until somebody is there and, the first time, until everybody is connected who is known to be there.
    async fn wait_for_someone(
        &mut self,
        lines: &mut InputLines,
        is_there: impl Fn() -> bool,
    ) -> Result<(), NoReceiver> {
        let mut connected = self.connected.clone();
        let someone = async {
            tokio::select! {
                () = connected.until(&is_there) => {}
                () = settled_with(&self.node, &is_there) => {}
            }
        };
        let too_late = async {
            lines.full_or_ended().await;
            time::sleep(PEER_TIMEOUT).await;
        };
        tokio::select! {
            biased;
            () = someone => {}
            () = too_late => return Err(NoReceiver),
        }
        if !std::mem::replace(&mut self.gathered, true) {
            // A peer that is not connected by then may never be.
            let _ = time::timeout(GATHER_TIMEOUT, self.gather()).await;
        }
        Ok(())
    }

    async fn gather(&self) {
        if self.mdns {
            time::sleep(LAN_TIME).await;
        }
        // An error means that the node has stopped, which ends the program.
        let _ = self.node.settled().await;
    }

    async fn send(&mut self, to: &[PeerId], scope: Scope, body: &str) {
        let mut messages = Vec::with_capacity(to.len());
        for peer in to {
            match self.send_one(*peer, scope, body).await {
                Ok(id) => messages.push((*peer, id)),
                Err(SendError::Stopped) => return,
                Err(e) => self.reporter.refuse(format!("not sent: {e}")).await,
            }
        }
        let away: Vec<_> = to
            .iter()
            .copied()
            .filter(|peer| self.node.is_away(peer))
            .collect();
        self.reporter.sent(&messages, &away).await;
    }

    /// Sends a message, and waits while the peer's outbox is full.
    async fn send_one(&self, peer: PeerId, scope: Scope, body: &str) -> Result<u64, SendError> {
        match self.node.send(peer, scope, body) {
            Err(SendError::OutboxFull(_)) => {}
            result => return result,
        }
        if self.source == InputSource::Person {
            let name = self.reporter.name(peer);
            let text = format!("  … waiting: {name} has not acked earlier lines yet");
            self.reporter.note(&text).await;
        }
        self.node.send_when_ready(peer, scope, body).await
    }
}
