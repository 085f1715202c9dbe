//! What breaks while people talk: nothing may be lost, and everything comes back.

#![allow(
    clippy::print_stdout,
    reason = "how long things took, with --nocapture"
)]

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::Value;

use super::{
    Test,
    flood::{Flood, paths},
    peers::{Peer, path_of, talk},
};
use crate::{
    common::{Proc, text},
    lab::{Host, Lab, Nat, ONE_WAY, Relay, Router, clock_is_off_by},
};

/// The promise: the longest time from a cut until messages take the circuit.
const FALL_BACK: Duration = Duration::from_secs(15);
/// The promise: the longest time until a silent relay is noticed.
const NOTICED: Duration = Duration::from_secs(21);
/// How long a wait may take: retries in vain lengthen the pauses between attempts.
const PATIENCE: Duration = Duration::from_secs(120);
/// Half a day in seconds.
const HALF_A_DAY: u64 = 12 * 60 * 60;
/// How much a busy machine may add to a promise.
const SLACK: Duration = Duration::from_secs(5);

pub(super) fn tests() -> Vec<Test> {
    let test = |name, run: fn()| Test::new(format!("faults::{name}"), run);
    vec![
        test("upgrade_under_load", upgrade_under_load),
        test("cut_and_healed_quic", || cut_and_healed(Nat::Cone, "quic")),
        test("cut_and_healed_tcp", || {
            cut_and_healed(Nat::UdpBlocked, "tcp")
        }),
        test("nat_rebinds", nat_rebinds),
        test("relay_restarts", relay_restarts),
        test("another_network", another_network),
        test("relay_comes_later", relay_comes_later),
        test("one_of_two_relays_dies", one_of_two_relays_dies),
        test("one_of_two_relays_is_a_black_hole", one_of_two_black_hole),
        test("black_hole_quic", || black_hole(Relay::url)),
        test("black_hole_tcp", || black_hole(Relay::tcp)),
        test("stopped_relay", stopped_relay),
        test("clock_a_day_ahead", || wrong_clock("+1d")),
        test("clock_a_day_behind", || wrong_clock("-1d")),
        test("a_third_of_udp_is_lost", a_third_of_udp_is_lost),
    ]
}

/// Two homes with a host each, and a relay.
struct Scene {
    lab: Lab,
    relay_site: Router,
    relay_host: Host,
    relay: Relay,
    homes: [Router; 2],
    hosts: [Host; 2],
}

impl Scene {
    fn new(nat: Nat, delay: Option<Duration>) -> Self {
        let lab = Lab::new(delay);
        let relay_site = lab.site("relays", Nat::None);
        let relay_host = lab.host("relay", &relay_site);
        let relay = relay_host.relay(1, &[]);
        let homes = ["a-home", "b-home"].map(|name| lab.site(name, nat));
        let hosts = [lab.host("a", &homes[0]), lab.host("b", &homes[1])];
        Self {
            lab,
            relay_site,
            relay_host,
            relay,
            homes,
            hosts,
        }
    }

    fn peers(&self, relay: &str) -> [Peer; 2] {
        ["a", "b"].map(|name| {
            let host = &self.hosts[usize::from(name == "b")];
            let mut peer = Peer::ready(host, name, relay);
            peer.proc.set_patience(PATIENCE);
            peer
        })
    }

    /// Starts two peers, and waits for a direct path.
    fn direct(&self, transport: &str) -> [Peer; 2] {
        let [mut a, mut b] = self.peers(&self.relay.url());
        a.wait_direct(&b, transport);
        b.wait_direct(&a, transport);
        for peer in [&mut a, &mut b] {
            peer.proc.forget(is_news_of_path);
        }
        [a, b]
    }

