//! A relay's command line, and its file.

use std::num::NonZeroU32;

use super::*;
use crate::{
    common::log::Format,
    http::tls::{Files, Source},
    relay::{
        limits::{self, Rate},
        settings::KeySource,
    },
    watch::Access,
};

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
        ("max-share-per-ip", limits.max_share_per_ip.to_string()),
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
        (&["--announce", "/ip4/0.0.0.0/tcp/1"], "nobody can dial"),
        (&["--announce", "/ip6/::/udp/1/quic-v1"], "nobody can dial"),
        (&["--announce", "/ip4/224.0.0.1/tcp/1"], "nobody can dial"),
        (
            &["--announce", "/dns4/relay.example/tcp/443/https"],
            "/tcp/443/wss",
        ),
        (&["--tls-cert", "c.pem"], "both a certificate"),
        (&["--acme-contact", "me@a.example"], "both a certificate"),
        (&["--acme-domain", "a b"], "a host's name"),
        (&["--acme-contact", "mailto:me@a.example"], "a mail address"),
        (&["--acme-directory", "http://a.example"], "a URL of https"),
        (&["--tls-domain", "relay.example"], "both a certificate"),
        (&["--tls-domain", "relay/example"], "a host's name"),
        (&["--trusted-proxy", "10.0.0.0/33"], "neither an address"),
        (&["--max-circuits", "0"], "at least 1"),
        (&["--max-share-per-ip", "0"], "from 1 to 100"),
        (&["--max-share-per-ip", "101"], "from 1 to 100"),
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
        Ok(Invocation::Relay(settings)) => Ok(*settings),
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
    assert!(!settings.webrtc_direct, "as the file says");
    let flagged = configured(text, &["--webrtc-direct"]).unwrap();
    assert!(flagged.webrtc_direct);
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
fn who_watches_is_up_to_the_operator() {
    let text = "metrics = \"any\"\nlog-format = \"json\"";
    for (text, words, metrics, format) in [
        ("", &[][..], Access::Local, Format::Text),
        (text, &[], Access::Any, Format::Json),
        (
            text,
            &["--metrics", "private", "--log-format", "text"],
            Access::Private,
            Format::Text,
        ),
        ("", &["--metrics", "off"], Access::Off, Format::Text),
    ] {
        let settings = configured(text, words).unwrap();
        assert_eq!((settings.metrics, settings.log_format), (metrics, format));
    }
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
            "announce = [\"/ip4/0.0.0.0/tcp/1\"]",
            "announce: nobody can dial",
        ),
        (
            "announce = [\"/ip4/1.2.3.4\"]",
            "announce: no host and port",
        ),
        ("namespace = \"\"", "namespace: a namespace has at least"),
        ("max-circuits = 0", "max-circuits: at least 1"),
        ("metrics = \"all\"", "line 1: unknown variant `all`"),
        ("log-format = \"xml\"", "line 1: unknown variant `xml`"),
        ("max-share-per-ip = 0", "max-share-per-ip: a share"),
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

#[test]
fn tls_has_files_a_port_and_a_name() {
    assert_eq!(relay(&[]).tls, None);
    let pair = ["--tls-cert", "c.pem", "--tls-key", "k.pem"];
    let tls = relay(&pair).tls.unwrap();
    assert_eq!((tls.port, tls.domain), (443, None));
    let files = Files {
        certificate: "c.pem".into(),
        key: "k.pem".into(),
    };
    assert_eq!(tls.certificate, Source::Files(files));
    let more = ["--tls-port", "0", "--tls-domain", "Relay.example"];
    let tls = relay(&[&pair[..], &more].concat()).tls.unwrap();
    assert_eq!(
        (tls.port, tls.domain.as_deref()),
        (0, Some("relay.example"))
    );
}

#[test]
fn a_certificate_may_come_from_an_acme_server() {
    let tls = relay(&["--acme-domain", "a.example", "--acme-domain", "b.example"])
        .tls
        .unwrap();
    let Source::Acme(acme) = tls.certificate else {
        panic!("{tls:?}");
    };
    assert_eq!(acme.domains, ["a.example", "b.example"]);
    assert_eq!(
        acme.directory,
        "https://acme-v02.api.letsencrypt.org/directory"
    );
    let text = "acme-domain = ['a.example']\nacme-contact = ['me@a.example']\n\
        acme-directory = 'https://localhost:1/dir'";
    let tls = configured(text, &[]).unwrap().tls.unwrap();
    let Source::Acme(acme) = tls.certificate else {
        panic!("{tls:?}");
    };
    assert_eq!(acme.contact, ["mailto:me@a.example"]);
    assert_eq!(acme.directory, "https://localhost:1/dir");
}

#[test]
fn proxies_are_networks_or_addresses() {
    let proxies = relay(&[
        "--trusted-proxy",
        "10.0.0.0/8",
        "--trusted-proxy",
        "fd00::1",
    ])
    .trusted_proxies;
    for (ip, is_trusted) in [
        ("10.1.2.3", true),
        ("11.1.2.3", false),
        ("fd00::1", true),
        ("fd00::2", false),
    ] {
        assert_eq!(proxies.contains(ip.parse().unwrap()), is_trusted, "{ip}");
    }
    assert!(
        !relay(&[])
            .trusted_proxies
            .contains("127.0.0.1".parse().unwrap())
    );
    let text = "trusted-proxy = ['10.0.0.0/8', 'fd00::1']";
    assert_eq!(configured(text, &[]).unwrap().trusted_proxies, proxies);
    let refused = configured("trusted-proxy = ['everybody']", &[]).unwrap_err();
    assert!(
        refused.contains("line 1: \"everybody\" is neither"),
        "{refused}"
    );
}
