//! Against a real server it is tested in the NAT lab.

use std::{net::UdpSocket as StdSocket, task::Waker};

use proptest::{collection::vec, prelude::*};
use tokio::runtime::Builder;
use turn_client_proto::types::{message::ALLOCATE, stun::message::Message};

use super::*;

const PEER: &str = "203.0.113.9:4242";

fn server() -> (StdSocket, Server) {
    let socket = StdSocket::bind("127.0.0.1:0").expect("a socket");
    let patience = Some(Duration::from_secs(60));
    socket.set_read_timeout(patience).expect("a timeout");
    let server = Server {
        address: socket.local_addr().expect("an address"),
        user: "somebody".into(),
        password: "secret".into(),
    };
    (socket, server)
}

fn peer() -> SocketAddr {
    PEER.parse().expect("an address")
}

/// What it is given at once, as if it had come from the server.
fn poll(turn: &mut Turn) -> Poll<Progress> {
    turn.poll(&mut Context::from_waker(Waker::noop()), Instant::now())
}

#[tokio::test]
async fn an_address_is_asked_for_at_once_and_again() {
    let (socket, server) = server();
    let start = Instant::now();
    let mut turn = Turn::ask(&server, start).expect("a socket");
    let (question, from) = asked(&socket);
    assert_eq!(from.port(), turn.client.local_addr().port());
    let again = turn.next(start).expect("a time");
    assert!(again > start, "{:?}", again - start);
    assert!(
        turn.poll(&mut Context::from_waker(Waker::noop()), again)
            .is_pending()
    );
    assert_eq!(asked(&socket).0, question);
}

/// The next packet that came to a server: the number of a question for an address, and who asks.
fn asked(socket: &StdSocket) -> (u128, SocketAddr) {
    let mut packet = [0; MAX_PACKET];
    let (len, from) = socket.recv_from(&mut packet).expect("a question");
    let message = Message::from_bytes(&packet[..len]).expect("STUN");
    assert_eq!(message.method(), ALLOCATE);
    (message.transaction_id().into(), from)
}

#[tokio::test]
async fn it_sends_nothing_from_addresses_that_are_not_its_own() {
    let (_socket, server) = server();
    let mut turn = Turn::ask(&server, Instant::now()).expect("a socket");
    let ours = turn.client.local_addr();
    assert!(!turn.send(ours, peer(), b"not by the server"));
    assert!(turn.asked.is_empty());
    assert!(
        !format!("{turn:?}").contains("secret"),
        "a password is not shown"
    );
}

#[tokio::test]
async fn it_asks_for_no_more_permissions_than_it_may() {
    let (_socket, server) = server();
    let mut turn = Turn::ask(&server, Instant::now()).expect("a socket");
    turn.relayed = Some(peer());
    for ip in 0..=u8::MAX {
        let to = SocketAddr::from(([198, 51, 100, ip], 1));
        assert!(turn.send(peer(), to, b"data"));
    }
    assert_eq!(
        (turn.asked.len(), turn.channels.len()),
        (MAX_PERMISSIONS, MAX_CHANNELS)
    );
}

proptest! {
    /// Random bytes, and random bytes behind a header of STUN or of a channel.
    #[test]
    fn whatever_a_server_sends_does_no_harm(
        mut bytes in vec(any::<u8>(), 0..200),
        kind in any::<Option<u16>>(),
        has_address in any::<bool>(),
    ) {
        if let (Some(kind), true) = (kind, bytes.len() >= 20) {
            let rest = u16::try_from(bytes.len() - 20).expect("short");
            bytes[..2].copy_from_slice(&(kind & 0x7fff).to_be_bytes());
            bytes[2..4].copy_from_slice(&rest.to_be_bytes());
            bytes[4..8].copy_from_slice(&[0x21, 0x12, 0xa4, 0x42]);
        }
        let runtime = Builder::new_current_thread().enable_io().build().expect("a runtime");
        runtime.block_on(async {
            let (_socket, server) = server();
            let mut turn = Turn::ask(&server, Instant::now()).expect("a socket");
            turn.relayed = has_address.then(peer);
            turn.on_packet(&bytes, Instant::now());
            assert!(poll(&mut turn).is_pending());
        });
    }
}
