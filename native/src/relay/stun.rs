//! A STUN server (RFC 8489, <https://www.rfc-editor.org/rfc/rfc8489>): answers a binding request with
//! the address that it came from, and nothing else.
//!
//! An answer is at most 24 bytes longer than its request (32 to 44 bytes for the 20 of an empty one), so
//! that it is of no use to those who forge source addresses. Nothing is kept between packets.

use std::{io, net::SocketAddr, time::Duration};

use prometheus_client::metrics::counter::Counter;
use stun::{
    message::{BINDING_REQUEST, BINDING_SUCCESS, Message},
    xoraddr::XorMappedAddress,
};
use tokio::net::UdpSocket;

/// The longest datagram that is read: a longer one is cut, and then is no STUN message. Binding requests
/// have some 100 bytes.
const MAX_REQUEST_BYTES: usize = 1_500;
/// The pause after an error that no packet caused, such as a missing interface.
const RETRY_AFTER: Duration = Duration::from_millis(100);

/// Answers the binding requests that come to a socket, until it is dropped, and counts the answers.
pub(crate) async fn serve(socket: UdpSocket, answers: Counter) {
    let mut buffer = [0; MAX_REQUEST_BYTES];
    loop {
        let (length, from) = match socket.recv_from(&mut buffer).await {
            Ok(received) => received,
            Err(e) => {
                pause_after(&e).await;
                continue;
            }
        };
        let Some(answer) = answer(&buffer[..length], from) else {
            continue;
        };
        match socket.try_send_to(&answer, from) {
            Ok(_) => drop(answers.inc()),
            // A full send buffer included: the client asks again.
            Err(error) => tracing::debug!(%from, %error, "STUN answer not sent"),
        }
    }
}

/// Returns the answer to a datagram, if that is a binding request.
fn answer(datagram: &[u8], from: SocketAddr) -> Option<Vec<u8>> {
    let mut request = Message::new();
    request.unmarshal_binary(datagram).ok()?;
    if request.typ != BINDING_REQUEST {
        return None;
    }
    let mut response = Message::new();
    let address = XorMappedAddress {
        ip: from.ip().to_canonical(),
        port: from.port(),
    };
    response
        .build(&[
            Box::new(BINDING_SUCCESS),
            Box::new(request.transaction_id),
            Box::new(address),
        ])
        .ok()?;
    Some(response.raw)
}

async fn pause_after(error: &io::Error) {
    tracing::debug!(%error, "STUN socket");
    // Some systems report an ICMP answer to an earlier packet here, which is no reason to wait.
    if error.kind() != io::ErrorKind::ConnectionReset {
        tokio::time::sleep(RETRY_AFTER).await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use stun::{agent::TransactionId, client::ClientBuilder, message::BINDING_ERROR};
    use tokio::sync::mpsc;

    use super::*;

    fn request() -> Message {
        let mut message = Message::new();
        message
            .build(&[Box::new(BINDING_REQUEST), Box::<TransactionId>::default()])
            .unwrap();
        message
    }

    #[test]
    fn names_the_source_of_a_binding_request() {
        for from in ["192.0.2.9:4711", "[2001:db8::9]:4711"] {
            let from: SocketAddr = from.parse().unwrap();
            let request = request();
            let mut response = Message::new();
            response
                .unmarshal_binary(&answer(&request.raw, from).unwrap())
                .unwrap();
            assert_eq!(response.typ, BINDING_SUCCESS);
            assert_eq!(response.transaction_id, request.transaction_id);
            let mut address = XorMappedAddress::default();
            address
                .get_from_as(&response, stun::attributes::ATTR_XORMAPPED_ADDRESS)
                .unwrap();
            assert_eq!(SocketAddr::new(address.ip, address.port), from);
        }
    }

    #[test]
    fn is_silent_to_everything_else() {
        let from: SocketAddr = "192.0.2.9:4711".parse().unwrap();
        let good = request().raw;
        assert_eq!(answer(b"", from), None);
        assert_eq!(answer(b"hello, is there anybody out there?", from), None);
        assert_eq!(answer(&good[..19], from), None);
        for typ in [BINDING_SUCCESS, BINDING_ERROR] {
            let mut message = Message::new();
            message
                .build(&[Box::new(typ), Box::<TransactionId>::default()])
                .unwrap();
            assert_eq!(answer(&message.raw, from), None);
        }
        // A length that the datagram does not have.
        let mut lying = good;
        lying[3] = 200;
        assert_eq!(answer(&lying, from), None);
    }

    #[test]
    fn no_datagram_makes_it_panic_or_amplify() {
        let from: SocketAddr = "[2001:db8::9]:4711".parse().unwrap();
        let shortest = request().raw;
        let mut with_attribute = shortest.clone();
        with_attribute.extend([0x80, 0x22, 0, 4, 1, 2, 3, 4]);
        with_attribute[3] = 8;
        for bytes in [shortest, with_attribute] {
            let mut answers = 0;
            for position in 0..bytes.len() {
                for value in 0..=u8::MAX {
                    let mut changed = bytes.clone();
                    changed[position] = value;
                    if let Some(answer) = answer(&changed, from) {
                        assert!(answer.len() <= changed.len() + 24);
                        answers += 1;
                    }
                }
            }
            assert!(answers > 0, "of {} bytes", bytes.len());
        }
    }

    #[tokio::test]
    async fn the_clients_own_library_understands_it() {
        let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = server.local_addr().unwrap();
        let count = Counter::default();
        let task = tokio::spawn(serve(server, count.clone()));
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        socket.connect(address).await.unwrap();
        let own = socket.local_addr().unwrap();
        let (answers_tx, mut answers) = mpsc::channel(1);
        let mut client = ClientBuilder::new()
            .with_conn(Arc::new(socket))
            .build()
            .unwrap();
        let (events_tx, mut events) = {
            #[expect(clippy::disallowed_methods, reason = "the client's own signature")]
            mpsc::unbounded_channel()
        };
        client
            .send(&request(), Some(Arc::new(events_tx)))
            .await
            .unwrap();
        let event = events.recv().await.unwrap();
        let mut seen = XorMappedAddress::default();
        let response = event.event_body.unwrap();
        seen.get_from_as(&response, stun::attributes::ATTR_XORMAPPED_ADDRESS)
            .unwrap();
        answers_tx.send((seen.ip, seen.port)).await.unwrap();
        assert_eq!(answers.recv().await, Some((own.ip(), own.port())));
        assert_eq!(count.get(), 1);
        client.close().await.unwrap();
        task.abort();
    }
}
