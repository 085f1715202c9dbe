use super::*;

const CERTHASH: &str = "uEiDikp5KVUgkLta1EjUN-IKbHk-dUBg8VzKgf5nXxLK46w";
const PEER: &str = "12D3KooWPjceQrSwdWXPyLLeABRXmuqt69Rg3sBYbU1Nft9HyQ6X";

fn target(text: &str) -> Option<Target> {
    Target::of(&text.parse().expect("an address"))
}

#[test]
fn an_address_names_a_socket_and_a_certificate() {
    for (ip, end) in [
        ("/ip4/192.0.2.7", ""),
        ("/ip6/2001:db8::7", &*format!("/p2p/{PEER}")),
    ] {
        let target = target(&format!(
            "{ip}/udp/9/webrtc-direct/certhash/{CERTHASH}{end}"
        ));
        let target = target.expect("it is one");
        assert_eq!(target.socket.port(), 9);
        assert!(ip.ends_with(&target.socket.ip().to_string()));
        let text = target.fingerprint.to_text();
        assert_eq!(text.len(), 3 * HASH_BYTES - 1);
        assert!(text.starts_with("E2:92:9E:4A:55:48:24:2E:"), "{text}");
        assert_eq!(Fingerprint::parse(&text), Some(target.fingerprint));
        assert_eq!(
            Fingerprint::parse(&text.to_lowercase()),
            Some(target.fingerprint)
        );
        assert_eq!(&target.fingerprint.bytes()[..4], [0x12, 0x20, 0xe2, 0x92]);
    }
}

#[test]
fn others_are_not_dialled() {
    for other in [
        "/ip4/192.0.2.7/udp/9/webrtc-direct".to_owned(),
        format!("/ip4/192.0.2.7/udp/9/quic-v1/certhash/{CERTHASH}"),
        format!("/ip4/192.0.2.7/tcp/9/webrtc-direct/certhash/{CERTHASH}"),
        format!("/dns4/a.example/udp/9/webrtc-direct/certhash/{CERTHASH}"),
        format!("/ip4/192.0.2.7/udp/9/webrtc-direct/certhash/{CERTHASH}/p2p/{PEER}/p2p-circuit"),
        format!("/ip4/192.0.2.7/udp/9/webrtc-direct/certhash/{CERTHASH}/certhash/{CERTHASH}"),
        // Of SHA2-512, in 32 bytes.
        "/ip4/192.0.2.7/udp/9/webrtc-direct/certhash/uEyDikp5KVUgkLta1EjUN-IKbHk-dUBg8VzKgf5nXxLK46w".to_owned(),
    ] {
        assert_eq!(target(&other), None, "{other}");
    }
}

#[test]
fn what_is_no_fingerprint_is_not_taken_for_one() {
    let good = ["E2"; HASH_BYTES].join(":");
    assert!(Fingerprint::parse(&good).is_some());
    for bad in [
        "",
        "E2",
        &good[3..],
        &format!("{good}:E2"),
        &good.replace("E2", "X2"),
        &good.replace(':', " "),
    ] {
        assert_eq!(Fingerprint::parse(bad), None, "{bad}");
    }
}
