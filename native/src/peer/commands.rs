//! Does what is typed.

use std::{sync::Arc, time::Duration};

use libp2p::{Multiaddr, PeerId};
use punchline::{
    command::{Command, ParseCommandError},
    error::SendError,
    node::Node,
};
use tokio::time;

use super::{
    lines::{Lines, Typed},
    names::NoSuchPeer,
    presence::Presence,
    teller::Teller,
};

/// How long piped lines wait for somebody to send them to, once the writer can do no more.
pub(crate) const PEER_TIMEOUT: Duration = Duration::from_secs(30);
/// How long they wait for the other peers that are being dialled, once the first is there.
const GATHER_TIMEOUT: Duration = Duration::from_secs(5);

/// Who types.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// A person, who sees that nobody is there and can try again.
    Person,
    /// A program or a file: its lines wait, and must not get lost.
    Pipe,
}

/// Why there is nothing more to do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Somebody wants to leave.
    Quit,
    /// Everything that was piped in has been acked, or has failed.
    Delivered,
    /// Nobody came to take what was piped in.
    Nobody,
}

/// Carries out lines, one after the other.
#[derive(Debug)]
pub(crate) struct Commands {
    pub(crate) node: Node,
    pub(crate) teller: Arc<Teller>,
    pub(crate) presence: Presence,
    pub(crate) source: Source,
    /// Those dialled at start that piped lines should not miss.
    pub(crate) dialled: Vec<Multiaddr>,
}

/// Nobody came in time.
struct Nobody;

impl Commands {
    /// Carries out all lines. Without any, a pipe's end means nothing.
    pub(crate) async fn run(mut self, mut lines: Lines) -> Ending {
        let mut any = false;
        while let Some(typed) = lines.next().await {
            any = true;
            match self.carry_out(typed, &mut lines).await {
                Ok(true) => {}
                Ok(false) => break,
                Err(Nobody) => return Ending::Nobody,
            }
        }
        match self.source {
            Source::Person => Ending::Quit,
            Source::Pipe if any => {
                self.node.drained().await;
                Ending::Delivered
            }
            Source::Pipe => std::future::pending().await,
        }
    }

    /// Returns whether to go on.
    async fn carry_out(&mut self, typed: Typed, lines: &mut Lines) -> Result<bool, Nobody> {
        let command = match typed {
            Typed::Bad(message) => {
                self.teller.refuse(message).await;
                return Ok(true);
            }
            Typed::Line(line) => line.parse(),
        };
        match command {
            Ok(Command::Broadcast { body }) => self.broadcast(&body, lines).await?,
            Ok(Command::Send { to, body }) => self.send_to(&to, &body, lines).await?,
            // An error means that the node has stopped, and so will we.
            Ok(Command::Dial { address }) => drop(self.node.dial(address).await),
            Ok(Command::Peers) => {
                let peers = self.node.peers().await.unwrap_or_default();
                self.teller.peers(&peers).await;
            }
            Ok(Command::Help) => self.teller.help().await,
            Ok(Command::Quit) => return Ok(false),
            Err(ParseCommandError::Empty) => {}
            Err(e) => self.teller.refuse(e.to_string()).await,
        }
        Ok(true)
    }

    async fn broadcast(&mut self, body: &str, lines: &mut Lines) -> Result<(), Nobody> {
        if self.source == Source::Pipe {
            self.wait_for_someone(lines).await?;
        }
        let room = self.node.room();
        if room.is_empty() {
            self.teller
                .refuse("nobody is here yet: not sent".into())
                .await;
        }
        self.send(&room, body).await;
        Ok(())
    }

    async fn send_to(&mut self, typed: &str, body: &str, lines: &mut Lines) -> Result<(), Nobody> {
        let node = self.node.clone();
        let teller = self.teller.clone();
        let find = || teller.find(typed, &node.room());
        if self.source == Source::Pipe {
            self.wait_for_someone(lines).await?;
            let known = || find() != Err(NoSuchPeer::Unknown);
            // Not in time: the error is told below.
            let _ = time::timeout(PEER_TIMEOUT, self.presence.until(known)).await;
        }
        match find() {
            Ok(peer) => self.send(&[peer], body).await,
            Err(NoSuchPeer::Unknown) => {
                let message =
                    format!("no peer here is called {typed}: not sent; /peers lists who is here");
                self.teller.refuse(message).await;
            }
            Err(NoSuchPeer::Ambiguous) => {
                let message =
                    format!("several peers here are called {typed}: not sent; type more of the id");
                self.teller.refuse(message).await;
            }
        }
        Ok(())
    }

    /// Waits until the room is not empty and, the first time, until who was dialled is there.
    async fn wait_for_someone(&mut self, lines: &mut Lines) -> Result<(), Nobody> {
        let node = self.node.clone();
        let came = self.presence.until(|| !node.room().is_empty());
        let too_late = async {
            lines.pressing().await;
            time::sleep(PEER_TIMEOUT).await;
        };
        tokio::select! {
            biased;
            () = came => {}
            () = too_late => return Err(Nobody),
        }
        let dialled = std::mem::take(&mut self.dialled);
        if dialled.len() > 1 {
            let all = self.presence.until_all(&dialled);
            // Who is not there by now may never be, and the others wait.
            let _ = time::timeout(GATHER_TIMEOUT, all).await;
        }
        Ok(())
    }

    async fn send(&mut self, to: &[PeerId], body: &str) {
        let mut copies = Vec::with_capacity(to.len());
        for peer in to {
            match self.send_one(*peer, body).await {
                Ok(id) => copies.push((*peer, id)),
                Err(SendError::Stopped) => return,
                Err(e) => self.teller.refuse(format!("not sent: {e}")).await,
            }
        }
        let away: Vec<_> = to
            .iter()
            .copied()
            .filter(|peer| !self.presence.is_here(peer))
            .collect();
        self.teller.sent(&copies, &away).await;
    }

    /// Waits while the peer's outbox is full.
    async fn send_one(&self, peer: PeerId, body: &str) -> Result<u64, SendError> {
        match self.node.send(peer, body) {
            Err(SendError::OutboxFull(_)) => {}
            result => return result,
        }
        if self.source == Source::Person {
            let name = self.teller.name(peer);
            let text = format!("  … waiting: {name} has not acked earlier lines yet");
            self.teller.note(&text).await;
        }
        self.node.send_when_ready(peer, body).await
    }
}