    /// Starts two peers that can have no more than a circuit, and waits for it.
    fn relayed(&self, relays: &[String]) -> [Peer; 2] {
        let [mut a, mut b] = ["a", "b"].map(|name| {
            let host = &self.hosts[usize::from(name == "b")];
            let args: Vec<_> = relays.iter().flat_map(|relay| ["--relay", relay]).collect();
            let mut proc = host.punchline(name, &args);
            proc.set_patience(PATIENCE);
            let id = text(&proc.wait_event("started"), "peer_id");
            proc.wait_event("ready");
            Peer { proc, id }
        });
        a.wait_connected(&b);
        b.wait_connected(&a);
        [a, b]
    }

    /// Cuts the direct way between the two homes, in both directions.
    fn cut(&self) {
        self.homes[0].cut(&[self.homes[1].outside().into()]);
    }

    fn heal(&self) {
        self.homes[0].heal(&[self.homes[1].outside().into()]);
    }
}

fn is_news_of_path(event: &Value) -> bool {
    event["event"] == "connected" || event["event"] == "path_changed"
}

fn wait_path(peer: &mut Peer, to: &Peer, path: &str) -> Value {
    peer.proc.wait_for(path, |event| {
        is_news_of_path(event) && event["peer"] == to.id && path_of(event) == path
    })
}

fn upgrade_under_load() {
    // With a delay the first part takes longer than the upgrade, so some of it crosses the change.
    let scene = Scene::new(Nat::Cone, Some(ONE_WAY));
    let [mut a, mut b] = scene.peers(&scene.relay.url());
    a.wait_connected(&b);
    b.wait_connected(&a);
    let mut flood = Flood::start(&mut a, &mut b);
    flood.go_on();
    flood.go_on();
    a.wait_direct(&b, "quic");
    b.wait_direct(&a, "quic");
    flood.hear(&mut a, &mut b);
    flood.finish(&mut a, &mut b);
    for peer in [&a, &b] {
        assert_eq!(paths(peer), ["relayed", "direct"], "{}", peer.proc.report());
    }
}

fn cut_and_healed(nat: Nat, transport: &str) {
    let scene = Scene::new(nat, None);
    let [mut a, mut b] = scene.direct(transport);
    let mut flood = Flood::start(&mut a, &mut b);
    flood.hear(&mut a, &mut b);
    flood.go_on();
    scene.cut();
    let start = Instant::now();
    flood.go_on();
    wait_path(&mut a, &b, "relayed");
    wait_path(&mut b, &a, "relayed");
    let took = start.elapsed();
    assert!(took <= FALL_BACK, "{took:?}\n{}", a.proc.report());
    flood.hear(&mut a, &mut b);
    flood.hear(&mut a, &mut b);
    flood.go_on();
    scene.heal();
    let start = Instant::now();
    a.wait_direct(&b, transport);
    b.wait_direct(&a, transport);
    println!("fell back in {took:?}, healed in {:?}", start.elapsed());
    flood.finish(&mut a, &mut b);
    for peer in [&a, &b] {
        let paths = paths(peer);
        let story = ["direct", "relayed", "direct"];
        assert!(paths.ends_with(&story.map(String::from)), "{paths:?}");
    }
}

fn nat_rebinds() {
    let scene = Scene::new(Nat::Cone, None);
    let [mut a, mut b] = scene.direct("quic");
    let mut flood = Flood::start(&mut a, &mut b);
    flood.hear(&mut a, &mut b);
    flood.go_on();
    scene.homes[0].rebind();
    flood.go_on();
    flood.hear(&mut a, &mut b);
    flood.hear(&mut a, &mut b);
    flood.go_on();
    scene.homes[1].rebind();
    flood.go_on();
    flood.finish(&mut a, &mut b);
    until_direct(&mut a);
    until_direct(&mut b);
}

/// Waits until the last path that a peer has reported is direct.
fn until_direct(peer: &mut Peer) {
    while paths(peer).last().is_none_or(|path| path != "direct") {
        peer.proc.wait_for("news of the path", is_news_of_path);
    }
}

