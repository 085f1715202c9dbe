//! The options of `punchline relay`, from the command line and from a TOML file.

mod tls;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use clap::Args;
use ipnet::IpNet;
use libp2p::Multiaddr;
use punchline::config::DEFAULT_NAMESPACE;
use serde::{Deserialize, de::IgnoredAny};
use toml::Spanned;

use super::values;
use crate::{
    common::{Period, UsageError, log, proxies::TrustedProxies},
    relay::{
        access,
        limits::LimitOptions,
        settings::{KeySource, Settings},
    },
    watch::Access,
};

/// The base port, from which the others are counted.
const DEFAULT_PORT: u16 = 45_678;
/// The highest base port, for three more follow it.
const MAX_PORT: u16 = u16::MAX - 3;
/// The longest configuration file that is read.
const MAX_CONFIG_BYTES: u64 = 1024 * 1024;

const EXAMPLES: &str = "\
Ports, counted from --port N:
  tcp/N, udp/N (QUIC)                peers in a terminal
  tcp/N+1 (WebSocket), udp/N+1       peers in a browser (udp: WebRTC direct)
  tcp/N+2 (HTTP), udp/N+2 (STUN)     the page, /bootstrap.json; own address as seen from outside
  udp/N+3 (STUN)                     the same from a second port, for `punchline doctor`
  tcp/443 (HTTPS), with TLS          the page and WebSockets over TLS: peers in a browser

