//! The options of `punchline relay`, from the command line and from a TOML file.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use libp2p::Multiaddr;
use punchline::config::DEFAULT_NAMESPACE;
use serde::Deserialize;

use super::{Period, Rate, UsageError, values};
use crate::relay::limits::{self, Limits};

/// The port that the others are counted from.
const DEFAULT_PORT: u16 = 45_678;
/// The highest base port: three more are needed.
const MAX_PORT: u16 = u16::MAX - 3;
/// A configuration file is no longer than this.
const MAX_CONFIG_BYTES: u64 = 1024 * 1024;
/// Clients renew a reservation after three quarters of it; shorter ones would only keep them busy.
const MIN_RESERVATION: Duration = Duration::from_secs(60);
/// Expiry is a time of day on the wire; a year is beyond any use and far from its end.
const MAX_RESERVATION: Duration = Duration::from_secs(365 * 24 * 3_600);

const EXAMPLES: &str = "\
Ports, counted from --port N:
  tcp/N, udp/N (QUIC)                peers in a terminal
  tcp/N+1 (WebSocket), udp/N+1       peers in a browser (udp: WebRTC direct)
  tcp/N+2 (HTTP), udp/N+2 (STUN)     the page, /bootstrap.json; own address as seen from outside
  udp/N+3 (STUN)                     the same from a second port, for `punchline doctor`

