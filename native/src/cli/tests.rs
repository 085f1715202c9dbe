//! What is typed, and what comes of it.

use std::{num::NonZeroU32, time::Duration};

use clap::CommandFactory;

use super::{relay::KeySource, *};
use crate::relay::limits;

fn parse_words(words: &[&str]) -> Result<Option<Invocation>, UsageError> {
    let words = std::iter::once("punchline").chain(words.iter().copied());
    parse(words.map(OsString::from))
}

fn peer(words: &[&str]) -> PeerArgs {
    match parse_words(words).unwrap().unwrap() {
        Invocation::Peer(args) => args,
        other => panic!("{other:?}"),
    }
}

fn relay(words: &[&str]) -> Settings {
    let words: Vec<_> = std::iter::once("relay")
        .chain(words.iter().copied())
        .collect();
    match parse_words(&words).unwrap().unwrap() {
        Invocation::Relay(settings) => *settings,
        other => panic!("{other:?}"),
    }
}

/// The complaint about wrong arguments: always one line that a person can read.
fn complaint(words: &[&str]) -> String {
    let line = parse_words(words).unwrap_err().to_string();
    assert!(!line.contains('\n'), "{line:?}");
    assert!(!line.is_empty() && !line.starts_with("error"), "{line:?}");
    line
}

#[test]
fn definition_is_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn a_peer_needs_no_argument() {
    let args = peer(&[]);
    assert!(args.dial.is_empty() && args.relay.is_empty() && args.listen.is_empty());
    assert_eq!(args.namespace, DEFAULT_NAMESPACE);
    assert_eq!(
        args.greet_interval,
        Period(Some(shared::config::DEFAULT_GREET_INTERVAL))
    );
    assert!(!args.json);
}

#[test]
fn a_peer_takes_every_option() {
    let args = peer(&[
        "--relay",
        "http://relay.example:45680",
        "--relay-address",
        "/dns4/relay.example/tcp/45679/ws",
        "--namespace",
        "room",
        "--listen",
        "/ip6/::/udp/0/quic-v1",
        "--greet-interval",
        "0",
        "--identity",
        "key",
        "--json",
        "/ip4/192.0.2.7/udp/45678/quic-v1",
        "/dnsaddr/peers.example",
    ]);
    assert_eq!(args.dial.len(), 2);
    assert!(matches!(
        args.relay[..],
        [RelaySpec::Url(_), RelaySpec::Address(_)]
    ));
    assert_eq!(args.greet_interval, Period(None));
    assert_eq!(args.identity, Some("key".into()));
    assert!(args.json);
}

#[test]
fn mdns_can_be_switched_either_way() {
    let mdns = |words: &[&str]| peer(words).mdns;
    assert_eq!(mdns(&[]), None);
    assert_eq!(mdns(&["--mdns"]), Some(true));
    assert_eq!(mdns(&["--mdns=false"]), Some(false));
    let args = peer(&["--mdns", "/ip4/192.0.2.7/tcp/1", "--port-mapping"]);
    assert_eq!((args.mdns, args.dial.len()), (Some(true), 1));
    assert!(args.port_mapping);
    complaint(&["--mdns=perhaps"]);
}

#[test]
fn durations_have_units() {
    let interval = |text| peer(&["--greet-interval", text]).greet_interval.0;
    assert_eq!(interval("500ms"), Some(Duration::from_millis(500)));
    assert_eq!(interval("1m 30s"), Some(Duration::from_secs(90)));
    assert_eq!(interval("0s"), None);
}

