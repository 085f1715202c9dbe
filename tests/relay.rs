//! The relay as its operator sees it: arguments, output, files, and what its ports answer.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod common;

use std::{
    fs,
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Stdio},
};

use libp2p::identity::Keypair;
use nix::sys::signal::Signal;
use serde_json::Value;
use tempfile::TempDir;

use common::{DEADLINE, Finished, Proc, Relay, free_ports, http_get, wait_exit};

const NO_ARGS: &[&str] = &[];
const SEED_0: &str = "12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN";

/// Runs `punchline`, and waits until it has ended.
fn run(args: &[&str]) -> Finished {
    Proc::start("punchline", args).finish()
}

/// Checks that a process failed with that code and one line on stderr, and returns the line.
fn one_complaint(finished: &Finished, code: i32) -> &str {
    assert_eq!(finished.code, Some(code), "{finished:?}");
    assert_eq!(finished.stdout, "", "nothing was started");
    let mut lines = finished.stderr.lines();
    let line = lines.next().unwrap_or_default();
    assert!(line.starts_with("error: "), "{finished:?}");
    assert_eq!(lines.next(), None, "{finished:?}");
    line
}

fn bootstrap(relay: &Relay) -> Value {
    let (status, body) = http_get(relay.http, "/bootstrap.json");
    assert_eq!(status, 200);
    serde_json::from_str(&body).unwrap()
}

/// The WebRTC certificate's hash in the relay's addresses.
fn certhash(relay: &Relay) -> String {
    let address = relay.local_address("udp", "/webrtc-direct/certhash/");
    let mut parts = address.split('/').skip_while(|part| *part != "certhash");
    parts.nth(1).unwrap().to_owned()
}

