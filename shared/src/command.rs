//! A typed line, as the terminal reads it.
//!
//! The page has a parser of its own, `www/command.js`: this one would cost every tab more bytes than the wasm's
//! budget has to spare. `tests/cases/commands.json` keeps the two alike, and is read by the tests of both.

#[cfg(test)]
mod tests;

use std::str::FromStr;

use libp2p::Multiaddr;
use serde::{Deserialize, Serialize};

/// What a person can ask a peer for by typing a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub enum Command {
    /// A line for everyone in the room.
    Broadcast {
        /// The text.
        body: String,
    },
    /// `/to PEER TEXT`: a line for one peer.
    Send {
        /// A peer's name, its id, or the end of that.
        to: String,
        /// The text.
        body: String,
    },
    /// `/dial ADDR`.
    Dial {
        /// The address.
        address: Multiaddr,
    },
    /// `/peers`.
    Peers,
    /// `/name NAME`: what others are to read of us.
    Name {
        /// The name, not checked yet.
        name: String,
    },
    /// `/block PEER`: nothing more from it, and nothing to it.
    Block {
        /// A peer's name, its id, or the end of that.
        peer: String,
    },
    /// `/unblock PEER`.
    Unblock {
        /// As for `/block`.
        peer: String,
    },
    /// `/addresses`: where others can dial us.
    Addresses,
    /// `/help`.
    Help,
    /// `/quit`.
    Quit,
}

/// Why a typed line is no command.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseCommandError {
    /// The line is empty.
    #[error("nothing to send")]
    Empty,
    /// There is no such slash command.
    #[error(
        "no such command: {0}; /help lists them, and a line that starts with // is sent with one slash"
    )]
    Unknown(String),
    /// A slash command without what it needs.
    #[error("usage: {0}")]
    Usage(&'static str),
    /// The argument of `/dial` is no multiaddr.
    #[error(
        "{address} is no multiaddr ({reason}); one looks like /ip4/192.0.2.7/udp/45678/quic-v1"
    )]
    Address {
        /// What was typed.
        address: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl FromStr for Command {
    type Err = ParseCommandError;

    fn from_str(line: &str) -> Result<Self, Self::Err> {
        let line = line.trim_end_matches(['\r', '\n']);
        if line.trim().is_empty() {
            return Err(ParseCommandError::Empty);
        }
        if !line.starts_with('/') {
            return Ok(Self::Broadcast { body: line.into() });
        }
        if line.starts_with("//") {
            return Ok(Self::Broadcast {
                body: line[1..].into(),
            });
        }
        let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let rest = rest.trim();
        match word {
            "/to" => match addressee(rest) {
                Some((to, body)) => Ok(Self::Send {
                    to: to.into(),
                    body: body.trim_start().into(),
                }),
                None => Err(ParseCommandError::Usage("/to PEER TEXT")),
            },
            "/name" if rest.is_empty() => Err(ParseCommandError::Usage("/name NAME")),
            "/name" => Ok(Self::Name { name: rest.into() }),
            "/block" => match named(rest) {
                Some(peer) => Ok(Self::Block { peer: peer.into() }),
                None => Err(ParseCommandError::Usage("/block PEER")),
            },
            "/unblock" => match named(rest) {
                Some(peer) => Ok(Self::Unblock { peer: peer.into() }),
                None => Err(ParseCommandError::Usage("/unblock PEER")),
            },
            "/addresses" => Ok(Self::Addresses),
            "/dial" if rest.is_empty() => Err(ParseCommandError::Usage("/dial ADDR")),
            "/dial" => match rest.parse() {
                Ok(address) => Ok(Self::Dial { address }),
                Err(e) => Err(ParseCommandError::Address {
                    address: rest.into(),
                    reason: format!("{e}"),
                }),
            },
            "/peers" => Ok(Self::Peers),
            "/help" => Ok(Self::Help),
            "/quit" => Ok(Self::Quit),
            _ => Err(ParseCommandError::Unknown(word.into())),
        }
    }
}

/// A peer, whose name may stand between double quotes.
fn named(rest: &str) -> Option<&str> {
    let quoted = rest
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    Some(quoted.unwrap_or(rest)).filter(|peer| !peer.trim().is_empty())
}

/// Splits what follows `/to` into the peer and the text. A name with blanks stands between double quotes.
fn addressee(rest: &str) -> Option<(&str, &str)> {
    let (to, body) = match rest.strip_prefix('"').and_then(|rest| rest.split_once('"')) {
        Some(quoted) => quoted,
        None => rest.split_once(char::is_whitespace)?,
    };
    (!body.trim().is_empty()).then_some((to, body))
}