Examples:
  punchline relay
      A relay on ports 45678 to 45681.
  punchline relay --announce /ip4/203.0.113.5/udp/45678/quic-v1 \\
                  --announce /ip4/203.0.113.5/tcp/45679/ws
      A relay behind a router that forwards those ports.
  punchline relay --config /etc/punchline/relay.toml
      The same options from a file: port = 45678, announce = [\"…\"]; flags win.";

/// Run a relay: relay, rendezvous point, STUN server and web host in one.
///
/// Peers meet here, find out how others see them, and talk through here until they have punched
/// through to a direct path.
#[derive(Debug, Clone, Default, PartialEq, clap::Args, Deserialize)]
#[command(after_help = EXAMPLES)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct RelayOptions {
    /// The first of four ports, see below; 0 = any free ports. [default: 45678]
    #[arg(long, value_name = "N", value_parser = port)]
    port: Option<u16>,

    /// An address to advertise, where peers reach this relay at another one than it listens on.
    /// May be given more than once; then only these are advertised.
    #[arg(long, value_name = "MULTIADDR", value_parser = values::dial_address)]
    announce: Vec<Multiaddr>,

    /// Where key and WebRTC certificate are kept, so that peer id and certhash survive restarts.
    /// [default: $XDG_DATA_HOME/punchline/relay-PORT or ~/.local/share/punchline/relay-PORT;
    /// nothing is kept with --port 0 or --secret-key-seed]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,

    /// Read options from this TOML file, under the same names. Options given here win.
    #[arg(long, value_name = "FILE")]
    #[serde(skip)]
    config: Option<PathBuf>,

    /// The namespace that /bootstrap.json proposes to peers. [default: rendezvous]
    #[arg(long, value_name = "NAME", value_parser = values::namespace)]
    namespace: Option<String>,

    /// The directory of the page for browsers: www/ of the source code. [default: the page in this
    /// binary, or in the checkout that it was built from]
    #[arg(long, value_name = "DIR")]
    www: Option<PathBuf>,

    /// Do without WebRTC direct on udp/N+1. Browsers then come by WebSocket only.
    #[arg(long)]
    no_webrtc_direct: bool,

    /// A fixed key that anyone can compute: for demos and tests only.
    #[arg(long, value_name = "0-255", conflicts_with = "data_dir", value_parser = values::seed)]
    secret_key_seed: Option<u8>,

    /// Print one JSON object a line on stdout.
    #[arg(long)]
    json: bool,

    /// Reservations of all peers together. [default: 4096]
    #[arg(long, value_name = "COUNT", help_heading = "Limits", value_parser = values::count)]
    max_reservations: Option<u32>,

    /// Reservations of one peer, one for each of its connections. [default: 8]
    #[arg(long, value_name = "COUNT", help_heading = "Limits", value_parser = values::count)]
    max_reservations_per_peer: Option<u32>,

    /// How long a reservation lasts unless it is renewed or its connection ends. [default: 3days]
    #[arg(long, value_name = "DURATION", help_heading = "Limits")]
    reservation_duration: Option<Period>,

    /// Reservation requests of one peer: so many at once / one more each. [default: 60/10s]
    #[arg(long, value_name = "BURST/INTERVAL", help_heading = "Limits")]
    reservation_rate_per_peer: Option<Rate>,

    /// Reservation requests from one IP address, which many peers may share. [default: 1000/200ms]
    #[arg(long, value_name = "BURST/INTERVAL", help_heading = "Limits")]
    reservation_rate_per_ip: Option<Rate>,

    /// Circuits of all peers together. [default: 4096]
    #[arg(long, value_name = "COUNT", help_heading = "Limits", value_parser = values::count)]
    max_circuits: Option<u32>,

    /// Circuits that one peer may open or be reached by. [default: 64]
    #[arg(long, value_name = "COUNT", help_heading = "Limits", value_parser = values::count)]
    max_circuits_per_peer: Option<u32>,

    /// How long a circuit lasts; 0 = as long as its peers want. [default: 0]
    #[arg(long, value_name = "DURATION", help_heading = "Limits")]
    max_circuit_duration: Option<Period>,

    /// Bytes that a circuit carries, both directions together; 0 = no limit. [default: 0]
    #[arg(long, value_name = "BYTES", help_heading = "Limits")]
    max_circuit_bytes: Option<u64>,

    /// Circuits that one peer asks for: so many at once / one more each. [default: 240/1s]
    #[arg(long, value_name = "BURST/INTERVAL", help_heading = "Limits")]
    circuit_rate_per_peer: Option<Rate>,

    /// Circuits asked for from one IP address, which many peers may share. [default: 4000/50ms]
    #[arg(long, value_name = "BURST/INTERVAL", help_heading = "Limits")]
    circuit_rate_per_ip: Option<Rate>,

    /// Connections of all peers together. [default: 8192]
    #[arg(long, value_name = "COUNT", help_heading = "Limits", value_parser = values::count)]
    max_connections: Option<u32>,

    /// Connections of one peer. [default: 16]
    #[arg(long, value_name = "COUNT", help_heading = "Limits", value_parser = values::count)]
    max_connections_per_peer: Option<u32>,

    /// Connections that have not finished their handshake. [default: 256]
    #[arg(long, value_name = "COUNT", help_heading = "Limits", value_parser = values::count)]
    max_pending_connections: Option<u32>,

    /// Rendezvous registrations of all peers together. [default: 4096]
    #[arg(long, value_name = "COUNT", help_heading = "Limits", value_parser = values::count)]
    max_registrations: Option<u32>,

    /// HTTP connections at a time. [default: 1024]
    #[arg(long, value_name = "COUNT", help_heading = "Limits", value_parser = values::count)]
    max_http_connections: Option<u32>,

    /// What one IP address (of IPv6: one /64) may take of connections, reservations, circuits,
    /// registrations and HTTP connections; 100 = all. Does not apply to private addresses.
    /// [default: 25]
    #[arg(long, value_name = "PERCENT", help_heading = "Limits", value_parser = percent)]
    max_share_per_ip: Option<u32>,
}

/// What a relay runs with: options, file and defaults put together.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Settings {
    /// The base port; 0 = any.
    pub(crate) port: u16,
    /// What to advertise instead of the listeners' addresses.
    pub(crate) announce: Vec<Multiaddr>,
    /// Where the key comes from.
    pub(crate) key: KeySource,
    /// What `/bootstrap.json` proposes.
    pub(crate) namespace: String,
    /// Where the page is.
    pub(crate) www: Option<PathBuf>,
    /// Whether to listen on WebRTC direct.
    pub(crate) webrtc_direct: bool,
    /// NDJSON instead of text.
    pub(crate) json: bool,
    /// Every bound.
    pub(crate) limits: Limits,
}

