//! A relay that gets its certificate from an ACME server: Pebble, of those who made Let's Encrypt.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod common;
#[path = "common/pki.rs"]
mod pki;

use std::{
    fs::{self, File},
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::Path,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use rustls::pki_types::{CertificateDer, pem::PemObject};
use serde_json::json;

use common::{DEADLINE, Killed, Proc, Relay};
use pki::{Pki, Trust};

/// How often to look where there is nothing to wait for.
const POLL: Duration = Duration::from_millis(50);

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// Starts Pebble, which looks for `localhost` at this port. Returns it with its ports for ACME and for tests.
fn pebble(pki: &Pki, directory: &Path, validated: u16) -> (Killed, u16, u16) {
    let (acme, management) = (free_port(), free_port());
    let config = json!({ "pebble": {
        "listenAddress": format!("127.0.0.1:{acme}"),
        "managementListenAddress": format!("127.0.0.1:{management}"),
        "certificate": pki.certificate(),
        "privateKey": pki.private_key(),
        "httpPort": 1,
        "tlsPort": validated,
    }});
    let path = directory.join("pebble.json");
    fs::write(&path, config.to_string()).unwrap();
    let log = File::create(directory.join("pebble.log")).unwrap();
    let mut command = Command::new("pebble");
    command.env("PEBBLE_VA_NOSLEEP", "1");
    command.env("PEBBLE_WFE_NONCEREJECT", "0");
    command.arg("-config").arg(&path);
    command.stdout(log.try_clone().unwrap()).stderr(log);
    let process = command.spawn();
    let process =
        process.unwrap_or_else(|e| panic!("pebble: {e}; `cargo xtask setup` installs it"));
    let process = Killed(process);
    wait("pebble", || {
        TcpStream::connect((Ipv4Addr::LOCALHOST, management)).is_ok()
    });
    (process, acme, management)
}

fn wait(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !is_so() {
        assert!(Instant::now() < deadline, "no {what} within {DEADLINE:?}");
        thread::sleep(POLL);
    }
}

fn relay(pki: &Pki, data_dir: &Path, tls_port: u16, acme: u16) -> Relay {
    let mut command = Command::new(env!("CARGO_BIN_EXE_punchline"));
    command.env("SSL_CERT_FILE", pki.authority());
    command.args([
        "relay",
        "--json",
        "--port",
        "0",
        "--acme-domain",
        "localhost",
    ]);
    command.args(["--acme-contact", "operator@relay.example"]);
    command
        .arg("--acme-directory")
        .arg(format!("https://localhost:{acme}/dir"));
    command.arg("--tls-port").arg(tls_port.to_string());
    command.arg("--data-dir").arg(data_dir);
    Relay::ready(Proc::spawn("relay", command))
}

#[test]
fn a_certificate_is_ordered_and_kept() {
    let pki = Pki::new();
    let directory = tempfile::tempdir().unwrap();
    let data_dir = directory.path().join("data");
    let tls_port = free_port();
    let (pebble, acme, management) = pebble(&pki, directory.path(), tls_port);
    let first = relay(&pki, &data_dir, tls_port, acme);
    let (_, root) = pki.get(management, "/roots/0");
    let root = CertificateDer::from_pem_slice(root.as_bytes()).unwrap();
    let trust = Trust::of(root);
    wait("certificate", || {
        trust
            .get(tls_port, "/healthz")
            .is_ok_and(|answer| answer.1 == "ok")
    });
    let shown = trust.shown(tls_port).unwrap();
    drop((first, pebble));

    // Without the server, and from the directory that nobody else may read.
    let _again = relay(&pki, &data_dir, tls_port, acme);
    wait("kept certificate", || {
        trust.shown(tls_port).is_ok_and(|again| again == shown)
    });
    use std::os::unix::fs::PermissionsExt;
    let mode = fs::metadata(data_dir.join("acme"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o700);
}
