//! Asks our network's gateway to let others reach us: by UPnP, or else by PCP or NAT-PMP.

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
use crate::reason::{Cause, Reason};
use crate::{
    address::has_circuit,
    config::{MAPPING_WAIT, MAX_MAPPING_RETRY, MAX_PORT_MAPPINGS, MIN_MAPPING_RETRY},
    connector::NetworkInput,
};

/// Has the ports mapped that we listen on.
pub(crate) struct PortMapping {
    listeners: Vec<(ListenerId, Multiaddr)>,
    stage: Stage,
    /// How long to wait before looking for a gateway again.
    retry: Duration,
    /// That nothing is mapped has been told.
    told: bool,
}

enum Stage {
    /// To be begun when first polled: it needs a runtime.
    Starting,
    /// libp2p looks for a gateway once, with a packet that may get lost.
    Upnp {
        upnp: Box<Upnp>,
        /// When to say that nothing has come of it.
        patience: Option<Delay>,
    },
    /// No gateway spoke UPnP. Unless PCP does better, it is to be tried again then.
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
    /// A circuit's address is the relay's, not ours.
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

    /// The address, as it is outside.
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

impl PortMapping {
    pub(crate) const fn new() -> Self {
        Self {
            listeners: Vec::new(),
            stage: Stage::Starting,
            retry: MIN_MAPPING_RETRY,
            told: false,
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
        self.stage = Stage::Upnp {
            upnp: Box::new(upnp),
            patience: Some(Delay::new(MAPPING_WAIT)),
        };
    }

    fn use_pcp(&mut self) -> Option<NetworkInput> {
        let gateway = pcp::default_gateway();
        let mut pcp = Pcp::new(gateway);
        for (_, address) in &self.listeners {
            pcp.add(address);
        }
        let again = Delay::new(self.retry);
        self.retry = (self.retry * 2).min(MAX_MAPPING_RETRY);
        self.stage = Stage::Pcp { pcp, again };
        let text = "no gateway here maps our ports: none answers by UPnP, and there is no known one to ask by PCP or NAT-PMP";
        gateway.is_none().then(|| NetworkInput::Failed {
            cause: unavailable(text),
        })
    }

    fn on_upnp(&mut self, event: upnp::Event) -> Option<NetworkInput> {
        let Stage::Upnp { patience, .. } = &mut self.stage else {
            return None;
        };
        *patience = None;
        match event {
            upnp::Event::NewExternalAddr { external_addr, .. } => Some(NetworkInput::Mapped {
                address: external_addr,
            }),
            upnp::Event::ExpiredExternalAddr { external_addr, .. } => Some(NetworkInput::Failed {
                cause: unavailable(format!(
                    "the gateway does not let others reach us at {external_addr} any more"
                )),
            }),
            upnp::Event::NonRoutableGateway => Some(not_public()),
            upnp::Event::GatewayNotFound => self.use_pcp(),
        }
    }

    /// That nothing is mapped is told once, until something was.
    fn is_worth_telling(&mut self, step: &ToSwarm<NetworkInput, Infallible>) -> bool {
        match step {
            ToSwarm::GenerateEvent(NetworkInput::Failed { .. }) => {
                !std::mem::replace(&mut self.told, true)
            }
            ToSwarm::GenerateEvent(NetworkInput::Mapped { .. }) => {
                self.told = false;
                self.retry = MIN_MAPPING_RETRY;
                true
            }
            _ => true,
        }
    }

    fn poll_upnp(&mut self, cx: &mut Context<'_>) -> Poll<Step> {
        let Stage::Upnp { upnp, patience } = &mut self.stage else {
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
        Poll::Ready(Some(ToSwarm::GenerateEvent(NetworkInput::Failed {
            cause: unavailable(text),
        })))
    }
}

/// What to pass on to the swarm; there may be nothing.
pub(super) type Step = Option<ToSwarm<NetworkInput, Infallible>>;

/// Ports are not mapped, for this reason.
pub(super) fn unavailable(text: impl Into<String>) -> Cause {
    Cause::new(Reason::PortMappingUnavailable, text)
}

pub(super) fn not_public() -> NetworkInput {
    let text = "the gateway's own outside address is not public: it is behind another NAT, so mapping ports there is of no use";
    NetworkInput::Failed {
        cause: unavailable(text),
    }
}

impl NetworkBehaviour for PortMapping {
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
        match event {
            FromSwarm::NewListenAddr(NewListenAddr { listener_id, addr }) => {
                if self.listeners.len() >= MAX_PORT_MAPPINGS || Port::of(addr).is_none() {
                    return;
                }
                self.listeners.push((listener_id, addr.clone()));
                match &mut self.stage {
                    Stage::Starting => {}
                    Stage::Upnp { upnp, .. } => upnp.on_swarm_event(event),
                    Stage::Pcp { pcp, .. } => pcp.add(addr),
                }
            }
            FromSwarm::ExpiredListenAddr(ExpiredListenAddr { listener_id, addr }) => {
                self.listeners
                    .retain(|(id, known)| (*id, known) != (listener_id, addr));
                match &mut self.stage {
                    Stage::Starting => {}
                    Stage::Upnp { upnp, .. } => upnp.on_swarm_event(event),
                    Stage::Pcp { pcp, .. } => pcp.remove(addr),
                }
            }
            _ => {}
        }
    }

    fn on_connection_handler_event(&mut self, _: PeerId, _: ConnectionId, event: Infallible) {
        match event {}
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ToSwarm<NetworkInput, Infallible>> {
        loop {
            let step = match &mut self.stage {
                Stage::Starting => {
                    self.start();
                    continue;
                }
                Stage::Upnp { .. } => self.poll_upnp(cx),
                Stage::Pcp { pcp, again } => {
                    if !pcp.has_mapped() && Pin::new(again).poll(cx).is_ready() {
                        self.start();
                        continue;
                    }
                    pcp.poll(cx)
                }
            };
            match step {
                Poll::Ready(Some(step)) if self.is_worth_telling(&step) => {
                    return Poll::Ready(step);
                }
                Poll::Ready(_) => {}
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}
