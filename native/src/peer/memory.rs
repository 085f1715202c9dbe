//! What a peer remembers from one run to the next: JSON files in the state directory, kept where an identity is kept.
//!
//! What they hold is a guess, never a truth: without them everything works, and takes longer.

use std::{collections::BTreeMap, fs, io, marker::PhantomData, path::PathBuf};

use serde::{Serialize, de::DeserializeOwned};

use super::identity::state_directory;
use crate::common::os;

/// Bytes of a file that are read. What is longer is none of ours.
const MAX_BYTES: u64 = 256 * 1024;

/// A file of these, or nothing where no identity is kept.
#[derive(Debug, Clone)]
pub(super) struct MemoryFile<T> {
    path: Option<PathBuf>,
    content: PhantomData<T>,
}

impl<T: Default + Serialize + DeserializeOwned> MemoryFile<T> {
    /// `kept`: the identity is kept, so something may be.
    pub(super) fn in_state_directory(name: &str, kept: bool) -> Self {
        let directory = kept.then(state_directory).and_then(Result::ok);
        Self::at(directory.map(|directory| directory.join("punchline").join(name)))
    }

    pub(super) const fn at(path: Option<PathBuf>) -> Self {
        let content = PhantomData;
        Self { path, content }
    }

    pub(super) const fn is_kept(&self) -> bool {
        self.path.is_some()
    }

    /// What it says. One that cannot be read, or is none of ours, says nothing.
    pub(super) fn read(&self) -> T {
        let Some(path) = &self.path else {
            return T::default();
        };
        let is_ours =
            fs::metadata(path).is_ok_and(|file| file.is_file() && file.len() <= MAX_BYTES);
        let bytes = if is_ours {
            fs::read(path).unwrap_or_default()
        } else {
            Vec::new()
        };
        serde_json::from_slice(&bytes).unwrap_or_default()
    }

    /// That it cannot be written costs the next start some time, and nothing else.
    pub(super) fn write(&self, content: &T) {
        if let Some(path) = &self.path
            && let Err(e) = replace(path, content)
        {
            tracing::debug!("{} cannot be written: {e}", path.display());
        }
    }
}

/// Drops entries until there are no more than this, but never that of `kept`.
pub(super) fn trim<T>(entries: &mut BTreeMap<String, T>, kept: &str, most: usize) {
    while entries.len() > most {
        let other = entries.keys().find(|key| *key != kept).cloned();
        let Some(other) = other else { break };
        entries.remove(&other);
    }
}

/// The file appears whole or not at all, whoever else writes it.
fn replace(path: &std::path::Path, content: &impl Serialize) -> io::Result<()> {
    let directory = path.parent().ok_or(io::ErrorKind::NotFound)?;
    os::create_private_dir(directory)?;
    let file = tempfile::NamedTempFile::new_in(directory)?;
    serde_json::to_writer(&file, content)?;
    file.persist(path)?;
    Ok(())
}
