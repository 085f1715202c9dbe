//! What peers are called on the screen: by the name that they have chosen, or the two words of their id, always with
//! the end of the peer id behind it, which nobody can choose. And each peer's colour.
//!
//! The page has the same rules in JavaScript; tests/cases/names.json holds both to them.

use std::collections::{HashMap, VecDeque};

use libp2p::PeerId;
use punchline::name::PeerName;

/// The length of the end of an id that is shown, unless another peer's id has the same.
const SHORTEST: usize = 6;
/// How many peers are remembered, of some 300 bytes each.
const MAX_NAMES: usize = 4_096;
/// How many colours there are for names.
pub(crate) const COLOURS: usize = 10;

/// The peers seen so far.
#[derive(Debug, Default)]
pub(crate) struct PeerNames {
    known: HashMap<PeerId, Known>,
    oldest_first: VecDeque<PeerId>,
}

#[derive(Debug)]
struct Known {
    /// The end of its id, which stays as it was first shown.
    end: String,
    /// What it is called now.
    name: PeerName,
    colour: usize,
}

/// Why a typed name stands for no peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LookupError {
    /// No peer has this name or id.
    Unknown,
    /// Several peers are called so, or their ids begin or end like this.
    Ambiguous,
}

impl PeerNames {
    /// The end of a peer's id that tells it from all others.
    pub(crate) fn end_of(&mut self, peer: PeerId) -> String {
        self.know(peer).end.clone()
    }

    /// Takes in what a peer is called.
    pub(crate) fn call(&mut self, peer: PeerId, name: &PeerName) {
        self.know(peer).name = name.clone();
    }

    /// What is shown for a peer: `Anna·x6nXTN`, with `≈` in front if somebody else calls himself like that.
    pub(crate) fn of(&mut self, peer: PeerId) -> String {
        let known = self.know(peer);
        let (name, end) = (known.name.clone(), known.end.clone());
        let mark = if self.is_shared(peer, &name) {
            "≈"
        } else {
            ""
        };
        format!("{mark}{name}·{end}")
    }

    /// The number of a peer's colour. The first [`COLOURS`] peers all have different ones.
    pub(crate) fn colour_of(&mut self, peer: PeerId) -> usize {
        self.know(peer).colour
    }

    /// The one of these peers with this name or this id, or the only one whose id ends or begins like this.
    pub(crate) fn find(&mut self, typed: &str, among: &[PeerId]) -> Result<PeerId, LookupError> {
        let by = |fits: &mut dyn FnMut(&PeerId) -> bool| {
            let mut fitting = among.iter().filter(|peer| fits(peer));
            match (fitting.next(), fitting.next()) {
                (Some(peer), None) => Ok(*peer),
                (Some(_), Some(_)) => Err(LookupError::Ambiguous),
                (None, _) => Err(LookupError::Unknown),
            }
        };
        // As it is shown, and the end of the id alone, are unambiguous.
        let shown = by(&mut |peer| self.of(*peer) == typed || self.end_of(*peer) == typed);
        if shown.is_ok() {
            return shown;
        }
        let wanted = folded(typed);
        match by(&mut |peer| folded(&self.know(*peer).name) == wanted) {
            Err(LookupError::Unknown) => by(&mut |peer| {
                let id = peer.to_base58();
                id.ends_with(typed) || id.starts_with(typed)
            }),
            named => named,
        }
    }

    /// What completes a typed beginning of a peer's name.
    pub(crate) fn choices(&mut self, among: &[PeerId]) -> Vec<String> {
        let choices = among.iter().map(|peer| {
            let known = self.know(*peer);
            let (name, end) = (known.name.clone(), known.end.clone());
            match self.is_shared(*peer, &name) {
                true => end,
                false if name.contains([' ', '"']) => format!("\"{name}\""),
                false => name.to_string(),
            }
        });
        choices.collect()
    }

