//! A relay behind proxies: who its clients are, and the examples for nginx and Caddy with the real programs.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod common;
#[path = "common/pki.rs"]
mod pki;

use std::{
    fs,
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use ppp::v2::{Builder, Command as Said, Protocol, Version};
use tempfile::TempDir;

use common::{DEADLINE, Killed, Proc, Relay, text};
use pki::Pki;

/// How often to look where there is nothing to wait for.
const POLL: Duration = Duration::from_millis(20);
/// An address that is this machine's, and not the proxy's.
const CLIENT: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
/// What a client of WebSocket asks for.
const UPGRADE: &str = "connection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
    sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
/// A frame of a WebSocket, masked, in which nothing is libp2p's.
const NONSENSE: &[u8] = b"\x82\x84\0\0\0\0\xff\xff\xff\xff";

/// Starts a relay that logs from where connections come that fail.
fn relay(more: &[&str]) -> Relay {
    let mut command = Command::new(env!("CARGO_BIN_EXE_punchline"));
    command.env("RUST_LOG", "punchline=debug");
    command.args(["relay", "--port", "0", "--json"]).args(more);
    Relay::ready(Proc::spawn("relay", command))
}

/// Waits until the relay has logged that a connection from there has failed.
fn wait_failed(relay: &Relay, from: &str) {
    let deadline = Instant::now() + DEADLINE;
    let is_logged = |line: &str| line.contains("incoming connection failed") && line.contains(from);
    while !relay.proc.stderr().lines().any(is_logged) {
        assert!(Instant::now() < deadline, "{from}\n{}", relay.proc.report());
        thread::sleep(POLL);
    }
}

/// The socket of one of the relay's listeners on the IPv4 loopback interface.
fn socket(relay: &Relay, contains: &str) -> SocketAddr {
    let address = relay.local_address("tcp", contains);
    let port = address.split('/').nth(4).unwrap().parse().unwrap();
    (Ipv4Addr::LOCALHOST, port).into()
}

/// What a proxy says of a client at 192.0.2.7.
fn header(port: u16) -> Vec<u8> {
    let from = SocketAddr::from(([192, 0, 2, 7], port));
    let to = SocketAddr::from(([192, 0, 2, 1], 443));
    let version = Version::Two | Said::Proxy;
    Builder::with_addresses(version, Protocol::Stream, (from, to))
        .build()
        .unwrap()
}

fn send(to: SocketAddr, parts: &[&[u8]]) -> TcpStream {
    let mut stream = TcpStream::connect(to).unwrap();
    stream.write_all(&parts.concat()).unwrap();
    stream
}

#[test]
fn a_trusted_proxy_says_whose_a_connection_is() {
    let relay = relay(&["--trusted-proxy", "127.0.0.0/8"]);
    let upgrade = format!("GET / HTTP/1.1\r\nhost: localhost\r\n{UPGRADE}\r\n");
    let upgrade = upgrade.as_bytes();
    let _tcp = send(socket(&relay, "/p2p/"), &[&header(4_001), &[0xff; 64]]);
    wait_failed(&relay, "/ip4/192.0.2.7/tcp/4001 ");
    let _ws = send(
        socket(&relay, "/ws/"),
        &[&header(4_002), b"nonsense\r\n\r\n"],
    );
    wait_failed(&relay, "/ip4/192.0.2.7/tcp/4002/ws ");
    let _http = send(relay.http, &[&header(4_003), upgrade, NONSENSE]);
    wait_failed(&relay, "/ip4/192.0.2.7/tcp/4003/ws ");
    // Without a header a connection is the proxy's own.
    let own = send(socket(&relay, "/p2p/"), &[&[0xff; 64]]);
    let port = own.local_addr().unwrap().port();
    wait_failed(&relay, &format!("/ip4/127.0.0.1/tcp/{port} "));
    assert_eq!(common::http_get(relay.http, "/healthz"), (200, "ok".into()));
}

#[test]
fn what_others_say_is_nothing() {
    let relay = relay(&["--trusted-proxy", "192.0.2.0/24"]);
    let tcp = send(socket(&relay, "/p2p/"), &[&header(4_001), &[0xff; 64]]);
    let port = tcp.local_addr().unwrap().port();
    wait_failed(&relay, &format!("/ip4/127.0.0.1/tcp/{port} "));
    let forwarded =
        format!("GET / HTTP/1.1\r\nhost: localhost\r\nx-forwarded-for: 192.0.2.7\r\n{UPGRADE}\r\n");
    let http = send(relay.http, &[forwarded.as_bytes(), NONSENSE]);
    let port = http.local_addr().unwrap().port();
    wait_failed(&relay, &format!("/ip4/127.0.0.1/tcp/{port}/ws "));
}

/// A proxy's process, and its files.
struct Proxy {
    process: Killed,
    _directory: TempDir,
}

impl Drop for Proxy {
    /// Asks it to end, as nginx's own processes would stay if it were killed.
    fn drop(&mut self) {
        let pid = Pid::from_raw(self.process.0.id().try_into().unwrap());
        let _ = kill(pid, Signal::SIGTERM);
        let _ = common::wait_exit(&mut self.process.0);
    }
}

/// An example as the manual has it, made to fit the test: our name, port, certificate and relay.
fn example(name: &str, replaced: &[(&str, &str)]) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../docs/proxies")
        .join(name);
    let mut text = fs::read_to_string(path).unwrap();
    for (from, to) in replaced {
        assert!(text.contains(from), "no {from} in {name}");
        text = text.replace(from, to);
    }
    text
}

