//! What the URLs of relays said last time, so that the next start need not wait for their answers.
//!
//! A JSON file in the state directory, kept where an identity is kept. It is a guess, never a truth: the URL is asked all
//! the same, and what it says now takes the guess's place.

use std::{collections::BTreeMap, fs, io, path::PathBuf};

use axum::http::Uri;
use libp2p::{Multiaddr, PeerId};
use punchline::config::RelayAddress;
use serde::{Deserialize, Serialize};

use super::identity::state_directory;
use crate::common::os;

/// The file in the state directory.
const FILE: &str = "punchline/relays.json";
/// URLs that are remembered; of more, any goes.
const MAX_URLS: usize = 16;
/// Bytes of the file that are read. What is longer is none of ours.
const MAX_BYTES: u64 = 64 * 1024;

/// The file, or nothing where no identity is kept.
#[derive(Debug, Clone, Default)]
pub(super) struct RelayMemory(Option<PathBuf>);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Known {
    peer: PeerId,
    addresses: Vec<Multiaddr>,
}

type Relays = BTreeMap<String, Known>;

impl RelayMemory {
    /// `kept`: the identity is kept, so something may be.
    pub(super) fn new(kept: bool) -> Self {
        let path = kept.then(state_directory);
        Self(path.and_then(Result::ok).map(|path| path.join(FILE)))
    }

    /// What a URL said last. A file that cannot be read, or is none of ours, says nothing.
    pub(super) fn recall(&self, url: &Uri) -> Option<RelayAddress> {
        let known = self.read().remove(&url.to_string())?;
        Some(RelayAddress {
            peer: Some(known.peer),
            addresses: known.addresses,
        })
    }

    /// Remembers what a URL says. That it cannot be written costs the next start a round trip, and nothing else.
    pub(super) fn remember(&self, url: &Uri, relay: &RelayAddress) {
        let (Some(peer), Some(path)) = (relay.peer, &self.0) else {
            return;
        };
        let mut relays = self.read();
        let known = Known {
            peer,
            addresses: relay.addresses.clone(),
        };
        if relays.insert(url.to_string(), known.clone()) == Some(known) {
            return;
        }
        while relays.len() > MAX_URLS {
            let other = relays.keys().find(|known| **known != url.to_string());
            let Some(other) = other.cloned() else { break };
            relays.remove(&other);
        }
        if let Err(e) = write(path, &relays) {
            tracing::debug!("{} cannot be written: {e}", path.display());
        }
    }

    fn read(&self) -> Relays {
        let Some(path) = &self.0 else {
            return Relays::new();
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
}

/// The file appears whole or not at all, whoever else writes it.
fn write(path: &std::path::Path, relays: &Relays) -> io::Result<()> {
    let directory = path.parent().ok_or(io::ErrorKind::NotFound)?;
    os::create_private_dir(directory)?;
    let file = tempfile::NamedTempFile::new_in(directory)?;
    serde_json::to_writer(&file, relays)?;
    file.persist(path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(n: usize) -> Uri {
        format!("http://relay-{n}.example:45680/").parse().unwrap()
    }

    fn relay() -> RelayAddress {
        RelayAddress {
            peer: Some(PeerId::random()),
            addresses: vec!["/ip4/192.0.2.7/udp/45678/quic-v1".parse().unwrap()],
        }
    }

    #[test]
    fn what_a_url_said_last_is_recalled_and_there_is_a_limit() {
        let directory = tempfile::tempdir().unwrap();
        let memory = RelayMemory(Some(directory.path().join(FILE)));
        assert_eq!(memory.recall(&url(0)), None);
        let (old, new) = (relay(), relay());
        memory.remember(&url(0), &old);
        memory.remember(&url(0), &new);
        assert_eq!(memory.recall(&url(0)), Some(new));
        for n in 1..=2 * MAX_URLS {
            let relay = relay();
            memory.remember(&url(n), &relay);
            assert_eq!(memory.recall(&url(n)), Some(relay));
        }
        assert_eq!(memory.read().len(), MAX_URLS);
    }

    #[test]
    fn a_file_that_is_none_of_ours_says_nothing_and_is_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("relays.json");
        let memory = RelayMemory(Some(path.clone()));
        for content in ["", "{", "[]", r#"{"http://relay-0.example:45680/": 7}"#] {
            fs::write(&path, content).unwrap();
            assert_eq!(memory.recall(&url(0)), None, "{content}");
        }
        let relay = relay();
        memory.remember(&url(0), &relay);
        assert_eq!(memory.recall(&url(0)), Some(relay.clone()));
        let nowhere = RelayMemory::default();
        nowhere.remember(&url(0), &relay);
        assert_eq!(nowhere.recall(&url(0)), None);
    }
}