fn relay_restarts() {
    let mut scene = Scene::new(Nat::Symmetric, None);
    let url = scene.relay.url();
    let [mut a, mut b] = scene.relayed(&[url]);
    let mut flood = Flood::start(&mut a, &mut b);
    flood.hear(&mut a, &mut b);
    flood.go_on();
    scene.relay.proc.signal(Signal::SIGKILL);
    flood.go_on();
    scene.relay.proc.wait_exit();
    scene.relay = scene.relay_host.relay(1, &[]);
    flood.hear(&mut a, &mut b);
    flood.hear(&mut a, &mut b);
    flood.go_on();
    scene.relay.proc.signal(Signal::SIGTERM);
    flood.go_on();
    scene.relay.proc.wait_exit();
    scene.relay = scene.relay_host.relay(1, &[]);
    flood.finish(&mut a, &mut b);
}

fn another_network() {
    let scene = Scene::new(Nat::Cone, None);
    let mobile = scene.lab.site("mobile", Nat::Carrier);
    let [mut a, mut b] = scene.direct("quic");
    let host = &scene.hosts[0];
    host.add_link("eth1", &mobile);
    let mut flood = Flood::start(&mut a, &mut b);
    flood.hear(&mut a, &mut b);
    flood.go_on();
    let start = Instant::now();
    host.remove_link("eth0");
    flood.go_on();
    host.go_by("eth1");
    flood.hear(&mut a, &mut b);
    flood.hear(&mut a, &mut b);
    let took = start.elapsed();
    flood.go_on();
    flood.go_on();
    flood.finish(&mut a, &mut b);
    until_direct(&mut a);
    until_direct(&mut b);
    println!("moved in {took:?}, direct in {:?}", start.elapsed());
}

fn relay_comes_later() {
    let lab = Lab::new(None);
    let site = lab.site("relays", Nat::None);
    let relay_host = lab.host("relay", &site);
    // The addresses that the relay is going to have.
    let url = format!("http://{}:445", relay_host.ip());
    let tcp = format!("/ip4/{}/tcp/443", relay_host.ip());
    let homes = ["a-home", "b-home"].map(|name| lab.site(name, Nat::Cone));
    // Until then not even a refusal comes from there.
    site.cut(&[relay_host.ip().into()]);
    let mut peers = Vec::new();
    for (name, home, relay) in [("a", &homes[0], &url), ("b", &homes[1], &tcp)] {
        let mut peer = Peer::start(&lab.host(name, home), name, relay);
        peer.proc.set_patience(PATIENCE);
        peer.proc.wait_event("error");
        peers.push(peer);
    }
    site.heal(&[relay_host.ip().into()]);
    let _relay = relay_host.relay(1, &[]);
    let [a, b] = &mut peers[..] else {
        unreachable!()
    };
    a.proc.wait_event("ready");
    b.proc.wait_event("ready");
    wait_path(a, b, "direct");
    wait_path(b, a, "direct");
    talk(a, b, "at last", 100);
}

fn one_of_two_relays_dies() {
    two_relays(|_, _, relay| relay.proc.signal(Signal::SIGKILL));
}

fn one_of_two_black_hole() {
    two_relays(|site, host, _| site.cut(&[host.ip().into()]));
}

/// Loses the relay that carries the messages: the other one has to take over.
fn two_relays(lose: impl FnOnce(&Router, &Host, &Relay)) {
    let scene = Scene::new(Nat::Symmetric, None);
    let second_host = scene.lab.host("second", &scene.relay_site);
    let second = second_host.relay(2, &[]);
    let relays = [(&scene.relay_host, &scene.relay), (&second_host, &second)];
    let [mut a, mut b] = scene.relayed(&relays.map(|(_, relay)| relay.url()));
    let path = a.proc.wait_event("connected");
    let used = |relay: &Relay| text(&path, "address").contains(&relay.peer_id);
    let (host, relay) = relays.into_iter().find(|(_, relay)| used(relay)).unwrap();
    let mut flood = Flood::start(&mut a, &mut b);
    flood.hear(&mut a, &mut b);
    flood.go_on();
    lose(&scene.relay_site, host, relay);
    let start = Instant::now();
    flood.go_on();
    flood.hear(&mut a, &mut b);
    flood.hear(&mut a, &mut b);
    let took = start.elapsed();
    flood.finish(&mut a, &mut b);
    println!("carried on after {took:?}");
    assert!(took <= FALL_BACK, "{took:?}\n{}", a.proc.report());
    for peer in [&mut a, &mut b] {
        wait_lost(&mut peer.proc, relay);
    }
}

