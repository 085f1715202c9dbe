//! Port mappings by PCP ([RFC 6887](https://www.rfc-editor.org/rfc/rfc6887)), or by NAT-PMP
//! ([RFC 6886](https://www.rfc-editor.org/rfc/rfc6886)) where the gateway knows only that.
//!
//! [`super`] says why it is here.

use std::{
    collections::VecDeque,
    convert::Infallible,
    net::{IpAddr, Ipv4Addr},
    num::NonZeroU16,
    task::{Context, Poll},
    time::Duration,
};

use crab_nat::{
    InternetProtocol, MappingFailure, PortMapping, PortMappingOptions, PortMappingType,
    natpmp::external_address,
};
use libp2p::{Multiaddr, swarm::ToSwarm};
use tokio::{
    sync::mpsc,
    task::{AbortHandle, JoinSet},
    time::sleep,
};

use super::{
    Event, MAX_MAPPING_RETRY, MAX_PORT_MAPPINGS, MIN_MAPPING_RETRY, Port, not_public, unavailable,
};

/// How long a mapping is asked for. It is renewed after half of it.
const MAPPING_LIFETIME: Duration = Duration::from_secs(3_600);
/// A gateway that grants less is not asked more often than this.
const MIN_MAPPING_RENEWAL: Duration = Duration::from_secs(60);
/// Where Linux lists its routes. Other systems have no such file, and so only UPnP.
const ROUTES: &str = "/proc/net/route";
/// Routes that are looked at.
const MAX_ROUTES: usize = 1_024;

/// Keeps ports mapped: a task for each.
pub(super) struct Pcp {
    gateway: Option<Ipv4Addr>,
    tasks: JoinSet<()>,
    kept: Vec<Kept>,
    sender: mpsc::Sender<Answer>,
    receiver: mpsc::Receiver<Answer>,
    pending: VecDeque<ToSwarm<Event, Infallible>>,
}

struct Kept {
    port: Port,
    task: AbortHandle,
    outside: Option<Multiaddr>,
}

/// What the gateway answered about a port.
#[derive(Debug)]
struct Answer {
    port: Port,
    /// Where it is outside, or why it is nowhere.
    outside: Result<Multiaddr, MappingError>,
}

#[derive(Debug, PartialEq, Eq)]
enum MappingError {
    NotPublic,
    Refused(String),
}

impl Pcp {
    pub(super) fn new(gateway: Option<Ipv4Addr>) -> Self {
        let (sender, receiver) = mpsc::channel(MAX_PORT_MAPPINGS);
        Self {
            gateway,
            tasks: JoinSet::new(),
            kept: Vec::new(),
            sender,
            receiver,
            pending: VecDeque::new(),
        }
    }

    pub(super) fn has_mapped(&self) -> bool {
        self.kept.iter().any(|kept| kept.outside.is_some())
    }

    pub(super) fn add(&mut self, address: &Multiaddr) {
        let (Some(gateway), Some(port)) = (self.gateway, Port::of(address)) else {
            return;
        };
        let keeping = keep(gateway, port.clone(), self.sender.clone());
        let task = self.tasks.spawn(keeping);
        let outside = None;
        self.kept.push(Kept {
            port,
            task,
            outside,
        });
    }

