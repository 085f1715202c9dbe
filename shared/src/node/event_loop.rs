//! Runs a node: carries the swarm's events into the connector, and the connector's outputs out.

use std::{fmt, sync::Arc};

use futures::{FutureExt, StreamExt};
use futures_timer::Delay;
use libp2p::{
    Multiaddr, Swarm, core::transport::ListenerId, identity::Keypair, multiaddr::Protocol,
    request_response::ResponseChannel, swarm::ConnectionId,
};
use tokio::sync::{mpsc, oneshot};
use web_time::Instant;

use super::{PeerInfo, Request};
use crate::{
    config::{
        CLOSE_TIMEOUT, FAREWELL_TIME, NodeConfig, OUTBOX_CHECK_INTERVAL, SHUTDOWN_TIMEOUT,
        UNREGISTER_TIME,
    },
    connector::{Connector, DialId, Input, RelayId},
    error::StartError,
    event::Event,
    node::behaviour::Behaviour,
    node::gate::Gated,
    platform,
    protocols::greet,
    protocols::msg::hub::Hub,
    protocols::rendezvous,
    reason::Cause,
    table::Table,
};

/// Runs a node. Whoever starts the node polls it: a tokio task, or `spawn_local`.
pub struct EventLoop {
    pub(super) swarm: Swarm<Gated<Behaviour>>,
    pub(super) connector: Connector,
    pub(super) hub: Arc<Hub>,
    pub(super) rendezvous: rendezvous::client::Client,
    /// Signs what we register.
    pub(super) key: Keypair,
    requests: mpsc::Receiver<Request>,
    /// Configured listeners that are not up yet.
    pub(super) listeners_due: Vec<ListenerId>,
    /// What stands, or has been asked for: one for each relay.
    pub(super) reservations: Vec<Reservation>,
    /// Dials that the connector waits for.
    pub(super) dials: Table<ConnectionId, DialId>,
    /// Who is at the other end, where, and where they see us.
    pub(super) connections: Table<ConnectionId, Connection>,
    /// Where relays see us: what has been reported already.
    pub(super) observed: Vec<Multiaddr>,
    /// A relay was told that we leave.
    pub(super) unregistered: bool,
}

/// Observed addresses that are remembered as reported.
pub(super) const MAX_OBSERVED: usize = 32;

/// The listener that stands for a reservation.
#[derive(Debug)]
pub(super) struct Reservation {
    pub(super) listener: ListenerId,
    pub(super) relay: RelayId,
    /// The circuit that was asked for.
    pub(super) address: Multiaddr,
}

/// What the loop remembers of a connection.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) address: Multiaddr,
    pub(super) observed: Option<Multiaddr>,
    /// The first greeting, if it was faster than identify, which tells where the greeter sees us.
    pub(super) unanswered: Option<ResponseChannel<greet::Response>>,
}

impl EventLoop {
    pub(super) fn new(
        mut swarm: Swarm<Gated<Behaviour>>,
        key: Keypair,
        mut config: NodeConfig,
        hub: Arc<Hub>,
        requests: mpsc::Receiver<Request>,
    ) -> Result<Self, StartError> {
        let listeners_due = listen(&mut swarm, &config.listen)?;
        config.hole_punch &= platform::HOLE_PUNCH;
        let connector = Connector::new(
            &config,
            *swarm.local_peer_id(),
            rand::random(),
            Instant::now(),
        );
        Ok(Self {
            swarm,
            connector,
            hub,
            rendezvous: rendezvous::client::Client::new(config.namespace),
            key,
            requests,
            listeners_due,
            reservations: Vec::new(),
            dials: Table::new(),
            connections: Table::new(),
            observed: Vec::new(),
            unregistered: false,
        })
    }

    /// Runs the node until [`super::Node::shutdown`], or until every handle is gone.
    pub async fn run(self) {
        let hub = self.hub.clone();
        hub.drivers.run_beside(self.run_swarm()).await;
    }

    async fn run_swarm(mut self) {
        let peer_id = *self.swarm.local_peer_id();
        self.hub.events.push(Event::Started { peer_id });
        if self.listeners_due.is_empty() {
            self.input(Input::ListenersReady);
        }
        let reply = self.run_until_shutdown().await;
        self.stop().await;
        if let Some(reply) = reply {
            // The handle may be gone by now.
            let _ = reply.send(());
        }
    }

    async fn run_until_shutdown(&mut self) -> Option<oneshot::Sender<()>> {
        let mut outbox_check = Delay::new(OUTBOX_CHECK_INTERVAL);
        let mut timer = Timer::default();
        loop {
            self.hub.events.settled().await;
            self.perform_outputs();
            futures::select! {
                event = self.swarm.select_next_some() => self.on_swarm_event(event),
                request = self.requests.recv().fuse() => match request {
                    Some(Request::Shutdown(reply)) => return Some(reply),
                    Some(request) => self.on_request(request),
                    None => return None,
                },
                () = timer.until(self.connector.poll_timeout()).fuse() => {
                    self.connector.handle_timeout(Instant::now());
                }
                () = (&mut outbox_check).fuse() => {
                    outbox_check.reset(OUTBOX_CHECK_INTERVAL);
                    self.hub.tick(Instant::now());
                }
            }
        }
    }