#[test]
fn listens_on_every_transport_and_says_so() {
    let mut relay = Relay::start(NO_ARGS);
    relay.local_address("tcp", "/p2p/");
    relay.local_address("udp", "/quic-v1/");
    relay.local_address("tcp", "/ws/");
    relay.local_address("udp", "/webrtc-direct/certhash/");
    for address in &relay.addresses {
        assert!(address.ends_with(&format!("/p2p/{}", relay.peer_id)));
        assert!(!address.contains("/0.0.0.0/") && !address.contains("/ip6/::/"));
    }
    let served = bootstrap(&relay);
    assert_eq!(served["peer_id"], *relay.peer_id);
    assert_eq!(served["namespace"], "rendezvous");
    let addresses: Vec<_> = served["addresses"].as_array().unwrap().to_vec();
    assert!((4..=16).contains(&addresses.len()), "{served}");
    for address in &addresses {
        let address = address.as_str().unwrap().to_owned();
        assert!(relay.addresses.contains(&address), "{address}");
    }
    assert_eq!(http_get(relay.http, "/healthz"), (200, "ok".into()));
    assert_eq!(http_get(relay.http, "/x"), (404, "not found\n".into()));
    relay.proc.wait_event("stun");
    relay.proc.signal(Signal::SIGTERM);
    let finished = relay.proc.finish();
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert_eq!(finished.stdout.matches(r#""event":"ready""#).count(), 1);
}

#[test]
fn prints_lines_for_people() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_punchline"));
    let www = page(&[("index.html", "page")]);
    command.args(["relay", "--port", "0", "--secret-key-seed", "0"]);
    command.arg("--www").arg(www.path());
    let relay = Proc::spawn("relay", command);
    relay.wait_line("Peers join with: punchline --relay http://");
    relay.wait_line("Browsers join at: http://");
    relay.signal(Signal::SIGINT);
    let finished = relay.finish();
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert!(
        finished
            .stdout
            .starts_with(&format!("Local peer id: {SEED_0}\n"))
    );
    assert!(
        finished
            .stdout
            .contains("\nListening on /ip4/127.0.0.1/tcp/")
    );
    assert!(
        finished
            .stdout
            .contains(" (not built yet: cargo xtask web)\n")
    );
    assert!(finished.stderr.contains("is no secret"), "{finished:?}");
}

/// Makes a directory with these files.
fn page(files: &[(&str, &str)]) -> TempDir {
    let www = tempfile::tempdir().unwrap();
    for (name, content) in files {
        fs::write(www.path().join(name), content).unwrap();
    }
    www
}

#[test]
fn serves_a_page() {
    let www = page(&[("index.html", "page"), ("a.js", "script"), (".x", "hidden")]);
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("relay.toml");
    let path = www.path().to_str().unwrap();
    fs::write(&config, format!("www = {path:?}")).unwrap();
    for args in [["--www", path], ["--config", config.to_str().unwrap()]] {
        let relay = Relay::start(&args);
        assert_eq!(http_get(relay.http, "/"), (200, "page".into()));
        assert_eq!(http_get(relay.http, "/a.js"), (200, "script".into()));
        for path in ["/.x", "/%00", "/../relay.toml", "/pkg/web_bg.wasm"] {
            assert_eq!(http_get(relay.http, path), (404, "not found\n".into()));
        }
    }
}

/// The addresses in /bootstrap.json that a browser can dial.
fn for_browsers(bootstrap: &Value) -> Vec<String> {
    let addresses = bootstrap["addresses"].as_array().unwrap().iter();
    let addresses = addresses.map(|a| a.as_str().unwrap().to_owned());
    addresses
        .filter(|a| a.contains("/ws/") || a.contains("/webrtc-direct/"))
        .collect()
}

#[test]
fn a_browser_finds_addresses_at_the_host_that_it_came_by() {
    let relay = Relay::start(NO_ARGS);
    let locally = for_browsers(&bootstrap(&relay));
    let local = |start| locally.iter().any(|a| a.starts_with(start));
    assert!(local("/ip4/127.0.0.1/tcp/") && local("/ip4/127.0.0.1/udp/"));
    // The request as it comes through a router that forwards the relay's ports.
    let mut stream = TcpStream::connect(relay.http).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    let request = "GET /bootstrap.json HTTP/1.1\r\nhost: 203.0.113.5:80\r\nconnection: close\r\n";
    write!(stream, "{request}\r\n").unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    let (_, body) = response.split_once("\r\n\r\n").unwrap();
    let forwarded = for_browsers(&serde_json::from_str(body).unwrap());
    let (added, listed) = forwarded.split_at(2);
    assert_eq!(listed, locally);
    for (added, kind) in added.iter().zip(["/ws/p2p/", "/webrtc-direct/certhash/"]) {
        assert!(added.starts_with("/ip4/203.0.113.5/"), "{added}");
        assert!(added.contains(kind), "{added}");
        let there = added.replace("/203.0.113.5/", "/127.0.0.1/");
        assert!(relay.addresses.contains(&there), "{added}");
    }
}

#[test]
fn announces_the_addresses_that_it_is_given() {
    let mut relay = Relay::start(&[
        "--announce",
        "/dns4/relay.example/tcp/443/wss",
        "--announce",
        "/ip4/203.0.113.5/udp/45679/webrtc-direct",
        "--namespace",
        "office",
    ]);
    let first = relay.proc.wait_event("external_address");
    assert_eq!(first["address"], "/dns4/relay.example/tcp/443/wss");
    let served = bootstrap(&relay);
    let own = &relay.peer_id;
    assert_eq!(
        served["addresses"],
        serde_json::json!([
            format!("/dns4/relay.example/tcp/443/wss/p2p/{own}"),
            format!(
                "/ip4/203.0.113.5/udp/45679/webrtc-direct/certhash/{}/p2p/{own}",
                certhash(&relay)
            ),
        ])
    );
    assert_eq!(served["namespace"], "office");
}

#[test]
fn does_without_webrtc_direct_if_told() {
    let without = "--no-webrtc-direct";
    let relay = Relay::start(&[without]);
    relay.local_address("tcp", "/ws/");
    assert!(!relay.addresses.iter().any(|a| a.contains("webrtc")));
    let announced = "--announce=/ip4/203.0.113.5/udp/45679/webrtc-direct";
    let finished = run(&["relay", "--port", "0", without, announced]);
    let complaint = one_complaint(&finished, 2);
    assert!(complaint.contains("WebRTC direct is off"), "{complaint}");
}

#[test]
fn answers_stun() {
    let mut relay = Relay::start(NO_ARGS);
    let served = bootstrap(&relay)["stun_ports"].clone();
    assert_eq!(served.as_array().unwrap().len(), 2, "{served}");
    for port in served.as_array().unwrap() {
        let named = format!("127.0.0.1:{port}");
        let listens = |event: &Value| event["event"] == "stun" && event["address"] == *named;
        relay.proc.wait_for("stun", listens);
        answers_stun_at(&named);
    }
}

fn answers_stun_at(server: &str) {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    let mut request = stun::message::Message::new();
    request
        .build(&[
            Box::new(stun::message::BINDING_REQUEST),
            Box::<stun::agent::TransactionId>::default(),
        ])
        .unwrap();
    socket.send_to(&request.raw, server).unwrap();
    let mut buffer = [0; 512];
    let length = socket.recv(&mut buffer).unwrap();
    let mut answer = stun::message::Message::new();
    answer.unmarshal_binary(&buffer[..length]).unwrap();
    let mut seen = stun::xoraddr::XorMappedAddress::default();
    seen.get_from_as(&answer, stun::attributes::ATTR_XORMAPPED_ADDRESS)
        .unwrap();
    assert_eq!(
        SocketAddr::new(seen.ip, seen.port),
        socket.local_addr().unwrap()
    );
}

#[test]
fn a_silent_http_client_is_cut_off() {
    let relay = Relay::start(NO_ARGS);
    let mut silent = TcpStream::connect(relay.http).unwrap();
    silent.set_read_timeout(Some(DEADLINE)).unwrap();
    // The relay hangs up, perhaps after an answer. If it did not, this read would run into its timeout and fail.
    let mut rest = Vec::new();
    silent.read_to_end(&mut rest).unwrap();
    assert_eq!(http_get(relay.http, "/healthz").0, 200);
}

#[test]
fn identity_survives_a_restart_and_is_not_shared() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let args = ["--data-dir", data.to_str().unwrap()];
    let first = Relay::start(&args);

    let second = run(&["relay", "--port", "0", "--data-dir", data.to_str().unwrap()]);
    let complaint = one_complaint(&second, 1);
    assert!(complaint.contains(data.to_str().unwrap()), "{complaint}");

    let before = (first.peer_id.clone(), certhash(&first));
    first.proc.signal(Signal::SIGKILL);
    assert_eq!(first.proc.finish().code, None);
    let again = Relay::start(&args);
    assert_eq!((again.peer_id.clone(), certhash(&again)), before);

    let mode = |path: &str| fs::metadata(data.join(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(""), 0o700);
    assert_eq!(mode("key"), 0o600);
    // The hash follows from the key.
    assert!(!data.join("webrtc-certificate.pem").exists());
}

#[test]
fn default_data_directory_follows_xdg() {
    let home = tempfile::tempdir().unwrap();
    let port = free_ports();
    let mut command = Command::new(env!("CARGO_BIN_EXE_punchline"));
    command
        .args(["relay", "--json", "--port", &port.to_string()])
        .env("XDG_DATA_HOME", home.path());
    Relay::ready(Proc::spawn("relay", command));
    let kept = home.path().join(format!("punchline/relay-{port}/key"));
    assert!(kept.is_file(), "{}", kept.display());
}

#[test]
fn a_port_in_use_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().to_str().unwrap();
    for offset in 0..3 {
        let base = free_ports();
        let taken = TcpListener::bind(("0.0.0.0", base + offset)).unwrap();
        let port = base.to_string();
        let finished = run(&["relay", "--port", &port, "--data-dir", data]);
        let complaint = one_complaint(&finished, 1);
        let named = (base + offset).to_string();
        assert!(
            complaint.contains("cannot listen on") && complaint.contains(&named),
            "{complaint}"
        );
        drop(taken);
    }
}

