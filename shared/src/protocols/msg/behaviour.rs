//! Chooses the connection that carries the messages to a peer.

use std::{
    cmp::Reverse,
    collections::VecDeque,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use libp2p::{
    Multiaddr, PeerId,
    core::{Endpoint, transport::PortUse},
    swarm::{
        ConnectionClosed, ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandler,
        THandlerInEvent, THandlerOutEvent, ToSwarm,
    },
};
use web_time::Instant;

use super::{
    handler::{Handler, ToBehaviour},
    messenger::Messenger,
};
use crate::{
    path::{ActivePath, ConnId, Transport},
    reason::{Cause, Reason},
    remote::{Membership, Remote},
    table::Table,
};

/// What happens to paths. Messages go straight into the event queue.
#[derive(Debug)]
pub(crate) enum Event {
    /// Messages to this peer take another path from now on, or have none (`None`), for this cause. With a path the
    /// cause is not for people: it may be that the path is simply better.
    Path {
        peer: PeerId,
        path: Option<ActivePath>,
        remote: Remote,
        cause: Cause,
    },
    /// The peer has another name, or belongs to another room.
    Introduced { peer: PeerId, remote: Remote },
    /// A connection has carried no message for a while, and none is under way on it.
    Drained { peer: PeerId, conn: ConnId },
    /// A remote does not answer on a connection: for a moment, or (`dead`) for too long.
    Silent {
        peer: PeerId,
        conn: ConnId,
        dead: bool,
    },
}

/// The paths of all peers.
///
/// Its owner passes on its [`Event`]s, and calls [`Behaviour::admit`] once the application knows that a peer is
/// connected: messages of that peer are held back until then. Lines to the room may go earlier, by a circuit that
/// [`Behaviour::expect`] names. Of the connections to a peer, each in one of these
/// states, the active one is the best that is proven: one that answers before a silent one, then by transport, then
/// the present one, then the older.
///
/// ```text
///       the remote answered on it, or said hello    no answer for a moment
///   unproven --------------------------> proven -----------------------> silent
///      ^                                   ^ |                              |
///      |                                   +-|--------- it answers ---------+
///      +------- our stream on it broke ------+                              |
///      +------- no answer for too long (Event::Silent { dead: true }) ------+
/// ```
///
/// A peer that says goodbye on one of them has left on all: none of them is proven again.
///
/// There are as many candidates as connections, which `limits` bounds.
#[derive(Debug)]
pub(crate) struct Behaviour {
    messenger: Arc<Messenger>,
    /// Peers of an earlier run.
    met: Vec<PeerId>,
    peers: Table<PeerId, Vec<Candidate>>,
    pending: VecDeque<Event>,
}

#[derive(Debug)]
struct Candidate {
    conn: ConnId,
    transport: Transport,
    address: Multiaddr,
    proven: bool,
    /// It has not been answered on: only an answer proves it again.
    failed: bool,
    /// It has not answered for a moment. Any path that answers is better.
    silent: bool,
    active: bool,
    /// The remote said goodbye.
    left: bool,
    rtt: Option<Duration>,
}

impl Behaviour {
    /// `met`: peers that spoke msg in an earlier run.
    pub(crate) fn new(messenger: Arc<Messenger>, met: Vec<PeerId>) -> Self {
        Self {
            messenger,
            met,
            peers: Table::new(),
            pending: VecDeque::new(),
        }
    }

    /// Lets a peer's messages be shown from now on: the application knows that it is connected. `in_room` counts for
    /// one that speaks only the one-shot form, which proves nothing.
    pub(crate) fn admit(&self, peer: &PeerId, in_room: bool) {
        if let Some(conversation) = self.messenger.conversation(peer) {
            conversation.admit(in_room);
        }
    }

    /// Lets lines to the room go by this circuit before the peer has answered on it: it is listed in the room. There is
    /// no path yet that they could take.
    pub(crate) fn expect(&self, peer: &PeerId, conn: ConnId) {
        let candidates = self.peers.get(peer).map_or(&[][..], Vec::as_slice);
        let stands = candidates.iter().any(|c| c.conn == conn && !c.left);
        if stands && !candidates.iter().any(|c| c.active) {
            let conversation = self.messenger.conversation_or_new(*peer);
            conversation.expect(conn, Instant::now());
        }
    }

    /// Returns one of the connections to this peer.
    #[cfg(test)]
    pub(crate) fn a_connection_to(&self, peer: &PeerId) -> Option<ConnId> {
        self.peers.get(peer)?.first().map(|c| c.conn)
    }

    /// Returns the path that messages to this peer take, and its round-trip time.
    pub(crate) fn active_path(&self, peer: &PeerId) -> Option<(ActivePath, Option<Duration>)> {
        let candidate = self.peers.get(peer)?.iter().find(|c| c.active)?;
        Some((candidate.path(), candidate.rtt))
    }

    fn add(
        &mut self,
        conn: ConnectionId,
        peer: PeerId,
        transport: Transport,
        address: Multiaddr,
    ) -> Handler {
        let candidates = self.peers.get_or_insert_with(peer, Vec::new);
        let conversation = self.messenger.conversation_or_new(peer);
        // Who is called by a circuit is a peer, and so is who has spoken msg before: identify's word would take a round
        // trip more.
        let speaks_msg = transport == Transport::Circuit
            || candidates.iter().any(|c| c.proven)
            || self.met.contains(&peer)
            || conversation.lock().remote.membership != Membership::Unproven;
        candidates.push(Candidate {
            conn,
            transport,
            address,
            proven: false,
            failed: false,
            silent: false,
            active: false,
            left: false,
            rtt: None,
        });
        let mut handler = Handler::new(conn, transport, self.messenger.clone(), conversation);
        if speaks_msg {
            handler.open_outbound();
        }
        handler
    }

    fn remove(&mut self, peer: PeerId, conn: ConnectionId, cause: &Cause) {
        if let Some(candidates) = self.peers.get_mut(&peer) {
            let was_active = candidates.iter().any(|c| c.conn == conn && c.active);
            candidates.retain(|c| c.conn != conn);
            if was_active || self.is_expected(&peer, conn) {
                self.choose(peer, cause);
            }
        }
        if self.peers.get(&peer).is_some_and(Vec::is_empty) {
            self.peers.remove(&peer);
        }
    }

    /// Whether messages to a peer without a path may take this connection.
    fn is_expected(&self, peer: &PeerId, conn: ConnId) -> bool {
        let conversation = self.messenger.conversation(peer);
        conversation.is_some_and(|conversation| conversation.lock().active == Some(conn))
    }

    /// The remote says hello on a new connection, whose handshake has gone both ways: it need not wait for our answer to
    /// learn that it is connected, nor need we.
    fn set_greeted(&mut self, peer: PeerId, conn: ConnectionId) {
        let candidates = self.peers.get(&peer);
        let candidate = candidates.and_then(|all| all.iter().find(|c| c.conn == conn));
        if candidate.is_some_and(|c| !c.proven && !c.failed) {
            self.set_proven(peer, conn, Ok(None));
        }
    }

    fn set_proven(
        &mut self,
        peer: PeerId,
        conn: ConnectionId,
        proven: Result<Option<Duration>, Cause>,
    ) {
        let mut candidates = self.peers.get_mut(&peer).into_iter().flatten();
        let Some(candidate) = candidates.find(|c| c.conn == conn) else {
            // The connection was closed meanwhile.
            return;
        };
        let changed = candidate.proven != proven.is_ok() || candidate.silent;
        candidate.proven = proven.is_ok();
        candidate.failed |= proven.is_err();
        candidate.silent = false;
        match proven {
            Ok(rtt) => candidate.rtt = rtt.or(candidate.rtt),
            Err(cause) if changed => return self.choose(peer, &cause),
            Err(_) => {}
        }
        if changed {
            self.choose(peer, &Cause::new(Reason::Other, "a better path"));
        }
    }

    fn set_silent(&mut self, peer: PeerId, conn: ConnectionId, dead: bool) {
        let mut candidates = self.peers.get_mut(&peer).into_iter().flatten();
        if let Some(candidate) = candidates.find(|c| c.conn == conn) {
            candidate.silent = true;
            candidate.failed = true;
            self.choose(peer, &Cause::new(Reason::NoAnswer, "no answer"));
            self.pending.push_back(Event::Silent { peer, conn, dead });
        }
    }

    fn set_left(&mut self, peer: PeerId) {
        for candidate in self.peers.get_mut(&peer).into_iter().flatten() {
            candidate.left = true;
        }
        self.choose(peer, &Cause::new(Reason::Left, "it left"));
    }

    /// Takes the best proven path. Among equals the present one stays, then the older one.
    fn choose(&mut self, peer: PeerId, cause: &Cause) {
        let Some(candidates) = self.peers.get_mut(&peer) else {
            return;
        };
        let best = candidates
            .iter()
            .filter(|c| c.proven && !c.left)
            .min_by_key(|c| (c.silent, c.transport, Reverse(c.active), c.conn))
            .map(|c| c.conn);
        let present = candidates.iter().find(|c| c.active).map(|c| c.conn);
        let conversation = self.messenger.conversation_or_new(peer);
        let known = conversation.lock().active;
        let is_expected = |conn| candidates.iter().any(|c| c.conn == conn && !c.left);
        if best == present && (best == known || (best.is_none() && known.is_some_and(is_expected)))
        {
            return;
        }
        for candidate in candidates.iter_mut() {
            candidate.active = Some(candidate.conn) == best;
        }
        let path = candidates.iter().find(|c| c.active).map(Candidate::path);
        conversation.set_active(best, Instant::now());
        let remote = conversation.lock().remote.clone();
        self.pending.push_back(Event::Path {
            peer,
            path,
            remote,
            cause: cause.clone(),
        });
    }
}

impl Candidate {
    fn path(&self) -> ActivePath {
        ActivePath {
            conn: self.conn,
            kind: self.transport.path(),
            transport: self.transport,
            address: self.address.clone(),
        }
    }
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = Handler;
    type ToSwarm = Event;

    fn handle_established_inbound_connection(
        &mut self,
        conn: ConnectionId,
        peer: PeerId,
        local_addr: &Multiaddr,
        remote_addr: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        let address = crate::address::of_listener(local_addr, remote_addr);
        Ok(self.add(conn, peer, Transport::of(&address), address))
    }

    fn handle_established_outbound_connection(
        &mut self,
        conn: ConnectionId,
        peer: PeerId,
        addr: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(self.add(conn, peer, Transport::of(addr), addr.clone()))
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionClosed(ConnectionClosed {
                peer_id,
                connection_id,
                cause,
                ..
            }) => {
                self.remove(peer_id, connection_id, &Cause::of_close(cause));
            }
            // A connection that another behaviour denied after we made a handler for it.
            FromSwarm::ListenFailure(failure) => {
                if let Some(peer) = failure.peer_id {
                    let cause = Cause::new(Reason::TooManyConnections, "denied");
                    self.remove(peer, failure.connection_id, &cause);
                }
            }
            FromSwarm::DialFailure(failure) => {
                if let Some(peer) = failure.peer_id {
                    let cause = Cause::new(Reason::TooManyConnections, "denied");
                    self.remove(peer, failure.connection_id, &cause);
                }
            }
            _ => {}
        }
    }

    fn on_connection_handler_event(
        &mut self,
        peer: PeerId,
        conn: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        match event {
            ToBehaviour::Proven { rtt } => self.set_proven(peer, conn, Ok(rtt)),
            ToBehaviour::Greeted => self.set_greeted(peer, conn),
            ToBehaviour::Unproven { cause } => self.set_proven(peer, conn, Err(cause)),
            ToBehaviour::Silent { dead } => self.set_silent(peer, conn, dead),
            ToBehaviour::Drained => self.pending.push_back(Event::Drained { peer, conn }),
            ToBehaviour::Introduced => {
                if let Some(conversation) = self.messenger.conversation(&peer) {
                    let remote = conversation.lock().remote.clone();
                    self.pending.push_back(Event::Introduced { peer, remote });
                }
            }
            ToBehaviour::Left => self.set_left(peer),
        }
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        match self.pending.pop_front() {
            Some(event) => Poll::Ready(ToSwarm::GenerateEvent(event)),
            None => Poll::Pending,
        }
    }
}
