use str0m::ice::{StunMessage, TransId};

use super::*;

const ONE: LinkId = LinkId(1);
const OTHER: LinkId = LinkId(2);

fn hash(_: &[u8], _: &[&[u8]]) -> [u8; 20] {
    [0; 20]
}

fn address(port: u16) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 7], port))
}

/// A question to the connection of this user.
fn request(user: &str) -> Vec<u8> {
    let user = format!("{user}:them");
    let message = StunMessage::binding_request(&user, TransId::new(), true, 1, 1, false);
    bytes(message)
}

fn number_of(request: &[u8]) -> Transaction {
    match Kind::of(request) {
        Kind::Request(number) => number,
        other => panic!("{other:?}"),
    }
}

fn answer_to(request: &[u8]) -> Vec<u8> {
    let number = StunMessage::parse(request).expect("a message").trans_id();
    bytes(StunMessage::binding_reply(number, address(1)))
}

fn bytes(message: StunMessage<'_>) -> Vec<u8> {
    let mut bytes = vec![0; 256];
    let len = message.to_bytes(Some(b"password"), &mut bytes, hash);
    bytes.truncate(len.expect("room"));
    bytes
}

/// What DTLS looks like.
const DTLS: &[u8] = &[
    22, 254, 253, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
];

fn two() -> Routes {
    let mut routes = Routes::default();
    routes.add(ONE, "one".into());
    routes.add(OTHER, "other".into());
    routes
}

#[test]
fn a_question_goes_to_the_connection_that_it_names() {
    let mut routes = two();
    assert_eq!(routes.find(address(1), &request("one")), Some(ONE));
    assert_eq!(routes.find(address(2), &request("other")), Some(OTHER));
    assert_eq!(routes.find(address(3), &request("nobody")), None);
    assert_eq!(routes.find(address(3), &request("")), None);
}

#[test]
fn an_answer_goes_to_whoever_asked() {
    let mut routes = two();
    let question = request("them");
    assert_eq!(routes.find(address(1), &answer_to(&question)), None);
    routes.asked(OTHER, number_of(&question));
    assert_eq!(routes.find(address(1), &answer_to(&question)), Some(OTHER));
}

#[test]
fn an_address_stays_with_the_first_that_it_belongs_to() {
    let mut routes = two();
    assert_eq!(routes.find(address(1), DTLS), None);
    routes.find(address(1), &request("one"));
    assert_eq!(routes.find(address(1), DTLS), Some(ONE));
    // Somebody whose connection we have, too, pretends to be there.
    assert_eq!(routes.find(address(1), &request("other")), None);
    routes.claim(OTHER, address(1));
    assert_eq!(routes.find(address(1), DTLS), Some(ONE));
    routes.remove(ONE);
    routes.claim(OTHER, address(1));
    assert_eq!(routes.find(address(1), DTLS), Some(OTHER));
}

#[test]
fn what_has_ended_leaves_nothing_behind() {
    let mut routes = two();
    let question = request("them");
    routes.asked(ONE, number_of(&question));
    routes.claim(ONE, address(1));
    routes.remove(ONE);
    routes.remove(OTHER);
    assert_eq!(routes.find(address(1), DTLS), None);
    assert_eq!(routes.find(address(1), &answer_to(&question)), None);
    let empty = [
        routes.users.len(),
        routes.sources.len(),
        routes.questions.len(),
    ];
    assert_eq!((empty, routes.oldest.len()), ([0; 3], 0));
}

#[test]
fn nobody_fills_the_tables() {
    let mut routes = two();
    for port in 0..10_000 {
        routes.find(address(port), &request("one"));
        routes.asked(ONE, number_of(&request("them")));
    }
    assert_eq!(routes.sources.len(), MAX_SOURCES);
    assert_eq!(routes.questions.len(), MAX_QUESTIONS);
    assert_eq!(routes.oldest.len(), MAX_QUESTIONS);
    // He does not have us ask whether paths to many others work.
    assert_eq!(routes.find(address(9_999), &request("one")), None);
    // Others are as well off as before.
    routes.find(address(20_000), &request("other"));
    assert_eq!(routes.find(address(20_000), DTLS), Some(OTHER));
}

#[test]
fn packets_of_every_length_are_looked_at() {
    let whole = request("one");
    for packet in [&whole[..], &answer_to(&whole), DTLS] {
        for len in 0..packet.len() {
            two().find(address(1), &packet[..len]);
        }
    }
}