Examples:
  punchline relay
      A relay on ports 45678 to 45681.
  punchline relay --announce /ip4/203.0.113.5/udp/45678/quic-v1 \\
                  --announce /ip4/203.0.113.5/tcp/45679/ws
      A relay behind a router that forwards those ports.
  punchline relay --tls-cert fullchain.pem --tls-key privkey.pem
      Browsers join at https://NAME, the name in the certificate.
  punchline relay --acme-domain relay.example
      The same with a certificate of Let's Encrypt.
  punchline relay --config /etc/punchline/relay.toml
      The same options from a file: port = 45678, announce = [\"…\"]; flags win.";

/// Run a relay: relay, rendezvous point, STUN server and web host in one.
///
/// Peers meet here, find out how others see them, and talk through here until they have punched
/// through to a direct path.
#[derive(Debug, Clone, Default, PartialEq, clap::Args, Deserialize)]
#[command(after_help = EXAMPLES)]
#[serde(rename_all = "kebab-case", default)]
pub(crate) struct RelayOptions {
    /// The first of four ports, see below; 0 = any free ports. [default: 45678]
    #[arg(long, value_name = "N", value_parser = port)]
    port: Option<u16>,

    /// An address to advertise, where peers reach this relay at another one than it listens on.
    /// May be given more than once; then only these are advertised.
    #[arg(long, value_name = "MULTIADDR", value_parser = values::announced_address)]
    announce: Vec<Multiaddr>,

    /// Where the key is kept, so that peer id and certhash survive restarts.
    /// [default: $XDG_DATA_HOME/punchline/relay-PORT or ~/.local/share/punchline/relay-PORT;
    /// nothing is kept with --port 0 or --secret-key-seed]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,

    /// Read options from this TOML file, under the same names. Options given here win.
    #[arg(long, value_name = "FILE")]
    #[serde(skip)]
    config: Option<PathBuf>,

    /// Let in only whom this file lists, one a line: peer ids, IP addresses and networks such as 192.0.2.0/24. What is behind
    /// a `#` is for people. The file is read again when it changes.
    #[arg(long, value_name = "FILE")]
    allow_list: Option<PathBuf>,

    /// Keep out whom this file lists, in the same form, whatever the other list says.
    #[arg(long, value_name = "FILE")]
    deny_list: Option<PathBuf>,

    /// The namespace that /bootstrap.json proposes to peers. [default: rendezvous]
    #[arg(long, value_name = "NAME", value_parser = values::namespace)]
    namespace: Option<String>,

    /// The directory of the page for browsers: www/ of the source code. [default: the page in this
    /// binary, or in the checkout that it was built from]
    #[arg(long, value_name = "DIR")]
    www: Option<PathBuf>,

    /// Serve page and WebSockets over TLS, too, on one port: the certificate, and those it depends on, as PEM. Read
    /// again when the file changes.
    #[arg(long, value_name = "FILE")]
    tls_cert: Option<PathBuf>,

    /// The certificate's private key, as PEM.
    #[arg(long, value_name = "FILE")]
    tls_key: Option<PathBuf>,

    /// The port for TLS; 0 = any free port. [default: 443]
    #[arg(long, value_name = "N")]
    tls_port: Option<u16>,

    /// The host in the addresses that browsers dial over TLS. [default: the first name of the certificate]
    #[arg(long, value_name = "NAME", value_parser = values::host_name)]
    tls_domain: Option<String>,

    /// Get the certificate for TLS from an ACME server, whose terms are agreed to: for this name, which has to lead to
    /// the port for TLS, as 443. May be given more than once.
    #[arg(long, value_name = "NAME", value_parser = values::host_name)]
    acme_domain: Vec<String>,

    /// A mail address for the ACME server. May be given more than once.
    #[arg(long, value_name = "MAIL", value_parser = values::mail)]
    acme_contact: Vec<String>,

    /// The ACME server's directory. [default: Let's Encrypt's]
    #[arg(long, value_name = "URL", value_parser = values::https_url)]
    acme_directory: Option<String>,

    /// A proxy in front of this relay, or a network of them, whose X-Forwarded-For and PROXY headers are believed. May be
    /// given more than once.
    #[arg(long, value_name = "CIDR", value_parser = values::network)]
    #[serde(deserialize_with = "values::networks")]
    trusted_proxy: Vec<IpNet>,

    /// Listen for WebRTC direct, on udp/N+1, as by default, whatever the file says.
    #[arg(long)]
    webrtc_direct: bool,

    /// Do without WebRTC direct. Browsers have the WebSocket, too.
    #[arg(long, conflicts_with = "webrtc_direct")]
    no_webrtc_direct: bool,

    /// When asked to stop, let peers that talk through this relay go on for so long; nothing new is let in. [default: 0]
    #[arg(long, value_name = "DURATION")]
    drain: Option<Period>,

    /// Say what is wrong with the options and the files that they name, and start nothing.
    #[arg(long)]
    #[serde(skip)]
    check_config: bool,

    /// A fixed key that anyone can compute: for demos and tests only.
    #[arg(long, value_name = "0-255", conflicts_with = "data_dir", value_parser = values::seed)]
    secret_key_seed: Option<u8>,

    /// Who may read /metrics and /status: nobody, this machine, private networks too, or anybody.
    /// [default: local]
    #[arg(long, value_name = "WHO", value_enum, hide_default_value = true)]
    metrics: Option<Access>,

    /// How the log on stderr is written; what is in it, the variable RUST_LOG says. [default: text]
    #[arg(long, value_name = "FORMAT", value_enum, hide_default_value = true)]
    log_format: Option<log::Format>,

    /// Print one JSON object a line on stdout.
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    #[serde(skip)]
    limits: LimitOptions,
}

impl RelayOptions {
    /// Reads the file, if one is named, and fills in defaults.
    pub(crate) fn resolve(self) -> Result<Settings, UsageError> {
        let file = match &self.config {
            Some(path) => read_file(path)?,
            None => Self::default(),
        };
        let port = self.port.or(file.port).unwrap_or(DEFAULT_PORT);
        let key = key_source(&self, &file, port)?;
        let limits = self.limits.or(&file.limits).map_err(UsageError)?;
        let tls = tls::resolve(&self, &file)?;
        Ok(Settings {
            port,
            key,
            limits,
            announce: match self.announce.is_empty() {
                true => file.announce,
                false => self.announce,
            },
            namespace: self
                .namespace
                .or(file.namespace)
                .unwrap_or_else(|| DEFAULT_NAMESPACE.into()),
            www: self.www.or(file.www),
            access: access::Files {
                allow: self.allow_list.or(file.allow_list),
                deny: self.deny_list.or(file.deny_list),
            },
            tls,
            trusted_proxies: TrustedProxies::new(match self.trusted_proxy.is_empty() {
                true => file.trusted_proxy,
                false => self.trusted_proxy,
            }),
            webrtc_direct: self.webrtc_direct || !(self.no_webrtc_direct || file.no_webrtc_direct),
            metrics: self.metrics.or(file.metrics).unwrap_or_default(),
            log_format: self.log_format.or(file.log_format).unwrap_or_default(),
            json: self.json || file.json,
            drain: self.drain.or(file.drain).and_then(|period| period.0),
            check_only: self.check_config,
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

fn read_file(path: &Path) -> Result<RelayOptions, UsageError> {
    let wrong = |reason: String| UsageError(format!("--config {}: {reason}", path.display()));
    let metadata = fs::metadata(path).map_err(|e| wrong(e.to_string()))?;
    if !metadata.is_file() || metadata.len() > MAX_CONFIG_BYTES {
        return Err(wrong("no file of at most 1 MiB".into()));
    }
    let text = fs::read_to_string(path).map_err(|e| wrong(e.to_string()))?;
    let options = parse(&text).map_err(wrong)?;
    check(&options).map_err(wrong)?;
    Ok(options)
}

/// Parses the text of a file. An error names the line.
fn parse(text: &str) -> Result<RelayOptions, String> {
    let in_line = |position: usize, reason: &str| {
        let before = text.get(..position).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        format!("line {line}: {}", reason.replace('\n', " "))
    };
    let wrong = |error: toml::de::Error| match error.span() {
        Some(span) => in_line(span.start, error.message()),
        None => error.message().replace('\n', " "),
    };
    // serde denies unknown fields, or flattens one struct into another, but not both: so the text is
    // read once for each struct.
    let keys: BTreeMap<Spanned<String>, IgnoredAny> = toml::from_str(text).map_err(wrong)?;
    let known = names();
    let unknown = keys.keys().filter(|key| !known.contains(key.get_ref()));
    if let Some(key) = unknown.min_by_key(|key| key.span().start) {
        let known: Vec<_> = known.iter().map(|name| format!("`{name}`")).collect();
        let (name, known) = (key.get_ref(), known.join(", "));
        let reason = format!("unknown field `{name}`, expected one of {known}");
        return Err(in_line(key.span().start, &reason));
    }
    Ok(RelayOptions {
        limits: toml::from_str(text).map_err(wrong)?,
        ..toml::from_str(text).map_err(wrong)?
    })
}

/// Returns the names that a file may have: those of all options but those about the file.
fn names() -> Vec<String> {
    let command = RelayOptions::augment_args(clap::Command::new("relay"));
    let names = command.get_arguments().filter_map(clap::Arg::get_long);
    let allowed = names.filter(|name| !["config", "check-config"].contains(name));
    allowed.map(str::to_owned).collect()
}

/// Checks in values from a file what the command line's parsers check.
fn check(options: &RelayOptions) -> Result<(), String> {
    if let Some(wanted) = options.port {
        port(&wanted.to_string()).map_err(|e| format!("port: {e}"))?;
    }
    for address in &options.announce {
        values::announced_address(&address.to_string()).map_err(|e| format!("announce: {e}"))?;
    }
    if let Some(name) = &options.namespace {
        values::namespace(name).map_err(|e| format!("namespace: {e}"))?;
    }
    for name in options.tls_domain.iter().chain(&options.acme_domain) {
        values::host_name(name).map_err(|e| format!("{name}: {e}"))?;
    }
    for mail in &options.acme_contact {
        values::mail(mail).map_err(|e| format!("acme-contact: {e}"))?;
    }
    if let Some(url) = &options.acme_directory {
        values::https_url(url).map_err(|e| format!("acme-directory: {e}"))?;
    }
    options.limits.or(&LimitOptions::default()).map(|_| ())
}

fn port(text: &str) -> Result<u16, String> {
    match text.parse() {
        Ok(port) if port <= MAX_PORT => Ok(port),
        _ => Err(format!(
            "a port is a number from 0 to {MAX_PORT}, for three more follow it"
        )),
    }
}
