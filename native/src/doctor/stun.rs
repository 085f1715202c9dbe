//! A STUN client (RFC 8489) that asks several servers from one socket which address they see.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use stun::{
    agent::TransactionId,
    attributes::ATTR_XORMAPPED_ADDRESS,
    message::{BINDING_REQUEST, BINDING_SUCCESS, Message},
    xoraddr::XorMappedAddress,
};
use tokio::{
    net::UdpSocket,
    time::{self, Instant},
};

use super::observations::Mapping;

/// How long answers may take, lost packets included.
const TIMEOUT: Duration = Duration::from_secs(3);
/// The pause before a request without an answer is sent again.
const ASK_AGAIN: Duration = Duration::from_millis(250);
/// The longest answer; a longer one is cut off and then ignored.
const MAX_ANSWER_BYTES: usize = 1_500;

/// Asks these servers, which are of one IP family. A server without an answer in time is missing from the result.
pub(crate) async fn ask(servers: Vec<SocketAddr>) -> Vec<Mapping> {
    let mut seen = Vec::new();
    if let Some(first) = servers.first()
        && let Err(error) = ask_all(*first, &servers, &mut seen).await
    {
        tracing::debug!(%error, "STUN");
    }
    seen
}

async fn ask_all(
    first: SocketAddr,
    servers: &[SocketAddr],
    seen: &mut Vec<Mapping>,
) -> io::Result<()> {
    let socket = UdpSocket::bind(SocketAddr::new(unspecified(first), 0)).await?;
    let port = socket.local_addr()?.port();
    let mut open: Vec<(SocketAddr, Message)> =
        servers.iter().map(|s| (*s, binding_request())).collect();
    let end = Instant::now() + TIMEOUT;
    let mut buffer = [0; MAX_ANSWER_BYTES];
    while !open.is_empty() && Instant::now() < end {
        for (server, request) in &open {
            // No route to one of them says nothing about the others.
            if let Err(error) = socket.send_to(&request.raw, server).await {
                tracing::debug!(%server, %error, "STUN");
            }
        }
        let again = end.min(Instant::now() + ASK_AGAIN);
        while !open.is_empty()
            && Instant::now() < again
            && let Ok(received) = time::timeout_at(again, socket.recv_from(&mut buffer)).await
        {
            // Some systems report here that nothing listens at a server.
            let Ok((length, from)) = received else {
                continue;
            };
            let Some(n) = open.iter().position(|(server, _)| *server == from) else {
                continue;
            };
            if let Some(outside) = answer(&buffer[..length], &open[n].1) {
                let own = own_address(from).unwrap_or_else(|| unspecified(from));
                seen.push(Mapping {
                    server: from,
                    local: SocketAddr::new(own, port),
                    outside,
                });
                open.swap_remove(n);
            }
        }
    }
    tracing::debug!(silent = ?open.iter().map(|o| o.0).collect::<Vec<_>>(), "STUN is done");
    Ok(())
}

fn binding_request() -> Message {
    let mut message = Message::new();
    // An error would be one of an attribute, and there is none. The id must be random, unlike
    // `TransactionId::default()`, so that nobody else can forge an answer.
    let _ = message.build(&[Box::new(TransactionId::new()), Box::new(BINDING_REQUEST)]);
    message
}

/// The address in an answer, if it belongs to this request.
fn answer(datagram: &[u8], request: &Message) -> Option<SocketAddr> {
    let mut message = Message::new();
    message.unmarshal_binary(datagram).ok()?;
    if message.typ != BINDING_SUCCESS || message.transaction_id != request.transaction_id {
        return None;
    }
    let mut address = XorMappedAddress::default();
    address.get_from_as(&message, ATTR_XORMAPPED_ADDRESS).ok()?;
    Some(SocketAddr::new(address.ip.to_canonical(), address.port))
}

/// The own address that packets to another machine have. No packet is sent: the system's routes decide.
pub(crate) fn own_address(to: SocketAddr) -> Option<IpAddr> {
    let socket = std::net::UdpSocket::bind(SocketAddr::new(unspecified(to), 0)).ok()?;
    socket.connect(to).ok()?;
    let own = socket.local_addr().ok()?.ip();
    (!own.is_unspecified()).then_some(own)
}

fn unspecified(like: SocketAddr) -> IpAddr {
    match like {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    }
}

#[cfg(test)]
mod tests {
    use stun::message::BINDING_ERROR;

    use super::*;

    /// A server that answers each request with what `answer` makes of it.
    async fn server(
        answer: impl Fn(&Message, SocketAddr) -> Vec<Vec<u8>> + Send + 'static,
    ) -> SocketAddr {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        tokio::spawn(async move {
            let mut buffer = [0; MAX_ANSWER_BYTES];
            loop {
                let (length, from) = socket.recv_from(&mut buffer).await.unwrap();
                let mut request = Message::new();
                request.unmarshal_binary(&buffer[..length]).unwrap();
                for answer in answer(&request, from) {
                    socket.send_to(&answer, from).await.unwrap();
                }
            }
        });
        address
    }

    fn success(request: &Message, seen: SocketAddr) -> Vec<u8> {
        let mut message = Message::new();
        message
            .build(&[
                Box::new(BINDING_SUCCESS),
                Box::new(request.transaction_id),
                Box::new(XorMappedAddress {
                    ip: seen.ip(),
                    port: seen.port(),
                }),
            ])
            .unwrap();
        message.raw
    }

    #[tokio::test]
    async fn all_see_the_same_socket() {
        let plain = |request: &Message, from: SocketAddr| vec![success(request, from)];
        let servers = vec![server(plain).await, server(plain).await];
        let seen = ask(servers.clone()).await;
        assert_eq!(seen.len(), 2);
        for mapped in &seen {
            assert!(servers.contains(&mapped.server));
            assert_eq!(mapped.local, mapped.outside);
            assert_eq!(mapped.outside, seen[0].outside);
        }
    }

    #[tokio::test]
    async fn what_is_no_answer_is_passed_over() {
        let lies = |request: &Message, from: SocketAddr| {
            let mut error = Message::new();
            error
                .build(&[Box::new(BINDING_ERROR), Box::new(request.transaction_id)])
                .unwrap();
            let mut empty = Message::new();
            empty
                .build(&[Box::new(BINDING_SUCCESS), Box::new(request.transaction_id)])
                .unwrap();
            let elsewhere = "192.0.2.1:1".parse().unwrap();
            let truth = success(request, from);
            let cut = truth[..truth.len() - 1].to_vec();
            vec![
                b"no STUN".to_vec(),
                error.raw,
                empty.raw,
                success(&binding_request(), elsewhere),
                cut,
                truth,
            ]
        };
        let seen = ask(vec![server(lies).await]).await;
        assert_eq!(seen.len(), 1);
        assert_eq!(seen[0].outside, seen[0].local);
    }

    #[tokio::test]
    async fn a_silent_server_is_missing() {
        let plain = |request: &Message, from: SocketAddr| vec![success(request, from)];
        let silent = server(|_, _| Vec::new()).await;
        let answering = server(plain).await;
        let seen = ask(vec![silent, answering]).await;
        let servers: Vec<_> = seen.iter().map(|m| m.server).collect();
        assert_eq!(servers, [answering]);
        assert!(ask(Vec::new()).await.is_empty());
    }
}
