//! Every kind of NAT against every other: whether two peers get a direct path, over what, and how soon.

use std::{
    env,
    fs::OpenOptions,
    io::Write,
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;
use serde_json::json;

use super::{
    Test,
    peers::{Peer, in_time, talk},
};
use crate::lab::{Host, Lab, Nat, ONE_WAY, Relay, Router};

/// The environment variable that names a file for the figures of each cell, one JSON object a line.
const REPORT: &str = "PUNCHLINE_NAT_REPORT";
/// Messages each way once the relay is gone.
const AFTER_THE_RELAY: usize = 100;
/// Messages each way over the circuit where there is no direct path, when figures are asked for: as many as two people
/// would exchange in ten minutes at ten lines a second.
const OVER_THE_CIRCUIT: usize = 6_000;
/// The same when no figures are asked for. It is still more than libp2p's default of 128 KiB a circuit lets through.
const OVER_THE_CIRCUIT_IN_SHORT: usize = 2_000;

/// Where a peer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Open,
    Cone,
    Translated,
    Symmetric,
    Double,
    UdpBlocked,
    OnlyTcp443,
    V6Firewall,
    DualStack,
}

/// The path that two peers have to get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Path {
    Direct(&'static str),
    Relayed,
}

const QUIC: Path = Path::Direct("quic");
const TCP: Path = Path::Direct("tcp");

/// The matrix. A cell has the place of the first peer, the place of the second, and the path that they have to get.
const CELLS: &[(Place, Place, Path)] = {
    use Path::Relayed;
    use Place::{
        Cone, Double, DualStack, OnlyTcp443, Open, Symmetric, Translated, UdpBlocked, V6Firewall,
    };
    &[
        (Open, Open, QUIC),
        (Open, Cone, QUIC),
        (Cone, Open, QUIC),
        (Open, Translated, QUIC),
        (Open, Symmetric, QUIC),
        (Symmetric, Open, QUIC),
        (Open, Double, QUIC),
        (Open, UdpBlocked, TCP),
        (UdpBlocked, Open, TCP),
        (Open, OnlyTcp443, Relayed),
        (Cone, Cone, QUIC),
        (Cone, Translated, QUIC),
        (Cone, Symmetric, Relayed),
        (Cone, Double, QUIC),
        (Cone, UdpBlocked, TCP),
        (UdpBlocked, Cone, TCP),
        (Cone, OnlyTcp443, Relayed),
        (Translated, Translated, QUIC),
        (Translated, Symmetric, Relayed),
        (Translated, Double, QUIC),
        (Translated, UdpBlocked, TCP),
        (Translated, OnlyTcp443, Relayed),
        (Symmetric, Symmetric, Relayed),
        (Symmetric, Double, Relayed),
        (Symmetric, UdpBlocked, Relayed),
        (Symmetric, OnlyTcp443, Relayed),
        (Double, Double, QUIC),
        (Double, UdpBlocked, TCP),
        (Double, OnlyTcp443, Relayed),
        (UdpBlocked, UdpBlocked, TCP),
        (UdpBlocked, OnlyTcp443, Relayed),
        (OnlyTcp443, OnlyTcp443, Relayed),
        (V6Firewall, V6Firewall, QUIC),
        (Open, V6Firewall, QUIC),
        // IPv4 allows no direct path, but IPv6 does.
        (DualStack, DualStack, QUIC),
        (DualStack, V6Firewall, QUIC),
        // One has only IPv4, the other only IPv6.
        (Cone, V6Firewall, Relayed),
    ]
};

/// Routers with both peers behind them. None sends packets for its outside address back inside.
const AT_HOME: &[Nat] = &[
    Nat::Cone,
    Nat::Translated,
    Nat::Symmetric,
    Nat::UdpBlocked,
    Nat::OnlyTcp443,
];

