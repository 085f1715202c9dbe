//! What makes a router a NAT of some kind, and what can be done to it.

use std::{
    io::Write,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    process::{Command, Stdio},
    sync::atomic::{AtomicU16, Ordering},
    time::Duration,
};

use anyhow::{Context, ensure};
use patchbay::NodeId;

use super::delay::Delay;

/// Kinds of routers. All but [`Nat::None`] and [`Nat::Docker`] are silent: unexpected packets get
/// neither a reset nor an ICMP message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Nat {
    /// Public addresses of both families, everything passes.
    None,
    /// One outside port for each inside port, the same number; only who was sent to may answer,
    /// from the same port: endpoint-independent mapping, address- and port-dependent filtering.
    Cone,
    /// The same, but the outside port is another number.
    Translated,
    /// Another outside port for each destination.
    Symmetric,
    /// A provider's NAT: as `Cone`, for routers behind it.
    Carrier,
    /// Public addresses of IPv4, as a provider has them, everything passes.
    Provider,
    /// IPv6 only, public addresses, nothing comes in that was not asked for.
    V6Firewall,
    /// Both families: `Symmetric` on IPv4, and `V6Firewall` on IPv6.
    SymmetricAndV6Firewall,
    /// As `Cone`, but UDP does not pass.
    UdpBlocked,
    /// As `Cone`, but nothing passes except TCP to port 443.
    OnlyTcp443,
    /// What Docker makes of a host: plain masquerading, and not silent.
    Docker,
}

/// A router in the lab.
pub(crate) struct Router {
    pub(super) node: patchbay::Router,
    pub(super) wan: &'static str,
    /// Counts up with each rebinding.
    generation: AtomicU16,
}

/// Outside ports of one generation of translated ports. Inside ports are above all of them.
const FIRST_PORT: u16 = 10_000;
const PORTS: u16 = 1_000;

impl Router {
    pub(super) fn new(node: patchbay::Router, nat: Nat, wan: &'static str) -> Self {
        let router = Self {
            node,
            wan,
            generation: AtomicU16::new(0),
        };
        router.nft(&router.base_rules(nat));
        match nat {
            Nat::Translated => router.translate_ports(),
            Nat::Docker => router.nft(&format!(
                "delete table ip nat\n{}",
                router.source_nat("masquerade")
            )),
            _ => {}
        }
        router
    }

    /// What comes in from outside takes that long, as long as this is held.
    pub(super) fn delay(&self, time: Duration) -> Delay {
        Delay::new(&self.node, self.wan, time)
    }

    pub(super) fn id(&self) -> NodeId {
        self.node.id()
    }

    /// Its address outside.
    pub(crate) fn outside(&self) -> Ipv4Addr {
        self.node.uplink_ip().unwrap()
    }

    /// Its IPv6 address outside.
    pub(crate) fn outside6(&self) -> Option<Ipv6Addr> {
        self.node.uplink_ip_v6()
    }

    /// Every mapping is forgotten, and new ones have other ports. (Not for symmetric NATs, whose
    /// ports always are others.)
    pub(crate) fn rebind(&self) {
        self.translate_ports();
        // Also by patchbay, but that would chat on stderr.
        let mut conntrack = Command::new("conntrack");
        conntrack.arg("-F");
        run(&self.node, conntrack, String::new()).unwrap();
    }

    /// Nothing passes to or from these addresses any more.
    pub(crate) fn cut(&self, addresses: &[IpAddr]) {
        for ip in addresses {
            self.nft(&format!("add element inet lab {}", cut_element(*ip)));
        }
    }

    /// It does again.
    pub(crate) fn heal(&self, addresses: &[IpAddr]) {
        for ip in addresses {
            self.nft(&format!("delete element inet lab {}", cut_element(*ip)));
        }
    }

    /// Drops that many of a hundred UDP packets, by chance.
    pub(crate) fn drop_udp(&self, percent: u8) {
        self.nft(&format!(
            "table inet loss
            delete table inet loss
            table inet loss {{ chain forward {{
                type filter hook forward priority 1; policy accept;
                meta l4proto udp numgen random mod 100 < {percent} drop
            }}
            }}"
        ));
    }

    /// Applies rules of any kind.
    pub(crate) fn nft(&self, rules: &str) {
        nft(&self.node, rules.to_owned()).unwrap();
    }

    fn translate_ports(&self) {
        let low = FIRST_PORT + PORTS * self.generation.fetch_add(1, Ordering::Relaxed);
        let high = low + PORTS - 1;
        let outside = self.outside();
        // Linux keeps to one outside port for each inside address and port, if it lies in the range.
        self.nft(&format!(
            "delete table ip nat\n{}",
            self.source_nat(&format!(
                "meta l4proto {{ tcp, udp }} snat to {outside}:{low}-{high}"
            ))
        ));
    }

    fn source_nat(&self, rule: &str) -> String {
        let wan = self.wan;
        format!(
            "table ip nat {{ chain postrouting {{
                type nat hook postrouting priority srcnat; policy accept;
                oif {wan} {rule}
            }}
            }}"
        )
    }

    fn base_rules(&self, nat: Nat) -> String {
        let wan = self.wan;
        let silence = match nat {
            Nat::None | Nat::Provider | Nat::Docker => "",
            _ => "meta l4proto { tcp, udp } drop",
        };
        let filter = match nat {
            // Not on the inside: bridged packets may come by here, too.
            Nat::UdpBlocked => format!(
                "iif {wan} meta l4proto udp drop
                oif {wan} meta l4proto udp drop"
            ),
            Nat::OnlyTcp443 => format!(
                "ct state established,related accept
                oif {wan} tcp dport 443 accept
                iif {wan} drop
                oif {wan} drop"
            ),
            _ => String::new(),
        };
        format!(
            "table inet lab {{
                set cut4 {{ type ipv4_addr; }}
                set cut6 {{ type ipv6_addr; }}
                chain input {{
                    type filter hook input priority 0; policy accept;
                    {silence}
                }}
                chain forward {{
                    type filter hook forward priority -10; policy accept;
                    ip saddr @cut4 drop
                    ip daddr @cut4 drop
                    ip6 saddr @cut6 drop
                    ip6 daddr @cut6 drop
                    {filter}
                }}
            }}"
        )
    }
}

fn cut_element(ip: IpAddr) -> String {
    let set = match ip {
        IpAddr::V4(_) => "cut4",
        IpAddr::V6(_) => "cut6",
    };
    format!("{set} {{ {ip} }}")
}

/// Runs `nft` in a router's namespace.
pub(super) fn nft(router: &patchbay::Router, rules: String) -> anyhow::Result<()> {
    let mut nft = Command::new("nft");
    nft.args(["-f", "-"]);
    run(router, nft, rules)
}

/// Runs a program in a router's namespace, with that to read.
pub(super) fn run(
    router: &patchbay::Router,
    mut command: Command,
    input: String,
) -> anyhow::Result<()> {
    router.run_sync(move || {
        let mut child = command
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {command:?}"))?;
        child.stdin.take().unwrap().write_all(input.as_bytes())?;
        let output = child.wait_with_output()?;
        let error = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{command:?}: {error}\n{input}");
        Ok(())
    })
}
