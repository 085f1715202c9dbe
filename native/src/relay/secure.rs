//! The port for browsers with TLS: where page and WebSockets are secure, and by what name others come there.

use std::path::Path;

use anyhow::Context;
use libp2p::{Multiaddr, multiaddr::Protocol};
use tokio::net::TcpListener;

use super::{listen, settings};
use crate::{
    common::UsageError,
    http::tls::{Source, Tls},
};

/// The port of https, which a URL leaves out.
const HTTPS_PORT: u16 = 443;

/// What the data directory has of ACME.
const ACME_DIRECTORY: &str = "acme";

/// The port, and what is needed to serve it.
#[derive(Debug)]
pub(crate) struct Front {
    pub(crate) tls: Tls,
    pub(crate) listeners: Vec<TcpListener>,
    pub(crate) name: Name,
}

/// By what name others come to the port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Name {
    host: String,
    port: u16,
}

impl Front {
    /// Reads the certificate or prepares to order one, and opens the port.
    pub(crate) fn open(settings: &settings::Tls, data_dir: Option<&Path>) -> anyhow::Result<Self> {
        let (tls, host) = load(settings, data_dir)?;
        let listeners = listen::bind_tls(settings.port)?;
        let first = listeners.first().context("no network on this machine")?;
        let port = first.local_addr()?.port();
        Ok(Self {
            tls,
            listeners,
            name: Name { host, port },
        })
    }
}

/// Says what is wrong with a certificate in files, or without a place for what is ordered.
pub(crate) fn check(settings: &settings::Tls, data_dir: Option<&Path>) -> anyhow::Result<()> {
    match (&settings.certificate, data_dir) {
        // It would be made.
        (Source::Acme(_), Some(_)) => Ok(()),
        _ => load(settings, None).map(drop),
    }
}

fn load(settings: &settings::Tls, data_dir: Option<&Path>) -> anyhow::Result<(Tls, String)> {
    let cache = data_dir.map(|directory| directory.join(ACME_DIRECTORY));
    let tls = Tls::load(settings.certificate.clone(), cache)?;
    let host = settings.domain.clone().or_else(|| tls.host());
    let host = host.ok_or_else(|| {
        UsageError("the certificate names no host: say by --tls-domain which it is for".into())
    })?;
    Ok((tls, host))
}

impl Name {
    /// Where libp2p dials.
    pub(crate) fn address(&self) -> Multiaddr {
        [
            Protocol::Dns(self.host.as_str().into()),
            Protocol::Tcp(self.port),
            Protocol::Tls,
            Protocol::Ws("/".into()),
        ]
        .into_iter()
        .map(Protocol::acquire)
        .collect()
    }

    /// Where a browser goes.
    pub(crate) fn url(&self) -> String {
        match self.port {
            HTTPS_PORT => format!("https://{}", self.host),
            port => format!("https://{}:{port}", self.host),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_leaves_out_the_usual_port() {
        let name = |port| Name {
            host: "relay.example".into(),
            port,
        };
        assert_eq!(name(443).url(), "https://relay.example");
        assert_eq!(name(8_443).url(), "https://relay.example:8443");
        let address = name(443).address().to_string();
        assert_eq!(address, "/dns/relay.example/tcp/443/tls/ws");
    }
}
