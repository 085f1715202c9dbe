//! Notes on how far the findings go, and what to do next.

use std::net::IpAddr;

use punchline::address::ip_of;

use crate::doctor::{
    observations::{Observations, RelayObservations},
    report::{Family, Nat, Note, Verdict},
};

/// Notes on how far the findings go.
pub(super) fn notes(seen: &Observations, families: &[&Family]) -> Vec<Note> {
    if seen.relays.is_empty() {
        return vec![Note::NoRelayGiven];
    }
    let mut notes = Vec::new();
    if !seen.relays.iter().any(RelayObservations::is_reached) {
        notes.push(Note::NoRelayReached);
    }
    let is_one = |f: &&&Family| matches!(f.nat, Nat::Unknown { .. });
    if families.iter().any(|f| is_one(&f)) && !families.iter().any(|f| f.nat == Nat::None) {
        notes.push(Note::OneObservationPoint);
    }
    let servers = servers(seen);
    let own = [seen.v4.own, seen.v6.own];
    let is_here = |ip: &IpAddr| ip.is_loopback() || own.contains(&Some(*ip));
    if !servers.is_empty() && servers.iter().all(is_here) {
        notes.push(Note::RelayOnThisMachine);
    } else if !servers.is_empty() && servers.iter().all(|ip| is_here(ip) || is_private(*ip)) {
        notes.push(Note::RelayOnThisNetwork);
    }
    notes
}

/// The addresses that answers came from.
fn servers(seen: &Observations) -> Vec<IpAddr> {
    let attempts = seen.relays.iter().flat_map(|r| &r.attempts);
    let dialled = attempts
        .filter(|t| t.is_reached())
        .filter_map(|t| ip_of(&t.address));
    let asked = [&seen.v4, &seen.v6];
    let asked = asked.iter().flat_map(|f| &f.stun).map(|m| m.server.ip());
    dialled.chain(asked).collect()
}

fn is_private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_private() || ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unique_local() || ip.is_unicast_link_local(),
    }
}

/// What to do next: commands or sentences.
pub(super) fn next(seen: &Observations, result: Verdict, notes: &[Note]) -> Vec<String> {
    const RELAY: &str = "punchline relay";
    if notes.contains(&Note::NoRelayGiven) {
        return vec![
            format!("{RELAY}    on a machine that both sides can reach; then here:"),
            "punchline doctor --relay http://THAT-MACHINE:45680".into(),
        ];
    }
    let mut next = Vec::new();
    if notes.contains(&Note::NoRelayReached) {
        next.push(
            "ask the relay's operator whether it runs, and whether its firewall lets its ports in"
                .into(),
        );
        let words: Vec<_> = seen.relays.iter().map(|r| r.given.as_str()).collect();
        next.push(format!(
            "punchline doctor --relay {}",
            words.join(" --relay ")
        ));
    } else if notes.contains(&Note::OneObservationPoint) {
        let given = seen.relays.first().map_or("", |r| r.given.as_str());
        next.push(format!(
            "punchline doctor --relay {given} --relay SECOND-RELAY    to learn the kind of NAT"
        ));
    }
    if result == Verdict::Relayed {
        next.push("for direct paths: ask who runs this network whether it lets UDP out".into());
    }
    let reached = seen.relays.iter().find(|r| r.is_reached());
    if let Some(relay) = reached.filter(|_| result != Verdict::None) {
        next.push(format!("punchline --relay {}", relay.given));
    }
    next
}
