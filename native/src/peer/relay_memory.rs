//! What the URLs of relays said last time, so that the next start need not wait for their answers: the URL is asked all the
//! same, and what it says now takes the place of what it said.

use std::collections::BTreeMap;

use axum::http::Uri;
use libp2p::{Multiaddr, PeerId};
use punchline::config::RelayAddress;
use serde::{Deserialize, Serialize};

use super::memory::{MemoryFile, trim};

/// The file in the state directory.
const FILE: &str = "relays.json";
/// URLs that are remembered; of more, any goes.
const MAX_URLS: usize = 16;

/// The file.
#[derive(Debug, Clone)]
pub(super) struct RelayMemory(MemoryFile<Relays>);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Known {
    peer: PeerId,
    addresses: Vec<Multiaddr>,
}

type Relays = BTreeMap<String, Known>;

impl RelayMemory {
    /// `kept`: the identity is kept, so something may be.
    pub(super) fn new(kept: bool) -> Self {
        Self(MemoryFile::in_state_directory(FILE, kept))
    }

    /// What a URL said last.
    pub(super) fn recall(&self, url: &Uri) -> Option<RelayAddress> {
        let known = self.0.read().remove(&url.to_string())?;
        Some(RelayAddress {
            peer: Some(known.peer),
            addresses: known.addresses,
        })
    }

    /// Remembers what a URL says.
    pub(super) fn remember(&self, url: &Uri, relay: &RelayAddress) {
        let Some(peer) = relay.peer.filter(|_| self.0.is_kept()) else {
            return;
        };
        let url = url.to_string();
        let mut relays = self.0.read();
        let known = Known {
            peer,
            addresses: relay.addresses.clone(),
        };
        if relays.insert(url.clone(), known.clone()) == Some(known) {
            return;
        }
        trim(&mut relays, &url, MAX_URLS);
        self.0.write(&relays);
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

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
        let memory = RelayMemory(MemoryFile::at(Some(directory.path().join(FILE))));
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
        assert_eq!(memory.0.read().len(), MAX_URLS);
    }

    #[test]
    fn a_file_that_is_none_of_ours_says_nothing_and_is_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(FILE);
        let memory = RelayMemory(MemoryFile::at(Some(path.clone())));
        for content in ["", "{", "[]", r#"{"http://relay-0.example:45680/": 7}"#] {
            fs::write(&path, content).unwrap();
            assert_eq!(memory.recall(&url(0)), None, "{content}");
        }
        let relay = relay();
        memory.remember(&url(0), &relay);
        assert_eq!(memory.recall(&url(0)), Some(relay.clone()));
        let nowhere = RelayMemory(MemoryFile::at(None));
        nowhere.remember(&url(0), &relay);
        assert_eq!(nowhere.recall(&url(0)), None);
    }
}
