//! Certificates of an ACME server (RFC 8555), such as Let's Encrypt, which looks at the very port that they are for
//! (TLS-ALPN-01, RFC 8737).
//!
//! [`Orders::keep_up`] orders a certificate, and the next one when two thirds of its time are over. Account and certificate
//! are kept in a directory: servers issue few certificates a week for one name.

use std::{
    path::PathBuf,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use anyhow::Context;
use futures::StreamExt;
use rustls::{
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use rustls_acme::{
    AcmeConfig, AcmeState, EventOk, ResolvesServerCertAcme, caches::DirCache, is_tls_alpn_challenge,
};
use tokio::time;

use crate::common::{os, trust};

/// What an ACME server names when it looks whether a name leads here.
pub(super) const CHALLENGE: &[u8] = b"acme-tls/1";
/// After so long without news all begins anew, from what is kept: the library waits for a server's answers for ever. Where
/// nothing could be kept that is two certificates a week; Let's Encrypt issues five.
const PATIENCE: Duration = Duration::from_secs(3 * 24 * 60 * 60);

/// What certificates are ordered for, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Settings {
    /// At least one.
    pub(crate) domains: Vec<String>,
    /// Mail addresses, as URLs.
    pub(crate) contact: Vec<String>,
    /// The server's directory.
    pub(crate) directory: String,
}

/// The orders for one certificate. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Orders {
    settings: Settings,
    cache: PathBuf,
    certificates: Arc<Certificates>,
}

/// The certificate of the latest attempt that has one, and the answer to the server of the latest attempt.
#[derive(Debug, Default)]
pub(crate) struct Certificates(RwLock<Attempts>);

#[derive(Debug, Default)]
struct Attempts {
    served: Option<Arc<ResolvesServerCertAcme>>,
    latest: Option<Arc<ResolvesServerCertAcme>>,
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let attempts = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let attempt = match is_tls_alpn_challenge(&hello) {
            true => &attempts.latest,
            false => &attempts.served,
        };
        let attempt = attempt.clone();
        drop(attempts);
        attempt?.resolve(hello)
    }
}

impl Certificates {
    fn begin(&self, attempt: Arc<ResolvesServerCertAcme>) {
        let mut attempts = self.0.write().unwrap_or_else(PoisonError::into_inner);
        attempts.latest = Some(attempt);
    }

    /// Serves the certificate of the latest attempt.
    fn serve_latest(&self) {
        let mut attempts = self.0.write().unwrap_or_else(PoisonError::into_inner);
        attempts.served = attempts.latest.clone();
    }
}

impl Orders {
    /// Nothing is ordered yet. Nobody else may read the directory: keys are in it.
    pub(super) fn new(settings: Settings, cache: PathBuf) -> anyhow::Result<Self> {
        // One that was restored from a backup may be open to others, and so are the files in it.
        os::create_private_dir(&cache)
            .and_then(|()| os::close_dir(&cache))
            .with_context(|| format!("cannot create {}", cache.display()))?;
        Ok(Self {
            settings,
            cache,
            certificates: Arc::default(),
        })
    }

    /// What has the certificate once it is there.
    pub(super) fn resolver(&self) -> Arc<Certificates> {
        self.certificates.clone()
    }

    /// The name that others come by.
    pub(super) fn host(&self) -> Option<String> {
        self.settings.domains.first().cloned()
    }

    /// Orders certificates, until dropped.
    pub(super) async fn keep_up(self) {
        loop {
            let mut attempt = self.attempt();
            self.certificates.begin(attempt.resolver());
            while let Ok(Some(event)) = time::timeout(PATIENCE, attempt.next()).await {
                match event {
                    Ok(EventOk::DeployedCachedCert | EventOk::DeployedNewCert) => {
                        self.certificates.serve_latest();
                        tracing::info!("there is a certificate");
                    }
                    Ok(EventOk::CertCacheStore | EventOk::AccountCacheStore) => {}
                    Err(error) => {
                        let from = &self.settings.directory;
                        tracing::warn!("no certificate from {from} so far, trying again: {error}");
                    }
                }
            }
        }
    }

    fn attempt(&self) -> AcmeState<std::io::Error> {
        let Settings {
            domains,
            contact,
            directory,
        } = &self.settings;
        let config = match trust::client() {
            Some(client) => AcmeConfig::new_with_client_config(domains, client),
            None => AcmeConfig::new(domains),
        };
        config
            .contact(contact)
            .directory(directory)
            .cache(DirCache::new(self.cache.clone()))
            .state()
    }
}
