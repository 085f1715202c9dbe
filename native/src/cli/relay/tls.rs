//! What the options say of TLS, put together.

use super::RelayOptions;
use crate::{
    common::UsageError,
    http::{
        acme,
        tls::{Files, Source},
    },
    relay::settings::Tls,
};

/// Where browsers look for https.
const DEFAULT_PORT: u16 = 443;
/// The directory of Let's Encrypt.
const LETS_ENCRYPT: &str = "https://acme-v02.api.letsencrypt.org/directory";

/// What the options say of TLS.
pub(super) fn resolve(
    flags: &RelayOptions,
    file: &RelayOptions,
) -> Result<Option<Tls>, UsageError> {
    let port = flags.tls_port.or(file.tls_port);
    let domain = flags.tls_domain.as_ref().or(file.tls_domain.as_ref());
    match certificate(flags, file)? {
        Some(certificate) => Ok(Some(Tls {
            port: port.unwrap_or(DEFAULT_PORT),
            certificate,
            domain: domain.cloned(),
        })),
        None if port.is_none() && domain.is_none() => Ok(None),
        None => Err(UsageError(NO_CERTIFICATE.into())),
    }
}

const NO_CERTIFICATE: &str = "TLS needs both a certificate (tls-cert) and its key (tls-key), or a name for one (acme-domain)";

/// Where the certificate comes from, if there is one.
fn certificate(flags: &RelayOptions, file: &RelayOptions) -> Result<Option<Source>, UsageError> {
    let certificate = flags.tls_cert.as_ref().or(file.tls_cert.as_ref());
    let key = flags.tls_key.as_ref().or(file.tls_key.as_ref());
    let directory = flags.acme_directory.as_ref();
    let directory = directory.or(file.acme_directory.as_ref());
    let domains = either(&flags.acme_domain, &file.acme_domain);
    let contact = either(&flags.acme_contact, &file.acme_contact);
    match (certificate, key) {
        (Some(certificate), Some(key)) if domains.is_empty() => Ok(Some(Source::Files(Files {
            certificate: certificate.clone(),
            key: key.clone(),
        }))),
        (None, None) if !domains.is_empty() => Ok(Some(Source::Acme(acme::Settings {
            domains: domains.to_vec(),
            contact: contact
                .iter()
                .map(|mail| format!("mailto:{mail}"))
                .collect(),
            directory: directory.map_or_else(|| LETS_ENCRYPT.into(), Clone::clone),
        }))),
        (None, None) if contact.is_empty() && directory.is_none() => Ok(None),
        (Some(_), Some(_)) => Err(UsageError(
            "tls-cert and acme-domain exclude each other".into(),
        )),
        _ => Err(UsageError(NO_CERTIFICATE.into())),
    }
}

/// What the command line says, or else what the file does.
fn either<'a, T>(flags: &'a [T], file: &'a [T]) -> &'a [T] {
    if flags.is_empty() { file } else { flags }
}