/// Cells in which the second peer comes late: by then the router may have forgotten mappings of the first.
const LATE: &[(Place, Place, Path)] = {
    use Place::{Cone, Double, Translated, UdpBlocked, V6Firewall};
    &[
        (Cone, Cone, QUIC),
        (Cone, UdpBlocked, TCP),
        (UdpBlocked, Translated, TCP),
        (Translated, Translated, QUIC),
        (Translated, UdpBlocked, TCP),
        (Double, UdpBlocked, TCP),
        (V6Firewall, V6Firewall, QUIC),
    ]
};
/// How late: longer than an unused connection is kept, and longer than most timers of a router.
const LATENESS: Duration = Duration::from_secs(200);

pub(super) fn tests() -> Vec<Test> {
    let mut tests = Vec::new();
    for (suffix, delay) in [("", None), ("_20ms", Some(ONE_WAY))] {
        for &(a, b, path) in CELLS {
            let name = format!("{}_{}{suffix}", a.name(), b.name());
            let cell = name.clone();
            let run = move || pair(&cell, (a, b, path), delay, Duration::ZERO);
            tests.push(Test::new(format!("matrix::{name}"), run));
        }
        for &nat in AT_HOME {
            let name = format!("one_{}{suffix}", snake(nat));
            let cell = name.clone();
            let run = move || one_home(&cell, nat, delay);
            tests.push(Test::new(format!("matrix::{name}"), run));
        }
    }
    tests.push(Test::new("long::ten_minutes_over_the_circuit", ten_minutes).long());
    for &(a, b, path) in LATE {
        let name = format!("long::{}_{}_late", a.name(), b.name());
        let cell = name.clone();
        let run = move || pair(&cell, (a, b, path), None, LATENESS);
        tests.push(Test::new(name, run).long());
    }
    tests
}

/// Runs a cell: a peer at each of two places, the second one so much later.
fn pair(
    cell: &str,
    (a, b, path): (Place, Place, Path),
    delay: Option<Duration>,
    lateness: Duration,
) {
    let lab = Lab::new(delay);
    let (_site, relay) = lab.relay(1);
    let (host_a, host_b) = (a.host(&lab, "a"), b.host(&lab, "b"));
    let url_b = b.way_to(&relay);
    let first = Peer::ready(&host_a.1, "a", &a.way_to(&relay));
    std::thread::sleep(lateness);
    meet(cell, relay, first, (&host_b.1, &url_b), path);
}

/// Runs a cell with both peers behind one router: the path has to stay inside.
fn one_home(cell: &str, nat: Nat, delay: Option<Duration>) {
    let lab = Lab::new(delay);
    let (_site, relay) = lab.relay(1);
    let router = lab.site("home", nat);
    let (a, b) = (lab.host("a", &router), lab.host("b", &router));
    let url = way_to(&relay, nat);
    // Inside, UDP passes even where the router blocks it.
    let first = Peer::ready(&a, "a", &url);
    let news = meet(cell, relay, first, (&b, &url), QUIC);
    let inside = format!("/ip4/{}/", b.ip());
    assert!(news.starts_with(&inside), "{news} is not inside");
}

/// Talks over a circuit for ten minutes of real time: a relay's limits go by its own clock.
fn ten_minutes() {
    let lab = Lab::new(None);
    let (_site, relay) = lab.relay(1);
    let router = lab.site("a", Nat::Symmetric);
    let (a, b) = (
        lab.host("a", &router),
        lab.host("b", &lab.site("b", Nat::Symmetric)),
    );
    let mut a = Peer::ready(&a, "a", &relay.url());
    let mut b = Peer::ready(&b, "b", &relay.url());
    a.wait_connected(&b);
    b.wait_connected(&a);
    let start = Instant::now();
    let mut round = 0;
    while start.elapsed() < Duration::from_secs(600) {
        talk(&mut a, &mut b, &format!("round {round}"), 10);
        round += 1;
        std::thread::sleep(Duration::from_millis(100));
    }
    a.assert_stayed_relayed(&b);
    b.assert_stayed_relayed(&a);
}

