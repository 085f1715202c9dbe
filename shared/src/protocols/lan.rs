//! Finds peers on the local network: libp2p's mDNS, kept within bounds that it does not have itself.
//!
//! Specification: <https://github.com/libp2p/specs/blob/master/discovery/mdns.md>
//!
//! # Guards around libp2p's mDNS
//!
//! libp2p-mdns 0.49.0:
//!
//! - keeps every record for as long as a remote says, and searches them one by one; an answer counts once for each
//!   address in its packet (3.5 MB of packets made 180 MB here). Not reported, as far as known. `flood` counts what
//!   comes, and [`Behaviour`] counts what is kept; beyond a bound libp2p's mDNS is thrown away for a while;
//! - adds a time to live from the network to the clock without a check, and has a timer that can panic when the
//!   process stands still at the wrong moment (rust-libp2p #5943, open). The panic is caught;
//! - does not know which interface an IPv6 announcement belongs to: its IPv6 stays off.
//!
//! The test of that is the NAT suite's `lan::a_hostile_crowd`. They may go when libp2p-mdns bounds its records and its
//! queues, and #5943 is closed.

mod flood;
mod neighbours;

use std::{
    collections::VecDeque,
    convert::Infallible,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use futures_timer::Delay;
use libp2p::{
    Multiaddr, PeerId,
    core::{
        Endpoint,
        transport::{ListenerId, PortUse},
    },
    mdns::{self, tokio::Behaviour as Mdns},
    swarm::{
        ConnectionDenied, ConnectionId, ExpiredListenAddr, FromSwarm, NetworkBehaviour,
        NewListenAddr, ToSwarm, dummy,
    },
};

use self::{
    flood::Watch,
    neighbours::{MAX_NEIGHBOUR_ADDRESSES, MAX_NEIGHBOURS, Neighbours, Room},
};
use crate::reason::{Cause, Reason};

/// Records that libp2p's mDNS may keep. It bounds nothing itself, and searches them one by one; above
/// this it is thrown away.
const MAX_MDNS_RECORDS: usize = 2 * MAX_NEIGHBOURS * MAX_NEIGHBOUR_ADDRESSES;
/// How long it then stays off.
const MDNS_PAUSE: Duration = Duration::from_secs(60);
/// How long others may take us for being there after our last announcement.
const MDNS_TTL: Duration = Duration::from_secs(120);
/// How often somebody on the network asks who is there: in time before announcements expire.
const MDNS_INTERVAL: Duration = Duration::from_secs(60);

const TOO_MUCH: &str = "too many announcements";

/// What happens on the local network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Event {
    /// A peer announces itself.
    Announced {
        /// The peer.
        peer: PeerId,
        /// Everywhere that it says it is; nowhere, once it no longer says so.
        addresses: Vec<Multiaddr>,
    },
    /// Peers on this network cannot be found.
    Failed {
        /// Why.
        cause: Cause,
    },
}

/// Announces this peer, and reports which others are there.
///
/// ```text
///             first poll               too much is announced, or libp2p's mDNS panics
///   Starting ------------> On ------------------------------------+
///      ^  |                                                       v
///      |  +-- no socket (reported once as Failed) ----------> Pausing
///      +------------------------ MDNS_PAUSE ----------------------+
/// ```
///
/// At most [`MAX_NEIGHBOURS`] peers with [`MAX_NEIGHBOUR_ADDRESSES`] addresses each are remembered.
pub(crate) struct Behaviour {
    me: PeerId,
    room: Room,
    /// What we listen on, as it is announced.
    announced: Vec<(ListenerId, Multiaddr)>,
    neighbours: Neighbours,
    state: State,
    /// Whose addresses are others than those reported last.
    changed: VecDeque<PeerId>,
    /// The failure to start has been reported.
    reported: bool,
}

enum State {
    On(Box<Mdns>, Watch),
    /// To be switched on when first polled: it needs a runtime.
    Starting,
    /// Off until then.
    Pausing(Delay),
}

impl Behaviour {
    pub(crate) fn new(me: PeerId, namespace: &str) -> Self {
        let room = Room::new(namespace);
        Self {
            me,
            room,
            announced: Vec::new(),
            neighbours: Neighbours::new(room),
            state: State::Starting,
            changed: VecDeque::new(),
            reported: false,
        }
    }

    fn start(&mut self) -> io::Result<()> {
        let config = mdns::Config {
            ttl: MDNS_TTL,
            query_interval: MDNS_INTERVAL,
            enable_ipv6: false,
        };
        let watch = Watch::new()?;
        let mut mdns = Mdns::new(config, self.me)?;
        for (listener_id, addr) in &self.announced {
            watch.join(addr);
            let listener_id = *listener_id;
            mdns.on_swarm_event(FromSwarm::NewListenAddr(NewListenAddr {
                listener_id,
                addr,
            }));
        }
        self.state = State::On(Box::new(mdns), watch);
        self.changed = self.neighbours.forget().into();
        Ok(())
    }

