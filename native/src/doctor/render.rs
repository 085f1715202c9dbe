//! The report as lines of text for a person.

use super::report::{
    Answer, ByTransport, Expected, Family, Nat, Note, Passes, Port, Relay, Report, SeenFrom, State,
    Verdict,
};
use crate::common::sanitise::sanitised;

/// The width of the first column.
const COLUMN: usize = 17;

/// The lines of the report.
pub(crate) fn lines(report: &Report) -> Vec<String> {
    let mut lines = vec![
        row("UDP", passes(report.udp)),
        row("TCP", passes(report.tcp)),
    ];
    for (name, family) in [("IPv4", &report.ipv4), ("IPv6", &report.ipv6)] {
        lines.push(row(name, &works(family)));
        if let Some(text) = nat(family) {
            lines.push(row(&format!("{name} NAT"), &text));
        }
    }
    lines.push(row("From outside", from_outside(report)));
    for relay in &report.relays {
        lines.push(String::new());
        lines.extend(about_relay(relay));
    }
    lines.push(String::new());
    lines.extend(report.notes.iter().map(|n| row("Note", note(*n))));
    lines.push(row("Peers alike", same_kind(report.paths.same_kind)));
    lines.push(row("Result", result(report)));
    let mut label = "Next";
    for next in &report.next {
        lines.push(row(label, &sanitised(next)));
        label = "";
    }
    lines
}

fn row(label: &str, text: &str) -> String {
    format!("{label:COLUMN$}{text}")
}

const fn passes(passes: Passes) -> &'static str {
    match passes {
        Passes::Yes => "gets out, and answers come back",
        Passes::WebPorts => "gets out to the ports of the web only (80, 443)",
        Passes::No => "does not get out, or no answer comes back",
        Passes::Unknown => "not tested: that takes a relay",
    }
}

fn works(family: &Family) -> String {
    let Some(own) = family.own else {
        return match family.works {
            Answer::Yes => "works".into(),
            _ => "none: this machine has no way out by it".into(),
        };
    };
    match (family.works, family.outside) {
        (Answer::Yes, Some(outside)) if outside != own => {
            format!("works: {own}, seen from outside as {outside}")
        }
        (Answer::Yes, _) => format!("works: {own}"),
        (Answer::No, _) => format!("{own}, but nothing was reached by it"),
        (Answer::Unknown, _) => format!("{own}; not tested"),
    }
}

fn nat(family: &Family) -> Option<String> {
    let from = match family.seen_from {
        SeenFrom::TwoHosts => " (seen by two hosts)",
        SeenFrom::TwoPorts => " (seen by two ports of one relay)",
        SeenFrom::OnePlace | SeenFrom::Nowhere => "",
    };
    let kind = match family.nat {
        Nat::None => "none: others see this machine's own address and port",
        Nat::EndpointIndependent { port: Port::Kept } => {
            "one port for all destinations, this machine's own: it can be punched through"
        }
        Nat::EndpointIndependent {
            port: Port::Translated,
        } => "one port for all destinations, translated: it can be punched through",
        Nat::Symmetric => {
            "another port for each destination (symmetric): nobody can know it beforehand"
        }
        Nat::Unknown { .. } => {
            return Some("there is one; its kind cannot be seen from one place only".into());
        }
        Nat::NotSeen => return tcp_nat(family.tcp_nat),
    };
    Some(format!("{kind}{from}"))
}

/// The line about a NAT when there was no answer by UDP.
fn tcp_nat(nat: Nat) -> Option<String> {
    let kind = match nat {
        Nat::None => "none, by TCP",
        Nat::EndpointIndependent { .. } => "by TCP one port for all destinations",
        Nat::Symmetric => "by TCP another port for each destination (symmetric)",
        Nat::Unknown { port: Port::Kept } => {
            "there is one; it keeps the ports of TCP, as far as can be seen from one place"
        }
        Nat::Unknown {
            port: Port::Translated,
        } => "there is one; its kind cannot be seen from one place only",
        Nat::NotSeen => return None,
    };
    Some(kind.into())
}

const fn from_outside(report: &Report) -> &'static str {
    match report.from_outside.reachable {
        Answer::Yes => "reachable: others can connect to this machine without its doing",
        Answer::No => "not reachable: nobody can connect to this machine without its doing",
        Answer::Unknown => "not tested: that takes a relay with AutoNAT v2",
    }
}

fn about_relay(relay: &Relay) -> Vec<String> {
    let mut lines = vec![format!("Relay {}", sanitised(&relay.given))];
    if let Some(error) = &relay.error {
        lines.push(row("  problem", &sanitised(error)));
    }
    lines.extend(relay.transports.iter().map(transport));
    lines
}

fn transport(by: &ByTransport) -> String {
    let text = match &by.state {
        State::Reached { milliseconds } => {
            format!("reached in {milliseconds} ms at {}", by.address)
        }
        State::Failed { reason } => format!("not reached at {}: {}", by.address, sanitised(reason)),
        State::NotDialable => "not dialable from a terminal: for browsers".into(),
    };
    row(&format!("  {}", by.transport), &sanitised(&text))
}

const fn note(note: Note) -> &'static str {
    match note {
        Note::NoRelayGiven => "no relay was given, so nothing outside could be asked",
        Note::NoRelayReached => "no relay could be reached",
        Note::OneObservationPoint => {
            "only one place saw this NAT: two relays, or two STUN ports of one, show its kind"
        }
        Note::RelayOnThisMachine => "the relay runs on this machine: nothing beyond it was tested",
        Note::RelayOnThisNetwork => {
            "the relay is in a private network: NATs beyond that were not tested"
        }
    }
}

const fn same_kind(expected: Expected) -> &'static str {
    match expected {
        Expected::Direct => "to a peer in a network like this one: direct",
        Expected::Relayed => "to a peer in a network like this one: through the relay",
        Expected::None => "to a peer in a network like this one: none",
        Expected::Unknown => "to a peer in a network like this one: not known",
    }
}

fn result(report: &Report) -> &'static str {
    match (report.result, report.paths.same_kind) {
        (Verdict::Direct, Expected::Direct) => "direct paths are possible",
        (Verdict::Direct, Expected::Unknown) => "direct paths are possible, to some peers at least",
        (Verdict::Direct, _) => {
            "direct paths are possible to peers that can be reached; others take the relay"
        }
        (Verdict::Relayed, _) => "everything goes through the relay",
        (Verdict::None, _) if report.notes.contains(&Note::NoRelayGiven) => {
            "not known: nothing was tested"
        }
        (Verdict::None, _) => "nothing works: neither a direct path nor a relay",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::{observations::Observations, verdict::judge};

    #[test]
    fn without_a_relay_it_says_what_to_do() {
        let text = lines(&judge(&Observations::default())).join("\n");
        for expected in [
            "UDP              not tested",
            "IPv6             none",
            "no relay was given",
            "Next             punchline relay ",
            "\n                 punchline doctor --relay http://",
        ] {
            assert!(text.contains(expected), "{expected}\n{text}");
        }
    }
}
