//! The behaviour: finds the circuit that a dial needs, or makes one.

use std::{
    collections::VecDeque,
    convert::Infallible,
    fmt,
    task::{Context, Poll},
};

use either::Either;
use futures::{StreamExt, channel::mpsc};
use libp2p::{
    Multiaddr, PeerId,
    core::{ConnectedPoint, Endpoint, transport::PortUse},
    swarm::{
        ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, NotifyHandler, THandler,
        THandlerInEvent, THandlerOutEvent, ToSwarm,
        dial_opts::{DialOpts, PeerCondition},
        dummy,
    },
};

use crate::{
    Error, address,
    backend::Backend,
    entries::Entries,
    glare::Glare,
    handler::{Handler, Reply},
    transport::{Incoming, Request},
};

/// Dials that wait for a circuit.
pub const MAX_WAITING: usize = 64;

/// Carries the signalling of [`crate::Transport`] over circuits. It reports nothing: connections show as any others.
pub struct Behaviour<B: Backend> {
    backend: B,
    glare: Glare,
    requests: mpsc::Receiver<Request<B::Connection>>,
    incoming: mpsc::Sender<Incoming<B::Connection>>,
    circuits: Entries<ConnectionId, PeerId>,
    /// By the circuit that is being dialled for them.
    waiting: Entries<ConnectionId, Reply<B>>,
    events: VecDeque<ToSwarm<Infallible, Either<Reply<B>, Infallible>>>,
}

impl<B: Backend> Behaviour<B> {
    pub(crate) fn new(
        me: PeerId,
        backend: B,
        requests: mpsc::Receiver<Request<B::Connection>>,
        incoming: mpsc::Sender<Incoming<B::Connection>>,
    ) -> Self {
        Self {
            backend,
            glare: Glare::new(me),
            requests,
            incoming,
            circuits: Entries::default(),
            waiting: Entries::default(),
            events: VecDeque::new(),
        }
    }

    fn handler(&self, peer: PeerId, circuit: &Multiaddr) -> THandler<Self> {
        if !self.backend.is_available() || !address::is_circuit(circuit) {
            return Either::Right(dummy::ConnectionHandler);
        }
        let address = address::over(circuit);
        let (backend, glare) = (self.backend.clone(), self.glare.clone());
        let handler = Handler::new(backend, glare, peer, address, self.incoming.clone());
        Either::Left(handler)
    }

    fn on_request(&mut self, request: Request<B::Connection>) {
        if !self.backend.is_available() {
            // Whoever dialled may have given up.
            let _ = request.reply.send(Err(Error::Unavailable));
            return;
        }
        let peer = request.to.peer;
        let circuit = self.circuits.iter().find(|(_, of)| *of == peer);
        if let Some((conn, _)) = circuit {
            return self.pass(peer, *conn, request.reply);
        }
        if self.waiting.len() >= MAX_WAITING {
            // Whoever dialled may have given up.
            let _ = request.reply.send(Err(Error::Busy));
            return;
        }
        let opts = DialOpts::peer_id(peer)
            .condition(PeerCondition::Always)
            .addresses(vec![request.to.circuit])
            .build();
        self.waiting.insert(opts.connection_id(), request.reply);
        self.events.push_back(ToSwarm::Dial { opts });
    }

    fn pass(&mut self, peer: PeerId, conn: ConnectionId, reply: Reply<B>) {
        self.events.push_back(ToSwarm::NotifyHandler {
            peer_id: peer,
            handler: NotifyHandler::One(conn),
            event: Either::Left(reply),
        });
    }
}

impl<B: Backend> fmt::Debug for Behaviour<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Behaviour")
            .field("circuits", &self.circuits)
            .finish_non_exhaustive()
    }
}

impl<B: Backend> NetworkBehaviour for Behaviour<B> {
    type ConnectionHandler = Either<Handler<B>, dummy::ConnectionHandler>;
    type ToSwarm = Infallible;

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        peer: PeerId,
        local: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(self.handler(peer, local))
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        peer: PeerId,
        address: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(self.handler(peer, address))
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionEstablished(new) => {
                let (peer, conn) = (new.peer_id, new.connection_id);
                let local = match new.endpoint {
                    ConnectedPoint::Dialer { address, .. } => address,
                    ConnectedPoint::Listener { local_addr, .. } => local_addr,
                };
                if address::is_circuit(local) {
                    self.circuits.insert(conn, peer);
                }
                if let Some(reply) = self.waiting.remove(&conn) {
                    self.pass(peer, conn, reply);
                }
            }
            FromSwarm::ConnectionClosed(closed) => {
                self.circuits.remove(&closed.connection_id);
            }
            FromSwarm::ExternalAddrConfirmed(external) => {
                self.backend.reached_at(external.addr, true);
            }
            FromSwarm::ExternalAddrExpired(external) => {
                self.backend.reached_at(external.addr, false);
            }
            FromSwarm::DialFailure(failure) => {
                if let Some(reply) = self.waiting.remove(&failure.connection_id) {
                    let error = Error::NoCircuit(failure.error.to_string());
                    // Whoever dialled may have given up.
                    let _ = reply.send(Err(error));
                }
            }
            _ => {}
        }
    }

    fn on_connection_handler_event(
        &mut self,
        _: PeerId,
        _: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        match event {
            Either::Left(never) | Either::Right(never) => match never {},
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ToSwarm<Infallible, THandlerInEvent<Self>>> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Poll::Ready(event);
            }
            match self.requests.poll_next_unpin(cx) {
                Poll::Ready(Some(request)) => self.on_request(request),
                _ => return Poll::Pending,
            }
        }
    }
}