#[test]
fn a_relay_does_not_share_its_ports_with_another() {
    let relay = Relay::start(NO_ARGS);
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().to_str().unwrap();
    let address: Vec<_> = relay
        .local_address("tcp", "/p2p/")
        .split('/')
        .map(str::to_owned)
        .collect();
    let finished = run(&["relay", "--port", &address[4], "--data-dir", data]);
    let complaint = one_complaint(&finished, 1);
    assert!(complaint.contains(&address[4]), "{complaint}");
}

#[test]
fn wrong_arguments_start_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("relay.toml");
    fs::write(&config, "port = 0\nmax-circus = 3\n").unwrap();
    for (args, expected) in [
        (&["relay", "--port", "65533"][..], "0 to 65532"),
        (&["relay", "--announce", "nowhere"], "no multiaddr"),
        (&["relay", "--no-such-flag"], "--no-such-flag"),
        (&["relay", "--max-circuits", "0"], "at least 1"),
        (
            &["relay", "--config", config.to_str().unwrap()],
            "unknown field `max-circus`",
        ),
        (
            &["relay", "--secret-key-seed", "1", "--data-dir", "d"],
            "cannot be used with",
        ),
        (
            &[
                "relay",
                "--port",
                "0",
                "--announce",
                &format!("/ip4/192.0.2.1/tcp/1/p2p/{SEED_0}"),
            ],
            "names another peer",
        ),
        (
            &["relay", "--port", "0", "--www", "/no/such"],
            "--www /no/such: no such directory",
        ),
        (&["nonsense"], "no multiaddr"),
        (&["--relay", "nonsense"], "nor a URL"),
        (&["--secret-key-seed", "256"], "0 to 255"),
        (&["--greet-interval", "soon"], "a number and a unit"),
    ] {
        let finished = run(args);
        let complaint = one_complaint(&finished, 2);
        assert!(complaint.contains(expected), "{args:?}: {complaint}");
    }
}

