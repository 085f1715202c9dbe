//! TLS: the certificate and its key, from an ACME server or from files that may change while the relay runs.
//!
//! [`Tls::load`] reads files, and fails if they are not fit. [`Tls::keep_up`] looks from time to time whether there are others,
//! and takes them for the connections that come from then on, or has [`acme`](super::acme) order one. Only TLS 1.3 is spoken,
//! which every browser has that can run the page.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
    version::TLS13,
};
use tokio_rustls::TlsAcceptor;

use super::acme::{self, Orders};
use crate::common::{
    UsageError,
    watched::{Watched, look_often},
};

/// How often to look whether the files have changed.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);
/// The longest file that is read. A chain has some 6 KiB.
const MAX_FILE_BYTES: u64 = 256 * 1024;
/// What a client may choose from, best first.
const PROTOCOLS: [&[u8]; 3] = [HTTP_2, b"http/1.1", acme::CHALLENGE];
/// HTTP/2, as a client names it.
pub(super) const HTTP_2: &[u8] = b"h2";

/// Where certificate and key are, as PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Files {
    /// The certificate, and those between it and one that others trust.
    pub(crate) certificate: PathBuf,
    /// Its private key.
    pub(crate) key: PathBuf,
}

/// Where a certificate comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// From files.
    Files(Files),
    /// From an ACME server, for these names.
    Acme(acme::Settings),
}

/// What a listener needs for TLS. Clones share the certificate.
#[derive(Debug, Clone)]
pub(crate) enum Tls {
    /// Of files.
    Files(Pair),
    /// Of an ACME server.
    Acme(Orders),
}

/// A certificate and its key, of files.
#[derive(Debug, Clone)]
pub(crate) struct Pair {
    files: Files,
    watched: Watched<2>,
    current: Arc<Current>,
}

/// The certificate that clients are shown.
#[derive(Debug)]
struct Current(RwLock<Arc<CertifiedKey>>);

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.get())
    }
}

impl Current {
    fn get(&self) -> Arc<CertifiedKey> {
        let current = self.0.read().unwrap_or_else(PoisonError::into_inner);
        current.clone()
    }

    fn set(&self, new: CertifiedKey) {
        let mut current = self.0.write().unwrap_or_else(PoisonError::into_inner);
        *current = Arc::new(new);
    }
}

impl Tls {
    /// Reads files, or prepares to order a certificate, which is kept in this directory.
    pub(crate) fn load(source: Source, cache: Option<PathBuf>) -> anyhow::Result<Self> {
        match (source, cache) {
            (Source::Files(files), _) => Ok(Self::Files(Pair::load(files)?)),
            (Source::Acme(settings), Some(cache)) => Ok(Self::Acme(Orders::new(settings, cache)?)),
            (Source::Acme(_), None) => Err(UsageError(NOWHERE_TO_KEEP.into()).into()),
        }
    }

    /// The first of the certificate's names that leads to one host.
    pub(crate) fn host(&self) -> Option<String> {
        match self {
            Self::Files(pair) => pair.host(),
            Self::Acme(orders) => orders.host(),
        }
    }

    /// Returns what makes TLS connections of others.
    pub(crate) fn acceptor(&self) -> anyhow::Result<TlsAcceptor> {
        let resolver: Arc<dyn ResolvesServerCert> = match self {
            Self::Files(pair) => pair.current.clone(),
            Self::Acme(orders) => orders.resolver(),
        };
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[&TLS13])?
            .with_no_client_auth()
            .with_cert_resolver(resolver);
        config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).into();
        Ok(Arc::new(config).into())
    }

    /// Keeps the certificate up to date, until dropped.
    pub(crate) async fn keep_up(self) {
        match self {
            Self::Files(pair) => look_often(pair, LOOK_INTERVAL, Pair::look).await,
            Self::Acme(orders) => orders.keep_up().await,
        }
    }
}

const NOWHERE_TO_KEEP: &str =
    "a certificate from an ACME server has to be kept: say by --data-dir where";

impl Pair {
    fn load(files: Files) -> Result<Self, UsageError> {
        let watched = Watched::new([&files.certificate, &files.key].map(|path| Some(path.clone())));
        let certified = files.read().map_err(UsageError)?;
        Ok(Self {
            files,
            watched,
            current: Arc::new(Current(RwLock::new(Arc::new(certified)))),
        })
    }

    fn host(&self) -> Option<String> {
        let current = self.current.get();
        let certificate = webpki::EndEntityCert::try_from(current.end_entity_cert().ok()?).ok()?;
        let mut names = certificate.valid_dns_names();
        names.find(|name| !name.contains('*')).map(str::to_owned)
    }

    fn look(&mut self) {
        if self.watched.are_new() {
            self.read_again();
        }
    }

    fn read_again(&self) {
        match self.files.read() {
            Ok(new) => {
                self.current.set(new);
                tracing::info!("the TLS certificate has been read again");
            }
            Err(reason) => tracing::warn!(
                "the TLS certificate has changed, but is not used: {reason}. The one before it stays"
            ),
        }
    }
}

impl Files {
    /// Reads certificate and key. An error names the option and the file.
    fn read(&self) -> Result<CertifiedKey, String> {
        let of = |option: &str, path: &Path, reason: String| {
            format!("--{option} {}: {reason}", path.display())
        };
        let of_certificate = |reason| of("tls-cert", &self.certificate, reason);
        let of_key = |reason| of("tls-key", &self.key, reason);
        let pem = read(&self.certificate).map_err(of_certificate)?;
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
        let chain = chain.map_err(|e| of_certificate(e.to_string()))?;
        if chain.is_empty() {
            return Err(of_certificate("no certificate in it, as PEM".into()));
        }
        let pem = read(&self.key).map_err(of_key)?;
        let key = PrivateKeyDer::from_pem_slice(&pem).map_err(|e| of_key(e.to_string()))?;
        CertifiedKey::from_der(chain, key, &ring::default_provider())
            .map_err(|e| of_key(format!("does not fit the certificate: {e}")))
    }
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let metadata = fs::metadata(path).map_err(|e| e.to_string())?;
    if !metadata.is_file() || metadata.len() > MAX_FILE_BYTES {
        return Err(format!("no file of at most {} KiB", MAX_FILE_BYTES / 1_024));
    }
    fs::read(path).map_err(|e| e.to_string())
}
