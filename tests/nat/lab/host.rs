//! A computer in the lab, and what runs on it.

use std::{
    ffi::OsStr,
    net::{Ipv4Addr, Ipv6Addr},
    path::Path,
    process::Command,
};

use anyhow::Context;

use serde_json::json;

use super::{Router, Runner};
use crate::common::{Proc, text};

/// The link that every host has from the start.
pub(crate) const LINK: &str = "eth0";

/// The port that relays are given: TCP to it passes the strictest firewall of the lab.
pub(crate) const RELAY_PORT: u16 = 443;

/// What runs a tab.
const TAB: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/nat/tab.mjs");

const TURN_PORT: u16 = 3_478;
const TURN_USER: &str = "somebody";
/// What the user of the TURN server says.
pub(crate) const TURN_PASSWORD: &str = "secret";

/// The library that shifts the clock of a process. The program `faketime` would do the same, but it would stand
/// between the test and the process; the loader replaces `$LIB`.
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
        self.prepared(name, args, |_| ())
    }

    /// As [`Self::punchline`], with what it remembers in a directory.
    pub(crate) fn punchline_with_state(&self, name: &str, args: &[&str], state: &Path) -> Proc {
        let identity = state.join("identity");
        let keeping = ["--identity", identity.to_str().unwrap()];
        let args = [&keeping, args].concat();
        self.prepared(name, &args, |command| {
            command.env("XDG_STATE_HOME", state);
        })
    }

    /// As [`Self::punchline`], with a clock that differs from all others by, say, `+1d`.
    pub(crate) fn punchline_at<S: AsRef<OsStr>>(
        &self,
        name: &str,
        args: &[S],
        clock: Option<&str>,
    ) -> Proc {
        self.prepared(name, args, |command| {
            if let Some(clock) = clock {
                shift_clock(command, clock);
            }
        })
    }

    /// Starts a tab that waits for its first line and then for a peer, as `tests/nat/tab.mjs` says.
    pub(crate) fn tab(&self, name: &str, relay: &Relay) -> Proc {
        self.started(name, "node", |command| {
            command.arg(TAB).args([relay.url(), relay.ws()]);
        })
    }

    /// The same, for a tab that is told of a TURN server.
    pub(crate) fn tab_with_turn(&self, name: &str, relay: &Relay, server: &TurnServer) -> Proc {
        let ice = json!({
            "urls": format!("turn:{}:{TURN_PORT}", server.ip),
            "username": TURN_USER,
            "credential": TURN_PASSWORD,
        });
        self.started(name, "node", |command| {
            let ice = ice.to_string();
            command.arg(TAB).args([relay.url(), relay.ws(), ice]);
        })
    }

    /// Starts a TURN server that knows one user. Who comes before it listens asks again.
    pub(crate) fn turn_server(&self) -> TurnServer {
        let ip = self.ip();
        let proc = self.started("turn", "turnserver", |command| {
            let user = format!("{TURN_USER}:{TURN_PASSWORD}");
            let ip = ip.to_string();
            command
                .args(["-n", "-v", "--no-cli", "--no-tls", "--no-dtls"])
                .args(["--log-file", "stdout", "--simple-log"])
                .args(["--pidfile", "/dev/null", "--userdb", "/dev/null"])
                .args(["--lt-cred-mech", "--realm", "lab", "--user", &user])
                .args(["--listening-ip", &ip, "--relay-ip", &ip]);
        });
        TurnServer { proc, ip }
    }

    fn prepared<S: AsRef<OsStr>>(
        &self,
        name: &str,
        args: &[S],
        prepare: impl FnOnce(&mut Command),
    ) -> Proc {
        self.started(name, env!("CARGO_BIN_EXE_punchline"), |command| {
            command.args(args).arg("--json");
            prepare(command);
        })
    }

    fn started(&self, name: &str, program: &str, prepare: impl FnOnce(&mut Command)) -> Proc {
        // The process ends with the thread that started it. That thread ends with the lab, even when the test is killed.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--", program]);
        prepare(&mut command);
        let name = name.to_owned();
        self.inside(move || Proc::spawn(&name, command))
    }

    /// Starts a relay whose key is made of the seed, and waits until it is ready.
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

    /// Runs a closure in the host's network namespace, and waits for it: it should be short.
    pub(crate) fn inside<T: Send + 'static>(&self, f: impl FnOnce() -> T + Send + 'static) -> T {
        self.device.run_sync(move || Ok(f())).unwrap()
    }

    /// Adds a link to another router. The default route stays as it was.
    pub(crate) fn add_link(&self, name: &str, router: &Router) {
        let added = self.device.add_iface(name, router.id());
        self.run.wait(added).context("a second link").unwrap();
    }

    /// Moves the default route to a link.
    pub(crate) fn go_by(&self, link: &str) {
        self.run.wait(self.device.set_default_route(link)).unwrap();
    }

    /// Removes a link, and its addresses with it.
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

/// Whether a process with a shifted clock is that far from one without. Where the library is missing, it is not.
pub(crate) fn clock_is_off_by(clock: &str, seconds: u64) -> bool {
    let date = |shift: &dyn Fn(&mut Command)| {
        let mut command = Command::new("date");
        shift(command.arg("+%s"));
        let output = command.output().expect("the program date");
        let text = String::from_utf8_lossy(&output.stdout);
        text.trim().parse::<u64>().expect("seconds since 1970")
    };
    date(&|command| shift_clock(command, clock)).abs_diff(date(&|_| {})) >= seconds
}

fn shift_clock(command: &mut Command, clock: &str) {
    command
        .env("LD_PRELOAD", FAKETIME)
        .env("FAKETIME", clock)
        // Only the date is shifted; time passes as for everybody else.
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
}

/// coturn.
pub(crate) struct TurnServer {
    proc: Proc,
    ip: Ipv4Addr,
}

impl TurnServer {
    /// Waits until a peer has given its address back.
    pub(crate) fn wait_given_back(&self) {
        let given_back = |line: &str| line.contains("refreshed") && line.contains("lifetime=0");
        self.proc.wait_line_that("address given back", given_back);
    }

    /// What a peer is told with `--ice-server`.
    pub(crate) fn url(&self, password: &str) -> String {
        format!("turn:{TURN_USER}:{password}@{}:{TURN_PORT}", self.ip)
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
    /// Its URL over IPv4, for `--relay`.
    pub(crate) fn url(&self) -> String {
        format!("http://{}:{}", self.ip.unwrap(), RELAY_PORT + 2)
    }

    /// Its URL over IPv6.
    pub(crate) fn url6(&self) -> String {
        format!("http://[{}]:{}", self.ip6.unwrap(), RELAY_PORT + 2)
    }

    pub(crate) const fn ip(&self) -> Ipv4Addr {
        self.ip.unwrap()
    }

    /// Its TCP address, as a multiaddr with its peer id.
    pub(crate) fn quic(&self) -> String {
        let (ip, id) = (self.ip.unwrap(), &self.peer_id);
        format!("/ip4/{ip}/udp/{RELAY_PORT}/quic-v1/p2p/{id}")
    }

    /// Its address over WebSocket.
    pub(crate) fn ws(&self) -> String {
        let (ip, port, id) = (self.ip(), RELAY_PORT + 1, &self.peer_id);
        format!("/ip4/{ip}/tcp/{port}/ws/p2p/{id}")
    }

    /// Its address over TCP.
    pub(crate) fn tcp(&self) -> String {
        let (ip, id) = (self.ip.unwrap(), &self.peer_id);
        format!("/ip4/{ip}/tcp/{RELAY_PORT}/p2p/{id}")
    }
}