    /// Throws libp2p's mDNS away, with all that it has heard. Its tasks end when they next hear of somebody.
    fn pause(&mut self, why: &str) {
        tracing::warn!("{why}: not looking for peers on this network for {MDNS_PAUSE:?}");
        self.state = State::Pausing(Delay::new(MDNS_PAUSE));
    }

    fn poll_mdns(mdns: &mut Mdns, watch: &mut Watch, cx: &mut Context<'_>) -> Poll<Heard> {
        if watch.poll(cx).is_ready() {
            return Poll::Ready(Heard::Failure(TOO_MUCH));
        }
        // Its timer adds without a check what it then takes from the clock; if the process stands
        // still in between, that overflows.
        let polled = catch_unwind(AssertUnwindSafe(|| mdns.poll(cx)));
        match polled {
            Err(_) => Poll::Ready(Heard::Failure("libp2p's mDNS has failed")),
            Ok(Poll::Ready(ToSwarm::GenerateEvent(event))) => Poll::Ready(Heard::Event(event)),
            // It would have the swarm remember peers' addresses: whoever dials them is given them by our event.
            Ok(Poll::Ready(_)) => Poll::Ready(Heard::Nothing),
            Ok(Poll::Pending) if mdns.discovered_nodes().len() > MAX_MDNS_RECORDS => {
                Poll::Ready(Heard::Failure(TOO_MUCH))
            }
            Ok(Poll::Pending) => Poll::Pending,
        }
    }

    fn heard(&mut self, heard: Heard) {
        let changed = match heard {
            Heard::Event(mdns::Event::Discovered(records)) => self.neighbours.found(records),
            Heard::Event(mdns::Event::Expired(records)) => self.neighbours.expired(&records),
            Heard::Nothing => return,
            Heard::Failure(why) => return self.pause(why),
        };
        self.changed.extend(changed);
    }

    fn next_event(&mut self) -> Option<Event> {
        let peer = self.changed.pop_front()?;
        let addresses = self.neighbours.addresses_of(peer);
        Some(Event::Announced { peer, addresses })
    }
}

enum Heard {
    Event(mdns::Event),
    Nothing,
    Failure(&'static str),
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = dummy::ConnectionHandler;
    type ToSwarm = Event;

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<dummy::ConnectionHandler, ConnectionDenied> {
        Ok(dummy::ConnectionHandler)
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<dummy::ConnectionHandler, ConnectionDenied> {
        Ok(dummy::ConnectionHandler)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        let (listener_id, addr, new) = match event {
            FromSwarm::NewListenAddr(e) => (e.listener_id, e.addr, true),
            FromSwarm::ExpiredListenAddr(e) => (e.listener_id, e.addr, false),
            _ => return,
        };
        let Some(announced) = self.room.announced(addr) else {
            return;
        };
        let addr = &announced;
        self.announced
            .retain(|known| *known != (listener_id, addr.clone()));
        if new {
            self.announced.push((listener_id, addr.clone()));
        }
        if let State::On(mdns, watch) = &mut self.state {
            if new {
                watch.join(addr);
            }
            mdns.on_swarm_event(if new {
                FromSwarm::NewListenAddr(NewListenAddr { listener_id, addr })
            } else {
                FromSwarm::ExpiredListenAddr(ExpiredListenAddr { listener_id, addr })
            });
        }
    }

    fn on_connection_handler_event(&mut self, _: PeerId, _: ConnectionId, event: Infallible) {
        match event {}
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ToSwarm<Event, Infallible>> {
        loop {
            if let Some(event) = self.next_event() {
                return Poll::Ready(ToSwarm::GenerateEvent(event));
            }
            match &mut self.state {
                State::On(mdns, watch) => match Self::poll_mdns(mdns, watch, cx) {
                    Poll::Ready(heard) => self.heard(heard),
                    Poll::Pending => return Poll::Pending,
                },
                State::Pausing(delay) => match Pin::new(delay).poll(cx) {
                    Poll::Ready(()) => self.state = State::Starting,
                    Poll::Pending => return Poll::Pending,
                },
                State::Starting => {
                    let Err(e) = self.start() else {
                        continue;
                    };
                    self.state = State::Pausing(Delay::new(MDNS_PAUSE));
                    if !std::mem::replace(&mut self.reported, true) {
                        let text = format!("cannot look for peers on this network: {e}");
                        let cause = Cause::new(Reason::LanUnavailable, text);
                        return Poll::Ready(ToSwarm::GenerateEvent(Event::Failed { cause }));
                    }
                }
            }
        }
    }
}
