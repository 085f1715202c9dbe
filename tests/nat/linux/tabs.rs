//! Tabs behind NATs: whether a tab gets a direct path to another one, and to a peer in a terminal, and talks on without
//! the relay. Over WebRTC, for a browser has nothing else.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::{
    Test,
    matrix::{self, Place},
    peers::{Peer, talk},
};
use crate::lab::{Host, Lab, Nat, ONE_WAY, Relay};

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
        let name = format!("native_and_tab_at_home{suffix}");
        let run = move || at_home(delay);
        tests.push(in_short(name, (Place::Cone, Place::Cone), delay, run));
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
    let is_cone = at == (Place::Cone, Place::Cone) && !name.contains("home");
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

/// Both behind one router, which sends no packets for its outside address back inside: the native peer's own address leads
/// there. Two tabs would need their names of mDNS, which Chromium without a window does not resolve.
fn at_home(delay: Option<Duration>) {
    let lab = Lab::new(delay);
    let (_site, relay) = lab.relay(1);
    let router = lab.site("home", Nat::Cone);
    let (a, b) = (lab.host("a", &router), lab.host("b", &router));
    meet(Other::Native, relay, (&a, &b), true);
}

#[allow(clippy::print_stdout, reason = "a test says how long it took")]
fn meet(other: Other, relay: Relay, (host_a, host_b): (&Host, &Host), direct: bool) {
    let mut a = match other {
        Other::Tab => tab(host_a, "a", &relay),
        Other::Native => Peer::ready(host_a, "a", &matrix::way_to(&relay, Nat::Cone)),
    };
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
}

fn tab(host: &Host, name: &str, relay: &Relay) -> Peer {
    let mut tab = host.tab(name, relay);
    tab.wait_event("loaded");
    tab.type_line("start");
    Peer::of(tab)
}