#[test]
fn wrong_arguments_of_a_peer() {
    let long = "n".repeat(256);
    for (words, expected) in [
        (&["nonsense"][..], "one looks like /ip4/"),
        (&["/ip4/1.2.3.4"], "no host and port"),
        (&["/ip4/1.2.3.4/tcp/0"], "port 0"),
        (&["/ip4/1.2.3.4/udp/9"], "/quic-v1"),
        (&["/p2p-circuit"], "no host and port"),
        (&["--json", "relay"], "put it first"),
        (&["--relay", "relay.example"], "nor a URL"),
        (&["--relay", "ftp://relay.example"], "nor a URL"),
        (&["--relay", "http://"], "nor a URL"),
        (&["--relay", "/ip4/1.2.3.4"], "no host and port"),
        (&["--relay"], "a value is required for '--relay"),
        (&["--namespace", &long], "256 bytes; at most 255"),
        (&["--namespace", ""], "at least one byte"),
        (
            &["--listen", "/dns4/here.example/tcp/1"],
            "starts with /ip4",
        ),
        (
            &["--listen", "/ip4/1.2.3.4/tcp/1/p2p-circuit"],
            "use --relay",
        ),
        (&["--greet-interval", "often"], "a number and a unit"),
        (&["--greet-interval=-1s"], "a number and a unit"),
        (&["--secret-key-seed", "256"], "from 0 to 255"),
        (
            &["--secret-key-seed", "1", "--identity", "key"],
            "cannot be used with",
        ),
        (&["--port", "1"], "unexpected argument '--port'"),
        (&["--no-such-option"], "unexpected argument"),
        (&["--json=yes"], "unexpected value"),
        (&["two\nlines\u{1b}[31m"], "no multiaddr"),
    ] {
        let line = complaint(words);
        assert!(line.contains(expected), "{words:?}: {line}");
    }
}

#[test]
fn help_and_version_are_no_errors() {
    for words in [
        &["--help"][..],
        &["-h"],
        &["--version"],
        &["relay", "--help"],
        &["doctor", "--help"],
    ] {
        assert!(parse_words(words).unwrap().is_none(), "{words:?}");
    }
}

#[test]
fn a_doctor_takes_relays_as_a_peer_does() {
    let doctor = |words: &[&str]| {
        let words: Vec<_> = std::iter::once("doctor")
            .chain(words.iter().copied())
            .collect();
        match parse_words(&words).unwrap() {
            Some(Invocation::Doctor(args)) => args,
            other => panic!("{other:?}"),
        }
    };
    assert!(doctor(&[]).relay.is_empty());
    let args = doctor(&[
        "--relay",
        "http://relay.example:45680",
        "--relay-address",
        "/dns4/relay.example/tcp/45679/ws",
        "--json",
    ]);
    assert!(matches!(
        args.relay[..],
        [RelaySpec::Url(_), RelaySpec::Address(_)]
    ));
    assert!(args.json);
}

#[test]
fn wrong_arguments_of_a_doctor() {
    let relay = ["--relay", "/ip4/192.0.2.7/tcp/1"];
    let many = [&["doctor"], relay.repeat(9).as_slice()].concat();
    for (words, expected) in [
        (&["doctor", "--relay", "nonsense"][..], "nor a URL"),
        (&["doctor", "/ip4/192.0.2.7/tcp/1"], "unexpected argument"),
        (&["doctor", "--namespace", "x"], "unexpected argument"),
        (&many, "9 relays; at most 8"),
    ] {
        let line = complaint(words);
        assert!(line.contains(expected), "{words:?}: {line}");
    }
}

#[test]
fn a_relay_needs_no_argument() {
    let settings = relay(&[]);
    assert_eq!(settings.port, 45_678);
    assert_eq!(settings.key, KeySource::Default);
    assert_eq!(settings.namespace, DEFAULT_NAMESPACE);
    assert!(settings.webrtc_direct && !settings.json);
    assert_eq!(
        settings.limits.max_circuit_duration,
        limits::UNLIMITED_CIRCUIT
    );
}

#[test]
fn nothing_is_kept_on_any_port_or_with_a_seed() {
    assert_eq!(relay(&["--port", "0"]).key, KeySource::Fresh);
    assert_eq!(relay(&["--secret-key-seed", "7"]).key, KeySource::Seed(7));
    assert_eq!(
        relay(&["--port", "0", "--data-dir", "d"]).key,
        KeySource::Directory("d".into())
    );
}