    /// Stops renewing a port's mapping: the gateway then forgets it by itself.
    pub(super) fn remove(&mut self, address: &Multiaddr) {
        let Some(at) = self.kept.iter().position(|k| k.port.address == *address) else {
            return;
        };
        let kept = self.kept.swap_remove(at);
        kept.task.abort();
        let expired = kept.outside.map(ToSwarm::ExternalAddrExpired);
        self.pending.extend(expired);
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ToSwarm<Event, Infallible>> {
        loop {
            while self.tasks.try_join_next().is_some() {}
            if let Some(to_swarm) = self.pending.pop_front() {
                return Poll::Ready(to_swarm);
            }
            match self.receiver.poll_recv(cx) {
                Poll::Ready(Some(answer)) => self.on_answer(answer),
                Poll::Ready(None) | Poll::Pending => return Poll::Pending,
            }
        }
    }

    fn on_answer(&mut self, answer: Answer) {
        let Some(kept) = self.kept.iter_mut().find(|kept| kept.port == answer.port) else {
            return;
        };
        let (outside, error) = match answer.outside {
            Ok(outside) => (Some(outside), None),
            Err(error) => (None, Some(error)),
        };
        if kept.outside != outside {
            let lost = std::mem::replace(&mut kept.outside, outside.clone());
            self.pending.extend(lost.map(ToSwarm::ExternalAddrExpired));
            if let Some(outside) = outside {
                let mapped = Event::Mapped {
                    address: outside.clone(),
                };
                self.pending
                    .push_back(ToSwarm::ExternalAddrConfirmed(outside));
                self.pending.push_back(ToSwarm::GenerateEvent(mapped));
            }
        }
        let failed = error.map(|error| ToSwarm::GenerateEvent(error.into_event()));
        self.pending.extend(failed);
    }
}

impl MappingError {
    fn into_event(self) -> Event {
        match self {
            Self::NotPublic => not_public(),
            Self::Refused(reason) => Event::Failed {
                cause: unavailable(format!(
                    "no gateway here maps our ports: none answers by UPnP, nor does ours by PCP or NAT-PMP ({reason})"
                )),
            },
        }
    }
}

/// Has a port mapped, and renews that, until dropped.
async fn keep(gateway: Ipv4Addr, port: Port, sender: mpsc::Sender<Answer>) {
    let mut retry = MIN_MAPPING_RETRY;
    let mut known: Option<PortMapping> = None;
    loop {
        let outside = map(gateway, &port, &mut known).await;
        let pause = match (&outside, &known) {
            (Ok(_), Some(mapping)) => {
                retry = MIN_MAPPING_RETRY;
                renewal(mapping.lifetime())
            }
            _ => {
                let pause = retry;
                retry = (retry * 2).min(MAX_MAPPING_RETRY);
                pause
            }
        };
        let port = port.clone();
        if sender.send(Answer { port, outside }).await.is_err() {
            return;
        }
        sleep(pause).await;
    }
}

/// Returns when to renew a mapping. What a gateway grants is its own word, so it is kept within bounds.
fn renewal(lifetime: u32) -> Duration {
    let half = Duration::from_secs(u64::from(lifetime)) / 2;
    half.clamp(MIN_MAPPING_RENEWAL, MAPPING_LIFETIME / 2)
}

async fn map(
    gateway: Ipv4Addr,
    port: &Port,
    known: &mut Option<PortMapping>,
) -> Result<Multiaddr, MappingError> {
    let mapping = match known.take() {
        Some(mut mapping) => match mapping.renew().await {
            Ok(()) => mapping,
            Err(e) => return Err(refused(e)),
        },
        None => new_mapping(gateway, port).await?,
    };
    let mapping = known.insert(mapping);
    let ip = match mapping.mapping_type() {
        PortMappingType::Pcp {
            external_ip: IpAddr::V4(ip),
            ..
        } => ip,
        PortMappingType::Pcp { external_ip, .. } => match external_ip.to_canonical() {
            IpAddr::V4(ip) => ip,
            IpAddr::V6(_) => return Err(MappingError::NotPublic),
        },
        PortMappingType::NatPmp => external_address(gateway.into(), None)
            .await
            .map_err(|e| refused(e.into()))?,
    };
    if !is_public(ip) {
        return Err(MappingError::NotPublic);
    }
    Ok(port.outside(ip, mapping.external_port().get()))
}

async fn new_mapping(gateway: Ipv4Addr, port: &Port) -> Result<PortMapping, MappingError> {
    let number = NonZeroU16::new(port.number);
    let Some(internal) = number else {
        return Err(MappingError::Refused("there is no port 0".into()));
    };
    let protocol = if port.udp {
        InternetProtocol::Udp
    } else {
        InternetProtocol::Tcp
    };
    let options = PortMappingOptions {
        external_port: number,
        lifetime_seconds: u32::try_from(MAPPING_LIFETIME.as_secs()).ok(),
        timeout_config: None,
    };
    PortMapping::new(gateway.into(), port.ip.into(), protocol, internal, options)
        .await
        .map_err(refused)
}

fn refused(e: MappingFailure) -> MappingError {
    MappingError::Refused(match e {
        MappingFailure::Pcp(e) => e.to_string(),
        MappingFailure::NatPmp(e) => e.to_string(),
    })
}

/// Whether packets from anywhere may come to this address.
fn is_public(ip: Ipv4Addr) -> bool {
    let [a, b, ..] = ip.octets();
    let carrier = a == 100 && b & 0b1100_0000 == 0b0100_0000;
    let local = ip.is_private() || ip.is_loopback() || ip.is_link_local();
    !(local || carrier || a == 0 || a >= 224)
}

/// Returns where packets go that have no better way.
pub(super) fn default_gateway() -> Option<Ipv4Addr> {
    gateway_in(&std::fs::read_to_string(ROUTES).ok()?)
}

/// Finds the default route in Linux's table. Columns: interface, destination, gateway, flags, three more, metric; …. Addresses are numbers as the
/// processor keeps them.
fn gateway_in(routes: &str) -> Option<Ipv4Addr> {
    const GATEWAY_FLAG: u32 = 2;
    let hex = |text: &str| u32::from_str_radix(text, 16).ok();
    let routes = routes.lines().skip(1).take(MAX_ROUTES);
    let defaults = routes.filter_map(|line| {
        let columns: Vec<_> = line.split_whitespace().collect();
        let [_, to, gateway, flags, _, _, metric, mask, ..] = columns[..] else {
            return None;
        };
        let is_default = hex(to)? == 0 && hex(mask)? == 0 && hex(flags)? & GATEWAY_FLAG != 0;
        let gateway = Ipv4Addr::from(hex(gateway)?.to_ne_bytes());
        Some((metric.parse::<u32>().ok()?, gateway)).filter(|_| is_default)
    });
    defaults.min().map(|(_, gateway)| gateway)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A routing table whose addresses are written as this processor keeps them.
    fn routes() -> String {
        let hex = |ip: [u8; 4]| format!("{:08X}", u32::from_ne_bytes(ip));
        let (any, home, office) = (hex([0; 4]), hex([192, 168, 1, 1]), hex([10, 0, 0, 1]));
        let (net, mask) = (hex([10, 0, 0, 0]), hex([255, 255, 255, 0]));
        format!(
            "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n\
             wlan0\t{any}\t{home}\t0003\t0\t0\t600\t{any}\t0\t0\t0\n\
             eth0\t{any}\t{office}\t0003\t0\t0\t100\t{any}\t0\t0\t0\n\
             eth0\t{net}\t{any}\t0001\t0\t0\t100\t{mask}\t0\t0\t0\n"
        )
    }

    #[test]
    fn the_gateway_is_that_of_the_default_route_with_the_least_metric() {
        assert_eq!(gateway_in(&routes()), Some(Ipv4Addr::new(10, 0, 0, 1)));
        assert_eq!(gateway_in(""), None);
        assert_eq!(gateway_in("x\ny z\n\n"), None);
    }

    #[test]
    fn renewals_come_in_time_and_not_too_often() {
        assert_eq!(renewal(3_600), Duration::from_secs(1_800));
        assert_eq!(renewal(0), MIN_MAPPING_RENEWAL);
        assert_eq!(renewal(u32::MAX), MAPPING_LIFETIME / 2);
    }

    #[test]
    fn only_public_addresses_are_of_use() {
        let public = |ip: &str| is_public(ip.parse().unwrap());
        assert!(public("5.1.1.1"));
        for ip in [
            "10.0.0.1",
            "100.64.0.1",
            "192.168.1.1",
            "127.0.0.1",
            "0.0.0.0",
            "169.254.1.1",
        ] {
            assert!(!public(ip), "{ip}");
        }
    }

    #[test]
    fn a_port_keeps_its_transport_outside() {
        let port = |address: &str| Port::of(&address.parse().unwrap());
        let quic = port("/ip4/192.168.1.2/udp/4001/quic-v1").unwrap();
        let outside = quic.outside(Ipv4Addr::new(5, 1, 1, 1), 6_000);
        assert_eq!(outside.to_string(), "/ip4/5.1.1.1/udp/6000/quic-v1");
        let tcp = port("/ip4/10.0.0.2/tcp/4001/ws").unwrap();
        let outside = tcp.outside(Ipv4Addr::new(5, 1, 1, 1), 4_001);
        assert_eq!(outside.to_string(), "/ip4/5.1.1.1/tcp/4001/ws");
        for other in [
            "/ip4/127.0.0.1/tcp/1",
            "/ip4/5.1.1.1/tcp/1",
            "/ip6/fe80::1/tcp/1",
            "/ip4/10.0.0.1/tcp/1/p2p/12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN/p2p-circuit",
        ] {
            assert_eq!(port(other), None, "{other}");
        }
    }
}
