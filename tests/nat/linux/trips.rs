//! How many round trips two peers need until a word is there, and until their path is direct: counted, where the network
//! is so slow that nothing else matters.
//!
//! A round trip is one of a link, from a peer to its relay: what the second peer types at its start has to go there, and on.

use std::time::{Duration, Instant};

use super::{
    Test,
    peers::{Peer, in_trips},
};
use crate::lab::{Lab, Nat};

/// From site to site.
const ONE_WAY: Duration = Duration::from_millis(150);
const ROUND_TRIP: Duration = Duration::from_millis(300);

/// How the second peer is given its relay (for the second time, if that is remembered), and the most round trips until its first word is there: those that are
/// needed, and one and a half for a busy machine.
const WAYS: [(&str, f64); 3] = [("multiaddr", 8.7), ("url", 10.8), ("remembered_url", 8.7)];
/// The most round trips until the first word of a tab is there.
const TAB: f64 = 10.8;
/// Behind what two are that meet again, and the most round trips until their path is direct.
const WAYS_AGAIN: [(Nat, f64); 2] = [(Nat::Cone, 5.2), (Nat::Translated, 5.2)];
/// The same, from the first word until the path is direct.
const DIRECT: f64 = 4.2;

pub(super) fn tests() -> Vec<Test> {
    let tests = WAYS.map(|(by, most)| {
        let run = move || first_word(by, most);
        Test::new(format!("trips::first_word_by_{by}"), run)
    });
    let again = WAYS_AGAIN.map(|(nat, most)| {
        let run = move || second_meeting(nat, most);
        Test::new(
            format!("trips::second_meeting_behind_{nat:?}").to_lowercase(),
            run,
        )
    });
    let tab = Test::new("trips::first_word_of_a_tab", first_word_of_a_tab).of_a_tab();
    tests.into_iter().chain(again).chain([tab]).collect()
}

/// Round trips since then.
fn trips(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() / ROUND_TRIP.as_secs_f64()
}

/// The second peer has something to say when it starts.
#[allow(clippy::print_stdout, reason = "a test says what it counted")]
fn first_word(by: &str, most: f64) {
    let lab = Lab::new(Some(ONE_WAY));
    let (_site, relay) = lab.relay(1);
    let (home_a, home_b) = (lab.site("home-a", Nat::Cone), lab.site("home-b", Nat::Cone));
    let (host_a, host_b) = (lab.host("a", &home_a), lab.host("b", &home_b));
    let way = match by {
        "multiaddr" => relay.quic(),
        _ => relay.url(),
    };
    let state = tempfile::tempdir().unwrap();
    let start_b = || Peer::keeping(&host_b, "b", &way, state.path());
    if by == "remembered_url" {
        let mut before = start_b();
        before.proc.wait_event("ready");
        before.stop();
    }
    let mut a = Peer::ready(&host_a, "a", &way);
    let start = Instant::now();
    let mut b = start_b();
    b.say("word", 1);
    b.wait_discovered(&a);
    let discovered = trips(start);
    a.hear("word", 1);
    let word = trips(start);
    b.wait_connected(&a);
    let connected = trips(start);
    a.wait_direct(&b, "quic");
    let direct = trips(start);
    println!(
        "by {by}: discovered after {discovered:.1} round trips, first word {word:.1}, connected {connected:.1}, direct {direct:.1}"
    );
    in_trips("the first word", (word, most), &a, &b);
    in_trips("the direct path", (direct - word, DIRECT), &a, &b);
}

/// The second peer is a tab, which has loaded its package.
#[allow(clippy::print_stdout, reason = "a test says what it counted")]
fn first_word_of_a_tab() {
    let lab = Lab::new(Some(ONE_WAY));
    let (_site, relay) = lab.relay(1);
    let (home_a, home_b) = (lab.site("home-a", Nat::Cone), lab.site("home-b", Nat::Cone));
    let (host_a, host_b) = (lab.host("a", &home_a), lab.host("b", &home_b));
    let mut a = Peer::ready(&host_a, "a", &relay.quic());
    let mut tab = host_b.tab("tab", &relay);
    tab.wait_event("loaded");
    let start = Instant::now();
    tab.type_line("start");
    let mut b = Peer::of(tab);
    b.say("word", 1);
    b.wait_discovered(&a);
    let discovered = trips(start);
    a.hear("word", 1);
    let word = trips(start);
    println!("a tab: discovered after {discovered:.1} round trips, first word {word:.1}");
    in_trips("the first word", (word, TAB), &a, &b);
}

/// The second peer was there before, and both remember where the other was. Their NATs do not.
#[allow(clippy::print_stdout, reason = "a test says what it counted")]
fn second_meeting(nat: Nat, most: f64) {
    let lab = Lab::new(Some(ONE_WAY));
    let (_site, relay) = lab.relay(1);
    let (home_a, home_b) = (lab.site("home-a", nat), lab.site("home-b", nat));
    let (host_a, host_b) = (lab.host("a", &home_a), lab.host("b", &home_b));
    let state = tempfile::tempdir().unwrap();
    let start_b = || Peer::keeping(&host_b, "b", &relay.quic(), state.path());
    let mut a = Peer::ready(&host_a, "a", &relay.quic());
    let mut b = start_b();
    a.wait_direct(&b, "quic");
    b.wait_direct(&a, "quic");
    b.stop();
    a.proc.wait_event("disconnected");
    a.proc.forget(|_| true);
    home_a.forget(home_b.outside());
    home_b.forget(home_a.outside());
    let start = Instant::now();
    let mut b = start_b();
    b.say("word", 1);
    b.wait_direct(&a, "quic");
    a.wait_direct(&b, "quic");
    let direct = trips(start);
    a.hear("word", 1);
    let word = trips(start);
    println!("{nat:?} again: direct after {direct:.1} round trips, first word {word:.1}");
    in_trips("the direct path", (direct, most), &a, &b);
}
