use super::*;

fn parse(text: &str) -> Multiaddr {
    text.parse().expect("an address")
}

const R: &str = "/ip4/10.0.0.1/tcp/1/ws/p2p/12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN";
const B: &str = "12D3KooWPjceQrSwdWXPyLLeABRXmuqt69Rg3sBYbU1Nft9HyQ6X";

#[test]
fn a_signalled_address_names_the_peer_and_the_circuit() {
    let address = parse(&format!("{R}/p2p-circuit/webrtc/p2p/{B}"));
    let signalled = Signalled::of(&address).expect("it is one");
    assert_eq!(signalled.peer.to_string(), B);
    assert_eq!(
        signalled.circuit,
        parse(&format!("{R}/p2p-circuit/p2p/{B}"))
    );
}

#[test]
fn others_are_not_taken_for_one() {
    for other in [
        format!("{R}/p2p-circuit/p2p/{B}"),
        format!("{R}/p2p-circuit/webrtc"),
        format!("{R}/p2p-circuit/webrtc-direct/p2p/{B}"),
        format!("{R}/p2p-circuit/p2p/{B}/webrtc/p2p/{B}"),
        format!("/webrtc/p2p/{B}"),
        format!("/p2p/{B}"),
        R.to_owned(),
    ] {
        assert_eq!(Signalled::of(&parse(&other)), None, "{other}");
    }
}

#[test]
fn connections_beside_a_circuit_are_named_after_it() {
    let expected = parse(&format!("{R}/p2p-circuit/webrtc"));
    for circuit in [
        format!("{R}/p2p-circuit"),
        format!("{R}/p2p-circuit/p2p/{B}"),
    ] {
        assert_eq!(over(&parse(&circuit)), expected);
    }
}

#[test]
fn what_only_was_signalled_by_a_relay_is_no_circuit() {
    for circuit in [
        format!("{R}/p2p-circuit"),
        format!("{R}/p2p-circuit/p2p/{B}"),
    ] {
        assert!(is_circuit(&parse(&circuit)), "{circuit}");
    }
    for other in [
        R.to_owned(),
        format!("{R}/p2p-circuit/webrtc"),
        format!("{R}/p2p-circuit/webrtc/p2p/{B}"),
    ] {
        assert!(!is_circuit(&parse(&other)), "{other}");
    }
}
