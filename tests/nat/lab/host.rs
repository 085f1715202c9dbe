//! A computer in the lab, and what runs on it.

use std::{
    ffi::OsStr,
    net::{Ipv4Addr, Ipv6Addr},
    process::Command,
};

use anyhow::Context;

use super::{Router, Runner};
use crate::common::{Proc, text};

/// The link that every host has from the start.
pub(crate) const LINK: &str = "eth0";

/// Where relays listen: their TCP port is what the strictest firewalls let through.
pub(crate) const RELAY_PORT: u16 = 443;

/// Shifts the clock of a process; the loader knows where libraries are. Not by the program of that
/// name, which would stand between us and the process.
const FAKETIME: &str = "/usr/$LIB/faketime/libfaketime.so.1";

/// A computer in the lab.
pub(crate) struct Host {
    device: patchbay::Device,
    run: Runner,
}

impl Host {
    pub(super) const fn new(device: patchbay::Device, run: Runner) -> Self {
        Self { device, run }
    }

    pub(crate) fn ip(&self) -> Ipv4Addr {
        self.device.ip().expect("an IPv4 address")
    }

    pub(crate) fn ip6(&self) -> Ipv6Addr {
        self.device.ip6().expect("an IPv6 address")
    }

    /// Starts `punchline` with those arguments and `--json`.
    pub(crate) fn punchline<S: AsRef<OsStr>>(&self, name: &str, args: &[S]) -> Proc {
        self.punchline_at(name, args, None)
    }

    /// The same, and its clock differs from all others', as `+1d`.
    pub(crate) fn punchline_at<S: AsRef<OsStr>>(
        &self,
        name: &str,
        args: &[S],
        clock: Option<&str>,
    ) -> Proc {
        // It ends with the thread that started it, which ends with the lab, also when that is killed.
        let mut command = Command::new("setpriv");
        command
            .args(["--pdeathsig", "KILL", "--"])
            .arg(env!("CARGO_BIN_EXE_punchline"))
            .args(args)
            .arg("--json");
        if let Some(clock) = clock {
            command
                .env("LD_PRELOAD", FAKETIME)
                .env("FAKETIME", clock)
                // Time passes as it does elsewhere.
                .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        }
        let name = name.to_owned();
        self.inside(move || Proc::spawn(&name, command))
    }

    /// Starts a relay, and waits until it is ready. Its peer id is that of the seed.
    pub(crate) fn relay(&self, seed: u8, args: &[&str]) -> Relay {
        let (port, seed) = (RELAY_PORT.to_string(), seed.to_string());
        let fixed = ["relay", "--port", &port, "--secret-key-seed", &seed];
        let mut proc = self.punchline("relay", &[&fixed, args].concat());
        let peer_id = text(&proc.wait_event("started"), "peer_id");
        proc.wait_event("ready");
        Relay {
            proc,
            peer_id,
            ip: self.device.ip(),
            ip6: self.device.ip6(),
        }
    }

    /// Runs something short in the host's network.
    pub(crate) fn inside<T: Send + 'static>(&self, f: impl FnOnce() -> T + Send + 'static) -> T {
        self.device.run_sync(move || Ok(f())).unwrap()
    }

    /// One more link, to another router. The way to everywhere stays the old one.
    pub(crate) fn add_link(&self, name: &str, router: &Router) {
        let added = self.device.add_iface(name, router.id());
        self.run.wait(added).context("a second link").unwrap();
    }

    /// From now on everything goes by that link.
    pub(crate) fn go_by(&self, link: &str) {
        self.run.wait(self.device.set_default_route(link)).unwrap();
    }

    /// A link goes away, and its addresses with it.
    pub(crate) fn remove_link(&self, link: &str) {
        let link = self.device.iface(link).expect("a link of that name");
        self.run.wait(link.remove()).unwrap();
    }

    pub(crate) fn link_down(&self, link: &str) {
        let link = self.device.iface(link).expect("a link of that name");
        self.run.wait(link.link_down()).unwrap();
    }

    pub(crate) fn link_up(&self, link: &str) {
        let link = self.device.iface(link).expect("a link of that name");
        self.run.wait(link.link_up()).unwrap();
    }
}

/// A relay that is ready.
pub(crate) struct Relay {
    pub(crate) proc: Proc,
    pub(crate) peer_id: String,
    ip: Option<Ipv4Addr>,
    ip6: Option<Ipv6Addr>,
}

impl Relay {
    /// What people give to `--relay`.
    pub(crate) fn url(&self) -> String {
        format!("http://{}:{}", self.ip.unwrap(), RELAY_PORT + 2)
    }

    /// The same over IPv6.
    pub(crate) fn url6(&self) -> String {
        format!("http://[{}]:{}", self.ip6.unwrap(), RELAY_PORT + 2)
    }

    pub(crate) const fn ip(&self) -> Ipv4Addr {
        self.ip.unwrap()
    }

    /// Its one address over TCP.
    pub(crate) fn tcp(&self) -> String {
        let (ip, id) = (self.ip.unwrap(), &self.peer_id);
        format!("/ip4/{ip}/tcp/{RELAY_PORT}/p2p/{id}")
    }
}
