//! The relay's port for browsers with TLS: page and secure WebSockets.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod common;
#[path = "common/pki.rs"]
mod pki;

use std::{
    fs,
    io::{Read, Write},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use rustls::pki_types::CertificateDer;
use serde_json::Value;

use common::{DEADLINE, Proc, Relay, text};
use pki::Pki;

/// How often to look whether the relay has read its files again.
const POLL: Duration = Duration::from_millis(20);
/// What a client of WebSocket asks for.
const UPGRADE: &str = "connection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
    sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// Starts a relay with the authority's certificate, and returns it with its port for TLS.
fn relay(pki: &Pki, more: &[&str]) -> (Relay, u16) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_punchline"));
    command.env("RUST_LOG", "punchline=debug");
    command.args(["relay", "--port", "0", "--json", "--tls-port", "0"]);
    command.arg("--tls-cert").arg(pki.certificate());
    command.arg("--tls-key").arg(pki.private_key());
    command.args(more);
    let mut relay = Relay::ready(Proc::spawn("relay", command));
    let port = tls_port(&mut relay.proc);
    (relay, port)
}

fn tls_port(relay: &mut Proc) -> u16 {
    let event = relay.wait_for("https", |event| {
        event["event"] == "http" && event["url"].as_str().unwrap().starts_with("https://")
    });
    text(&event, "url")
        .rsplit(':')
        .next()
        .unwrap()
        .parse()
        .unwrap()
}

/// Starts a peer that trusts the authority.
fn peer(name: &str, pki: &Pki, args: &[&str]) -> Proc {
    let mut command = Command::new(env!("CARGO_BIN_EXE_punchline"));
    command.env("SSL_CERT_FILE", pki.authority());
    command.args(["--json", "--listen", "/ip4/127.0.0.1/tcp/0"]);
    command.args(args);
    Proc::spawn(name, command)
}

fn status(head: &str) -> u16 {
    head.split(' ').nth(1).unwrap().parse().unwrap()
}

/// Waits until the relay shows this certificate to newcomers.
fn wait_shown(pki: &Pki, port: u16, certificate: &CertificateDer<'_>) {
    let deadline = Instant::now() + DEADLINE;
    while shown(pki, port) != *certificate {
        assert!(
            Instant::now() < deadline,
            "the old certificate is shown still"
        );
        thread::sleep(POLL);
    }
}

fn shown(pki: &Pki, port: u16) -> CertificateDer<'static> {
    pki.trust().shown(port).unwrap()
}

#[test]
fn peers_join_by_https_and_secure_websockets_alone() {
    let pki = Pki::new();
    let (mut relay, port) = relay(&pki, &[]);
    let address = format!("/dns/localhost/tcp/{port}/tls/ws");
    let full = format!("{address}/p2p/{}", relay.peer_id);
    let url = format!("https://localhost:{port}");
    let mut a = peer("a", &pki, &["--relay", &full]);
    let id = text(&a.wait_event("started"), "peer_id");
    let reserved = a.wait_event("reserved");
    assert!(text(&reserved, "address").starts_with(&full), "{reserved}");
    a.wait_event("ready");
    relay.proc.wait_for("registration", |event| {
        event["event"] == "peer_registered" && event["peer"] == *id
    });
    // The other one learns from the URL where the relay is.
    let mut b = peer("b", &pki, &["--relay", &url]);
    b.wait_event("ready");
    b.wait_for("connection", |event| {
        event["event"] == "connected" && event["peer"] == *id
    });
    b.type_line("by way of 443");
    a.wait_for("message", |event| {
        event["event"] == "message" && event["body"] == "by way of 443"
    });
}

#[test]
fn who_does_not_trust_the_authority_does_not_join() {
    let pki = Pki::new();
    let (_relay, port) = relay(&pki, &[]);
    let url = format!("https://localhost:{port}");
    let mut peer = Proc::start("peer", &["--json", "--relay", &url]);
    let error = peer.wait_event("error");
    assert_eq!(error["code"], "bootstrap-failed");
    assert!(text(&error, "message").contains("UnknownIssuer"), "{error}");
}