#[test]
fn limits_have_units() {
    let limits = relay(&[
        "--max-circuit-duration",
        "2h",
        "--reservation-duration",
        "10m",
        "--reservation-rate-per-ip",
        "5/2s",
    ])
    .limits;
    assert_eq!(limits.max_circuit_duration, Duration::from_secs(7_200));
    assert_eq!(limits.reservation_duration, Duration::from_secs(600));
    assert_eq!(
        limits.reservation_rate_per_ip,
        Rate {
            burst: NonZeroU32::new(5).unwrap(),
            interval: Duration::from_secs(2)
        }
    );
}

#[test]
fn help_states_the_defaults_that_hold() {
    let help = Cli::command()
        .find_subcommand_mut("relay")
        .unwrap()
        .render_long_help()
        .to_string();
    // Wrapping depends on the terminal.
    let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
    let limits = relay(&[]).limits;
    let reservation = humantime::format_duration(limits.reservation_duration);
    for (name, default) in [
        ("max-reservations", limits.max_reservations.to_string()),
        (
            "max-reservations-per-peer",
            limits.max_reservations_per_peer.to_string(),
        ),
        ("reservation-duration", reservation.to_string()),
        (
            "reservation-rate-per-peer",
            limits.reservation_rate_per_peer.to_string(),
        ),
        (
            "reservation-rate-per-ip",
            limits.reservation_rate_per_ip.to_string(),
        ),
        ("max-circuits", limits.max_circuits.to_string()),
        (
            "max-circuits-per-peer",
            limits.max_circuits_per_peer.to_string(),
        ),
        ("max-circuit-bytes", limits.max_circuit_bytes.to_string()),
        (
            "circuit-rate-per-peer",
            limits.circuit_rate_per_peer.to_string(),
        ),
        (
            "circuit-rate-per-ip",
            limits.circuit_rate_per_ip.to_string(),
        ),
        ("max-connections", limits.max_connections.to_string()),
        (
            "max-connections-per-peer",
            limits.max_connections_per_peer.to_string(),
        ),
        (
            "max-pending-connections",
            limits.max_pending_connections.to_string(),
        ),
        ("max-registrations", limits.max_registrations.to_string()),
        (
            "max-http-connections",
            limits.max_http_connections.to_string(),
        ),
    ] {
        let start = help.find(&format!("--{name} <")).expect(name);
        let end = help[start + 2..]
            .find(" --")
            .map_or(help.len(), |n| start + n);
        let entry = &help[start..end + 2];
        assert!(entry.contains(&format!("[default: {default}]")), "{entry}");
    }
}

#[test]
fn wrong_arguments_of_a_relay() {
    for (words, expected) in [
        (&["--port", "65533"][..], "0 to 65532"),
        (&["--port", "x"], "0 to 65532"),
        (&["--announce", "here"], "one looks like /ip4/"),
        (&["--announce", "/ip4/1.2.3.4/tcp/0"], "port 0"),
        (&["--max-circuits", "0"], "at least 1"),
        (&["--max-circuits", "-1"], "unexpected argument '-1'"),
        (&["--max-circuit-bytes", "lots"], "invalid"),
        (
            &["--max-circuit-duration", "100years"],
            "between 1s and 24d",
        ),
        (&["--max-circuit-duration", "10ms"], "between 1s and 24d"),
        (&["--reservation-duration", "0"], "between 1m"),
        (&["--reservation-duration", "2years"], "between 1m"),
        (&["--circuit-rate-per-ip", "7"], "BURST/INTERVAL"),
        (&["--circuit-rate-per-ip", "0/1s"], "BURST/INTERVAL"),
        (&["--circuit-rate-per-ip", "7/0s"], "BURST/INTERVAL"),
        (
            &["--secret-key-seed", "1", "--data-dir", "d"],
            "cannot be used with",
        ),
        (&["--greet-interval", "1s"], "unexpected argument"),
        (&["/ip4/1.2.3.4/tcp/1"], "unexpected argument"),
        (&["--config", "/no/such/file"], "--config /no/such/file"),
        (&["--config", "/"], "no file"),
    ] {
        let words: Vec<_> = std::iter::once("relay")
            .chain(words.iter().copied())
            .collect();
        let line = complaint(&words);
        assert!(line.contains(expected), "{words:?}: {line}");
    }
}

