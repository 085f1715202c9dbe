//! Runs a node: carries the swarm's events into the connector, and carries out what the connector wants.

use std::{fmt, sync::Arc, time::Duration};

use futures::{FutureExt, StreamExt};
use futures_timer::Delay;
use libp2p::{
    Multiaddr, Swarm, core::transport::ListenerId, request_response::ResponseChannel,
    swarm::ConnectionId,
};
use tokio::sync::{mpsc, oneshot};
use web_time::Instant;

use super::{PeerInfo, Request, sockets, swarm_events::listen, timer::Timer};
use crate::{
    budget::Budget,
    config::{BYE_TIMEOUT, CLOSE_TIMEOUT, FAREWELL_TIME, NodeConfig, SHUTDOWN_TIMEOUT},
    connector::{Connector, DialId, Input, RelayId},
    error::StartError,
    event::Event,
    node::behaviour::Behaviour,
    platform,
    poll_on_wake::PollOnWake,
    protocols::greet,
    protocols::msg::messenger::Messenger,
    queue::EventSender,
    table::Table,
};

/// How often outboxes are searched for messages that are too old.
const OUTBOX_CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// Calls of [`super::Node::settled`] that wait at a time.
const MAX_SETTLING: usize = 64;
/// A stop that unregistered waits at least this long, so that the request gets out.
const UNREGISTER_TIME: Duration = Duration::from_millis(200);

/// Runs a node. Whoever starts the node polls [`EventLoop::run`]: a tokio task, or `spawn_local`.
///
/// One turn of the loop:
///
/// 1. It waits while the application is far behind with reading events.
/// 2. It does what the connector wants (`outputs`): dials, reserves, registers, closes, emits events.
/// 3. It waits for one of: an event of the swarm, which `swarm_events` translates into an `Input` of the connector;
///    a request of a [`super::Node`]; the connector's timer; a second, after which messages may be too old.
///
/// Messages do not pass through here: `protocols::msg` has their streams polled beside the loop.
///
/// ```text
///   run --> until shutdown --Request::Shutdown, or no handle left--> stop: unregister, wait for acks, close
///    |                                                                         |
///    +------------------- dropped: aborted, or a panic ------------------------+--> events end, sends fail
/// ```
pub struct EventLoop {
    pub(super) swarm: Swarm<PollOnWake<Behaviour>>,
    pub(super) connector: Connector,
    pub(super) messenger: Arc<Messenger>,
    /// What may be sent where strangers say that they are.
    pub(super) budget: Budget,
    /// To the application.
    pub(super) events: EventSender,
    requests: mpsc::Receiver<Request>,
    /// Who waits for everybody who is known to be connected.
    settling: Vec<oneshot::Sender<()>>,
    /// Configured listeners that are not up yet.
    pub(super) listeners_due: Vec<ListenerId>,
    /// What stands, or has been asked for: one for each relay.
    pub(super) reservations: Vec<Reservation>,
    /// Dials that the connector waits for.
    pub(super) dials: Table<ConnectionId, DialId>,
    pub(super) connections: Table<ConnectionId, Established>,
    /// Addresses at which relays see us that have been reported.
    pub(super) observed: Vec<Multiaddr>,
    /// A relay has been asked to unregister us.
    pub(super) unregistered: bool,
}

/// The listener that stands for a reservation.
#[derive(Debug)]
pub(super) struct Reservation {
    pub(super) listener: ListenerId,
    pub(super) relay: RelayId,
    /// The circuit that was asked for.
    pub(super) address: Multiaddr,
}

/// A connection, as the loop remembers it for greetings.
#[derive(Debug)]
pub(super) struct Established {
    /// Where we see the remote.
    pub(super) address: Multiaddr,
    /// Where it sees us, once identify has said so.
    pub(super) observed: Option<Multiaddr>,
    /// The first greeting, if it was faster than identify, which says where the greeter sees us.
    pub(super) unanswered: Option<ResponseChannel<greet::Response>>,
}