/// Where a relay's key and certificate come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum KeySource {
    /// Fresh ones that are forgotten.
    Fresh,
    /// The key of a seed, and a fresh certificate.
    Seed(u8),
    /// Kept in the directory that was named.
    Directory(PathBuf),
    /// Kept in the default directory of this port.
    Default,
}

impl Settings {
    /// Reads the file, if one is named, and fills in defaults.
    pub(crate) fn resolve(flags: RelayOptions) -> Result<Self, UsageError> {
        let file = match &flags.config {
            Some(path) => read_config(path)?,
            None => RelayOptions::default(),
        };
        let port = flags.port.or(file.port).unwrap_or(DEFAULT_PORT);
        let key = key_source(&flags, &file, port)?;
        let limits = resolve_limits(&flags, &file)?;
        Ok(Self {
            port,
            key,
            limits,
            announce: match flags.announce.is_empty() {
                true => file.announce,
                false => flags.announce,
            },
            namespace: flags
                .namespace
                .or(file.namespace)
                .unwrap_or_else(|| DEFAULT_NAMESPACE.into()),
            www: flags.www.or(file.www),
            webrtc_direct: !(flags.no_webrtc_direct || file.no_webrtc_direct),
            json: flags.json || file.json,
        })
    }
}

fn key_source(
    flags: &RelayOptions,
    file: &RelayOptions,
    port: u16,
) -> Result<KeySource, UsageError> {
    let choose = |options: &RelayOptions| match (&options.data_dir, options.secret_key_seed) {
        (Some(_), Some(_)) => Err(UsageError(
            "data-dir and secret-key-seed exclude each other".into(),
        )),
        (Some(directory), None) => Ok(Some(KeySource::Directory(directory.clone()))),
        (None, Some(seed)) => Ok(Some(KeySource::Seed(seed))),
        (None, None) => Ok(None),
    };
    if let Some(key) = choose(flags)? {
        return Ok(key);
    }
    Ok(choose(file)?.unwrap_or(match port {
        0 => KeySource::Fresh,
        _ => KeySource::Default,
    }))
}

fn resolve_limits(flags: &RelayOptions, file: &RelayOptions) -> Result<Limits, UsageError> {
    macro_rules! pick {
        ($field:ident, $default:expr) => {
            flags.$field.or(file.$field).unwrap_or($default)
        };
    }
    let reservation = pick!(
        reservation_duration,
        Period(Some(limits::RESERVATION_DURATION))
    );
    let Some(reservation_duration) = reservation
        .0
        .filter(|duration| (MIN_RESERVATION..=MAX_RESERVATION).contains(duration))
    else {
        return Err(UsageError(
            "reservation-duration: a reservation lasts between 1m and 1year".into(),
        ));
    };
    let circuit = pick!(max_circuit_duration, Period(None));
    let max_circuit_duration = match circuit.0 {
        None => limits::UNLIMITED_CIRCUIT,
        Some(wanted) if wanted <= limits::UNLIMITED_CIRCUIT && wanted.as_secs() > 0 => wanted,
        Some(_) => {
            return Err(UsageError(
                "max-circuit-duration: between 1s and 24d, or 0 for no limit".into(),
            ));
        }
    };
    Ok(Limits {
        max_reservations: pick!(max_reservations, limits::MAX_RESERVATIONS),
        max_reservations_per_peer: pick!(
            max_reservations_per_peer,
            limits::MAX_RESERVATIONS_PER_PEER
        ),
        reservation_duration,
        reservation_rate_per_peer: pick!(
            reservation_rate_per_peer,
            limits::RESERVATION_RATE_PER_PEER
        ),
        reservation_rate_per_ip: pick!(reservation_rate_per_ip, limits::RESERVATION_RATE_PER_IP),
        max_circuits: pick!(max_circuits, limits::MAX_CIRCUITS),
        max_circuits_per_peer: pick!(max_circuits_per_peer, limits::MAX_CIRCUITS_PER_PEER),
        max_circuit_duration,
        max_circuit_bytes: pick!(max_circuit_bytes, 0),
        circuit_rate_per_peer: pick!(circuit_rate_per_peer, limits::CIRCUIT_RATE_PER_PEER),
        circuit_rate_per_ip: pick!(circuit_rate_per_ip, limits::CIRCUIT_RATE_PER_IP),
        max_connections: pick!(max_connections, limits::MAX_CONNECTIONS),
        max_connections_per_peer: pick!(max_connections_per_peer, limits::MAX_CONNECTIONS_PER_PEER),
        max_pending_connections: pick!(max_pending_connections, limits::MAX_PENDING_CONNECTIONS),
        max_registrations: pick!(max_registrations, limits::MAX_REGISTRATIONS),
        max_http_connections: pick!(max_http_connections, limits::MAX_HTTP_CONNECTIONS),
        max_share_per_ip: pick!(max_share_per_ip, limits::MAX_SHARE_PER_IP),
    })
}

