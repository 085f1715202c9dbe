//! The conclusions from what was observed. Pure: no I/O, no clock.

mod advice;

use std::net::IpAddr;

use punchline::{
    address::{ip_of, port_of},
    path::Transport,
};

use super::{
    nat,
    observations::{
        Attempt, FamilyObservations, Observations, Outcome, ReachResult, RelayObservations,
    },
    report::{
        Answer, ByTransport, Expected, Family, FromOutside, Nat, Passes, Paths, Port, Relay,
        Report, State, Tested, Verdict,
    },
};

/// The ports of a network that lets out web traffic only.
pub(crate) const WEB_PORTS: [u16; 2] = [80, 443];

/// Draws all conclusions.
pub(crate) fn judge(seen: &Observations) -> Report {
    let attempts: Vec<&Attempt> = seen.relays.iter().flat_map(|r| &r.attempts).collect();
    let (udp, tcp) = (udp_passes(seen, &attempts), tcp_passes(seen, &attempts));
    let (ipv4, ipv6) = (
        family(&seen.v4, &attempts, IpAddr::is_ipv4),
        family(&seen.v6, &attempts, IpAddr::is_ipv6),
    );
    let from_outside = from_outside(seen);
    let relayed = seen.relays.iter().any(RelayObservations::is_reached);
    let network = Network {
        udp,
        tcp,
        families: [&ipv4, &ipv6],
        reachable: from_outside.reachable,
        relayed,
    };
    let (paths, result) = (network.paths(), network.verdict());
    let notes = advice::notes(seen, &[&ipv4, &ipv6]);
    Report {
        version: env!("CARGO_PKG_VERSION"),
        next: advice::next(seen, result, &notes),
        udp,
        tcp,
        from_outside,
        relays: seen.relays.iter().map(relay).collect(),
        paths,
        result,
        exit_status: result.exit_status(),
        notes,
        ipv4,
        ipv6,
    }
}

/// What the possible paths depend on.
struct Network<'a> {
    udp: Passes,
    tcp: Passes,
    families: [&'a Family; 2],
    reachable: Answer,
    /// Whether a relay was reached.
    relayed: bool,
}

impl Network<'_> {
    fn paths(&self) -> Paths {
        Paths {
            reachable_peer: match () {
                () if self.gets_out() => Expected::Direct,
                () if self.nobody_asked() => Expected::Unknown,
                () => self.fallback(),
            },
            same_kind: self.same_kind(),
        }
    }

    fn same_kind(&self) -> Expected {
        if self.reachable == Answer::Yes {
            return Expected::Direct;
        }
        // Holes are punched over UDP where that passes, else over TCP.
        let nats: Vec<Nat> = match (self.udp, self.tcp) {
            (Passes::Yes, _) => self.families.iter().map(|f| f.nat).collect(),
            (_, Passes::Yes) => {
                let kept = |f: &&Family| match f.tcp_nat {
                    // A NAT that keeps one connection's port can be expected to keep the next one's.
                    Nat::Unknown { port: Port::Kept } => {
                        Nat::EndpointIndependent { port: Port::Kept }
                    }
                    other => other,
                };
                self.families.iter().map(kept).collect()
            }
            _ if self.nobody_asked() => return Expected::Unknown,
            _ => return self.fallback(),
        };
        let is = |wanted: fn(&Nat) -> bool| nats.iter().any(wanted);
        if is(|nat| matches!(nat, Nat::None | Nat::EndpointIndependent { .. })) {
            Expected::Direct
        } else if is(|nat| *nat == Nat::Symmetric) && !is(|nat| matches!(nat, Nat::Unknown { .. }))
        {
            self.fallback()
        } else {
            Expected::Unknown
        }
    }

    fn verdict(&self) -> Verdict {
        match () {
            () if self.gets_out() || self.reachable == Answer::Yes => Verdict::Direct,
            () if self.relayed => Verdict::Relayed,
            () => Verdict::None,
        }
    }

    /// Whether a peer at any port can be dialled.
    fn gets_out(&self) -> bool {
        self.udp == Passes::Yes || self.tcp == Passes::Yes
    }

    fn nobody_asked(&self) -> bool {
        self.udp == Passes::Unknown && self.tcp == Passes::Unknown
    }

    fn fallback(&self) -> Expected {
        match self.relayed {
            true => Expected::Relayed,
            false => Expected::None,
        }
    }
}

fn udp_passes(seen: &Observations, attempts: &[&Attempt]) -> Passes {
    let stun = [&seen.v4, &seen.v6];
    let stun_ports = stun.iter().flat_map(|f| &f.stun).map(|m| m.server.port());
    let quic: Vec<_> = attempts
        .iter()
        .filter(|t| t.transport == Transport::Quic)
        .collect();
    let asked = !quic.is_empty() || stun.iter().any(|f| f.stun_asked > 0);
    let answered = quic.iter().filter(|t| t.is_reached());
    passes(
        asked,
        stun_ports.chain(answered.filter_map(|t| port_of(&t.address))),
    )
}

