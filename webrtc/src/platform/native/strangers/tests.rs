use str0m::ice::TransId;

use super::*;
use crate::platform::native::connection::crypto;

fn hmac(key: &[u8], parts: &[&[u8]]) -> [u8; 20] {
    crypto().sha1_hmac_provider.sha1_hmac(key, parts)
}

fn address(n: u32) -> SocketAddr {
    let [_, a, b, c] = n.to_be_bytes();
    SocketAddr::from(([10, a, b, c], 4_242))
}

const CLIENT: &str = "abcd";

fn server(n: u32) -> String {
    format!("libp2p+webrtc+v2/abcdefghijklmnop{n:08}")
}

/// A question to this user, made with this password.
fn request(server: &str, password: &str) -> Vec<u8> {
    let user = format!("{server}:{CLIENT}");
    let message = StunMessage::binding_request(&user, TransId::new(), true, 1, 1, true);
    let mut bytes = vec![0; 512];
    let len = message.to_bytes(Some(password.as_bytes()), &mut bytes, hmac);
    bytes.truncate(len.expect("room"));
    bytes
}

const HELLO: &[u8] = &[22, 254, 253, 0, 0, 0, 0];

#[test]
fn a_question_is_answered_and_a_handshake_begins_a_connection() {
    let mut strangers = Strangers::default();
    let user = server(1);
    let question = request(&user, &user);
    let Verdict::Reply(reply) = strangers.on_packet(address(1), &question, &hmac) else {
        panic!("an answer");
    };
    let reply = StunMessage::parse(&reply).expect("a message");
    assert!(reply.is_successful_binding_response());
    assert!(reply.verify(user.as_bytes(), hmac));
    assert_eq!(reply.mapped_address(), Some(address(1)));
    // Only from there, and only once.
    assert_eq!(
        strangers.on_packet(address(2), HELLO, &hmac),
        Verdict::Ignore
    );
    let Verdict::Admit(stranger) = strangers.on_packet(address(1), HELLO, &hmac) else {
        panic!("a connection");
    };
    assert_eq!(stranger.credentials.server, user);
    assert_eq!(stranger.credentials.client, CLIENT);
    assert_eq!(stranger.request, question);
    assert_eq!(
        strangers.on_packet(address(1), HELLO, &hmac),
        Verdict::Ignore
    );
}

#[test]
fn what_is_no_question_of_ours_is_not_answered() {
    let mut strangers = Strangers::default();
    let user = server(1);
    let good = request(&user, &user);
    let mut changed = good.clone();
    *changed.last_mut().expect("bytes") ^= 1;
    for packet in [
        request(&user, "another password, long enough"),
        request("somebody", "somebody"),
        request(
            "libp2p+webrtc+v3/abcdefghijklmnopqrstuvwx",
            "libp2p+webrtc+v3/abcdefghijklmnopqrstuvwx",
        ),
        good[..good.len() - 30].to_vec(),
        [&good[..], &[0; MAX_REQUEST]].concat(),
        vec![],
        vec![0; 20],
        vec![255; 1_500],
        HELLO.to_vec(),
    ] {
        let verdict = strangers.on_packet(address(1), &packet, &hmac);
        assert_eq!(verdict, Verdict::Ignore, "{packet:?}");
    }
    assert!(strangers.known.is_empty());
}

#[test]
fn ten_thousand_leave_no_more_than_a_thousand() {
    let mut strangers = Strangers::default();
    for n in 0..10_000 {
        let user = server(n);
        strangers.on_packet(address(n), &request(&user, &user), &hmac);
    }
    assert_eq!(strangers.known.len(), MAX_STRANGERS);
    assert_eq!(strangers.oldest.len(), MAX_STRANGERS);
    // The newest can come in, the oldest has to knock again.
    assert_eq!(
        strangers.on_packet(address(0), HELLO, &hmac),
        Verdict::Ignore
    );
    let newest = strangers.on_packet(address(9_999), HELLO, &hmac);
    assert!(matches!(newest, Verdict::Admit(_)), "{newest:?}");
}
