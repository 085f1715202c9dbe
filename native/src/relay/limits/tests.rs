//! The table, its manual, and what one network may take.

use super::*;

/// The manual, with the table in it.
const MANUAL: &str = include_str!("../../../../docs/operating.md");
const HEAD: &str = "| option | unit | default | why |\n| --- | --- | --- | --- |\n";

/// The limits of a relay with this configuration file.
pub(crate) fn limits(text: &str) -> Limits {
    let options: LimitOptions = toml::from_str(text).unwrap();
    options.or(&LimitOptions::default()).unwrap()
}

#[test]
fn the_manual_has_this_table() {
    let row = |[option, unit, default, why]: [String; 4]| {
        format!("| `--{option}` | {unit} | {default} | {why} |\n")
    };
    let table: String = manual().into_iter().map(row).collect();
    let written: String = match MANUAL.split_once(HEAD) {
        Some((_, rest)) => rest
            .split_inclusive('\n')
            .take_while(|line| line.starts_with('|'))
            .collect(),
        None => String::new(),
    };
    assert!(
        written == table,
        "the table of limits in docs/operating.md should be\n\n{HEAD}{table}"
    );
}

#[test]
fn a_year_is_a_year() {
    let limits = limits("reservation-duration = '1year'");
    assert_eq!(limits.reservation_duration, Duration::from_secs(YEAR));
}

#[test]
fn a_network_gets_its_share_of_everything() {
    let limits = limits("");
    for (share, of) in [
        (limits.connections_of_network(), limits.max_reservations),
        (limits.handshakes().share, limits.max_pending_connections),
        (limits.rendezvous().share, limits.max_registrations),
        (limits.hop().limits.circuits_of_network, limits.max_circuits),
        (
            limits.http_connections_of_network(),
            limits.max_http_connections,
        ),
    ] {
        assert_eq!((share.of_address, share.of_site), (of / 4, of / 2));
        assert_eq!(share.of_private, of / 4 * 3);
    }
}

#[test]
fn small_limits_leave_something_for_everyone() {
    let limits = limits("max-connections = 4\nmax-registrations = 3\nmax-share-per-ip = 1");
    assert_eq!(
        limits.connections_of_network().of_address,
        limits.max_connections_per_peer
    );
    assert_eq!(limits.rendezvous().share.of_address, 1);
}

#[test]
fn a_network_may_get_all() {
    let limits = limits("max-share-per-ip = 100");
    let connections = limits.connections_of_network();
    assert_eq!(connections.of_address, limits.max_connections);
    let http = limits.http_connections_of_network();
    assert_eq!((http.of_address, http.of_site), (1_024, 1_024));
}