    fn know(&mut self, peer: PeerId) -> &mut Known {
        if !self.known.contains_key(&peer) {
            if self.known.len() >= MAX_NAMES
                && let Some(oldest) = self.oldest_first.pop_front()
            {
                self.known.remove(&oldest);
            }
            self.oldest_first.push_back(peer);
        }
        let (end, colour) = match self.known.contains_key(&peer) {
            true => Default::default(),
            false => {
                let id = peer.to_base58();
                (self.new_end(&id), self.new_colour(&id))
            }
        };
        self.known.entry(peer).or_insert_with(|| Known {
            end,
            name: PeerName::of(&peer),
            colour,
        })
    }

    /// The shortest end of the id that no known peer's id ends with.
    fn new_end(&self, id: &str) -> String {
        let taken = |end: &str| {
            let mut known = self.known.keys();
            known.any(|peer| peer.to_base58().ends_with(end))
        };
        let mut start = id.len().saturating_sub(SHORTEST);
        while start > 0 && taken(&id[start..]) {
            start -= 1;
        }
        id[start..].into()
    }

    /// The colour that the id gives, or the next one that nobody has.
    fn new_colour(&self, id: &str) -> usize {
        let hash = id.bytes().fold(0_u32, |hash, byte| {
            hash.wrapping_mul(31).wrapping_add(byte.into())
        });
        let first = hash as usize % COLOURS;
        let taken = |colour: &usize| self.known.values().any(|known| known.colour == *colour);
        let mut from_there = (0..COLOURS).map(|step| (first + step) % COLOURS);
        from_there.find(|colour| !taken(colour)).unwrap_or(first)
    }

    fn is_shared(&self, peer: PeerId, name: &str) -> bool {
        let name = folded(name);
        let mut others = self.known.iter().filter(|(other, _)| **other != peer);
        others.any(|(_, other)| folded(&other.name) == name)
    }
}

/// A name as others may mistake it.
fn folded(name: &str) -> String {
    name.to_lowercase()
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
        /// The ends and colours that these peers get, one after the other.
        ends: Vec<String>,
        colours: Vec<usize>,
        /// What they are shown as, without a name of their own.
        shown: Vec<String>,
        /// What they call themselves then, and are shown as.
        called: Vec<String>,
        shown_called: Vec<String>,
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
        let ends: Vec<_> = peers.iter().map(|peer| names.end_of(*peer)).collect();
        assert_eq!(ends, cases.ends);
        let colours: Vec<_> = peers.iter().map(|peer| names.colour_of(*peer)).collect();
        assert_eq!(colours, cases.colours);
        let shown: Vec<_> = peers.iter().map(|peer| names.of(*peer)).collect();
        assert_eq!(shown, cases.shown);
        for (peer, name) in peers.iter().zip(&cases.called) {
            names.call(*peer, &PeerName::chosen(name).unwrap());
        }
        let shown: Vec<_> = peers.iter().map(|peer| names.of(*peer)).collect();
        assert_eq!(shown, cases.shown_called);
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
    fn the_end_of_the_id_stays() {
        let mut names = PeerNames::default();
        let peer = PeerId::random();
        let end = names.end_of(peer);
        assert_eq!(end.len(), SHORTEST);
        assert!(peer.to_base58().ends_with(&end));
        names.of(PeerId::random());
        assert_eq!(names.end_of(peer), end);
    }

    #[test]
    fn the_first_peers_have_different_colours() {
        for _ in 0..20 {
            let mut names = PeerNames::default();
            let mut colours: Vec<_> = peers(COLOURS)
                .into_iter()
                .map(|peer| names.colour_of(peer))
                .collect();
            colours.sort_unstable();
            colours.dedup();
            assert_eq!(colours.len(), COLOURS);
            assert!(names.colour_of(peers(1)[0]) < COLOURS);
        }
    }

    #[test]
    fn an_id_that_ends_like_another_shows_more_of_it() {
        let mut names = PeerNames::default();
        let peer = PeerId::random();
        names.of(peer);
        let id = peer.to_base58();
        let (first, rest) = id.split_at(id.len() - 7);
        let other = if rest.starts_with('x') { "y" } else { "x" };
        assert_eq!(
            names.new_end(&format!("{first}{other}{}", &rest[1..])),
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
