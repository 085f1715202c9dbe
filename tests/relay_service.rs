//! A relay as a service: what a service manager hears of it, and the unit file.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod common;

use std::{
    fs,
    os::unix::net::UnixDatagram,
    process::{Command, Stdio},
};

use nix::sys::signal::Signal;
use tempfile::TempDir;

use common::{DEADLINE, Proc, Relay};

const UNIT: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../docs/systemd/punchline-relay.service"
);
/// The mark that `systemd-analyze security` may give the unit, in tenths: 0 is locked up, 100 is open.
const MAX_EXPOSURE: &str = "20";

/// The socket of a service manager.
struct Manager {
    socket: UnixDatagram,
    directory: TempDir,
}

impl Manager {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let socket = UnixDatagram::bind(directory.path().join("notify")).unwrap();
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        Self { socket, directory }
    }

    fn relay(&self, args: &[&str]) -> Relay {
        let mut command = Command::new(env!("CARGO_BIN_EXE_punchline"));
        command
            .args(["relay", "--port", "0", "--json"])
            .args(args)
            .env("NOTIFY_SOCKET", self.directory.path().join("notify"))
            .env("WATCHDOG_USEC", "1000000");
        Relay::ready(Proc::spawn("relay", command))
    }

    fn wait(&self, wanted: &str) {
        let mut word = [0; 256];
        loop {
            let length = self.socket.recv(&mut word).expect(wanted);
            if String::from_utf8_lossy(&word[..length]).trim() == wanted {
                return;
            }
        }
    }
}

#[test]
fn a_service_manager_hears_how_it_is() {
    let manager = Manager::new();
    let relay = manager.relay(&[]);
    manager.wait("READY=1");
    manager.wait("WATCHDOG=1");
    manager.wait("WATCHDOG=1");
    relay.proc.signal(Signal::SIGTERM);
    manager.wait("STOPPING=1");
    assert_eq!(relay.proc.finish().code, Some(0));
}

#[test]
fn a_configuration_is_checked_without_starting_anything() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("relay.toml");
    let check = |text: &str| {
        fs::write(&file, text).unwrap();
        let file = file.to_str().unwrap();
        Proc::start("relay", &["relay", "--config", file, "--check-config"]).finish()
    };
    let fine = check("port = 45678\ndrain = \"30s\"\n");
    assert_eq!(
        (fine.code, fine.stdout.as_str()),
        (Some(0), "The configuration is fine.\n")
    );
    for (wrong, part) in [
        ("prt = 1", "unknown field `prt`"),
        ("deny-list = \"/no/such/list\"", "--deny-list /no/such/list"),
        ("www = \"/no/such/page\"", "--www /no/such/page"),
        ("drain = \"soon\"", "a duration is"),
        ("port = 0\nacme-domain = [\"relay.example\"]", "--data-dir"),
        (
            "tls-cert = \"/no/such/cert\"\ntls-key = \"/no/such/key\"",
            "/no/such/cert",
        ),
    ] {
        let refused = check(wrong);
        assert_eq!(refused.code, Some(2), "{wrong}");
        assert!(refused.stderr.contains(part), "{wrong}: {}", refused.stderr);
    }
}

/// Where there is systemd, its own judge reads the unit file.
#[test]
#[allow(clippy::print_stdout, reason = "says why it was left out")]
fn the_unit_is_locked_up() {
    let mut analyze = Command::new("systemd-analyze");
    analyze.args(["security", "--no-pager", "--offline=true"]);
    analyze.args(["--threshold", MAX_EXPOSURE, UNIT]);
    match analyze.stdin(Stdio::null()).output() {
        Ok(judged) => {
            let report = String::from_utf8_lossy(&judged.stdout);
            assert!(judged.status.success(), "{report}");
        }
        Err(error) => println!("left out: systemd-analyze: {error}"),
    }
}
