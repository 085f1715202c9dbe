//! Asks the local network's gateway to let others reach this peer: by UPnP, or else by PCP or NAT-PMP.
//!
//! UPnP is libp2p's (libp2p-upnp 0.7.0). It has neither PCP nor NAT-PMP, and gives up after one search for a gateway,
//! by a packet that may get lost; neither is reported, as far as known. `pcp` asks by the other two, and
//! [`Behaviour`] searches again. Without them the NAT suite's `mapping::by_pcp` fails. They may go when libp2p has a behaviour for these protocols.

mod pcp;

use std::{
    convert::Infallible,
    net::Ipv4Addr,
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
    multiaddr::Protocol,
    swarm::{
        ConnectionDenied, ConnectionId, ExpiredListenAddr, FromSwarm, NetworkBehaviour,
        NewListenAddr, ToSwarm, dummy,
    },
    upnp::{self, tokio::Behaviour as Upnp},
};

use self::pcp::Pcp;
use crate::address::has_circuit;
use crate::reason::{Cause, Reason};

/// Ports of ours that the gateway is asked to map: three transports on a few interfaces.
const MAX_PORT_MAPPINGS: usize = 12;
/// The first pause after a failure; each next one is twice as long.
const MIN_MAPPING_RETRY: Duration = Duration::from_secs(30);
/// The longest pause.
const MAX_MAPPING_RETRY: Duration = Duration::from_secs(1_800);
/// A gateway that was found and maps nothing within this time is reported.
const MAPPING_WAIT: Duration = Duration::from_secs(30);

/// What the gateway does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Event {
    /// The gateway lets others reach us.
    Mapped {
        /// At this address.
        address: Multiaddr,
    },
    /// The gateway does not let others reach us, or does no more. Reported once, until something was mapped.
    Failed {
        /// Why.
        cause: Cause,
    },
}

/// Has the ports mapped that this peer listens on.
///
/// ```text
///                first poll            no gateway answers
///   Starting ----------------> Upnp -----------------------> Pcp
///      ^                                                      |
///      +------ nothing mapped within the retry's pause -------+
/// ```
///
/// It reports each outside address to the swarm itself (confirmed, expired); the [`Event`]s are for people.
/// At most [`MAX_PORT_MAPPINGS`] ports are mapped.
pub(crate) struct Behaviour {
    listeners: Vec<(ListenerId, Multiaddr)>,
    asking: Asking,
    /// How long to wait before looking for a gateway again.
    retry: Duration,
    /// The failure to map anything has been reported.
    reported: bool,
}

/// How the gateway is asked.
enum Asking {
    /// Not yet: the first poll begins, as it needs a runtime.
    Starting,
    /// By UPnP.
    Upnp {
        upnp: Box<Upnp>,
        /// When to say that nothing has come of it.
        patience: Option<Delay>,
    },
    /// By PCP or NAT-PMP, as no gateway spoke UPnP. If they map nothing either, UPnP is tried `again`.
    Pcp { pcp: Pcp, again: Delay },
}

/// What others can reach through a gateway: a port at a private IPv4 address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Port {
    pub(super) address: Multiaddr,
    pub(super) ip: Ipv4Addr,
    pub(super) udp: bool,
    pub(super) number: u16,
}

impl Port {
    /// Returns the port of an address that the gateway can map. A circuit's address is the relay's, not ours.
    pub(super) fn of(address: &Multiaddr) -> Option<Self> {
        let mut parts = address.iter();
        let Some(Protocol::Ip4(ip)) = parts.next().filter(|_| !has_circuit(address)) else {
            return None;
        };
        let (udp, number) = match parts.next()? {
            Protocol::Udp(port) => (true, port),
            Protocol::Tcp(port) => (false, port),
            _ => return None,
        };
        let address = address.clone();
        (ip.is_private() && number > 0).then_some(Self {
            address,
            ip,
            udp,
            number,
        })
    }

    /// Returns the address as it is outside.
    pub(super) fn outside(&self, ip: Ipv4Addr, port: u16) -> Multiaddr {
        let port = if self.udp {
            Protocol::Udp(port)
        } else {
            Protocol::Tcp(port)
        };
        let rest = self.address.iter().skip(2);
        [Protocol::Ip4(ip), port].into_iter().chain(rest).collect()
    }
}

impl Behaviour {
    pub(crate) const fn new() -> Self {
        Self {
            listeners: Vec::new(),
            asking: Asking::Starting,
            retry: MIN_MAPPING_RETRY,
            reported: false,
        }
    }

    fn start(&mut self) {
        let mut upnp = Upnp::default();
        for (listener_id, addr) in &self.listeners {
            let listener_id = *listener_id;
            upnp.on_swarm_event(FromSwarm::NewListenAddr(NewListenAddr {
                listener_id,
                addr,
            }));
        }
        self.asking = Asking::Upnp {
            upnp: Box::new(upnp),
            patience: Some(Delay::new(MAPPING_WAIT)),
        };
    }

