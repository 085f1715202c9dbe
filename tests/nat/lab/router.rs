//! The rules that make a router a NAT of some kind, and the faults that a test can give it.

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

/// The kind of a router. All but [`Nat::None`], [`Nat::Provider`] and [`Nat::Docker`] are silent: they answer
/// unexpected packets with neither a reset nor an ICMP message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Nat {
    /// No NAT: public addresses of both families, and everything passes.
    None,
    /// Endpoint-independent mapping with address- and port-dependent filtering, in the words of RFC 4787. The
    /// outside port has the number of the inside port.
    Cone,
    /// As `Cone`, but the outside port has another number than the inside port.
    Translated,
    /// Address- and port-dependent mapping: another outside port for each destination.
    Symmetric,
    /// As `Cone`, but a provider's, with other routers behind it.
    Carrier,
    /// A provider without NAT: its customers have public IPv4 addresses, and everything passes.
    Provider,
    /// IPv6 only, with public addresses and a firewall that lets in only answers.
    V6Firewall,
    /// `Symmetric` for IPv4, and `V6Firewall` for IPv6.
    SymmetricAndV6Firewall,
    /// As `Cone`, but UDP does not pass.
    UdpBlocked,
    /// As `Cone`, but nothing passes except TCP to port 443.
    OnlyTcp443,
    /// What Docker makes of its host: plain masquerading, and not silent.
    Docker,
}

/// A router in the lab.
pub(crate) struct Router {
    pub(super) node: patchbay::Router,
    pub(super) wan: &'static str,
    /// Goes up with each rebinding, and chooses the range of outside ports.
    generation: AtomicU16,
}

/// The lowest translated port. Inside ports lie above all translated ones.
const FIRST_PORT: u16 = 10_000;
/// How many outside ports a generation has.
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

    /// Delays what comes in from outside, for as long as the result is held.
    pub(super) fn delay(&self, time: Duration) -> Delay {
        Delay::new(&self.node, self.wan, time)
    }

    pub(super) fn id(&self) -> NodeId {
        self.node.id()
    }

    /// Its IPv4 address outside.
    pub(crate) fn outside(&self) -> Ipv4Addr {
        self.node.uplink_ip().unwrap()
    }

    /// Its IPv6 address outside.
    pub(crate) fn outside6(&self) -> Option<Ipv6Addr> {
        self.node.uplink_ip_v6()
    }

    /// Forgets every mapping, and gives new ones other ports, as a router does that restarts. It makes no sense for
    /// a symmetric NAT, whose ports are always new.
    pub(crate) fn rebind(&self) {
        self.translate_ports();
        // patchbay has a function for it, but that one writes to stderr.
        let mut conntrack = Command::new("conntrack");
        conntrack.arg("-F");
        run(&self.node, conntrack, String::new()).unwrap();
    }

    /// Forgets the mappings of what went to and came from an address, as if long ago.
    pub(crate) fn forget(&self, outside: Ipv4Addr) {
        for side in ["--orig-src", "--orig-dst"] {
            let mut conntrack = Command::new("conntrack");
            conntrack.args(["-D", side, &outside.to_string()]);
            // It fails where there is nothing to forget.
            let _ = run(&self.node, conntrack, String::new());
        }
    }

    /// Drops everything to and from these addresses, until they are healed.
    pub(crate) fn cut(&self, addresses: &[IpAddr]) {
        for ip in addresses {
            self.nft(&format!("add element inet lab {}", cut_element(*ip)));
        }
    }

    /// Undoes [`Self::cut`].
    pub(crate) fn heal(&self, addresses: &[IpAddr]) {
        for ip in addresses {
            self.nft(&format!("delete element inet lab {}", cut_element(*ip)));
        }
    }

    /// Drops this share of UDP packets, each by chance.
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

    /// Applies rules that `nft` reads.
    pub(crate) fn nft(&self, rules: &str) {
        nft(&self.node, rules.to_owned()).unwrap();
    }

    fn translate_ports(&self) {
        let low = FIRST_PORT + PORTS * self.generation.fetch_add(1, Ordering::Relaxed);
        let high = low + PORTS - 1;
        let outside = self.outside();
        // Linux uses one outside port for each inside address and port, as long as it lies in the range.
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
            // Only at the outer link: packets between hosts inside may pass these rules, too.
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

/// Runs a program in a router's namespace with `input` on its stdin, and fails if it fails.
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