/// The names in a directory that exists.
fn entries(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

#[test]
fn an_announced_address_of_another_peer_leaves_nothing_behind() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let refused = || {
        let finished = run(&[
            "relay",
            "--port",
            "0",
            "--data-dir",
            data.to_str().unwrap(),
            "--announce",
            &format!("/ip4/192.0.2.1/tcp/1/p2p/{SEED_0}"),
        ]);
        let complaint = one_complaint(&finished, 2);
        assert!(complaint.contains("names another peer"), "{complaint}");
    };
    refused();
    assert!(!data.exists());

    fs::create_dir(&data).unwrap();
    refused();
    assert!(entries(&data).is_empty(), "{:?}", entries(&data));

    let key = Keypair::generate_ed25519();
    let file = data.join("key");
    fs::write(&file, key.to_protobuf_encoding().unwrap()).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    refused();
    assert_eq!(entries(&data), ["key"]);
    let mode = fs::metadata(&file).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o640);

    let own = key.public().to_peer_id();
    let mut relay = Relay::start(&[
        "--data-dir",
        data.to_str().unwrap(),
        "--announce",
        &format!("/ip4/192.0.2.1/tcp/1/p2p/{own}"),
    ]);
    let announced = relay.proc.wait_event("external_address");
    assert_eq!(announced["address"], "/ip4/192.0.2.1/tcp/1");
}

#[test]
fn a_key_that_cannot_be_read_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let key = directory.path().join("key");
    let args = [
        "relay",
        "--port",
        "0",
        "--data-dir",
        directory.path().to_str().unwrap(),
    ];
    fs::write(&key, [1; 32]).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    let finished = run(&args);
    let complaint = one_complaint(&finished, 1);
    assert!(complaint.contains(key.to_str().unwrap()), "{complaint}");

    fs::remove_file(&key).unwrap();
    fs::create_dir(&key).unwrap();
    let finished = run(&args);
    assert!(one_complaint(&finished, 1).contains("is a directory"));
}

#[test]
fn a_key_others_can_read_is_closed_and_said() {
    let directory = tempfile::tempdir().unwrap();
    let args = ["--data-dir", directory.path().to_str().unwrap()];
    let relay = Relay::start(&args);
    let peer_id = relay.peer_id.clone();
    relay.proc.signal(Signal::SIGTERM);
    assert_eq!(relay.proc.finish().code, Some(0));
    let key = directory.path().join("key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let relay = Relay::start(&args);
    assert_eq!(relay.peer_id, peer_id);
    let mode = fs::metadata(&key).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
    relay.proc.signal(Signal::SIGTERM);
    let finished = relay.proc.finish();
    assert!(
        finished.stderr.contains("its mode is 0600 now"),
        "{finished:?}"
    );
}

#[test]
fn a_closed_stdout_ends_it_quietly() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut relay = Command::new(env!("CARGO_BIN_EXE_punchline"))
        .args(["relay", "--port", "0"])
        .stdin(Stdio::null())
        .stdout(writer)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let status = wait_exit(&mut relay).expect("it ends");
    let mut stderr = String::new();
    relay.stderr.unwrap().read_to_string(&mut stderr).unwrap();
    assert_eq!((status.code(), stderr.as_str()), (Some(0), ""));
}