#[test]
fn one_port_has_the_page_what_peers_ask_and_websockets() {
    let pki = Pki::new();
    let www = tempfile::tempdir().unwrap();
    fs::write(www.path().join("index.html"), "page").unwrap();
    let (relay, port) = relay(&pki, &["--www", www.path().to_str().unwrap()]);
    let (head, body) = pki.get(port, "/");
    assert_eq!((status(&head), &*body), (200, "page"));
    assert!(
        head.contains("\r\nstrict-transport-security: max-age="),
        "{head}"
    );
    assert_eq!(pki.get(port, "/healthz").1, "ok");
    let (_, body) = pki.get(port, "/bootstrap.json");
    let bootstrap: Value = serde_json::from_str(&body).unwrap();
    let by_name = format!("/dns/localhost/tcp/{port}/tls/ws/p2p/{}", relay.peer_id);
    assert_eq!(bootstrap["addresses"][0], *by_name);
    assert!(bootstrap["addresses"].as_array().unwrap().len() <= 16);
    for (path, headers, expected) in [
        ("/", UPGRADE, 101),
        ("/ws", UPGRADE, 101),
        ("/x", UPGRADE, 404),
        ("/ws", "connection: close\r\n", 400),
    ] {
        let mut stream = pki.connect(port);
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nhost: localhost\r\n{headers}\r\n"
        )
        .unwrap();
        let mut start = [0; 12];
        stream.read_exact(&mut start).unwrap();
        assert_eq!(start, *format!("HTTP/1.1 {expected}").as_bytes(), "{path}");
    }
    // Who comes without TLS is told nothing by this port, and finds the page at the other.
    let (status, page) = common::http_get(relay.http, "/");
    assert_eq!((status, &*page), (200, "page"));
}

#[test]
fn silent_websockets_keep_nobody_waiting() {
    /// The handshakes that a private address may have.
    const SHARE: usize = 192;
    const SILENT: usize = 300;
    let pki = Pki::new();
    let (relay, port) = relay(&pki, &[]);
    let silent = || {
        let mut stream = pki.connect(port);
        write!(stream, "GET / HTTP/1.1\r\nhost: localhost\r\n{UPGRADE}\r\n").unwrap();
        let mut start = [0; 12];
        stream.read_exact(&mut start).unwrap();
        assert_eq!(&start, b"HTTP/1.1 101");
        stream
    };
    let _crowd: Vec<_> = std::iter::repeat_with(silent).take(SILENT).collect();
    let address = format!("/dns/localhost/tcp/{port}/tls/ws/p2p/{}", relay.peer_id);
    let mut peer = peer("peer", &pki, &["--relay", &address]);
    peer.wait_event("registered");
    let is_cut =
        |line: &&str| line.contains("incoming connection failed") && line.contains("/tls/ws");
    let deadline = Instant::now() + DEADLINE;
    while relay.proc.stderr().lines().filter(is_cut).count() <= SILENT - SHARE {
        assert!(Instant::now() < deadline, "{}", relay.proc.report());
        thread::sleep(POLL);
    }
}

#[test]
fn a_new_certificate_is_shown_without_cutting_anybody() {
    let pki = Pki::new();
    let (relay, port) = relay(&pki, &[]);
    let address = format!("/dns/localhost/tcp/{port}/tls/ws/p2p/{}", relay.peer_id);
    let mut peer = peer("peer", &pki, &["--relay", &address]);
    peer.wait_event("ready");

    // A key that does not fit: refused, and the one before it stays.
    let before = shown(&pki, port);
    let fitting = fs::read(pki.private_key()).unwrap();
    pki.issue(&["localhost"]);
    fs::write(pki.private_key(), fitting).unwrap();
    let deadline = Instant::now() + DEADLINE;
    while !relay.proc.stderr().contains("does not fit the certificate") {
        assert!(Instant::now() < deadline, "{}", relay.proc.report());
        thread::sleep(POLL);
    }
    assert_eq!(shown(&pki, port), before);

    let new = pki.issue(&["localhost"]);
    wait_shown(&pki, port, &new);
    peer.type_line("/quit");
    assert!(peer.wait_exit().success());
    let lost = peer
        .pending_events()
        .iter()
        .any(|event| event["event"] == "reservation_lost");
    assert!(!lost, "{}", peer.report());
}

#[test]
fn what_is_no_pair_is_refused_at_the_start() {
    let pki = Pki::new();
    let certificate = pki.certificate();
    let certificate = certificate.to_str().unwrap();
    let authority = pki.authority();
    let authority = authority.to_str().unwrap();
    let key = pki.private_key();
    let key = key.to_str().unwrap();
    for (args, complaint) in [
        (&["--tls-cert", certificate][..], "both a certificate"),
        (&["--tls-port", "0"], "both a certificate"),
        (
            &["--tls-cert", key, "--tls-key", key],
            "no certificate in it",
        ),
        (&["--tls-cert", authority, "--tls-key", key], "does not fit"),
        (
            &["--tls-cert", "/none", "--tls-key", key],
            "--tls-cert /none: No such file",
        ),
    ] {
        let args = [&["relay", "--port", "0"], args].concat();
        let finished = Proc::start("relay", &args).finish();
        assert_eq!(finished.code, Some(2), "{finished:?}");
        assert!(finished.stderr.contains(complaint), "{finished:?}");
        assert_eq!(finished.stdout, "");
    }
}