fn read_config(path: &Path) -> Result<RelayOptions, UsageError> {
    let wrong = |reason: String| UsageError(format!("--config {}: {reason}", path.display()));
    let metadata = fs::metadata(path).map_err(|e| wrong(e.to_string()))?;
    if !metadata.is_file() || metadata.len() > MAX_CONFIG_BYTES {
        return Err(wrong("no file of at most 1 MiB".into()));
    }
    let text = fs::read_to_string(path).map_err(|e| wrong(e.to_string()))?;
    let options: RelayOptions = toml::from_str(&text).map_err(|e| {
        let line = e.span().map(|span| {
            let before = text.get(..span.start).unwrap_or_default();
            before.matches('\n').count() + 1
        });
        let reason = e.message().replace('\n', " ");
        wrong(match line {
            Some(line) => format!("line {line}: {reason}"),
            None => reason,
        })
    })?;
    check(&options).map_err(wrong)?;
    Ok(options)
}

/// What the command line's parsers check, for values that came from a file.
fn check(options: &RelayOptions) -> Result<(), String> {
    if let Some(wanted) = options.port {
        port(&wanted.to_string()).map_err(|e| format!("port: {e}"))?;
    }
    for address in &options.announce {
        values::dial_address(&address.to_string()).map_err(|e| format!("announce: {e}"))?;
    }
    if let Some(name) = &options.namespace {
        values::namespace(name).map_err(|e| format!("namespace: {e}"))?;
    }
    if let Some(share) = options.max_share_per_ip {
        percent(&share.to_string()).map_err(|e| format!("max-share-per-ip: {e}"))?;
    }
    let counts = [
        ("max-reservations", options.max_reservations),
        (
            "max-reservations-per-peer",
            options.max_reservations_per_peer,
        ),
        ("max-circuits", options.max_circuits),
        ("max-circuits-per-peer", options.max_circuits_per_peer),
        ("max-connections", options.max_connections),
        ("max-connections-per-peer", options.max_connections_per_peer),
        ("max-pending-connections", options.max_pending_connections),
        ("max-registrations", options.max_registrations),
        ("max-http-connections", options.max_http_connections),
    ];
    match counts.iter().find(|(_, count)| *count == Some(0)) {
        Some((name, _)) => Err(format!("{name}: at least 1")),
        None => Ok(()),
    }
}

fn port(text: &str) -> Result<u16, String> {
    match text.parse() {
        Ok(port) if port <= MAX_PORT => Ok(port),
        _ => Err(format!(
            "a port is a number from 0 to {MAX_PORT}, for three more follow it"
        )),
    }
}

fn percent(text: &str) -> Result<u32, String> {
    match text.parse() {
        Ok(percent) if (1..=100).contains(&percent) => Ok(percent),
        _ => Err("a share is a whole number of percent from 1 to 100".into()),
    }
}