fn nginx(pki: &Pki, port: u16, relay: SocketAddr) -> Proxy {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path().display();
    let site = example(
        "nginx.conf",
        &[
            ("listen [::]:443 ssl http2;", ""),
            ("listen 443", &format!("listen 127.0.0.1:{port}")),
            ("relay.example", "localhost"),
            (
                "/etc/letsencrypt/live/localhost/fullchain.pem",
                pki.certificate().to_str().unwrap(),
            ),
            (
                "/etc/letsencrypt/live/localhost/privkey.pem",
                pki.private_key().to_str().unwrap(),
            ),
            ("127.0.0.1:45680", &relay.to_string()),
        ],
    );
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("{kind}_temp_path {at}/{kind};\n"))
        .concat();
    let config = format!(
        "daemon off;\nworker_processes 1;\npid {at}/pid;\nerror_log stderr;\nevents {{}}\n\
         http {{\naccess_log off;\n{temporary}{site}}}\n"
    );
    let mut command = Command::new("nginx");
    command.args(["-e", "stderr", "-c"]);
    start(command, directory, "nginx.conf", &config, port)
}

fn caddy(pki: &Pki, port: u16, relay: SocketAddr) -> Proxy {
    let directory = tempfile::tempdir().unwrap();
    let tls = format!(
        "https://localhost:{port} {{\n\tbind 127.0.0.1\n\ttls {} {}",
        pki.certificate().display(),
        pki.private_key().display()
    );
    let site = example(
        "Caddyfile",
        &[
            ("\nrelay.example {", &format!("\n{tls}")),
            ("127.0.0.1:45680", &relay.to_string()),
        ],
    );
    let config = format!("{{\n\tadmin off\n\tauto_https disable_redirects\n}}\n{site}");
    let mut command = Command::new("caddy");
    for variable in ["HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME"] {
        command.env(variable, directory.path());
    }
    command.args(["run", "--adapter", "caddyfile", "--config"]);
    start(command, directory, "Caddyfile", &config, port)
}

/// Starts a proxy with this configuration, and waits until it listens.
fn start(mut command: Command, directory: TempDir, name: &str, config: &str, port: u16) -> Proxy {
    let path = directory.path().join(name);
    fs::write(&path, config).unwrap();
    let errors = fs::File::create(directory.path().join("errors")).unwrap();
    // Where Debian has nginx, which people's PATH may not name.
    let search = format!("{}:/usr/sbin", std::env::var("PATH").unwrap_or_default());
    let process = command
        .arg(&path)
        .env("PATH", search)
        .stderr(errors)
        .spawn();
    let mut process = Killed(process.unwrap_or_else(|e| {
        panic!(
            "{}: {e}; `cargo xtask setup` installs it",
            command.get_program().display()
        )
    }));
    let deadline = Instant::now() + DEADLINE;
    while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
        let ended = process.0.try_wait().unwrap();
        assert!(
            ended.is_none() && Instant::now() < deadline,
            "{}",
            fs::read_to_string(directory.path().join("errors")).unwrap()
        );
        thread::sleep(POLL);
    }
    Proxy {
        process,
        _directory: directory,
    }
}

/// Checks that everything gets through a proxy, with the client's address.
fn check(proxy: fn(&Pki, u16, SocketAddr) -> Proxy) {
    let pki = Pki::new();
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let www = tempfile::tempdir().unwrap();
    fs::write(www.path().join("index.html"), "page").unwrap();
    let address = format!("/dns/localhost/tcp/{port}/tls/ws");
    let relay = relay(&[
        "--trusted-proxy",
        "127.0.0.1",
        "--announce",
        &address,
        "--www",
        www.path().to_str().unwrap(),
    ]);
    let _proxy = proxy(&pki, port, relay.http);
    assert_eq!(pki.get(port, "/").1, "page");
    let (_, bootstrap) = pki.get(port, "/bootstrap.json");
    assert!(
        bootstrap.contains(&format!("[\"{address}/p2p/")),
        "{bootstrap}"
    );

    let mut stream = pki.connect_from(CLIENT, port);
    write!(
        stream,
        "GET / HTTP/1.1\r\nhost: localhost:{port}\r\n{UPGRADE}\r\n"
    )
    .unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 101");
    stream.write_all(NONSENSE).unwrap();
    wait_failed(&relay, &format!("/ip4/{CLIENT}/tcp/"));

    let [mut a, mut b] = ["a", "b"].map(|name| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_punchline"));
        command.env("SSL_CERT_FILE", pki.authority());
        command.args(["--json", "--listen", "/ip4/127.0.0.1/tcp/0", "--relay"]);
        command.arg(format!("https://localhost:{port}"));
        Proc::spawn(name, command)
    });
    let id = text(&a.wait_event("started"), "peer_id");
    a.wait_event("ready");
    b.wait_for("connection", |event| {
        event["event"] == "connected" && event["peer"] == *id
    });
    b.type_line("through a proxy");
    a.wait_for("message", |event| {
        event["event"] == "message" && event["body"] == "through a proxy"
    });
}

#[test]
fn everything_gets_through_nginx() {
    check(nginx);
}

#[test]
fn everything_gets_through_caddy() {
    check(caddy);
}
