use libp2p::multiaddr::Protocol;

use super::*;

fn key(seed: u8) -> Keypair {
    Keypair::ed25519_from_bytes([seed; 32]).expect("a key")
}

/// Whoever knows an address with this hash could not connect any more if it changed.
#[test]
fn the_certificate_of_a_host_is_the_same_for_ever() {
    let certificate = Certificate::of_host(&key(7)).expect("a certificate");
    assert_eq!(hash_of(&certificate), OF_SEED_7);
    let again = Certificate::of_host(&key(7)).expect("a certificate");
    assert_eq!(again.0.certificate, certificate.0.certificate);
    assert_eq!(again.0.private_key, certificate.0.private_key);
}

const OF_SEED_7: &str = "/certhash/uEiBgckb2X5AqLuX2ddKtZjix5TeNiUomRmIoAY0YfbPliA";

#[test]
fn another_host_has_another_one() {
    let [one, other] = [1, 2].map(|seed| Certificate::of_host(&key(seed)).expect("a certificate"));
    assert_ne!(one.fingerprint(), other.fingerprint());
    assert_ne!(one.0.private_key, other.0.private_key);
}

/// As libp2p-webrtc 0.10.0-alpha wrote it.
const OLD: &str = include_str!("old.pem");

#[test]
fn a_file_of_libp2p_webrtc_is_still_read() {
    let certificate = Certificate::from_pem(OLD).expect("a certificate");
    assert_eq!(hash_of(&certificate), OLD_HASH);
}

/// What a relay with that file had in its address.
const OLD_HASH: &str = "/certhash/uEiBfy25v3RA-Hf33EVRW2v-L7VpXx8SnSdRaRke-efc_UQ";

fn hash_of(certificate: &Certificate) -> String {
    Protocol::Certhash(certificate.fingerprint().to_multihash()).to_string()
}

#[test]
fn what_is_no_certificate_is_refused() {
    let without_key = OLD.replace("PRIVATE_KEY", "EXPIRES");
    for text in ["", "not pem", without_key.as_str()] {
        assert!(Certificate::from_pem(text).is_err(), "{text:?}");
    }
}