    fn use_pcp(&mut self) -> Option<Event> {
        let gateway = pcp::default_gateway();
        let mut pcp = Pcp::new(gateway);
        for (_, address) in &self.listeners {
            pcp.add(address);
        }
        let again = Delay::new(self.retry);
        self.retry = (self.retry * 2).min(MAX_MAPPING_RETRY);
        self.asking = Asking::Pcp { pcp, again };
        let text = "no gateway here maps our ports: none answers by UPnP, and there is no known one to ask by PCP or NAT-PMP";
        gateway.is_none().then(|| Event::Failed {
            cause: unavailable(text),
        })
    }

    fn on_upnp(&mut self, event: upnp::Event) -> Option<Event> {
        let Asking::Upnp { patience, .. } = &mut self.asking else {
            return None;
        };
        *patience = None;
        match event {
            upnp::Event::NewExternalAddr { external_addr, .. } => Some(Event::Mapped {
                address: external_addr,
            }),
            upnp::Event::ExpiredExternalAddr { external_addr, .. } => Some(Event::Failed {
                cause: unavailable(format!(
                    "the gateway does not let others reach us at {external_addr} any more"
                )),
            }),
            upnp::Event::NonRoutableGateway => Some(not_public()),
            upnp::Event::GatewayNotFound => self.use_pcp(),
        }
    }

    /// Says whether to pass something on: a failure is reported once, until something was mapped.
    fn is_worth_reporting(&mut self, to_swarm: &ToSwarm<Event, Infallible>) -> bool {
        match to_swarm {
            ToSwarm::GenerateEvent(Event::Failed { .. }) => {
                !std::mem::replace(&mut self.reported, true)
            }
            ToSwarm::GenerateEvent(Event::Mapped { .. }) => {
                self.reported = false;
                self.retry = MIN_MAPPING_RETRY;
                true
            }
            _ => true,
        }
    }

    fn poll_upnp(&mut self, cx: &mut Context<'_>) -> Poll<Option<ToSwarm<Event, Infallible>>> {
        let Asking::Upnp { upnp, patience } = &mut self.asking else {
            return Poll::Pending;
        };
        match upnp.poll(cx) {
            Poll::Ready(ToSwarm::GenerateEvent(event)) => {
                return Poll::Ready(self.on_upnp(event).map(ToSwarm::GenerateEvent));
            }
            Poll::Ready(ToSwarm::ExternalAddrConfirmed(address)) => {
                return Poll::Ready(Some(ToSwarm::ExternalAddrConfirmed(address)));
            }
            Poll::Ready(ToSwarm::ExternalAddrExpired(address)) => {
                return Poll::Ready(Some(ToSwarm::ExternalAddrExpired(address)));
            }
            Poll::Ready(_) => return Poll::Ready(None),
            Poll::Pending => {}
        }
        let Some(Poll::Ready(())) = patience.as_mut().map(|delay| Pin::new(delay).poll(cx)) else {
            return Poll::Pending;
        };
        *patience = None;
        let text = "the gateway was asked by UPnP to map our ports, and has not so far; allow it there, or forward them by hand";
        Poll::Ready(Some(ToSwarm::GenerateEvent(Event::Failed {
            cause: unavailable(text),
        })))
    }
}

/// Makes the cause of a failure to map ports.
pub(super) fn unavailable(text: impl Into<String>) -> Cause {
    Cause::new(Reason::PortMappingUnavailable, text)
}

pub(super) fn not_public() -> Event {
    let text = "the gateway's own outside address is not public: it is behind another NAT, so mapping ports there is of no use";
    Event::Failed {
        cause: unavailable(text),
    }
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
        match event {
            FromSwarm::NewListenAddr(NewListenAddr { listener_id, addr }) => {
                if self.listeners.len() >= MAX_PORT_MAPPINGS || Port::of(addr).is_none() {
                    return;
                }
                self.listeners.push((listener_id, addr.clone()));
                match &mut self.asking {
                    Asking::Starting => {}
                    Asking::Upnp { upnp, .. } => upnp.on_swarm_event(event),
                    Asking::Pcp { pcp, .. } => pcp.add(addr),
                }
            }
            FromSwarm::ExpiredListenAddr(ExpiredListenAddr { listener_id, addr }) => {
                self.listeners
                    .retain(|(id, known)| (*id, known) != (listener_id, addr));
                match &mut self.asking {
                    Asking::Starting => {}
                    Asking::Upnp { upnp, .. } => upnp.on_swarm_event(event),
                    Asking::Pcp { pcp, .. } => pcp.remove(addr),
                }
            }
            _ => {}
        }
    }

    fn on_connection_handler_event(&mut self, _: PeerId, _: ConnectionId, event: Infallible) {
        match event {}
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ToSwarm<Event, Infallible>> {
        loop {
            let to_swarm = match &mut self.asking {
                Asking::Starting => {
                    self.start();
                    continue;
                }
                Asking::Upnp { .. } => self.poll_upnp(cx),
                Asking::Pcp { pcp, again } => {
                    if !pcp.has_mapped() && Pin::new(again).poll(cx).is_ready() {
                        self.start();
                        continue;
                    }
                    pcp.poll(cx).map(Some)
                }
            };
            match to_swarm {
                Poll::Ready(Some(to_swarm)) if self.is_worth_reporting(&to_swarm) => {
                    return Poll::Ready(to_swarm);
                }
                Poll::Ready(_) => {}
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}
