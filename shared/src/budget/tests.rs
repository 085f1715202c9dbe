//! Years of strangers' wishes, by a clock that is moved.

use super::*;

fn at(ip: &str) -> Multiaddr {
    format!(
        "/{}/{ip}/udp/5000/quic-v1",
        if ip.contains(':') { "ip6" } else { "ip4" }
    )
    .parse()
    .unwrap()
}

/// Packets that go there in this time, when a dial is wished for each 100 ms.
fn flood(budget: &Budget, start: Instant, time: Duration, to: impl Fn(u32) -> Multiaddr) -> u32 {
    let mut packets = 0;
    for n in 0..u32::try_from(time.as_millis() / 100).unwrap() {
        let now = start + n * Duration::from_millis(100);
        packets += DIAL_PACKETS * u32::from(budget.spend(now, &to(n), DIAL_PACKETS));
    }
    packets
}

const MINUTE: Duration = Duration::from_secs(60);

#[test]
fn what_a_silent_victim_gets_falls_to_nothing() {
    let (budget, start) = (Budget::default(), Instant::now());
    let by_minute: Vec<_> = (0..240)
        .map(|n| flood(&budget, start + n * MINUTE, MINUTE, |_| at("203.0.113.1")))
        .collect();
    assert!(by_minute.iter().all(|packets| *packets <= HOST_PACKETS));
    let hours: Vec<u32> = by_minute.chunks(60).map(|hour| hour.iter().sum()).collect();
    assert_eq!(hours, [600, 100, 100, 100]);
}

#[test]
fn no_minute_has_more_than_an_allowance_wherever_it_begins() {
    let (budget, start) = (Budget::default(), Instant::now());
    let mut sent = Vec::new();
    for n in 0..10_000 {
        let now = start + n * Duration::from_millis(700);
        if budget.spend(now, &at("203.0.113.1"), DIAL_PACKETS) {
            sent.push(now);
        }
    }
    for begin in &sent {
        let within = sent
            .iter()
            .filter(|at| **at >= *begin && **at < *begin + MINUTE);
        assert!(within.count() as u32 * DIAL_PACKETS <= HOST_PACKETS);
    }
}

#[test]
fn a_network_has_an_allowance_too() {
    let start = Instant::now();
    for (host, network) in [("203.0.113.", ""), ("2001:db8:1:", "::1")] {
        let budget = Budget::default();
        let to = |n| at(&format!("{host}{}{network}", n % 200));
        assert_eq!(flood(&budget, start, MINUTE, to), NETWORK_PACKETS, "{host}");
        let elsewhere = if network.is_empty() {
            "198.51.100.1"
        } else {
            "2001:db8:2::1"
        };
        assert!(budget.spend(start + MINUTE, &at(elsewhere), DIAL_PACKETS));
    }
}

#[test]
fn this_machine_has_no_budget() {
    let (budget, start) = (Budget::default(), Instant::now());
    budget.is_ours(&at("203.0.113.1"));
    budget.is_ours(&at("127.0.0.1"));
    let wished = 600 * DIAL_PACKETS;
    assert_eq!(flood(&budget, start, MINUTE, |_| at("203.0.113.1")), wished);
    let other = flood(&budget, start, MINUTE, |_| at("127.0.0.1"));
    assert_eq!(other, HOST_PACKETS, "others may listen there");
}

#[test]
fn an_answer_renews_and_enlarges_it() {
    let (budget, start) = (Budget::default(), Instant::now());
    flood(&budget, start, MINUTE, |_| at("203.0.113.1"));
    budget.answered(start + MINUTE, &at("203.0.113.1"));
    let more = flood(&budget, start + MINUTE, MINUTE, |_| at("203.0.113.1"));
    assert_eq!(more, ANSWERED_FACTOR * HOST_PACKETS);
    let later = start + MINUTE + ANSWER_MEMORY + MINUTE;
    assert_eq!(
        flood(&budget, later, MINUTE, |_| at("203.0.113.1")),
        HOST_PACKETS
    );
}

#[test]
fn other_destinations_do_not_make_a_victim_forgotten() {
    let (budget, start) = (Budget::default(), Instant::now());
    flood(&budget, start, MINUTE, |_| at("203.0.113.1"));
    let now = start + MINUTE;
    for n in 0..5_000_u32 {
        let [_, a, b, c] = n.to_be_bytes();
        budget.spend(now, &at(&format!("10.{a}.{b}.{c}")), DIAL_PACKETS);
    }
    assert!(!budget.spend(now, &at("203.0.113.1"), DIAL_PACKETS));
    let accounts = budget.0.lock();
    assert!(accounts.hosts.len() <= MAX_ACCOUNTS && accounts.networks.len() <= MAX_ACCOUNTS);
}

#[test]
fn a_name_is_not_a_strangers_and_costs_nothing() {
    let (budget, now) = (Budget::default(), Instant::now());
    let name: Multiaddr = "/dns4/relay.example/tcp/443/wss".parse().unwrap();
    assert!((0..1_000).all(|_| budget.spend(now, &name, DIAL_PACKETS)));
}
