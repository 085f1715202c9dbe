//! libp2p's mDNS, kept within bounds that it does not have itself.

mod flood;
mod neighbours;

use std::{
    collections::VecDeque,
    convert::Infallible,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll},
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
    neighbours::{Neighbours, Room},
};
use crate::reason::{Cause, Reason};
use crate::{
    config::{MAX_MDNS_RECORDS, MDNS_INTERVAL, MDNS_PAUSE, MDNS_TTL},
    connector::NetworkInput,
};

const TOO_MUCH: &str = "too many announcements";

/// Announces us, and tells who else is there.
pub(crate) struct Lan {
    me: PeerId,
    room: Room,
    /// What we listen on, as it is announced.
    announced: Vec<(ListenerId, Multiaddr)>,
    neighbours: Neighbours,
    state: State,
    /// Who has other addresses than were told last.
    changed: VecDeque<PeerId>,
    /// That it cannot work has been told.
    told: bool,
}

enum State {
    On(Box<Mdns>, Watch),
    /// To be switched on when first polled: it needs a runtime.
    Starting,
    /// Off until then.
    Pausing(Delay),
}

impl Lan {
    pub(crate) fn new(me: PeerId, namespace: &str) -> Self {
        let room = Room::new(namespace);
        Self {
            me,
            room,
            announced: Vec::new(),
            neighbours: Neighbours::new(room),
            state: State::Starting,
            changed: VecDeque::new(),
            told: false,
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

    /// Throws it away, with all that it has heard. Its tasks end when they next hear of somebody.
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
            // What it would tell others of peers' addresses goes through the session instead.
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

    fn next_news(&mut self) -> Option<NetworkInput> {
        let peer = self.changed.pop_front()?;
        let addresses = self.neighbours.addresses_of(peer);
        Some(NetworkInput::Announced { peer, addresses })
    }
}

enum Heard {
    Event(mdns::Event),
    Nothing,
    Failure(&'static str),
}

impl NetworkBehaviour for Lan {
    type ConnectionHandler = dummy::ConnectionHandler;
    type ToSwarm = NetworkInput;

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

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ToSwarm<NetworkInput, Infallible>> {
        loop {
            if let Some(news) = self.next_news() {
                return Poll::Ready(ToSwarm::GenerateEvent(news));
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
                    if !std::mem::replace(&mut self.told, true) {
                        let text = format!("cannot look for peers on this network: {e}");
                        let cause = Cause::new(Reason::LanUnavailable, text);
                        return Poll::Ready(ToSwarm::GenerateEvent(NetworkInput::Failed { cause }));
                    }
                }
            }
        }
    }
}
