//! Which key a peer has, and that no other process of this machine has the same one at the same time: two would take
//! each other's reservations and messages.

use std::{
    fs::{File, TryLockError},
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use libp2p::identity::Keypair;

use crate::{
    cli::PeerArgs,
    common::{identity, os},
};

/// The file in the state directory.
const FILE: &str = "punchline/identity";

/// A key, for as long as this lives.
#[derive(Debug)]
pub(super) struct Identity {
    pub(super) key: Keypair,
    /// What a person should know about it.
    pub(super) note: Option<String>,
    /// It is the same at the next start.
    pub(super) is_kept: bool,
    /// Held until the process ends, however it does.
    _lock: Option<File>,
}

/// The key of a file with the lock on it, or `None` if another process has it.
type Kept = Option<(Keypair, Option<File>)>;

/// Finds the key that the options ask for. A `person` at a terminal keeps one by default.
pub(super) fn choose(args: &PeerArgs, person: bool) -> anyhow::Result<Identity> {
    if let Some(path) = &args.identity {
        return match kept(path)? {
            Some((key, lock)) => Ok(Identity::kept(key, lock)),
            None => bail!(
                "another peer uses the identity in {}; stop that one, or start this one with --ephemeral or another --identity",
                path.display()
            ),
        };
    }
    if args.ephemeral || args.secret_key_seed.is_some() || !person {
        let key = identity::load(args.secret_key_seed)?;
        return Ok(Identity::fresh(key, None));
    }
    let fresh = |why: String| Identity::fresh(Keypair::generate_ed25519(), Some(why));
    Ok(match by_default() {
        Ok(Some((key, lock))) => Identity::kept(key, lock),
        Ok(None) => {
            fresh("another peer on this machine has your identity: this one has a fresh one".into())
        }
        Err(e) => fresh(format!(
            "your identity cannot be kept ({e:#}): you have a fresh one"
        )),
    })
}

impl Identity {
    const fn fresh(key: Keypair, note: Option<String>) -> Self {
        Self {
            key,
            note,
            is_kept: false,
            _lock: None,
        }
    }

    const fn kept(key: Keypair, lock: Option<File>) -> Self {
        Self {
            key,
            note: None,
            is_kept: true,
            _lock: lock,
        }
    }
}

fn by_default() -> anyhow::Result<Kept> {
    let path = state_directory()?.join(FILE);
    if let Some(directory) = path.parent() {
        os::create_private_dir(directory)
            .with_context(|| format!("cannot create {}", directory.display()))?;
    }
    kept(&path)
}

/// By the XDG base directory specification: <https://specifications.freedesktop.org/basedir/latest/>.
pub(super) fn state_directory() -> anyhow::Result<PathBuf> {
    let variable = |name| std::env::var_os(name).map(PathBuf::from);
    let absolute = |path: &PathBuf| path.is_absolute();
    if let Some(directory) = variable("XDG_STATE_HOME").filter(absolute) {
        return Ok(directory);
    }
    let home = variable("HOME").or_else(|| variable("USERPROFILE"));
    let home = home.filter(absolute).context("HOME is not set")?;
    Ok(home.join(".local").join("state"))
}

/// The key in a file, which is created if it does not exist, and the lock on it.
fn kept(path: &Path) -> anyhow::Result<Kept> {
    let key = identity::from_file(path)?;
    let file =
        identity::open(path)?.with_context(|| format!("{} came and went", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(Some((key, Some(file)))),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(e)) => {
            // Some network file systems have no locks.
            tracing::warn!("cannot lock {}: {e}", path.display());
            Ok(Some((key, None)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_for_one_at_a_time() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        let (key, lock) = kept(&path).unwrap().expect("free");
        assert!(kept(&path).unwrap().is_none(), "in use");
        drop(lock);
        let (again, _) = kept(&path).unwrap().expect("free again");
        assert_eq!(again.public(), key.public());
    }
}
