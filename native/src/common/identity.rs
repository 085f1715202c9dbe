//! The peer's key: read from a file, computed from a seed, or generated.
//!
//! A key file holds the protobuf encoding of an ed25519 private key (68 bytes), which other libp2p programs read
//! and write too: <https://github.com/libp2p/specs/blob/master/peer-ids/peer-ids.md#keys>.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    path::Path,
};

use anyhow::{Context, bail};
use libp2p::identity::{Keypair, ed25519};

use super::{os, output};

/// The longest file that is read: far more than a key or a certificate needs.
const MAX_SECRET_BYTES: u64 = 16 * 1024;
/// Bytes of an ed25519 secret key.
const SECRET_KEY_BYTES: usize = 32;

/// The key of a seed, or a fresh one.
pub(crate) fn load(seed: Option<u8>) -> anyhow::Result<Keypair> {
    match seed {
        Some(seed) => {
            let key = from_seed(seed)?;
            output::complain(&format!(
                "warning: the key of seed {seed} is no secret: anyone can compute it and pass for {}",
                key.public().to_peer_id()
            ));
            Ok(key)
        }
        None => Ok(Keypair::generate_ed25519()),
    }
}

/// The key in a file, which is created with a fresh key if it does not exist.
pub(crate) fn from_file(path: &Path) -> anyhow::Result<Keypair> {
    read_or_create(
        path,
        |bytes| parse_key(path, bytes),
        || {
            let key = Keypair::generate_ed25519();
            key.to_protobuf_encoding()
                .context("cannot encode a fresh key")
        },
    )
}

/// The key in a file, which stays as it is; `None` if there is no such file.
pub(crate) fn look_at(path: &Path) -> anyhow::Result<Option<Keypair>> {
    let Some(file) = open(path)? else {
        return Ok(None);
    };
    parse_key(path, &read_all(path, &file)?).map(Some)
}

fn parse_key(path: &Path, bytes: &[u8]) -> anyhow::Result<Keypair> {
    Keypair::from_protobuf_encoding(bytes).ok().with_context(|| {
        format!(
            "{} holds no ed25519 key in libp2p's protobuf form (it has {} bytes, a key has 68); \
             name another file to have one created",
            path.display(),
            bytes.len()
        )
    })
}

/// The key whose 32 secret bytes are the seed and then zeros.
pub(crate) fn from_seed(seed: u8) -> anyhow::Result<Keypair> {
    let mut bytes = [0; SECRET_KEY_BYTES];
    bytes[0] = seed;
    let secret = ed25519::SecretKey::try_from_bytes(&mut bytes).context("no key of that seed")?;
    Ok(ed25519::Keypair::from(secret).into())
}

/// The secret in a file. If there is no file, one is created from the bytes of `fresh`, with mode 0600.
///
/// A file that others can read loses those permissions, but only once `parse` has accepted its content: any
/// other file was named by mistake and stays as it is.
fn read_or_create<T>(
    path: &Path,
    parse: impl Fn(&[u8]) -> anyhow::Result<T>,
    fresh: impl FnOnce() -> anyhow::Result<Vec<u8>>,
) -> anyhow::Result<T> {
    if let Some(secret) = read(path, &parse)? {
        return Ok(secret);
    }
    let bytes = fresh()?;
    match create(path, &bytes) {
        Ok(()) => parse(&bytes),
        // Another process created it in the meantime, and may already use what it wrote.
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
            read(path, &parse)?.with_context(|| format!("{} came and went", path.display()))
        }
        Err(e) => Err(e).with_context(|| format!("cannot create {}", path.display())),
    }
}

/// The secret in a file, as [`read_or_create`] has it; `None` if there is no such file.
pub(crate) fn read<T>(
    path: &Path,
    parse: impl Fn(&[u8]) -> anyhow::Result<T>,
) -> anyhow::Result<Option<T>> {
    let Some(file) = open(path)? else {
        return Ok(None);
    };
    let secret = parse(&read_all(path, &file)?)?;
    make_private(path, &file);
    Ok(Some(secret))
}

/// The file, if there is one, and only if it is a regular file of our own at this very path. What is said of it, and
/// done to it, concerns the file that was opened.
pub(crate) fn open(path: &Path) -> anyhow::Result<Option<File>> {
    let cannot_read = || format!("cannot read {}", path.display());
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_symlink() => bail!(
            "{} is a symbolic link; name the file that it leads to",
            path.display()
        ),
        Ok(_) => {}
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e).with_context(cannot_read),
    }
    let file = os::open_strictly(OpenOptions::new().read(true), path).with_context(cannot_read)?;
    let metadata = file.metadata().with_context(cannot_read)?;
    if metadata.is_dir() {
        bail!("{} is a directory; name a file in it", path.display());
    }
    if !metadata.is_file() {
        bail!("{} is no regular file", path.display());
    }
    if !os::is_ours(&metadata) {
        bail!(
            "{} belongs to another user, who could read or replace the key; name a file of your own",
            path.display()
        );
    }
    Ok(Some(file))
}

fn read_all(path: &Path, file: &File) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(MAX_SECRET_BYTES + 1)
        .read_to_end(&mut bytes)
        .with_context(|| format!("cannot read {}", path.display()))?;
    if bytes.len() as u64 > MAX_SECRET_BYTES {
        bail!(
            "{} has more than {MAX_SECRET_BYTES} bytes: that is no key",
            path.display()
        );
    }
    Ok(bytes)
}

fn make_private(path: &Path, file: &File) {
    match os::make_private(file) {
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
}

/// Creates the file with all its content or not at all, and never replaces one. A temporary file has mode 0600,
/// and so does what it becomes.
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
mod tests;
