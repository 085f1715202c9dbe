//! Command lines, and what they are parsed to.

mod relay_settings;

use std::time::Duration;

use clap::CommandFactory;
use punchline::config::DEFAULT_NAMESPACE;

use super::*;
use crate::common::Period;

fn parse_words(words: &[&str]) -> Result<Invocation, UsageError> {
    let words = std::iter::once("punchline").chain(words.iter().copied());
    parse(words.map(OsString::from))
}

fn peer(words: &[&str]) -> PeerArgs {
    match parse_words(words).unwrap() {
        Invocation::Peer(args) => args,
        other => panic!("{other:?}"),
    }
}

fn relay(words: &[&str]) -> Settings {
    let words: Vec<_> = std::iter::once("relay")
        .chain(words.iter().copied())
        .collect();
    match parse_words(&words).unwrap() {
        Invocation::Relay(settings) => *settings,
        other => panic!("{other:?}"),
    }
}

/// The error for wrong arguments, which is always one line of text.
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
        Period(Some(punchline::config::DEFAULT_GREET_INTERVAL))
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
    assert_eq!(args.namespace, "room");
    assert_eq!(args.listen, ["/ip6/::/udp/0/quic-v1".parse().unwrap()]);
    assert_eq!(args.greet_interval, Period(None));
    assert_eq!(args.identity, Some("key".into()));
    assert!(args.json);
}

/// tests/cases/links.json, which the page is tested with, too.
#[test]
fn a_link_names_relay_and_room() {
    #[derive(serde::Deserialize)]
    struct Case {
        link: String,
        relay: String,
        room: Option<String>,
    }
    const CASES: &str = include_str!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../tests/cases/links.json"
    ));
    let cases: Vec<Case> = serde_json::from_str(CASES).unwrap();
    assert!(cases.len() > 10);
    for case in cases {
        for words in [vec![&*case.link], vec!["--relay", &*case.link]] {
            let args = peer(&words);
            let relay = match &args.relay[..] {
                [RelaySpec::Url(url)] => url.to_string(),
                [RelaySpec::Address(address)] => address.to_string(),
                other => panic!("{other:?}"),
            };
            let room = case.room.as_deref().unwrap_or(DEFAULT_NAMESPACE);
            assert_eq!(
                (&*relay, &*args.namespace),
                (&*case.relay, room),
                "{}",
                case.link
            );
        }
    }
}

#[test]
fn a_room_has_one_spelling() {
    let composed = peer(&["--namespace", "caf\u{e9}"]).namespace;
    assert_eq!(peer(&["--namespace", " cafe\u{301} "]).namespace, composed);
    assert_eq!(peer(&["--namespace", "-test"]).namespace, "-test");
    assert_eq!(peer(&["--namespace=-test"]).namespace, "-test");
}

#[test]
fn servers_of_stun_are_named_by_url() {
    let args = peer(&[
        "--ice-server",
        "stun:192.0.2.7:3478",
        "--ice-server=stun:[2001:db8::7]:1",
    ]);
    let urls: Vec<_> = args
        .ice_servers
        .iter()
        .map(|server| server.url.as_str())
        .collect();
    assert_eq!(urls, ["stun:192.0.2.7:3478", "stun:[2001:db8::7]:1"]);
    for bad in [
        "192.0.2.7:3478",
        "stun:",
        "stun:a",
        "stun::1",
        "stun:a:0",
        "stun:a:b",
        "stun:a:65536",
    ] {
        assert!(
            complaint(&["--ice-server", bad]).contains("looks like stun:"),
            "{bad}"
        );
    }
}

#[test]
fn a_turn_server_has_a_user_and_a_password() {
    let args = peer(&["--ice-server", "turn:me:a%3Ab@c:d@[2001:db8::7]:1"]);
    let server = &args.ice_servers[0];
    let who = (server.username.as_deref(), server.credential.as_deref());
    assert_eq!(server.url, "turn:[2001:db8::7]:1");
    assert_eq!(who, (Some("me"), Some("a:b@c:d")));
    for bad in [
        "turn:a:1",
        "turn:u@a:1",
        "turn::p@a:1",
        "turn:u:p@a",
        "turn:u:%ff@a:1",
    ] {
        let complaint = complaint(&["--ice-server", bad]);
        assert!(complaint.contains("looks like turn:"), "{bad}: {complaint}");
    }
    assert!(complaint(&["--ice-server", "turns:u:p@a:1"]).contains("over UDP only"));
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
        (&["--relay", "http://h:99999"], "\"99999\" is no port"),
        (&["--relay", "http://[::1]:0"], "\"0\" is no port"),
        (&["http://h:99999/#room=a"], "\"99999\" is no port"),
        (&["http://h/#room=%ff"], "not UTF-8"),
        (
            &["http://h/#room=a", "--namespace", "b"],
            "names the room 'a', and 'b' is named too",
        ),
        (
            &["http://h/#room=a", "--relay", "http://k/#room=b"],
            "a peer is in one room",
        ),
        (&["/ip4/1.2.3.4/tcp/1/https"], "/tcp/443/wss"),
        (&["--name", ""], "at least one letter"),
        (&["--name", "a\nb"], "no control characters"),
        (&["--ephemeral", "--identity", "key"], "cannot be used with"),
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
        let parsed = parse_words(words).unwrap();
        assert!(matches!(parsed, Invocation::Print(_)), "{words:?}");
    }
}

#[test]
fn a_doctor_takes_relays_as_a_peer_does() {
    let doctor = |words: &[&str]| {
        let words: Vec<_> = std::iter::once("doctor")
            .chain(words.iter().copied())
            .collect();
        match parse_words(&words).unwrap() {
            Invocation::Doctor(args) => args,
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
