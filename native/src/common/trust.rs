//! Whose certificates are trusted where a relay is reached over TLS: the Web's authorities, or those in the file that the
//! environment variable `SSL_CERT_FILE` names, as other programs have it.
//!
//! A relay proves who it is by its peer id in any case. What depends on certificates is `/bootstrap.json`, which says the
//! peer id, and that a TLS connection is made at all.

use std::{
    env, fs,
    path::Path,
    sync::{Arc, OnceLock},
};

use punchline::platform;
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, pem::PemObject},
};
use ureq::tls::{Certificate, RootCerts, TlsConfig};

use super::output;

/// The file of those who are trusted.
const VARIABLE: &str = "SSL_CERT_FILE";
/// The largest file that is read. All of the Web's authorities have some 220 KiB.
const MAX_FILE_BYTES: u64 = 4 * 1024 * 1024;

static TRUSTED: OnceLock<Vec<CertificateDer<'static>>> = OnceLock::new();

/// Reads the file, if one is named, before anything is dialled. One that is not fit is reported, and changes nothing.
pub(crate) fn prepare() {
    let Some(path) = env::var_os(VARIABLE).filter(|path| !path.is_empty()) else {
        return;
    };
    let path = Path::new(&path);
    match read(path) {
        Ok(certificates) => {
            platform::trust(certificates.iter().map(|c| c.to_vec()));
            let _ = TRUSTED.set(certificates);
        }
        Err(reason) => output::complain(&format!(
            "warning: {VARIABLE} {}: {reason}; the Web's authorities are trusted as ever",
            path.display()
        )),
    }
}

fn read(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let metadata = fs::metadata(path).map_err(|e| e.to_string())?;
    if !metadata.is_file() || metadata.len() > MAX_FILE_BYTES {
        return Err("no file of at most 4 MiB".into());
    }
    let pem = fs::read(path).map_err(|e| e.to_string())?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let certificates = certificates.map_err(|e| e.to_string())?;
    match certificates.is_empty() {
        true => Err("no certificate in it, as PEM".into()),
        false => Ok(certificates),
    }
}

/// Returns what asks others over TLS, where not the Web's authorities are trusted.
pub(crate) fn client() -> Option<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(TRUSTED.get()?.iter().cloned());
    let client = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .ok()?;
    let client = client.with_root_certificates(roots).with_no_client_auth();
    Some(Arc::new(client))
}

/// Returns how URLs are fetched over TLS.
pub(super) fn of_urls() -> TlsConfig {
    let config = TlsConfig::builder();
    match TRUSTED.get() {
        None => config.build(),
        Some(trusted) => {
            let trusted = trusted.iter().map(|c| Certificate::from_der(c).to_owned());
            let trusted: Vec<_> = trusted.collect();
            config.root_certs(RootCerts::from(trusted)).build()
        }
    }
}