fn tcp_passes(seen: &Observations, attempts: &[&Attempt]) -> Passes {
    let http: Vec<_> = seen.relays.iter().filter_map(|r| r.http.as_ref()).collect();
    let tcp: Vec<_> = attempts
        .iter()
        .filter(|t| matches!(t.transport, Transport::Tcp | Transport::Ws))
        .collect();
    let asked = !http.is_empty() || !tcp.is_empty();
    let answered = tcp.iter().filter(|t| t.is_reached());
    let http_ports = http.iter().filter_map(|h| h.as_ref().ok()).copied();
    passes(
        asked,
        http_ports.chain(answered.filter_map(|t| port_of(&t.address))),
    )
}

/// Judges by the server ports that answered.
fn passes(asked: bool, answered: impl Iterator<Item = u16>) -> Passes {
    let answered: Vec<_> = answered.collect();
    match () {
        () if answered.iter().any(|port| !WEB_PORTS.contains(port)) => Passes::Yes,
        () if !answered.is_empty() => Passes::WebPorts,
        () if asked => Passes::No,
        () => Passes::Unknown,
    }
}

fn family(seen: &FamilyObservations, attempts: &[&Attempt], is_of: fn(&IpAddr) -> bool) -> Family {
    let of_family = |t: &&&Attempt| ip_of(&t.address).is_some_and(|ip| is_of(&ip));
    let asked = attempts.iter().filter(of_family).count() > 0 || seen.stun_asked > 0;
    let reached =
        attempts.iter().filter(of_family).any(|t| t.is_reached()) || !seen.stun.is_empty();
    let (nat, seen_from, used) = nat::of_udp(&seen.stun, &seen.quic);
    let (tcp_nat, _, by_tcp) = nat::of(&seen.tcp);
    let outside = used.first().or(by_tcp.first());
    let outside = outside.filter(|m| m.outside.ip() != m.local.ip());
    Family {
        works: match (reached, asked) {
            (true, _) => Answer::Yes,
            (false, true) => Answer::No,
            // Without an own address nothing can be reached.
            (false, false) if seen.own.is_none() => Answer::No,
            (false, false) => Answer::Unknown,
        },
        own: seen.own,
        outside: outside.map(|m| m.outside.ip()),
        nat,
        seen_from,
        tcp_nat,
    }
}

fn from_outside(seen: &Observations) -> FromOutside {
    let answer = |result: ReachResult| match result {
        ReachResult::Reached => Answer::Yes,
        ReachResult::Failed | ReachResult::Silence => Answer::No,
    };
    let tested: Vec<_> = seen
        .reach_tests
        .iter()
        .map(|r| Tested {
            address: r.address.clone(),
            reachable: answer(r.result),
        })
        .collect();
    FromOutside {
        reachable: match () {
            () if tested.iter().any(|t| t.reachable == Answer::Yes) => Answer::Yes,
            () if !tested.is_empty() => Answer::No,
            () => Answer::Unknown,
        },
        tested,
    }
}

fn relay(seen: &RelayObservations) -> Relay {
    let mut transports: Vec<ByTransport> = Vec::new();
    for by in seen.attempts.iter().map(by_transport) {
        match transports.iter_mut().find(|b| b.transport == by.transport) {
            None => transports.push(by),
            Some(known) if is_better(&by.state, &known.state) => *known = by,
            Some(_) => {}
        }
    }
    transports.sort_by_key(|by| by.transport);
    let reached = seen.is_reached();
    let error = match (&seen.http, seen.is_relay) {
        (_, Some(false)) => Some("it answers, but is no relay; check the address".into()),
        (Some(Err(reason)), _) => Some(reason.clone()),
        (_, _) if !reached => Some("none of its transports can be reached".into()),
        _ => None,
    };
    Relay {
        given: seen.given.clone(),
        peer: seen.peer,
        reached,
        error,
        transports,
    }
}

fn by_transport(attempt: &Attempt) -> ByTransport {
    ByTransport {
        transport: attempt.transport,
        address: attempt.address.clone(),
        state: match &attempt.outcome {
            Outcome::Reached(after) => State::Reached {
                milliseconds: u64::try_from(after.as_millis()).unwrap_or(u64::MAX),
            },
            Outcome::Failed(reason) => State::Failed {
                reason: reason.clone(),
            },
            Outcome::NotDialable => State::NotDialable,
        },
    }
}

/// Whether an attempt succeeded where the other failed, or was faster. Of two failures the first stays.
fn is_better(new: &State, old: &State) -> bool {
    match (new, old) {
        (State::Reached { milliseconds: new }, State::Reached { milliseconds: old }) => new < old,
        (State::Reached { .. }, _) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests;
