//! Every kind of NAT against every other: whether peers reach each other, how, and how soon.

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

/// Names a file that figures of each cell are appended to, an object a line.
const REPORT: &str = "PUNCHLINE_NAT_REPORT";
/// Messages each way once the relay is gone.
const AFTER_THE_RELAY: usize = 100;
/// Messages each way over the circuit where there is no other path, when figures are asked for: ten
/// minutes of two people who type ten lines a second each.
const OVER_THE_CIRCUIT: usize = 6_000;
/// Otherwise fewer; still more than libp2p's own limit lets through, 128 KiB a circuit.
const OVER_THE_CIRCUIT_IN_SHORT: usize = 2_000;

/// Where a peer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
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

/// What has to become of two peers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Path {
    Direct(&'static str),
    Relayed,
}

const QUIC: Path = Path::Direct("quic");
const TCP: Path = Path::Direct("tcp");

/// One cell: where the first peer is, where the second, and what is possible.
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
        // No direct path by IPv4, but one by IPv6.
        (DualStack, DualStack, QUIC),
        (DualStack, V6Firewall, QUIC),
        // No family in common.
        (Cone, V6Firewall, Relayed),
    ]
};

/// Both behind one router, which does not send their packets back inside.
const AT_HOME: &[Nat] = &[
    Nat::Cone,
    Nat::Translated,
    Nat::Symmetric,
    Nat::UdpBlocked,
    Nat::OnlyTcp443,
];

/// What a router remembers of a peer that waits is not what it remembers of one that has just come.
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
/// Longer than a connection that nobody needs is kept, and than most timers of a router.
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

/// Two peers at two places; the second one comes so much later.
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

/// Two peers behind one router: the path has to be the one inside.
fn one_home(cell: &str, nat: Nat, delay: Option<Duration>) {
    let lab = Lab::new(delay);
    let (_site, relay) = lab.relay(1);
    let router = lab.site("home", nat);
    let (a, b) = (lab.host("a", &router), lab.host("b", &router));
    let url = way_to(&relay, nat);
    // On the inside UDP passes, whatever the router does with it.
    let first = Peer::ready(&a, "a", &url);
    let news = meet(cell, relay, first, (&b, &url), QUIC);
    let inside = format!("/ip4/{}/", b.ip());
    assert!(news.starts_with(&inside), "{news} is not inside");
}

/// Ten minutes of real time, of what no clock can be turned for.
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

/// What every cell promises to a peer that comes where one is. Returns the address of b as a sees it at the end.
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
    // One write, so that lines of cells side by side do not mix.
    file.unwrap()
        .write_all(format!("{line}\n").as_bytes())
        .unwrap();
}

impl Place {
    fn name(self) -> String {
        snake(self)
    }

    fn nat(self) -> Nat {
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

    /// A host there, and the routers that it needs.
    fn host(self, lab: &Lab, name: &str) -> (Vec<Router>, Host) {
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

/// What a person there gives to `--relay`.
fn way_to(relay: &Relay, nat: Nat) -> String {
    match nat {
        Nat::OnlyTcp443 => relay.tcp(),
        Nat::V6Firewall => relay.url6(),
        _ => relay.url(),
    }
}

/// `OnlyTcp443` as `only_tcp443`.
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
