//! Tabs behind NATs: whether a tab gets a direct path to another one, and to a peer in a terminal, and talks on without
//! the relay. Over WebRTC, for a browser has nothing else.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::{
    Test,
    matrix::{self, Place},
    peers::{Peer, talk},
};
use crate::{
    common::Proc,
    lab::{Host, Lab, Nat, ONE_WAY, Relay, TURN_PASSWORD},
};

/// Who is at the other end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Other {
    Tab,
    Native,
}

/// Messages each way: over the circuit, or once the relay is gone.
const MESSAGES: usize = 20;
/// One way, of a slow network.
const SLOW: Duration = Duration::from_millis(150);

/// The first is where the other end is, the second where the tab is; and whether they get a direct path.
const CELLS: &[(Place, Place, bool)] = {
    use Place::{Cone, Double, DualStack, Open, Symmetric, Translated, UdpBlocked};
    &[
        (Open, Cone, true),
        (Cone, Cone, true),
        (Cone, Translated, true),
        (Translated, Translated, true),
        (Double, Cone, true),
        (DualStack, DualStack, true),
        (Symmetric, Symmetric, false),
        (UdpBlocked, Cone, false),
    ]
};

/// Routers with both ends behind them. None sends packets for its outside address back inside.
const AT_HOME: [Place; 3] = [Place::Cone, Place::Symmetric, Place::UdpBlocked];

pub(super) fn tests() -> Vec<Test> {
    let mut tests = Vec::new();
    for (suffix, delay) in [("", None), ("_20ms", Some(ONE_WAY)), ("_150ms", Some(SLOW))] {
        for (kind, other) in [("tab", Other::Tab), ("native", Other::Native)] {
            for &(a, b, direct) in CELLS {
                let name = format!("{kind}_{}_tab_{}{suffix}", a.name(), b.name());
                let run = move || apart(other, (a, b, direct), delay);
                tests.push(in_short(name, (a, b), delay, run));
            }
        }
        for (kind, other) in [("two_tabs", Other::Tab), ("native_and_tab", Other::Native)] {
            for at in AT_HOME {
                let name = format!("{kind}_behind_one_{}{suffix}", at.name());
                let run = move || at_home(other, at.nat(), delay);
                tests.push(in_short(name, (at, at), delay, run));
            }
        }
    }
    for (name, other, password, direct) in [
        (
            "native_symmetric_tab_symmetric_by_turn",
            Other::Native,
            TURN_PASSWORD,
            true,
        ),
        (
            "tab_symmetric_tab_symmetric_by_turn",
            Other::Tab,
            TURN_PASSWORD,
            true,
        ),
        (
            "native_with_a_wrong_password_for_turn",
            Other::Native,
            "wrong",
            false,
        ),
    ] {
        let run = move || carried(other, password, direct);
        tests.push(Test::new(format!("tabs::{name}"), run).of_a_tab());
    }
    tests
}

/// A delay changes only how long things take: one cell shows it, the others are for who asks.
fn in_short(
    name: String,
    at: (Place, Place),
    delay: Option<Duration>,
    run: impl FnOnce() + Send + 'static,
) -> Test {
    let is_cone = at == (Place::Cone, Place::Cone) && !name.contains("behind_one");
    if delay.is_none() || (is_cone && delay == Some(SLOW)) {
        return Test::new(format!("tabs::{name}"), run).of_a_tab();
    }
    Test::new(format!("long::tabs_{name}"), run)
        .of_a_tab()
        .long()
}

fn apart(other: Other, (a, b, direct): (Place, Place, bool), delay: Option<Duration>) {
    let lab = Lab::new(delay);
    let (_site, relay) = lab.relay(1);
    let (host_a, host_b) = (a.host(&lab, "a"), b.host(&lab, "b"));
    meet(other, relay, (&host_a.1, &host_b.1), direct);
}

/// Both behind one router: they end on their inner addresses. A tab gives its own as a name of mDNS, which another tab
/// asks the network for; a native peer learns it from the tab's checks.
fn at_home(other: Other, nat: Nat, delay: Option<Duration>) {
    let lab = Lab::new(delay);
    let (_site, relay) = lab.relay(1);
    let router = lab.site("home", nat);
    let (a, b) = (lab.host("a", &router), lab.host("b", &router));
    meet(other, relay, (&a, &b), true);
}

/// Behind two routers that choose a new port for each destination there is a path by a TURN server, which one of both knows.
fn carried(other: Other, password: &str, direct: bool) {
    let lab = Lab::new(None);
    let (_site, relay) = lab.relay(1);
    let site = lab.site("turn-site", Nat::None);
    let host = lab.host("turn", &site);
    let server = host.turn_server();
    let [a, b] = ["a", "b"].map(|name| Place::Symmetric.host(&lab, name));
    let peer = match other {
        Other::Tab => loaded(a.1.tab_with_turn("a", &relay, &server)),
        Other::Native => {
            let (relay, server) = (relay.url(), server.url(password));
            Peer::ready_with(&a.1, "a", &["--relay", &relay, "--ice-server", &server])
        }
    };
    let (mut a, _b) = meet_peer(peer, relay, &b.1, direct);
    if direct && other == Other::Native {
        a.proc.close_stdin();
        server.wait_given_back();
    }
}

fn meet(other: Other, relay: Relay, (host_a, host_b): (&Host, &Host), direct: bool) {
    let a = match other {
        Other::Tab => tab(host_a, "a", &relay),
        Other::Native => Peer::ready(host_a, "a", &matrix::way_to(&relay, Nat::Cone)),
    };
    meet_peer(a, relay, host_b, direct);
}

#[allow(clippy::print_stdout, reason = "a test says how long it took")]
fn meet_peer(mut a: Peer, relay: Relay, host_b: &Host, direct: bool) -> (Peer, Peer) {
    let mut b = tab(host_b, "b", &relay);
    a.wait_connected(&b);
    b.wait_connected(&a);
    let since = Instant::now();
    if direct {
        a.wait_direct(&b, "webrtc");
        b.wait_direct(&a, "webrtc");
        println!("direct {:?} after the circuit", since.elapsed());
        talk(&mut a, &mut b, "hello", 1);
        relay.proc.signal(Signal::SIGKILL);
        relay.proc.finish();
        talk(&mut a, &mut b, "without a relay", MESSAGES);
        a.assert_stayed_direct(&b);
        b.assert_stayed_direct(&a);
    } else {
        talk(&mut a, &mut b, "by way of the relay", MESSAGES);
        a.assert_stayed_relayed(&b);
        b.assert_stayed_relayed(&a);
    }
    (a, b)
}

/// Starts a tab, and a peer in it.
pub(super) fn tab(host: &Host, name: &str, relay: &Relay) -> Peer {
    loaded(host.tab(name, relay))
}

fn loaded(mut tab: Proc) -> Peer {
    tab.wait_event("loaded");
    tab.type_line("start");
    Peer::of(tab)
}
