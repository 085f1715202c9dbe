//! miniupnpd on a router: like many home routers, it maps ports for hosts inside that ask.

use std::{
    fs,
    process::{Child, Command},
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use super::Router;
use crate::common::DEADLINE;

/// The UDP ports at which UPnP and PCP are answered.
const SSDP_PORT: u16 = 1_900;
const PCP_PORT: u16 = 5_351;
/// How often to look whether the daemon is up.
const POLL: Duration = Duration::from_millis(10);

/// The protocols that the daemon answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Speaks {
    /// UPnP-IGD.
    Upnp,
    /// PCP and NAT-PMP.
    Pcp,
}

/// A running daemon. Dropping it ends the process.
pub(crate) struct Gateway {
    child: Child,
    files: TempDir,
}

impl Gateway {
    /// Starts the daemon on a router, and waits until it listens.
    pub(crate) fn start(router: &Router, speaks: Speaks) -> Self {
        router.nft(&chains(router.wan));
        let files = tempfile::tempdir().unwrap();
        let path = |name: &str| files.path().join(name);
        let lan = inner_link(router);
        let upnp = speaks == Speaks::Upnp;
        fs::write(path("conf"), config(router.wan, &lan, upnp)).unwrap();
        let log = fs::File::create(path("log")).unwrap();
        let mut command = Command::new("setpriv");
        command
            .args(["--pdeathsig", "KILL", "--", "miniupnpd", "-d", "-f"])
            .arg(path("conf"))
            .arg("-P")
            .arg(path("pid"))
            .stdout(log.try_clone().unwrap())
            .stderr(log);
        let child = router.node.run_sync(move || Ok(command.spawn()?)).unwrap();
        let gateway = Self { child, files };
        let port = if upnp { SSDP_PORT } else { PCP_PORT };
        let deadline = Instant::now() + DEADLINE;
        while !is_bound(router, port) {
            assert!(Instant::now() < deadline, "{}", gateway.log());
            thread::sleep(POLL);
        }
        gateway
    }
}

impl Gateway {
    fn log(&self) -> String {
        fs::read_to_string(self.files.path().join("log")).unwrap_or_default()
    }
}

/// Whether a process on the router has a UDP socket at that port.
fn is_bound(router: &Router, port: u16) -> bool {
    let table = router
        .node
        .run_sync(|| Ok(fs::read_to_string("/proc/thread-self/net/udp")?));
    let suffix = format!(":{port:04X}");
    let table = table.unwrap();
    let mut sockets = table
        .lines()
        .filter_map(|line| line.split_whitespace().nth(1));
    sockets.any(|local| local.ends_with(&suffix))
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The chains that the daemon fills, and rules that let hosts inside reach it and mapped packets pass.
fn chains(wan: &str) -> String {
    format!(
        "insert rule inet lab input iif != {wan} accept
        insert rule ip filter forward iif {wan} ct status dnat accept
        table inet miniupnpd {{
            chain forward {{
                type filter hook forward priority 0; policy accept;
                jump mapped
            }}
            chain prerouting {{
                type nat hook prerouting priority -110; policy accept;
                jump prerouting_mapped
            }}
            chain postrouting {{
                type nat hook postrouting priority 90; policy accept;
                jump postrouting_mapped
            }}
            chain mapped {{ }}
            chain prerouting_mapped {{ }}
            chain postrouting_mapped {{ }}
        }}"
    )
}

fn config(wan: &str, lan: &str, upnp: bool) -> String {
    let (upnp, pcp) = if upnp { ("yes", "no") } else { ("no", "yes") };
    format!(
        "ext_ifname={wan}
listening_ip={lan}
enable_upnp={upnp}
enable_natpmp={pcp}
secure_mode=yes
ipv6_disable=yes
system_uptime=yes
uuid=00000000-0000-4000-8000-000000000001
upnp_table_name=miniupnpd
upnp_nat_table_name=miniupnpd
upnp_forward_chain=mapped
upnp_nat_chain=prerouting_mapped
upnp_nat_postrouting_chain=postrouting_mapped
allow 1024-65535 0.0.0.0/0 1024-65535
deny 0-65535 0.0.0.0/0 0-65535
"
    )
}

/// The name of the router's link to its inner network.
fn inner_link(router: &Router) -> String {
    let gateway = router.node.downstream_gw().unwrap().to_string();
    let output = router.node.run_sync(|| {
        let output = Command::new("ip").args(["-o", "-4", "addr"]).output()?;
        Ok(String::from_utf8(output.stdout)?)
    });
    let output = output.unwrap();
    let line = output
        .lines()
        .find(|line| line.contains(&format!(" {gateway}/")));
    let link = line.and_then(|line| line.split_whitespace().nth(1));
    link.unwrap_or_else(|| panic!("no {gateway} in {output}"))
        .to_owned()
}
