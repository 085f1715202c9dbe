//! What a relay is started with.

use std::{path::PathBuf, time::Duration};

use libp2p::Multiaddr;

use super::{access, limits::Limits};
use crate::{
    common::{log, proxies::TrustedProxies},
    http::tls::Source,
    watch::Access,
};

/// What a relay runs with: options, file and defaults put together.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Settings {
    /// The first of its ports; 0 = any.
    pub(crate) port: u16,
    /// Addresses to advertise in place of the listeners'.
    pub(crate) announce: Vec<Multiaddr>,
    /// Where the key comes from.
    pub(crate) key: KeySource,
    /// The namespace that `/bootstrap.json` proposes.
    pub(crate) namespace: String,
    /// The directory of the page.
    pub(crate) www: Option<PathBuf>,
    /// The port for browsers with TLS, if there is one.
    pub(crate) tls: Option<Tls>,
    /// Whose word on where a client comes from is taken.
    pub(crate) trusted_proxies: TrustedProxies,
    /// Whether to listen on WebRTC direct.
    pub(crate) webrtc_direct: bool,
    /// Who may read its figures.
    pub(crate) metrics: Access,
    /// What the log on stderr is written as.
    pub(crate) log_format: log::Format,
    /// Whether the output is NDJSON rather than text.
    pub(crate) json: bool,
    /// Where the lists of who may use it are.
    pub(crate) access: access::Files,
    /// How long peers that talk through it may go on when it is asked to stop.
    pub(crate) drain: Option<Duration>,
    /// Whether only to say what is wrong with all this.
    pub(crate) check_only: bool,
    /// The bounds.
    pub(crate) limits: Limits,
}

/// The port where page and WebSockets are secure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tls {
    /// 0 = any.
    pub(crate) port: u16,
    /// Where certificate and key come from.
    pub(crate) certificate: Source,
    /// The host in the addresses to advertise, if not the one in the certificate.
    pub(crate) domain: Option<String>,
}

/// Where a relay's key and certificate come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum KeySource {
    /// Both are made at the start and forgotten at the end.
    Fresh,
    /// The key is computed from a seed, the certificate is fresh.
    Seed(u8),
    /// Both are kept in this directory.
    Directory(PathBuf),
    /// Both are kept in the default directory, which the port is part of.
    Default,
}
