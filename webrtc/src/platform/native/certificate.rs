//! The certificate of DTLS, whose hash is in a listener's address.

use std::fmt;

use libp2p::identity::Keypair;
use p256::{
    SecretKey,
    ecdsa::{Signature, SigningKey, signature::Signer},
    pkcs8::EncodePrivateKey,
};
use rcgen::{
    CertificateParams, DistinguishedName, DnType, PKCS_ECDSA_P256_SHA256, PublicKeyData,
    SerialNumber, SignatureAlgorithm, date_time_ymd,
};
use sha2::{Digest, Sha256};
use str0m::config::DtlsCert;

use crate::{Error, direct::Fingerprint};

/// What the host key is asked for. With others, certificate and hash would change at every peer.
const KEY_DOMAIN: &[u8] = b"punchline webrtc-direct key";
const SERIAL_DOMAIN: &[u8] = b"punchline webrtc-direct serial number";
const NAME: &str = "libp2p-webrtc-direct";
/// No one looks at the dates, as the hash says it all.
const YEARS: [i32; 2] = [2020, 2120];

/// A certificate and its key.
#[derive(Clone)]
pub struct Certificate(DtlsCert);

impl Certificate {
    /// Makes the one that belongs to the host key: the same each time, so that an address with its hash outlives restarts
    /// without any file.
    ///
    /// # Errors
    ///
    /// Nothing can be derived from this kind of key, as from RSA's.
    pub fn of_host(key: &Keypair) -> Result<Self, Error> {
        let derive = |domain| {
            let secret = key.derive_secret(domain);
            secret.ok_or_else(|| failed("nothing can be derived from such a host key"))
        };
        let serial = derive(SERIAL_DOMAIN)?;
        // One in four thousand million is no key of the curve.
        let key = SecretKey::from_slice(&derive(KEY_DOMAIN)?).map_err(failed)?;
        Self::signed_by(&key, &serial[..8])
    }

    /// Makes a random one.
    ///
    /// # Errors
    ///
    /// As [`Self::of_host`].
    pub fn random() -> Result<Self, Error> {
        Self::of_host(&Keypair::generate_ed25519())
    }

    fn signed_by(key: &SecretKey, serial: &[u8]) -> Result<Self, Error> {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, NAME);
        params.serial_number = Some(SerialNumber::from_slice(serial));
        params.not_before = date_time_ymd(YEARS[0], 1, 1);
        params.not_after = date_time_ymd(YEARS[1], 1, 1);
        let certificate = params.self_signed(&Key::new(key)).map_err(failed)?;
        let private_key = key.to_pkcs8_der().map_err(failed)?;
        Ok(Self(DtlsCert {
            certificate: certificate.der().to_vec(),
            private_key: private_key.as_bytes().to_vec(),
        }))
    }

    /// Reads what libp2p-webrtc writes: blocks EXPIRES, which is of no use here, PRIVATE_KEY and CERTIFICATE.
    ///
    /// # Errors
    ///
    /// It has no key or no certificate.
    pub fn from_pem(text: &str) -> Result<Self, Error> {
        let blocks = pem::parse_many(text).map_err(failed)?;
        let block = |tag: &str| {
            let found = blocks.iter().find(|block| block.tag() == tag);
            let contents = found.map(|block| block.contents().to_vec());
            contents.ok_or_else(|| failed(format_args!("it has no {tag}")))
        };
        Ok(Self(DtlsCert {
            certificate: block("CERTIFICATE")?,
            private_key: block("PRIVATE_KEY")?,
        }))
    }

    /// Its hash.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::new(Sha256::digest(&self.0.certificate).into())
    }

    pub(super) fn to_str0m(&self) -> DtlsCert {
        self.0.clone()
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Certificate")
            .field(&self.fingerprint())
            .finish()
    }
}

fn failed(error: impl fmt::Display) -> Error {
    Error::Backend(format!("no certificate: {error}"))
}

/// A key whose signature of the same is always the same ([RFC 6979]).
///
/// [RFC 6979]: https://www.rfc-editor.org/rfc/rfc6979
struct Key {
    secret: SigningKey,
    public: Vec<u8>,
}

impl Key {
    fn new(secret: &SecretKey) -> Self {
        let secret = SigningKey::from(secret);
        let public = secret.verifying_key().to_encoded_point(false);
        Self {
            public: public.as_bytes().to_vec(),
            secret,
        }
    }
}

impl PublicKeyData for Key {
    fn der_bytes(&self) -> &[u8] {
        &self.public
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_ECDSA_P256_SHA256
    }
}

impl rcgen::SigningKey for Key {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        let signature: Signature = self.secret.sign(message);
        Ok(signature.to_der().as_bytes().to_vec())
    }
}

#[cfg(test)]
mod tests;