fn wait_lost(proc: &mut Proc, relay: &Relay) -> Value {
    proc.wait_for("a lost reservation", |event| {
        event["event"] == "reservation_lost" && event["relay"] == relay.peer_id
    })
}

/// Drops everything to and from the relay, without any sign to either side.
fn black_hole(way: fn(&Relay) -> String) {
    let scene = Scene::new(Nat::Cone, None);
    let [mut a, mut b] = scene.peers(&way(&scene.relay));
    wait_path(&mut a, &b, "direct");
    wait_path(&mut b, &a, "direct");
    let relay_ip = [scene.relay_host.ip().into()];
    scene.relay_site.cut(&relay_ip);
    let start = Instant::now();
    for peer in [&mut a, &mut b] {
        wait_lost(&mut peer.proc, &scene.relay);
    }
    let took = start.elapsed();
    println!("noticed after {took:?}");
    assert!(took <= NOTICED + SLACK, "{took:?}\n{}", a.proc.report());
    talk(&mut a, &mut b, "without a relay", 100);
    for peer in [&mut a, &mut b] {
        peer.proc.forget(|event| event["event"] == "reserved");
    }
    scene.relay_site.heal(&relay_ip);
    for peer in [&mut a, &mut b] {
        peer.proc.wait_event("reserved");
    }
}

/// Stops the relay's process: its system still accepts connections and bytes, but nobody reads them.
fn stopped_relay() {
    let scene = Scene::new(Nat::Symmetric, None);
    let tcp = scene.relay.tcp();
    let [mut a, mut b] = scene.relayed(&[tcp]);
    scene.relay.proc.signal(Signal::SIGSTOP);
    let start = Instant::now();
    for peer in [&mut a, &mut b] {
        wait_lost(&mut peer.proc, &scene.relay);
        peer.proc.wait_event("disconnected");
    }
    let took = start.elapsed();
    println!("noticed after {took:?}");
    assert!(
        took <= NOTICED + SLACK,
        "{took:?}\n{}\n{}",
        a.proc.report(),
        b.proc.report()
    );
    a.say("in between", 10);
    b.say("in between, too", 10);
    scene.relay.proc.signal(Signal::SIGCONT);
    b.hear("in between", 10);
    a.hear("in between, too", 10);
}

/// A peer whose clock is a day ahead of all others', or behind them.
fn wrong_clock(clock: &str) {
    // Without the library that shifts clocks this would test nothing.
    assert!(
        clock_is_off_by(clock, HALF_A_DAY),
        "clocks cannot be shifted here"
    );
    let scene = Scene::new(Nat::Symmetric, None);
    let url = scene.relay.url();
    let mut a = Peer::ready(&scene.hosts[0], "a", &url);
    let args = ["--relay", &url];
    let mut proc = scene.hosts[1].punchline_at("b", &args, Some(clock));
    let id = text(&proc.wait_event("started"), "peer_id");
    proc.wait_event("reserved");
    proc.wait_event("ready");
    let mut b = Peer { proc, id };
    a.wait_connected(&b);
    b.wait_connected(&a);
    talk(&mut a, &mut b, "what time is it", 100);
}

fn a_third_of_udp_is_lost() {
    let scene = Scene::new(Nat::Cone, Some(ONE_WAY));
    for home in &scene.homes {
        // A packet passes both routers: 30 % are lost in all.
        home.drop_udp(16);
    }
    let [mut a, mut b] = scene.peers(&scene.relay.url());
    a.wait_connected(&b);
    b.wait_connected(&a);
    talk(&mut a, &mut b, "through the noise", 300);
    wait_path(&mut a, &b, "direct");
    wait_path(&mut b, &a, "direct");
    talk(&mut a, &mut b, "still", 300);
}
