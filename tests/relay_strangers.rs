//! What a stranger can cost a relay: counts of sockets and bytes, with hostile clients.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
#![allow(clippy::print_stdout, reason = "a test says how long it took")]

mod common;

use std::{
    fs,
    io::{ErrorKind, Read, Write},
    net::{Ipv4Addr, TcpStream, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use futures::StreamExt;
use libp2p::{
    Multiaddr, SwarmBuilder, Transport as _,
    core::{
        Endpoint,
        transport::{DialOpts, PortUse},
    },
    identity::Keypair,
    noise,
    swarm::SwarmEvent,
    tcp, yamux,
};
use libp2p_rendezvous as rendezvous;
use punchline_webrtc::{direct, platform::native::Native};
use serde_json::Value;
use stun::{integrity::MessageIntegrity, message::Setter};

use common::{Proc, Relay, http_get, memory_kib, text};

const NO_ARGS: &[&str] = &[];

/// Whoever forges the first packets of WebRTC handshakes, by ten thousand, gets no socket for it and hardly any memory, and
/// who comes then is let in.
#[tokio::test(flavor = "multi_thread")]
async fn forged_packets_cost_no_socket() {
    const FORGED: u32 = 10_000;
    const MAX_GROWTH_KIB: u64 = 8 * 1024;
    let relay = Relay::start(NO_ARGS);
    let before = (udp_sockets(&relay), resident_kib(&relay));
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let udp = relay.addresses.iter().filter_map(|address| {
        let mut parts = address.strip_prefix("/ip4/127.0.0.1/udp/")?.split('/');
        parts.next()?.parse::<u16>().ok()
    });
    let (_, body) = http_get(relay.http, "/bootstrap.json");
    let served: Value = serde_json::from_str(&body).unwrap();
    let served = &served["stun_ports"];
    let stun = served.as_array().unwrap().iter();
    let stun: Vec<_> = stun.map(|port| port.as_u64().unwrap() as u16).collect();
    // They are as good as any.
    let address = relay.local_address("udp", "/webrtc-direct/");
    let port: u16 = address.split('/').nth(4).unwrap().parse().unwrap();
    socket
        .send_to(&forged_handshake(FORGED), (Ipv4Addr::LOCALHOST, port))
        .unwrap();
    socket.set_read_timeout(Some(common::DEADLINE)).unwrap();
    assert!(socket.recv(&mut [0; 1_500]).unwrap() > 0);
    for port in udp.chain(stun.iter().copied()) {
        for number in 0..FORGED {
            let packet = forged_handshake(number);
            socket
                .send_to(&packet, (Ipv4Addr::LOCALHOST, port))
                .unwrap();
        }
    }
    assert_eq!(http_get(relay.http, "/healthz").0, 200);
    assert_eq!(udp_sockets(&relay), before.0);
    let growth = resident_kib(&relay).saturating_sub(before.1);
    assert!(growth < MAX_GROWTH_KIB, "{growth} KiB");
    let address: Multiaddr = address.parse().unwrap();
    let mut transport = direct::Transport::new(&Keypair::generate_ed25519(), Native::new());
    let options = DialOpts {
        role: Endpoint::Dialer,
        port_use: PortUse::New,
    };
    let (peer, _) = transport.dial(address, options).unwrap().await.unwrap();
    assert_eq!(peer.to_string(), relay.peer_id);
}

/// 256 handshakes may be under way on a transport. Who never says a word does not keep others from theirs, though he
/// comes again at once when he is thrown out.
#[test]
fn silent_connections_keep_nobody_waiting() {
    const SILENT: usize = 300;
    let relay = Relay::start(NO_ARGS);
    let ws = relay.local_address("tcp", "/ws/");
    let quic = relay.local_address("udp", "/quic-v1/");
    let is_tcp = |a: &&String| a.starts_with("/ip4/127.0.0.1/tcp/") && !a.contains("/ws/");
    let tcp = relay.addresses.iter().find(is_tcp).unwrap().clone();
    let ports = [&tcp, &ws].map(|address| address.split('/').nth(4).unwrap().parse().unwrap());
    let siege = Siege::start(&ports, SILENT);
    for (name, address) in [("tcp", &tcp), ("ws", &ws), ("quic", &quic)] {
        let mut peer = Proc::start(name, &["--json", "--relay", address]);
        peer.wait_event("registered");
    }
    let times = siege.end();
    println!("{times} connections were made again");
}

/// Connections that say nothing, and that are made again when they are closed.
struct Siege {
    over: Arc<AtomicBool>,
    besieger: JoinHandle<usize>,
}

impl Siege {
    /// All are there when this returns: so many to each port.
    fn start(ports: &[u16], count: usize) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let mut silent: Vec<_> = ports
            .iter()
            .flat_map(|port| std::iter::repeat_n(*port, count))
            .map(|port| (port, silent(port)))
            .collect();
        let ended = over.clone();
        let besieger = thread::spawn(move || {
            let mut again = 0;
            while !ended.load(Relaxed) {
                for (port, stream) in &mut silent {
                    if has_ended(stream) {
                        *stream = self::silent(*port);
                        again += 1;
                    }
                }
                // He has other things to do, and this machine too.
                thread::sleep(Duration::from_millis(10));
            }
            again
        });
        Self { over, besieger }
    }

    /// Returns how many connections were made again.
    fn end(self) -> usize {
        self.over.store(true, Relaxed);
        self.besieger.join().unwrap()
    }
}

fn silent(port: u16) -> TcpStream {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    stream.set_nonblocking(true).unwrap();
    stream
}

/// A listener speaks first by multistream-select, or not at all.
fn has_ended(stream: &mut TcpStream) -> bool {
    match stream.read(&mut [0; 256]) {
        Ok(len) => len == 0,
        Err(e) => e.kind() != ErrorKind::WouldBlock,
    }
}

/// How many UDP sockets the relay has open.
fn udp_sockets(relay: &Relay) -> usize {
    let files = fs::read_dir(format!("/proc/{}/fd", relay.proc.id())).unwrap();
    let links = files.filter_map(|file| fs::read_link(file.unwrap().path()).ok());
    let names = links.map(|link| link.to_string_lossy().into_owned());
    let inodes: Vec<_> = names
        .filter_map(|name| Some(name.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned()))
        .collect();
    let tables =
        ["/proc/net/udp", "/proc/net/udp6"].map(|table| fs::read_to_string(table).unwrap());
    let rows = tables.iter().flat_map(|table| table.lines());
    rows.filter(|row| {
        let inode = row.split_whitespace().nth(9);
        inode.is_some_and(|inode| inodes.iter().any(|ours| ours == inode))
    })
    .count()
}

/// A STUN request of ICE from somebody unknown, by webrtc-direct of libp2p's specification.
fn forged_handshake(number: u32) -> Vec<u8> {
    let fragment = format!("libp2p+webrtc+v1/{number:032}");
    let username = stun::textattrs::Username::new(
        stun::attributes::ATTR_USERNAME,
        format!("{fragment}:{fragment}"),
    );
    let mut request = stun::message::Message::new();
    request
        .build(&[
            Box::new(stun::message::BINDING_REQUEST),
            Box::<stun::agent::TransactionId>::default(),
            Box::new(username),
            Box::new(Priority),
            // As anybody can make it: the password is the user.
            Box::new(MessageIntegrity::new_short_term_integrity(fragment)),
        ])
        .unwrap();
    request.raw
}

/// Of a pair of candidates.
struct Priority;

impl Setter for Priority {
    fn add_to(&self, message: &mut stun::message::Message) -> Result<(), stun::Error> {
        message.add(stun::attributes::ATTR_PRIORITY, &[1; 4]);
        Ok(())
    }
}

/// What an operator sees of a flood: one line now and then.
#[test]
fn a_flood_of_refusals_is_one_line() {
    const FLOOD: usize = 300;
    let relay = Relay::start(&["--max-http-connections", "4"]);
    // A share of three of the four, and nobody lets go.
    let held: Vec<_> = (0..3).map(|_| ask(&relay, "/bootstrap.json")).collect();
    for _ in 0..FLOOD {
        ask(&relay, "/bootstrap.json");
    }
    let said = || relay.proc.stderr();
    let start = Instant::now();
    while !said().contains("HTTP connections from this machine") {
        assert!(start.elapsed() < common::DEADLINE, "{}", said());
        std::thread::park_timeout(std::time::Duration::from_millis(50));
    }
    assert!(said().lines().count() <= 2, "{}", said());
    assert!(!said().contains("127.0.0.1"), "no addresses: {}", said());
    drop(held);
}

/// Sends a request, and reads the first byte of its answer. The connection stays open.
fn ask(relay: &Relay, path: &str) -> TcpStream {
    let mut stream = TcpStream::connect(relay.http).unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    stream.read_exact(&mut [0]).unwrap();
    stream
}

/// Clients that ask for a large file again and again, and read none of it.
#[test]
fn answers_that_nobody_reads_take_little_memory() {
    const CLIENTS: usize = 200;
    const MAX_GROWTH_KIB: u64 = 100 * CLIENTS as u64;
    let www = tempfile::tempdir().unwrap();
    fs::write(www.path().join("large.txt"), vec![b'x'; 3 << 20]).unwrap();
    let relay = Relay::start(&["--www", www.path().to_str().unwrap()]);
    let before = resident_kib(&relay);
    let held: Vec<_> = (0..CLIENTS).map(|_| ask(&relay, "/large.txt")).collect();
    assert_eq!(http_get(relay.http, "/healthz").0, 200);
    let growth = resident_kib(&relay).saturating_sub(before);
    assert!(growth < MAX_GROWTH_KIB, "{growth} KiB");
    drop(held);
}

fn resident_kib(relay: &Relay) -> u64 {
    memory_kib(relay.proc.id(), "VmRSS").unwrap()
}

/// Peers that registered and are gone: their records lead nowhere. Whoever comes then finds the living among them.
#[tokio::test(flavor = "multi_thread")]
async fn two_peers_meet_among_a_thousand_dead() {
    const DEAD: usize = 1_000;
    let relay = Relay::start(NO_ARGS);
    let address: Multiaddr = relay.local_address("tcp", "/p2p/").parse().unwrap();
    for _ in 0..DEAD {
        register_and_leave(&address, "rendezvous").await;
    }
    let url = relay.url();
    let [mut a, mut b] = ["a", "b"].map(|name| {
        let args = ["--json", "--greet-interval", "0", "--relay", &url];
        let mut peer = Proc::start(name, &args);
        let id = text(&peer.wait_event("started"), "peer_id");
        (peer, id)
    });
    let (start, of_b) = (Instant::now(), b.1.clone());
    a.0.wait_for("connection", |event| {
        event["event"] == "connected" && event["peer"] == *of_b
    });
    b.0.wait_event("connected");
    // The aim is 2 s; this machine may be busy.
    assert!(
        start.elapsed() < Duration::from_secs(20),
        "{:?}",
        start.elapsed()
    );
    println!("they met after {:?}", start.elapsed());
}

async fn register_and_leave(relay: &Multiaddr, namespace: &str) {
    let mut swarm = SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(
            tcp::Config::default(),
            noise::Config::new,
            yamux::Config::default,
        )
        .unwrap()
        .with_behaviour(|key| rendezvous::client::Behaviour::new(key.clone()))
        .unwrap()
        .build();
    swarm.add_external_address("/ip4/198.51.100.1/tcp/4000".parse().unwrap());
    swarm.dial(relay.clone()).unwrap();
    loop {
        match swarm.select_next_some().await {
            SwarmEvent::ConnectionEstablished { peer_id, .. } => {
                let room = rendezvous::Namespace::new(namespace.into()).unwrap();
                swarm.behaviour_mut().register(room, peer_id, None).unwrap();
            }
            SwarmEvent::Behaviour(rendezvous::client::Event::Registered { .. }) => return,
            SwarmEvent::Behaviour(other) => panic!("{other:?}"),
            _ => {}
        }
    }
}