    /// Tells the relays, waits for acks, closes every connection, ends the event stream.
    async fn stop(&mut self) {
        self.requests.close();
        self.input(Input::Shutdown);
        let least = if self.unregistered {
            UNREGISTER_TIME
        } else {
            Default::default()
        };
        let mut least = Delay::new(least).fuse();
        let mut most = Delay::new(SHUTDOWN_TIMEOUT).fuse();
        let mut waited = false;
        let hub = self.hub.clone();
        loop {
            let mut acked = hub.left_outbox().fuse();
            if waited && hub.unacked() == 0 {
                break;
            }
            futures::select! {
                event = self.swarm.select_next_some() => self.on_swarm_event(event),
                () = acked => {}
                () = least => waited = true,
                () = most => break,
            }
        }
        self.hub.stop();
        let peers: Vec<_> = self.swarm.connected_peers().copied().collect();
        for peer in peers {
            // An error means that it is gone already.
            let _ = self.swarm.disconnect_peer_id(peer);
        }
        let farewell = !self.connections.is_empty();
        let mut most = Delay::new(CLOSE_TIMEOUT).fuse();
        while !self.connections.is_empty() {
            futures::select! {
                event = self.swarm.select_next_some() => self.on_swarm_event(event),
                () = most => break,
            }
        }
        if farewell {
            Delay::new(FAREWELL_TIME).await;
        }
        self.hub.events.close();
    }

    fn on_request(&mut self, request: Request) {
        match request {
            Request::Dial(address) => self.input(Input::Dial(address)),
            Request::AddRelay(relay) => self.input(Input::AddRelay(relay)),
            Request::RelayFound(place, relay) => {
                self.input(Input::RelayFound { place, relay });
            }
            Request::DropRelay(relay) => self.input(Input::DropRelay(relay)),
            Request::Wake => self.input(Input::Wake),
            Request::Peers(reply) => {
                // Whoever asked may have stopped waiting.
                let _ = reply.send(self.peers());
            }
            Request::Relays(reply) => {
                let _ = reply.send(self.connector.relays(Instant::now()));
            }
            Request::Shutdown(_) => {}
            #[cfg(test)]
            Request::Meddle(meddling) => meddling.with(&mut self.swarm),
        }
    }

    fn peers(&self) -> Vec<PeerInfo> {
        let msg = &self.swarm.behaviour().0.msg;
        let room = self.hub.room(Instant::now());
        room.into_iter()
            .map(|peer| {
                let (path, rtt) = msg.active_path(&peer).unzip();
                let failure = self.connector.punch_failure(peer);
                PeerInfo {
                    peer,
                    path: path.as_ref().map(|p| p.kind),
                    transport: path.as_ref().map(|p| p.transport),
                    address: path.map(|p| p.address),
                    rtt: rtt.flatten(),
                    unacked: self.hub.unacked_by(&peer),
                    code: failure.map(|cause| cause.code),
                    reason: failure.map(|cause| cause.text.clone()),
                }
            })
            .collect()
    }

    /// Passes something to the connector, and does at once what it wants.
    pub(super) fn input(&mut self, input: Input) {
        self.connector.handle(Instant::now(), input);
        self.perform_outputs();
    }
}

/// Binds the listeners. A machine without IPv6 is fine, an address that was asked for by number and
/// cannot be had is not.
fn listen(
    swarm: &mut Swarm<Gated<Behaviour>>,
    addresses: &[Multiaddr],
) -> Result<Vec<ListenerId>, StartError> {
    let mut listeners = Vec::new();
    for address in addresses {
        match swarm.listen_on(address.clone()) {
            Ok(listener) => {
                listeners.push(listener);
            }
            Err(e) if is_any_ipv6(address) => {
                tracing::info!(%address, "not listening: {e}");
            }
            Err(e) => {
                return Err(StartError::Listen {
                    address: address.clone(),
                    reason: Cause::of_transport(&e).text,
                });
            }
        }
    }
    Ok(listeners)
}

fn is_any_ipv6(address: &Multiaddr) -> bool {
    matches!(address.iter().next(), Some(Protocol::Ip6(ip)) if ip.is_unspecified())
}

/// A timer that is set anew only when its deadline moves.
#[derive(Default)]
struct Timer {
    armed: Option<(Instant, Delay)>,
}

impl Timer {
    async fn until(&mut self, deadline: Option<Instant>) {
        let Some(deadline) = deadline else {
            return std::future::pending().await;
        };
        if self.armed.as_ref().is_none_or(|(at, _)| *at != deadline) {
            let delay = deadline.saturating_duration_since(Instant::now());
            self.armed = Some((deadline, Delay::new(delay)));
        }
        if let Some((_, delay)) = &mut self.armed {
            delay.await;
        }
        self.armed = None;
    }
}

impl fmt::Debug for EventLoop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventLoop")
            .field("peer_id", self.swarm.local_peer_id())
            .finish_non_exhaustive()
    }
}
