//! `punchline doctor` recognises every kind of network.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::Test;
use crate::lab::{Host, Lab, Nat, ONE_WAY, RELAY_PORT};

/// The longest time that the doctor takes, by its own word.
const LIMIT: Duration = Duration::from_secs(10);

/// A network with a relay outside, and what the report has to say about it.
struct Expected {
    name: &'static str,
    nat: Nat,
    udp: &'static str,
    tcp: &'static str,
    ipv4: Value,
    ipv6: Value,
    reachable: &'static str,
    same_kind: &'static str,
    exit: i32,
}

fn networks() -> Vec<Expected> {
    let not_seen = json!({"kind": "not_seen"});
    let none = json!({"kind": "none"});
    let kept = json!({"kind": "endpoint_independent", "port": "kept"});
    let translated = json!({"kind": "endpoint_independent", "port": "translated"});
    let symmetric = json!({"kind": "symmetric"});
    let cone = Expected {
        name: "cone",
        nat: Nat::Cone,
        udp: "yes",
        tcp: "yes",
        ipv4: kept,
        ipv6: not_seen.clone(),
        reachable: "no",
        same_kind: "direct",
        exit: 0,
    };
    vec![
        Expected {
            name: "public",
            nat: Nat::None,
            ipv4: none.clone(),
            ipv6: none.clone(),
            reachable: "yes",
            ..cone.clone()
        },
        Expected {
            name: "translated",
            nat: Nat::Translated,
            ipv4: translated,
            ..cone.clone()
        },
        Expected {
            name: "symmetric",
            nat: Nat::Symmetric,
            ipv4: symmetric.clone(),
            same_kind: "relayed",
            ..cone.clone()
        },
        Expected {
            name: "symmetric_and_v6_firewall",
            nat: Nat::SymmetricAndV6Firewall,
            ipv4: symmetric,
            ipv6: none.clone(),
            ..cone.clone()
        },
        Expected {
            name: "v6_firewall",
            nat: Nat::V6Firewall,
            ipv4: not_seen.clone(),
            ipv6: none,
            ..cone.clone()
        },
        Expected {
            name: "udp_blocked",
            nat: Nat::UdpBlocked,
            udp: "no",
            ipv4: not_seen.clone(),
            ..cone.clone()
        },
        Expected {
            name: "only_tcp_443",
            nat: Nat::OnlyTcp443,
            udp: "no",
            tcp: "web_ports",
            ipv4: not_seen,
            same_kind: "relayed",
            exit: 3,
            ..cone.clone()
        },
        cone,
    ]
}

impl Clone for Expected {
    fn clone(&self) -> Self {
        Self {
            ipv4: self.ipv4.clone(),
            ipv6: self.ipv6.clone(),
            ..*self
        }
    }
}

pub(super) fn tests() -> Vec<Test> {
    let mut tests = Vec::new();
    for (suffix, delay) in [("", None), ("_20ms", Some(ONE_WAY))] {
        for network in networks() {
            let name = format!("doctor::{}{suffix}", network.name);
            tests.push(Test::new(name, move || recognises(&network, delay)));
        }
    }
    tests.push(Test::new("doctor::nothing", nothing));
    tests.push(Test::new("doctor::forwarded_ports", forwarded_ports));
    tests.push(Test::new("doctor::one_place", one_place));
    tests.push(Test::new("doctor::two_relays", two_relays));
    tests.push(Test::new("doctor::double", double));
    tests
}

fn recognises(network: &Expected, delay: Option<Duration>) {
    let lab = Lab::new(delay);
    let (_relay_host, relay) = lab.relay(1);
    let site = lab.site("home", network.nat);
    let host = lab.host("a", &site);
    let given = match network.nat {
        Nat::V6Firewall => relay.url6(),
        // The port of the URL is blocked.
        Nat::OnlyTcp443 => relay.tcp(),
        _ => relay.url(),
    };
    let (report, code) = examine(&host, &["--relay", &given]);
    assert_eq!(report["udp"], network.udp, "{report:#}");
    assert_eq!(report["tcp"], network.tcp, "{report:#}");
    assert_eq!(report["ipv4"]["nat"], network.ipv4, "{report:#}");
    assert_eq!(report["ipv6"]["nat"], network.ipv6, "{report:#}");
    let reachable = &report["from_outside"]["reachable"];
    assert_eq!(*reachable, network.reachable, "{report:#}");
    let same_kind = &report["paths"]["same_kind"];
    assert_eq!(*same_kind, network.same_kind, "{report:#}");
    assert_eq!(code, network.exit, "{report:#}");
    assert_eq!(report["relays"][0]["reached"], true, "{report:#}");
    assert_eq!(report["relays"][0]["peer"], *relay.peer_id, "{report:#}");
}

