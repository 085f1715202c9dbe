//! Where a key comes from: a file, a seed, or nowhere before now.
//!
//! A key file holds libp2p's protobuf form of an ed25519 keypair (68 bytes), which is what other
//! libp2p programs read and write too.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    path::Path,
};

use anyhow::{Context, bail};
use libp2p::identity::{Keypair, ed25519};

use super::{os, output};

/// More than any key or certificate needs. What is longer is some other file.
const MAX_SECRET_BYTES: u64 = 16 * 1024;
/// Bytes of an ed25519 secret key.
const SECRET_KEY_BYTES: usize = 32;

/// The key in that file, the key of that seed, or a fresh one.
pub(crate) fn load(file: Option<&Path>, seed: Option<u8>) -> anyhow::Result<Keypair> {
    match (file, seed) {
        (Some(path), _) => from_file(path),
        (None, Some(seed)) => {
            let key = from_seed(seed)?;
            output::complain(&format!(
                "warning: the key of seed {seed} is no secret: anyone can compute it and pass for {}",
                key.public().to_peer_id()
            ));
            Ok(key)
        }
        (None, None) => Ok(Keypair::generate_ed25519()),
    }
}

/// The key in a file, which is created with a fresh key if it does not exist.
pub(crate) fn from_file(path: &Path) -> anyhow::Result<Keypair> {
    let bytes = read_or_create(path, || {
        let key = Keypair::generate_ed25519();
        key.to_protobuf_encoding()
            .context("cannot encode a fresh key")
    })?;
    let Ok(key) = Keypair::from_protobuf_encoding(&bytes) else {
        bail!(
            "{} holds no ed25519 key in libp2p's protobuf form (it has {} bytes, a key has 68); \
             name another file to have one created",
            path.display(),
            bytes.len()
        );
    };
    Ok(key)
}

/// The key whose secret bytes are the seed, then zeros.
pub(crate) fn from_seed(seed: u8) -> anyhow::Result<Keypair> {
    let mut bytes = [0; SECRET_KEY_BYTES];
    bytes[0] = seed;
    let secret = ed25519::SecretKey::try_from_bytes(&mut bytes).context("no key of that seed")?;
    Ok(ed25519::Keypair::from(secret).into())
}

/// The bytes of a secret file; if there is none, it is made with `fresh`, readable only by us.
pub(crate) fn read_or_create(
    path: &Path,
    fresh: impl FnOnce() -> anyhow::Result<Vec<u8>>,
) -> anyhow::Result<Vec<u8>> {
    if let Some(bytes) = read(path)? {
        return Ok(bytes);
    }
    let bytes = fresh()?;
    match create(path, &bytes) {
        Ok(()) => Ok(bytes),
        // Another process was faster; what it wrote is the truth.
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
            read(path)?.with_context(|| format!("{} came and went", path.display()))
        }
        Err(e) => Err(e).with_context(|| format!("cannot create {}", path.display())),
    }
}

fn read(path: &Path) -> anyhow::Result<Option<Vec<u8>>> {
    let cannot_read = || format!("cannot read {}", path.display());
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_file() => {}
        Ok(metadata) if metadata.is_dir() => {
            bail!("{} is a directory; name a file in it", path.display())
        }
        // Opening a pipe would wait for its other end.
        Ok(_) => bail!("{} is no regular file", path.display()),
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e).with_context(cannot_read),
    }
    let file = File::open(path).with_context(cannot_read)?;
    match os::make_private(&file) {
        Ok(false) => {}
        Ok(true) => output::complain(&format!(
            "warning: others could read {}; its mode is 0600 now",
            path.display()
        )),
        Err(e) => output::complain(&format!(
            "warning: others can read {}, and its mode cannot be changed: {e}",
            path.display()
        )),
    }
    let mut bytes = Vec::new();
    file.take(MAX_SECRET_BYTES + 1)
        .read_to_end(&mut bytes)
        .with_context(cannot_read)?;
    if bytes.len() as u64 > MAX_SECRET_BYTES {
        bail!(
            "{} has more than {MAX_SECRET_BYTES} bytes: that is no key",
            path.display()
        );
    }
    Ok(Some(bytes))
}

/// Writes a whole file or none, never over one that exists. Temporary files have mode 0600.
fn create(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut file = tempfile::Builder::new()
        .prefix(".punchline-")
        .tempfile_in(directory)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist_noclobber(path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    #[cfg(unix)]
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn seed_zero_is_who_it_always_was() {
        assert_eq!(
            from_seed(0).unwrap().public().to_peer_id().to_string(),
            "12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN"
        );
    }

    #[test]
    fn seeds_differ() {
        assert_ne!(
            from_seed(1).unwrap().public(),
            from_seed(2).unwrap().public()
        );
    }

    #[test]
    fn a_key_is_fresh_without_file_and_seed() {
        let peer_id = || load(None, None).unwrap().public().to_peer_id();
        assert_ne!(peer_id(), peer_id());
    }

    #[test]
    fn a_key_file_is_created_and_read_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        let key = from_file(&path).unwrap();
        assert_eq!(from_file(&path).unwrap().public(), key.public());
        #[cfg(unix)]
        assert_eq!(mode(&path), 0o600);
        let left: Vec<_> = fs::read_dir(directory.path()).unwrap().collect();
        assert_eq!(left.len(), 1, "{left:?}");
    }

    #[cfg(unix)]
    #[test]
    fn what_others_could_read_they_no_longer_can() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        let key = from_file(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(from_file(&path).unwrap().public(), key.public());
        assert_eq!(mode(&path), 0o600);
    }

    #[test]
    fn what_is_no_key_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        for (bytes, expected) in [
            (vec![], "it has 0 bytes"),
            (vec![7; 67], "it has 67 bytes"),
            (vec![7; 68], "it has 68 bytes"),
            (vec![7; 20_000], "more than 16384 bytes"),
        ] {
            fs::write(&path, bytes).unwrap();
            let complaint = from_file(&path).unwrap_err().to_string();
            assert!(complaint.contains(expected), "{complaint}");
            assert!(complaint.contains(path.to_str().unwrap()), "{complaint}");
            assert!(!complaint.contains('\n'), "{complaint}");
        }
    }

    #[test]
    fn a_directory_is_no_key() {
        let directory = tempfile::tempdir().unwrap();
        let complaint = from_file(directory.path()).unwrap_err().to_string();
        assert!(complaint.contains("is a directory"), "{complaint}");
    }

    #[test]
    fn a_missing_directory_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("no").join("key");
        let complaint = format!("{:#}", from_file(&path).unwrap_err());
        assert!(complaint.contains("cannot create"), "{complaint}");
        assert!(complaint.contains(path.to_str().unwrap()), "{complaint}");
    }

    #[test]
    fn whoever_comes_second_takes_the_firsts_key() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        let bytes = read_or_create(&path, || {
            fs::write(&path, "the other's").unwrap();
            Ok(b"ours".to_vec())
        });
        assert_eq!(bytes.unwrap(), b"the other's");
    }

    #[cfg(unix)]
    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }
}