/// A relay with a configuration file of that text.
fn configured(text: &str, words: &[&str]) -> Result<Settings, String> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("relay.toml");
    std::fs::write(&path, text).unwrap();
    let mut all = vec!["relay", "--config", path.to_str().unwrap()];
    all.extend(words);
    match parse_words(&all) {
        Ok(Some(Invocation::Relay(settings))) => Ok(*settings),
        Ok(other) => panic!("{other:?}"),
        Err(UsageError(line)) => {
            assert!(!line.contains('\n'), "{line:?}");
            Err(line)
        }
    }
}

#[test]
fn a_file_says_the_same_as_flags_and_flags_win() {
    let text = r#"
        port = 4000
        announce = ["/ip4/203.0.113.5/udp/4000/quic-v1"]
        namespace = "office"
        data-dir = "/var/lib/punchline"
        no-webrtc-direct = true
        www = "/usr/share/punchline/www"
        max-circuits = 10
        max-circuit-duration = "1h"
        max-circuit-bytes = 1000000
        reservation-rate-per-peer = "3/1m"
    "#;
    let settings = configured(text, &[]).unwrap();
    assert_eq!(settings.port, 4000);
    assert_eq!(settings.announce.len(), 1);
    assert_eq!(settings.namespace, "office");
    assert_eq!(settings.www, Some("/usr/share/punchline/www".into()));
    assert_eq!(
        settings.key,
        KeySource::Directory("/var/lib/punchline".into())
    );
    assert!(!settings.webrtc_direct);
    assert_eq!(settings.limits.max_circuits, 10);
    assert_eq!(settings.limits.max_circuit_bytes, 1_000_000);
    assert_eq!(
        settings.limits.max_circuit_duration,
        Duration::from_secs(3_600)
    );
    assert_eq!(
        settings.limits.reservation_rate_per_peer.to_string(),
        "3/1m"
    );

    let settings = configured(
        text,
        &[
            "--port",
            "0",
            "--secret-key-seed",
            "1",
            "--announce",
            "/ip4/203.0.113.6/tcp/1",
            "--max-circuits",
            "11",
        ],
    )
    .unwrap();
    assert_eq!(settings.port, 0);
    assert_eq!(settings.key, KeySource::Seed(1));
    assert_eq!(settings.announce.len(), 1);
    assert_eq!(
        settings.announce[0],
        "/ip4/203.0.113.6/tcp/1".parse().unwrap()
    );
    assert_eq!(settings.limits.max_circuits, 11);
    assert_eq!(settings.namespace, "office");
}

#[test]
fn zero_needs_no_unit_in_a_file() {
    let settings = configured("max-circuit-duration = 0", &[]).unwrap();
    assert_eq!(
        settings.limits.max_circuit_duration,
        limits::UNLIMITED_CIRCUIT
    );
}

#[test]
fn what_is_wrong_in_a_file_is_named() {
    for (text, expected) in [
        ("prot = 1", "line 1: unknown field `prot`"),
        ("\n\nport = \"x\"", "line 3:"),
        ("port = 70000", "line 1:"),
        ("port = 65535", "port: a port is a number from 0 to 65532"),
        ("announce = [\"here\"]", "line 1:"),
        (
            "announce = [\"/ip4/1.2.3.4\"]",
            "announce: no host and port",
        ),
        ("namespace = \"\"", "namespace: a namespace has at least"),
        ("max-circuits = 0", "max-circuits: at least 1"),
        ("max-circuit-duration = \"x\"", "line 1: a duration is"),
        ("max-circuit-duration = 5", "line 1: a duration is"),
        ("reservation-duration = \"1s\"", "between 1m"),
        ("circuit-rate-per-ip = \"1\"", "BURST/INTERVAL"),
        ("port = ", "line 1:"),
        (
            "data-dir = \"d\"\nsecret-key-seed = 1",
            "exclude each other",
        ),
        ("config = \"again\"", "unknown field `config`"),
    ] {
        let line = configured(text, &[]).unwrap_err();
        assert!(line.contains(expected), "{text}: {line}");
    }
}