/// A relay that is there, while no packet to it passes.
fn nothing() {
    let lab = Lab::new(None);
    let (relay_host, relay) = lab.relay(1);
    let site = lab.site("home", Nat::Cone);
    let host = lab.host("a", &site);
    site.cut(&[relay_host.ip().into()]);
    let (report, code) = examine(&host, &["--relay", &relay.url()]);
    assert_eq!(code, 4, "{report:#}");
    assert_eq!(report["udp"], "no", "{report:#}");
    assert_eq!(report["tcp"], "no", "{report:#}");
    assert_eq!(report["notes"], json!(["no_relay_reached"]), "{report:#}");
    assert_eq!(report["paths"]["same_kind"], "none", "{report:#}");
}

/// A symmetric NAT whose router forwards ports to the host: it can be reached all the same.
fn forwarded_ports() {
    let lab = Lab::new(None);
    let (_relay_host, relay) = lab.relay(1);
    let site = lab.site("home", Nat::Symmetric);
    let host = lab.host("a", &site);
    let (to, outside) = (host.ip(), site.outside());
    site.nft(&format!(
        "table ip forwarding {{ chain prerouting {{
            type nat hook prerouting priority dstnat; policy accept;
            ip daddr {outside} meta l4proto {{ tcp, udp }} dnat to {to}
        }}
        }}
        insert rule ip filter forward ct status dnat accept"
    ));
    let (report, code) = examine(&host, &["--relay", &relay.url()]);
    assert_eq!(code, 0, "{report:#}");
    assert_eq!(report["ipv4"]["nat"]["kind"], "symmetric", "{report:#}");
    assert_eq!(report["from_outside"]["reachable"], "yes", "{report:#}");
    assert_eq!(report["paths"]["same_kind"], "direct", "{report:#}");
}

/// A firewall that lets only one of the two STUN ports through, as with an older relay: one place cannot show
/// whether the NAT is symmetric.
fn one_place() {
    let lab = Lab::new(None);
    let (_relay_host, relay) = lab.relay(1);
    let site = lab.site("home", Nat::Symmetric);
    let host = lab.host("a", &site);
    let second = RELAY_PORT + 3;
    site.nft(&format!(
        "table inet one {{ chain forward {{
            type filter hook forward priority -20; policy accept;
            udp dport {second} drop
        }}
        }}"
    ));
    let (report, code) = examine(&host, &["--relay", &relay.url()]);
    assert_eq!(code, 0, "{report:#}");
    assert_eq!(report["ipv4"]["nat"]["kind"], "unknown", "{report:#}");
    assert_eq!(report["ipv4"]["seen_from"], "one_place", "{report:#}");
    assert_eq!(report["notes"], json!(["one_observation_point"]));
    assert_eq!(report["paths"]["same_kind"], "unknown", "{report:#}");
}

/// Two relays at two addresses, with which the kind of NAT is certain.
fn two_relays() {
    let lab = Lab::new(None);
    let (_first_host, first) = lab.relay(1);
    let (_second_host, second) = lab.relay(2);
    for (name, nat, kind) in [
        ("a", Nat::Translated, "endpoint_independent"),
        ("b", Nat::Symmetric, "symmetric"),
    ] {
        let site = lab.site(&format!("home-{name}"), nat);
        let host = lab.host(name, &site);
        let relays = ["--relay", &first.url(), "--relay", &second.url()];
        let (report, code) = examine(&host, &relays);
        assert_eq!(code, 0, "{report:#}");
        assert_eq!(report["ipv4"]["seen_from"], "two_hosts", "{report:#}");
        assert_eq!(report["ipv4"]["nat"]["kind"], kind, "{report:#}");
        assert_eq!(report["ipv4"]["tcp_nat"]["kind"], kind, "{report:#}");
        let outside = site.outside().to_string();
        assert_eq!(report["ipv4"]["outside"], outside, "{report:#}");
    }
}

/// Two NATs in a row, which look like one from outside.
fn double() {
    let lab = Lab::new(None);
    let (_relay_host, relay) = lab.relay(1);
    let carrier = lab.site("carrier", Nat::Carrier);
    let site = lab.site_behind("home", &carrier, Nat::Translated);
    let host = lab.host("a", &site);
    let (report, code) = examine(&host, &["--relay", &relay.url()]);
    assert_eq!(code, 0, "{report:#}");
    let expected = json!({"kind": "endpoint_independent", "port": "translated"});
    assert_eq!(report["ipv4"]["nat"], expected, "{report:#}");
    let outside = carrier.outside().to_string();
    assert_eq!(report["ipv4"]["outside"], outside, "{report:#}");
    assert_eq!(report["from_outside"]["reachable"], "no", "{report:#}");
}

/// Runs the doctor, and returns its report and its exit status.
fn examine(host: &Host, args: &[&str]) -> (Value, i32) {
    let started = Instant::now();
    let finished = host
        .punchline("doctor", &[&["doctor"], args].concat())
        .finish();
    let took = started.elapsed();
    assert!(took < LIMIT, "it took {took:?}\n{finished:?}");
    assert_eq!(finished.stdout.lines().count(), 1, "{finished:?}");
    let report: Value = serde_json::from_str(&finished.stdout).unwrap();
    let code = finished.code.unwrap();
    assert_eq!(report["exit_status"], code, "{report:#}");
    (report, code)
}