/// Starts the second peer and checks all that a cell promises. Returns the address at which a reached b in the end,
/// which is empty for a circuit.
fn meet(
    cell: &str,
    relay: Relay,
    mut a: Peer,
    (host_b, relay_of_b): (&Host, &str),
    path: Path,
) -> String {
    let start = Instant::now();
    let mut b = Peer::start(host_b, "b", relay_of_b);
    let discovered = b.wait_discovered(&a);
    a.wait_connected(&b);
    b.wait_connected(&a);
    talk(&mut a, &mut b, "hello", 1);
    let talked = in_time("the first words", start, &a, &b);
    match path {
        Path::Direct(transport) => {
            let news = a.wait_direct(&b, transport);
            b.wait_direct(&a, transport);
            let direct = in_time("the direct path", discovered, &a, &b);
            report(cell, transport, talked, Some(direct));
            relay.proc.signal(Signal::SIGKILL);
            relay.proc.finish();
            talk(&mut a, &mut b, "without a relay", AFTER_THE_RELAY);
            a.assert_stayed_direct(&b);
            b.assert_stayed_direct(&a);
            news["address"].as_str().unwrap().to_owned()
        }
        Path::Relayed => {
            let count = match env::var_os(REPORT) {
                Some(_) => OVER_THE_CIRCUIT,
                None => OVER_THE_CIRCUIT_IN_SHORT,
            };
            talk(&mut a, &mut b, "words that go by way of the relay", count);
            a.assert_stayed_relayed(&b);
            b.assert_stayed_relayed(&a);
            report(cell, "circuit", talked, None);
            String::new()
        }
    }
}

fn report(cell: &str, transport: &str, talked: Duration, direct: Option<Duration>) {
    let Some(path) = env::var_os(REPORT) else {
        return;
    };
    let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap();
    let line = json!({
        "cell": cell,
        "transport": transport,
        "first_words_ms": millis(talked),
        "direct_ms": direct.map(millis),
    });
    let file = OpenOptions::new().create(true).append(true).open(path);
    // One write a line: cells run side by side and share the file.
    file.unwrap()
        .write_all(format!("{line}\n").as_bytes())
        .unwrap();
}

impl Place {
    pub(super) fn name(self) -> String {
        snake(self)
    }

    pub(super) fn nat(self) -> Nat {
        match self {
            Self::Open => Nat::None,
            Self::Cone | Self::Double => Nat::Cone,
            Self::Translated => Nat::Translated,
            Self::Symmetric => Nat::Symmetric,
            Self::UdpBlocked => Nat::UdpBlocked,
            Self::OnlyTcp443 => Nat::OnlyTcp443,
            Self::V6Firewall => Nat::V6Firewall,
            Self::DualStack => Nat::SymmetricAndV6Firewall,
        }
    }

    /// Makes a host there, and returns it with its routers, which it needs.
    pub(super) fn host(self, lab: &Lab, name: &str) -> (Vec<Router>, Host) {
        let site = |suffix| format!("{name}-{suffix}");
        let mut routers = Vec::new();
        if self == Self::Double {
            let isp = lab.site(&site("isp"), Nat::Carrier);
            routers.push(lab.site_behind(&site("home"), &isp, Nat::Cone));
            routers.insert(0, isp);
        } else {
            routers.push(lab.site(&site("home"), self.nat()));
        }
        let host = lab.host(name, routers.last().unwrap());
        (routers, host)
    }

    fn way_to(self, relay: &Relay) -> String {
        way_to(relay, self.nat())
    }
}

/// The relay as a person behind that NAT has to give it to `--relay`.
pub(super) fn way_to(relay: &Relay, nat: Nat) -> String {
    match nat {
        Nat::OnlyTcp443 => relay.tcp(),
        Nat::V6Firewall => relay.url6(),
        _ => relay.url(),
    }
}

/// The snake case of a variant's name: `only_tcp443` for `OnlyTcp443`.
fn snake(name: impl std::fmt::Debug) -> String {
    let mut snake = String::new();
    for c in format!("{name:?}").chars() {
        if c.is_uppercase() && !snake.is_empty() {
            snake.push('_');
        }
        snake.extend(c.to_lowercase());
    }
    snake
}
