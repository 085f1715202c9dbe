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

use crate::{os, output};

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
