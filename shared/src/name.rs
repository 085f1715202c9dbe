//! What peers are called. A name is a courtesy and proves nothing: beside it always stands the end of the peer id.

#[cfg(test)]
mod tests;
mod words;

use std::{fmt, ops::Deref, sync::Arc};

use libp2p::PeerId;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::hash::fnv1a;

/// The longest name that a person can choose.
pub const MAX_NAME_BYTES: usize = 64;

/// What a peer is called: as its person chose, or by two words that its id gives.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PeerName(Arc<str>);

/// Why a text is no name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidName {
    /// Nothing but blanks.
    #[error("a name has at least one letter")]
    Empty,
    /// Longer than [`MAX_NAME_BYTES`].
    #[error("the name has {0} bytes; at most {MAX_NAME_BYTES} are allowed")]
    TooLong(usize),
    /// It holds a character that is not shown but changes how others are: a line feed, an escape, a change of the
    /// direction of writing.
    #[error("a name has no control characters and no line breaks")]
    Control,
}

impl PeerName {
    /// Takes a name that a person chose, without the blanks around it.
    pub fn chosen(text: &str) -> Result<Self, InvalidName> {
        let text = text.trim();
        if text.is_empty() {
            return Err(InvalidName::Empty);
        }
        if text.len() > MAX_NAME_BYTES {
            return Err(InvalidName::TooLong(text.len()));
        }
        if text.chars().any(is_invisible) {
            return Err(InvalidName::Control);
        }
        Ok(Self(text.into()))
    }

    /// Returns the two words for a peer that has chosen no name: the same ones everywhere.
    #[must_use]
    pub fn of(peer: &PeerId) -> Self {
        let hash = fnv1a(&peer.to_bytes());
        let word = |words: &'static [&str; 64], hash: u64| words[(hash % 64) as usize];
        let first = word(&words::ADJECTIVES, hash);
        let second = word(&words::NOUNS, hash >> 32);
        Self(format!("{first}-{second}").into())
    }
}

/// Whether a character has no shape of its own: a control, a line or paragraph separator, or a mark that changes the
/// direction of what follows (UAX #9). The joiners of Persian and of emoji are none of these.
const fn is_invisible(c: char) -> bool {
    matches!(c,
        '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}'
        | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

impl Deref for PeerName {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PeerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for PeerName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for PeerName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::chosen(&text).map_err(serde::de::Error::custom)
    }
}
