//! ICE's user and password in webrtc-direct: what a dialler made up, as a listener reads it.
//!
//! Nobody tells the listener who is coming. It learns everything from the user of the first packet, `server:client`:
//! version 1 has one value for users and passwords of both sides, version 2 has the client's password in the server's user.

use crate::direct::{VERSION_1, VERSION_2};

/// The fewest characters that a user and a password have, and the most of both ([RFC 8839, section 5.4]).
///
/// [RFC 8839, section 5.4]: https://www.rfc-editor.org/rfc/rfc8839#section-5.4
const MIN_USER: usize = 4;
const MIN_PASSWORD: usize = 22;
const MAX_CHARS: usize = 256;

/// The users and passwords of one connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Credentials {
    /// The listener's user, which is its password, too.
    pub(super) server: String,
    /// The dialler's user.
    pub(super) client: String,
    /// The dialler's password.
    pub(super) client_password: String,
}

impl Credentials {
    /// Reads the user that a dialler writes into its packets; `None` if it is of no version known here.
    pub(super) fn of(server: &str, client: &str) -> Option<Self> {
        let password = if server.starts_with(VERSION_1) {
            (server == client).then_some(server)?
        } else {
            server.strip_prefix(VERSION_2)?
        };
        let are_fit = is_fit(server, MIN_PASSWORD) && is_fit(client, MIN_USER);
        (are_fit && is_fit(password, MIN_PASSWORD)).then(|| Self {
            server: server.into(),
            client: client.into(),
            client_password: password.into(),
        })
    }
}

/// Whether all of it is what ICE allows: such a text changes nothing in a session description but itself.
fn is_fit(text: &str, at_least: usize) -> bool {
    let is_ice = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    (at_least..=MAX_CHARS).contains(&text.len()) && text.bytes().all(is_ice)
}

#[cfg(test)]
mod tests;
