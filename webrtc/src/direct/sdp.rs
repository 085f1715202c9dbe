//! Session descriptions ([RFC 8866]) of webrtc-direct: the answer that a listener would give.
//!
//! [RFC 8866]: https://www.rfc-editor.org/rfc/rfc8866

use super::address::{Fingerprint, Target};
use crate::MAX_FRAME;

/// The answer of the listener at `to` to this offer. `ufrag` is ICE's user and password.
pub(super) fn answer(offer: &str, to: &Target, ufrag: &str) -> String {
    let mid = value_of("a=mid:", offer).unwrap_or_default();
    let (ip, port) = (to.socket.ip(), to.socket.port());
    let family = if ip.is_ipv4() { "IP4" } else { "IP6" };
    let fingerprint = to.fingerprint.to_text();
    let lines = [
        "v=0".to_owned(),
        format!("o=- 0 0 IN {family} {ip}"),
        "s=-".to_owned(),
        "t=0 0".to_owned(),
        format!("a=group:BUNDLE {mid}"),
        "a=ice-lite".to_owned(),
        format!("m=application {port} UDP/DTLS/SCTP webrtc-datachannel"),
        format!("c=IN {family} {ip}"),
        format!("a=mid:{mid}"),
        "a=ice-options:ice2".to_owned(),
        format!("a=ice-ufrag:{ufrag}"),
        format!("a=ice-pwd:{ufrag}"),
        format!("a=fingerprint:sha-256 {fingerprint}"),
        // Who dials begins with DTLS.
        "a=setup:passive".to_owned(),
        "a=sctp-port:5000".to_owned(),
        format!("a=max-message-size:{MAX_FRAME}"),
        format!("a=candidate:1 1 UDP 1 {ip} {port} typ host"),
        "a=end-of-candidates".to_owned(),
        String::new(),
    ];
    lines.join("\r\n")
}

/// The hash of the certificate in a description.
pub(super) fn fingerprint_in(description: &str) -> Option<Fingerprint> {
    Fingerprint::parse(value_of("a=fingerprint:sha-256 ", description)?)
}

/// ICE's password in a description.
pub(super) fn password_in(description: &str) -> Option<&str> {
    value_of("a=ice-pwd:", description)
}

fn value_of<'a>(key: &str, description: &'a str) -> Option<&'a str> {
    let mut values = description
        .lines()
        .filter_map(|line| line.strip_prefix(key));
    values.next().map(str::trim)
}

#[cfg(test)]
mod tests;
