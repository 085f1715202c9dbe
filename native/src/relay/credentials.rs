//! A relay's key and WebRTC certificate, and the data directory that the key is kept in. Only one relay
//! uses a directory at a time.
//!
//! The certificate follows from the key. A file with one, as relays wrote before that, still counts: peers know its hash.

use std::{
    env,
    fs::{File, OpenOptions, TryLockError},
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use libp2p::{PeerId, identity::Keypair};
use punchline_webrtc::platform::native::Certificate;

use super::settings::KeySource;
use crate::common::{identity, os, output};

const KEY_FILE: &str = "key";
const CERTIFICATE_FILE: &str = "webrtc-certificate.pem";
const LOCK_FILE: &str = "lock";

/// Key and certificate of a relay.
#[derive(Debug)]
pub(crate) struct Credentials {
    pub(crate) key: Keypair,
    pub(crate) certificate: Certificate,
    /// Held as long as the relay runs. The system releases it even after a crash.
    _lock: Option<File>,
}

/// Returns the peer id of the relay, and creates and changes nothing; `None` if [`Credentials::load`] will
/// make a fresh key.
pub(crate) fn existing_peer_id(source: &KeySource, port: u16) -> anyhow::Result<Option<PeerId>> {
    let key = match source {
        KeySource::Seed(seed) => Some(identity::from_seed(*seed)?),
        _ => match directory_of(source, port) {
            Some(directory) => identity::look_at(&directory.join(KEY_FILE))?,
            None => None,
        },
    };
    Ok(key.map(|key| key.public().to_peer_id()))
}

impl Credentials {
    /// Reads what the directory has, and creates what is missing.
    pub(crate) fn load(source: &KeySource, port: u16) -> anyhow::Result<Self> {
        if let KeySource::Seed(seed) = source {
            return Self::temporary(identity::load(Some(*seed))?);
        }
        let directory = directory_of(source, port);
        if directory.is_none() && *source == KeySource::Default {
            output::complain(
                "warning: neither HOME nor --data-dir: the peer id will change with each start",
            );
        }
        match directory {
            Some(directory) => Self::in_directory(&directory),
            None => Self::temporary(Keypair::generate_ed25519()),
        }
    }

    fn temporary(key: Keypair) -> anyhow::Result<Self> {
        Ok(Self {
            certificate: Certificate::of_host(&key)?,
            key,
            _lock: None,
        })
    }

    fn in_directory(directory: &Path) -> anyhow::Result<Self> {
        os::create_private_dir(directory)
            .with_context(|| format!("cannot create the data directory {}", directory.display()))?;
        let lock = lock(directory)?;
        let key = identity::from_file(&directory.join(KEY_FILE))?;
        let certificate = match kept_certificate(directory)? {
            Some(certificate) => certificate,
            None => Certificate::of_host(&key)?,
        };
        Ok(Self {
            key,
            certificate,
            _lock: Some(lock),
        })
    }
}

/// Reads the certificate of an earlier version.
fn kept_certificate(directory: &Path) -> anyhow::Result<Option<Certificate>> {
    let path = directory.join(CERTIFICATE_FILE);
    identity::read(&path, |pem| {
        let pem = str::from_utf8(pem).ok();
        pem.and_then(|pem| Certificate::from_pem(pem).ok())
            .with_context(|| {
                format!(
                    "{} is no certificate; remove it to have one that follows from the key",
                    path.display()
                )
            })
    })
}

/// Returns the directory that the key is kept in, if it is kept.
/// Returns where everything is kept; `None` if nothing is.
pub(crate) fn directory_of(source: &KeySource, port: u16) -> Option<PathBuf> {
    match source {
        KeySource::Fresh | KeySource::Seed(_) => None,
        KeySource::Directory(directory) => Some(directory.clone()),
        KeySource::Default => default_directory(
            port,
            env::var_os("XDG_DATA_HOME").map(PathBuf::from),
            env::var_os("HOME").map(PathBuf::from),
        ),
    }
}

/// By the XDG base directory specification,
/// <https://specifications.freedesktop.org/basedir-spec/latest/>, which has relative paths ignored.
fn default_directory(port: u16, data: Option<PathBuf>, home: Option<PathBuf>) -> Option<PathBuf> {
    let base = data.filter(|path| path.is_absolute()).or_else(|| {
        let home = home.filter(|path| path.is_absolute())?;
        Some(home.join(".local").join("share"))
    })?;
    Some(base.join("punchline").join(format!("relay-{port}")))
}

fn lock(directory: &Path) -> anyhow::Result<File> {
    let path = directory.join(LOCK_FILE);
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).write(true);
    let file = os::open_strictly(&mut options, &path)
        .with_context(|| format!("cannot open {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => bail!(
            "another relay uses the data directory {}; give each its own --data-dir",
            directory.display()
        ),
        Err(TryLockError::Error(e)) => {
            Err(e).with_context(|| format!("cannot lock {}", path.display()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_directory_follows_xdg() {
        let of = |data: Option<&str>, home: Option<&str>| {
            default_directory(7, data.map(PathBuf::from), home.map(PathBuf::from))
        };
        let path = |text: &str| Some(PathBuf::from(text));
        assert_eq!(of(Some("/d"), Some("/h")), path("/d/punchline/relay-7"));
        assert_eq!(
            of(None, Some("/h")),
            path("/h/.local/share/punchline/relay-7")
        );
        assert_eq!(
            of(Some("not/absolute"), Some("/h")),
            path("/h/.local/share/punchline/relay-7")
        );
        assert_eq!(of(None, None), None);
    }

    #[test]
    fn credentials_survive_and_are_locked() {
        let parent = tempfile::tempdir().unwrap();
        let directory = parent.path().join("data");
        let source = KeySource::Directory(directory.clone());
        let first = Credentials::load(&source, 0).unwrap();
        let refused = Credentials::load(&source, 0).unwrap_err();
        assert!(
            refused.to_string().contains(directory.to_str().unwrap()),
            "{refused:#}"
        );
        let (key, certificate) = (first.key.public(), first.certificate.fingerprint());
        drop(first);
        let again = Credentials::load(&source, 0).unwrap();
        assert_eq!(again.key.public(), key);
        assert_eq!(again.certificate.fingerprint(), certificate);
    }

    #[test]
    fn the_peer_id_is_known_before_anything_is_created() {
        let parent = tempfile::tempdir().unwrap();
        let directory = parent.path().join("data");
        let kept = KeySource::Directory(directory.clone());
        assert_eq!(existing_peer_id(&kept, 0).unwrap(), None);
        assert!(!directory.exists());
        for source in [&kept, &KeySource::Seed(1)] {
            let key = Credentials::load(source, 0).unwrap().key;
            let expected = key.public().to_peer_id();
            assert_eq!(existing_peer_id(source, 0).unwrap(), Some(expected));
        }
        assert_eq!(existing_peer_id(&KeySource::Fresh, 0).unwrap(), None);
    }

    /// It has a private key in it.
    #[cfg(unix)]
    #[test]
    fn a_kept_certificate_counts_and_is_hidden_from_others() {
        use std::{fs, os::unix::fs::PermissionsExt};

        const OLD: &str = include_str!("../../../webrtc/src/platform/native/certificate/old.pem");
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(CERTIFICATE_FILE);
        fs::write(&path, OLD).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let source = KeySource::Directory(directory.path().into());
        let credentials = Credentials::load(&source, 0).unwrap();
        let kept = Certificate::from_pem(OLD).unwrap();
        assert_eq!(credentials.certificate.fingerprint(), kept.fingerprint());
        let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600);
    }

    #[test]
    fn a_broken_certificate_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(CERTIFICATE_FILE);
        std::fs::write(&path, "not pem").unwrap();
        let source = KeySource::Directory(directory.path().into());
        let refused = Credentials::load(&source, 0).unwrap_err();
        assert!(
            refused.to_string().contains(path.to_str().unwrap()),
            "{refused:#}"
        );
    }
}