impl EventLoop {
    pub(super) fn new(
        mut swarm: Swarm<PollOnWake<Behaviour>>,
        config: &NodeConfig,
        messenger: Arc<Messenger>,
        budget: Budget,
        requests: mpsc::Receiver<Request>,
    ) -> Result<Self, StartError> {
        let listeners_due = listen(&mut swarm, &config.listen)?;
        let mut connector = Connector::new(
            config,
            *swarm.local_peer_id(),
            rand::random(),
            Instant::now(),
        );
        connector.spend_from(budget.clone());
        if platform::HOLE_PUNCH && config.hole_punch {
            connector.punch_holes();
        }
        Ok(Self {
            swarm,
            connector,
            events: messenger.events.clone(),
            messenger,
            budget,
            requests,
            settling: Vec::new(),
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
        let messenger = self.messenger.clone();
        messenger.drivers.run_beside(self.run_swarm()).await;
    }

    async fn run_swarm(mut self) {
        let peer_id = *self.swarm.local_peer_id();
        let name = self.messenger.own_name();
        self.events.push(Event::Started { peer_id, name });
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
            self.events.settled().await;
            self.perform_outputs();
            self.answer_if_settled();
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
                    self.messenger.tick(Instant::now());
                }
            }
        }
    }

    /// Unregisters, waits for acks, closes every connection, and ends the event stream.
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
        let messenger = self.messenger.clone();
        loop {
            let mut acked = messenger.left_outbox().fuse();
            if waited && messenger.unacked() == 0 {
                break;
            }
            futures::select! {
                event = self.swarm.select_next_some() => self.on_swarm_event(event),
                () = acked => {}
                () = least => waited = true,
                () = most => break,
            }
        }
        self.messenger.stop();
        self.say_bye().await;
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
        self.events.close();
    }

    /// Says goodbye to every peer, and waits until they have closed their connections: they have heard it.
    async fn say_bye(&mut self) {
        self.messenger.leave();
        let mut most = Delay::new(BYE_TIMEOUT).fuse();
        while self.messenger.has_company() {
            futures::select! {
                event = self.swarm.select_next_some() => self.on_swarm_event(event),
                () = most => break,
            }
        }
    }

    fn on_request(&mut self, request: Request) {
        match request {
            Request::Dial(address) => self.input(Input::Dial(address)),
            Request::AddRelay(relay) => self.input(Input::AddRelay(relay)),
            Request::RelayFound(place, relay) => {
                self.input(Input::RelayFound { place, relay });
            }
            Request::DropRelay(relay) => self.input(Input::DropRelay(relay)),
            Request::Wake => {
                sockets::hurry(&mut self.swarm.behaviour_mut().0.sockets);
                self.input(Input::Wake);
            }
            Request::Block(peer) => {
                self.swarm.behaviour_mut().0.limits.block(peer);
                self.messenger.block(&peer);
                // An error means that it is not connected.
                let _ = self.swarm.disconnect_peer_id(peer);
            }
            Request::Unblock(peer) => {
                self.swarm.behaviour_mut().0.limits.unblock(peer);
                self.input(Input::Wake);
            }
            Request::Settled(reply) => {
                self.settling.retain(|waiting| !waiting.is_closed());
                // For one more it is as if the node had stopped.
                if self.settling.len() < MAX_SETTLING {
                    self.settling.push(reply);
                }
            }
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

    fn answer_if_settled(&mut self) {
        if !self.settling.is_empty() && self.connector.is_settled() {
            for reply in self.settling.drain(..) {
                // Whoever asked may have stopped waiting.
                let _ = reply.send(());
            }
        }
    }

    fn peers(&self) -> Vec<PeerInfo> {
        let msg = &self.swarm.behaviour().0.msg;
        let here = self.messenger.here(Instant::now());
        here.into_iter()
            .map(|peer| {
                let (name, in_room) = self.messenger.remote(&peer);
                let (path, rtt) = msg.active_path(&peer).unzip();
                let failure = self.connector.punch_failure(peer);
                PeerInfo {
                    peer,
                    name,
                    in_room,
                    path: path.as_ref().map(|p| p.kind),
                    transport: path.as_ref().map(|p| p.transport),
                    address: path.map(|p| p.address),
                    rtt: rtt.flatten(),
                    unacked: self.messenger.unacked_by(&peer),
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

impl Drop for EventLoop {
    /// Ends the node however the loop has ended: its task may have been aborted, or may have panicked.
    fn drop(&mut self) {
        self.messenger.stop();
        self.events.close();
    }
}

impl fmt::Debug for EventLoop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventLoop")
            .field("peer_id", self.swarm.local_peer_id())
            .finish_non_exhaustive()
    }
}
