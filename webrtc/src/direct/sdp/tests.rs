use super::*;

fn target(ip: &str) -> Target {
    let certhash = "uEiDikp5KVUgkLta1EjUN-IKbHk-dUBg8VzKgf5nXxLK46w";
    let address = format!("{ip}/udp/9/webrtc-direct/certhash/{certhash}");
    Target::of(&address.parse().expect("an address")).expect("it is one")
}

#[test]
fn the_answer_has_what_the_address_says() {
    let answer = answer("v=0\r\na=mid:x7\r\n", &target("/ip6/2001:db8::7"), "user");
    for line in [
        // As in the offer.
        "a=mid:x7",
        "a=group:BUNDLE x7",
        "c=IN IP6 2001:db8::7",
        "a=ice-ufrag:user",
        "a=ice-pwd:user",
        "a=setup:passive",
        "a=candidate:1 1 UDP 1 2001:db8::7 9 typ host",
    ] {
        assert!(answer.lines().any(|l| l == line), "{line} in {answer}");
    }
    let lines = answer.lines().count();
    assert_eq!(answer.matches("\r\n").count(), lines);
    assert_eq!(
        fingerprint_in(&answer),
        Some(target("/ip4/192.0.2.7").fingerprint)
    );
}

#[test]
fn a_password_is_found() {
    assert_eq!(password_in("v=0\r\na=ice-pwd:abc\r\n"), Some("abc"));
    assert_eq!(password_in("v=0\r\n"), None);
}

#[test]
fn a_description_without_a_fingerprint_has_none() {
    assert_eq!(fingerprint_in("v=0\r\na=fingerprint:sha-1 AA\r\n"), None);
    assert_eq!(fingerprint_in("a=fingerprint:sha-256 AA\r\n"), None);
}
