//! Short names for peers: the end of the peer id, long enough to differ from every other name.
//!
//! The page has the same rules in JavaScript; tests/cases/names.json holds both to them.

use std::collections::{HashMap, VecDeque};

use libp2p::PeerId;

/// The length of a name, unless another peer's id has the same end.
const SHORTEST: usize = 6;
/// How many names are kept, of some 200 bytes each.
const MAX_NAMES: usize = 4_096;

/// The names given so far. A peer keeps the name that it was first shown under.
#[derive(Debug, Default)]
pub(crate) struct PeerNames {
    names: HashMap<PeerId, String>,
    oldest_first: VecDeque<PeerId>,
}

/// Why a typed name stands for no peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LookupError {
    /// No peer has this name or id.
    Unknown,
    /// Several peers' ids begin or end like this.
    Ambiguous,
}

impl PeerNames {
    /// The name of a peer.
    pub(crate) fn of(&mut self, peer: PeerId) -> String {
        if let Some(name) = self.names.get(&peer) {
            return name.clone();
        }
        if self.names.len() >= MAX_NAMES
            && let Some(oldest) = self.oldest_first.pop_front()
        {
            self.names.remove(&oldest);
        }
        let name = self.new_name(&peer.to_base58());
        self.names.insert(peer, name.clone());
        self.oldest_first.push_back(peer);
        name
    }

    /// The one of these peers with this name or this id, or the only one whose id ends or begins like this.
    pub(crate) fn find(&mut self, typed: &str, among: &[PeerId]) -> Result<PeerId, LookupError> {
        let named = among.iter().find(|peer| self.of(**peer) == typed);
        if let Some(peer) = named {
            return Ok(*peer);
        }
        let mut matching = among.iter().filter(|peer| {
            let id = peer.to_base58();
            id.ends_with(typed) || id.starts_with(typed)
        });
        match (matching.next(), matching.next()) {
            (Some(peer), None) => Ok(*peer),
            (Some(_), Some(_)) => Err(LookupError::Ambiguous),
            (None, _) => Err(LookupError::Unknown),
        }
    }

    /// The shortest end of the id that no named peer's id ends with.
    fn new_name(&self, id: &str) -> String {
        let taken = |end: &str| {
            self.names
                .keys()
                .any(|peer| peer.to_base58().ends_with(end))
        };
        let mut start = id.len().saturating_sub(SHORTEST);
        while start > 0 && taken(&id[start..]) {
            start -= 1;
        }
        id[start..].into()
    }
}

#[cfg(test)]
mod tests {
    use libp2p::identity::Keypair;
    use serde::Deserialize;

    use super::*;

    /// tests/cases/names.json, which the page's names are tested with, too.
    #[derive(Deserialize)]
    struct Cases {
        peers: Vec<String>,
        /// The names that these peers get, one after the other.
        names: Vec<String>,
        cases: Vec<Case>,
    }

    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Case {
        Peer { typed: String, peer: String },
        Error { typed: String, error: String },
    }

    #[test]
    fn the_cases_shared_with_the_page() {
        const CASES: &str = include_str!(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../tests/cases/names.json"
        ));
        let cases: Cases = serde_json::from_str(CASES).unwrap();
        let peers: Vec<PeerId> = cases.peers.iter().map(|id| id.parse().unwrap()).collect();
        let mut names = PeerNames::default();
        let given: Vec<_> = peers.iter().map(|peer| names.of(*peer)).collect();
        assert_eq!(given, cases.names);
        assert!(!cases.cases.is_empty());
        for case in &cases.cases {
            match case {
                Case::Peer { typed, peer } => {
                    assert_eq!(
                        names.find(typed, &peers),
                        Ok(peer.parse().unwrap()),
                        "{typed}"
                    );
                }
                Case::Error { typed, error } => {
                    let error = match error.as_str() {
                        "unknown" => LookupError::Unknown,
                        "ambiguous" => LookupError::Ambiguous,
                        other => panic!("no such error: {other}"),
                    };
                    assert_eq!(names.find(typed, &peers), Err(error), "{typed}");
                }
            }
        }
    }

    fn peers(count: usize) -> Vec<PeerId> {
        (0..count)
            .map(|_| Keypair::generate_ed25519().public().to_peer_id())
            .collect()
    }

    #[test]
    fn a_name_is_the_end_of_the_id_and_stays() {
        let mut names = PeerNames::default();
        let peer = PeerId::random();
        let name = names.of(peer);
        assert_eq!(name.len(), SHORTEST);
        assert!(peer.to_base58().ends_with(&name));
        names.of(PeerId::random());
        assert_eq!(names.of(peer), name);
    }

    #[test]
    fn an_id_that_ends_like_another_gets_a_longer_name() {
        let mut names = PeerNames::default();
        let peer = PeerId::random();
        names.of(peer);
        let id = peer.to_base58();
        let (first, rest) = id.split_at(id.len() - 7);
        let other = if rest.starts_with('x') { "y" } else { "x" };
        assert_eq!(
            names.new_name(&format!("{first}{other}{}", &rest[1..])),
            format!("{other}{}", &rest[1..])
        );
    }

    #[test]
    fn a_peer_is_found_by_name_id_end_and_beginning() {
        let mut names = PeerNames::default();
        let peers = peers(3);
        let id = peers[1].to_base58();
        for typed in [
            names.of(peers[1]),
            id.clone(),
            id[8..].into(),
            id[..40].into(),
        ] {
            assert_eq!(names.find(&typed, &peers), Ok(peers[1]), "{typed}");
        }
        assert_eq!(names.find("12D3Koo", &peers), Err(LookupError::Ambiguous));
        assert_eq!(names.find("nobody", &peers), Err(LookupError::Unknown));
    }
}
