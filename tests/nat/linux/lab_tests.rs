//! Checks of the lab itself: its NATs behave as their names say.

use std::{
    env, fs,
    io::{BufRead, BufReader, ErrorKind},
    net::{SocketAddr, SocketAddrV4, TcpListener, TcpStream, UdpSocket},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use super::Test;
use crate::{
    common::DEADLINE,
    lab::{Host, Lab, Nat, ONE_WAY},
};

/// How long to wait for an answer that must not come. One within the lab would take far less.
const SILENCE: Duration = Duration::from_millis(300);

pub(super) fn tests() -> Vec<Test> {
    vec![
        Test::new("lab::cone_keeps_ports", || mapping(Nat::Cone, true, true)),
        Test::new("lab::translated_changes_ports_once", || {
            mapping(Nat::Translated, true, false);
        }),
        Test::new("lab::symmetric_changes_ports_each_time", || {
            mapping(Nat::Symmetric, false, false);
        }),
        Test::new("lab::only_who_was_sent_to_may_answer", filtering),
        Test::new("lab::udp_is_blocked", udp_is_blocked),
        Test::new("lab::only_tcp_443_passes", only_tcp_443),
        Test::new("lab::packets_take_their_time", delay),
        Test::new("lab::a_rebound_port_is_another", rebinding),
        Test::new("lab::what_is_cut_heals", cutting),
        Test::new("lab::a_killed_test_leaves_nothing", killed),
        Test::new(VICTIM, victim).long(),
    ]
}

/// The test that `killed` starts and kills.
const VICTIM: &str = "lab::to_be_killed";

fn udp(host: &Host) -> UdpSocket {
    host.inside(|| {
        let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        socket
    })
}

fn address_of(host: &Host, socket: &UdpSocket) -> SocketAddr {
    (host.ip(), socket.local_addr().unwrap().port()).into()
}

/// The address that a packet from one socket has when it arrives at another.
fn seen_at(from: &UdpSocket, to: &UdpSocket, address: SocketAddr) -> SocketAddr {
    from.send_to(b"hello", address).unwrap();
    to.recv_from(&mut [0; 16]).unwrap().1
}

fn mapping(nat: Nat, same_for_all: bool, keeps: bool) {
    let lab = Lab::new(None);
    let public = lab.site("public", Nat::None);
    let (one, two) = (lab.host("one", &public), lab.host("two", &public));
    let router = lab.site("home", nat);
    let inside = lab.host("inside", &router);
    let socket = udp(&inside);
    let port = socket.local_addr().unwrap().port();
    let (at_one, at_two) = (udp(&one), udp(&two));
    let first = seen_at(&socket, &at_one, address_of(&one, &at_one));
    let second = seen_at(&socket, &at_two, address_of(&two, &at_two));
    assert_eq!(first.ip(), router.outside());
    assert_eq!(first.port() == port, keeps, "{port} was seen as {first}");
    assert_eq!(first == second, same_for_all, "{first} and {second}");
    tcp_mapping(&inside, &one, &two, same_for_all, keeps);
}

/// Does the same with two TCP connections from one port, as hole punching makes them.
fn tcp_mapping(inside: &Host, one: &Host, two: &Host, same_for_all: bool, keeps: bool) {
    let listen = |host: &Host| {
        let listener = host.inside(|| TcpListener::bind("0.0.0.0:0").unwrap());
        let port = listener.local_addr().unwrap().port();
        (listener, SocketAddr::from((host.ip(), port)))
    };
    let (at_one, at_two) = (listen(one), listen(two));
    let port = udp(inside).local_addr().unwrap().port();
    let connect = |to: SocketAddr| {
        inside.inside(move || {
            let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
            let socket = socket.unwrap();
            socket.set_reuse_address(true).unwrap();
            socket
                .bind(&SocketAddr::from(([0, 0, 0, 0], port)).into())
                .unwrap();
            socket.connect(&to.into()).unwrap();
            TcpStream::from(socket)
        })
    };
    let _first = connect(at_one.1);
    let first = at_one.0.accept().unwrap().1;
    let _second = connect(at_two.1);
    let second = at_two.0.accept().unwrap().1;
    assert_eq!(first.port() == port, keeps, "{port} was seen as {first}");
    assert_eq!(first == second, same_for_all, "{first} and {second}");
}

fn filtering() {
    for nat in [Nat::Cone, Nat::Translated, Nat::Symmetric] {
        let lab = Lab::new(None);
        let public = lab.site("public", Nat::None);
        let outside = lab.host("outside", &public);
        let router = lab.site("home", nat);
        let inside = lab.host("inside", &router);
        let (socket, friend, stranger) = (udp(&inside), udp(&outside), udp(&outside));
        let mapped = seen_at(&socket, &friend, address_of(&outside, &friend));
        stranger.send_to(b"stranger", mapped).unwrap();
        friend.send_to(b"friend", mapped).unwrap();
        let mut packet = [0; 16];
        let (len, from) = socket.recv_from(&mut packet).unwrap();
        assert_eq!(&packet[..len], b"friend", "{nat:?}");
        assert_eq!(from, address_of(&outside, &friend));
        assert_silent(&outside, SocketAddrV4::new(router.outside(), 9));
    }
}

/// Checks that nothing comes back from a port that nobody has, over TCP and UDP.
fn assert_silent(from: &Host, to: SocketAddrV4) {
    let kind = from.inside(move || {
        let connected = TcpStream::connect_timeout(&to.into(), SILENCE);
        connected.expect_err("nobody listens").kind()
    });
    assert_eq!(kind, ErrorKind::TimedOut);
    let kind = from.inside(move || {
        let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
        socket.connect(to).unwrap();
        socket.set_read_timeout(Some(SILENCE)).unwrap();
        socket.send(b"hello").unwrap();
        socket
            .recv(&mut [0; 16])
            .expect_err("nobody is there")
            .kind()
    });
    assert_eq!(kind, ErrorKind::WouldBlock);
}

fn udp_is_blocked() {
    let lab = Lab::new(None);
    let public = lab.site("public", Nat::None);
    let outside = lab.host("outside", &public);
    let inside = lab.host("inside", &lab.site("home", Nat::UdpBlocked));
    let listener = outside.inside(|| TcpListener::bind("0.0.0.0:0").unwrap());
    let to = SocketAddr::from((outside.ip(), listener.local_addr().unwrap().port()));
    inside.inside(move || TcpStream::connect_timeout(&to, DEADLINE).unwrap());
    let (from, at) = (udp(&inside), udp(&outside));
    at.set_read_timeout(Some(SILENCE)).unwrap();
    from.send_to(b"hello", address_of(&outside, &at)).unwrap();
    let nothing = at.recv(&mut [0; 16]).unwrap_err();
    assert_eq!(nothing.kind(), ErrorKind::WouldBlock);
}

fn only_tcp_443() {
    let lab = Lab::new(None);
    let public = lab.site("public", Nat::None);
    let outside = lab.host("outside", &public);
    let inside = lab.host("inside", &lab.site("home", Nat::OnlyTcp443));
    let ip = outside.ip();
    let _listeners =
        outside.inside(|| [443, 444].map(|port| TcpListener::bind(("0.0.0.0", port)).unwrap()));
    inside.inside(move || {
        TcpStream::connect_timeout(&(ip, 443).into(), DEADLINE).unwrap();
        let other = TcpStream::connect_timeout(&(ip, 444).into(), SILENCE);
        assert_eq!(other.unwrap_err().kind(), ErrorKind::TimedOut);
    });
}

fn delay() {
    let lab = Lab::new(Some(ONE_WAY));
    let a = lab.host("a", &lab.site("a-home", Nat::Cone));
    let public = lab.site("b-home", Nat::None);
    let b = lab.host("b", &public);
    let (at_a, at_b) = (udp(&a), udp(&b));
    let start = Instant::now();
    let mapped = seen_at(&at_a, &at_b, address_of(&b, &at_b));
    at_b.send_to(b"hello", mapped).unwrap();
    at_a.recv(&mut [0; 16]).unwrap();
    assert!(start.elapsed() >= 2 * ONE_WAY);
}

fn rebinding() {
    for nat in [Nat::Cone, Nat::Translated] {
        let lab = Lab::new(None);
        let public = lab.site("public", Nat::None);
        let outside = lab.host("outside", &public);
        let router = lab.site("home", nat);
        let inside = lab.host("inside", &router);
        let (socket, at) = (udp(&inside), udp(&outside));
        let mut seen = Vec::new();
        for _ in 0..3 {
            let mapped = seen_at(&socket, &at, address_of(&outside, &at));
            assert!(!seen.contains(&mapped), "{mapped} again");
            seen.push(mapped);
            router.rebind();
        }
    }
}

fn cutting() {
    let lab = Lab::new(None);
    let public = lab.site("public", Nat::None);
    let (outside, witness) = (lab.host("outside", &public), lab.host("witness", &public));
    let router = lab.site("home", Nat::Cone);
    let inside = lab.host("inside", &router);
    let (socket, at, seen) = (udp(&inside), udp(&outside), udp(&witness));
    let to = address_of(&outside, &at);
    router.cut(&[to.ip()]);
    socket.send_to(b"lost", to).unwrap();
    // This packet was sent later and has passed, so the router has dropped the first.
    seen_at(&socket, &seen, address_of(&witness, &seen));
    router.heal(&[to.ip()]);
    socket.send_to(b"found", to).unwrap();
    let mut packet = [0; 16];
    let len = at.recv(&mut packet).unwrap();
    assert_eq!(&packet[..len], b"found");
}

/// When a test is killed and can clean up nothing, its processes and namespaces end all the same.
fn killed() {
    let mut test = Command::new(env::current_exe().unwrap())
        .args(["--ignored", "--exact", VICTIM])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(test.stdout.take().unwrap()).lines();
    let relay = lines.find_map(|line| line.unwrap().strip_prefix("relay: ").map(PathBuf::from));
    let relay = relay.expect("the process that the victim started");
    let namespace = fs::read_link(relay.join("ns/net")).unwrap();
    assert!(has_process_in(&namespace));
    test.kill().unwrap();
    test.wait().unwrap();
    let deadline = Instant::now() + DEADLINE;
    while relay.exists() || has_process_in(&namespace) {
        assert!(Instant::now() < deadline, "{} is left", relay.display());
        thread::sleep(Duration::from_millis(10));
    }
}

#[allow(clippy::print_stdout, reason = "the test that kills it reads this")]
fn victim() {
    let lab = Lab::new(Some(ONE_WAY));
    let (_host, relay) = lab.relay(1);
    println!("relay: /proc/{}", relay.proc.id());
    thread::sleep(DEADLINE);
}

fn has_process_in(namespace: &Path) -> bool {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let mut namespaces = processes.filter_map(|p| fs::read_link(p.path().join("ns/net")).ok());
    namespaces.any(|of| of == namespace)
}
