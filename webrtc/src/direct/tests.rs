use std::pin::pin;

use futures::{AsyncReadExt, AsyncWriteExt, future::join};
use libp2p::{Transport as _, core::StreamMuxer};

use super::*;
use crate::{
    muxer::Stream,
    platform::native::{Certificate, Connection as NativeConnection, Native},
};

type Made = (PeerId, Connection<NativeConnection>);

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// A listener on this machine, and where it is.
struct Host {
    transport: ListeningTransport<Native>,
    listener: ListenerId,
    key: Keypair,
    target: Target,
}

impl Host {
    async fn new() -> Self {
        let key = Keypair::generate_ed25519();
        let certificate = Certificate::of_host(&key).expect("a certificate");
        let fingerprint = certificate.fingerprint();
        let backend = Native::new().with_certificate(certificate);
        let mut transport = ListeningTransport::new(&key, backend);
        let at = "/ip4/127.0.0.1/udp/0/webrtc-direct"
            .parse()
            .expect("an address");
        let listener = ListenerId::next();
        transport.listen_on(listener, at).expect("a socket");
        let event = poll_fn(|cx| Pin::new(&mut transport).poll(cx)).await;
        let Some(address) = event.into_new_address() else {
            panic!("an address");
        };
        let target = Target::of(&address).expect("an address to dial");
        assert_eq!(target.fingerprint, fingerprint);
        Self {
            transport,
            listener,
            key,
            target,
        }
    }

    /// The next one who comes, and is who he says.
    async fn accept(&mut self) -> Made {
        loop {
            let event = poll_fn(|cx| Pin::new(&mut self.transport).poll(cx)).await;
            if let Some((upgrade, _)) = event.into_incoming() {
                return upgrade.await.expect("a connection");
            }
        }
    }
}

/// Drives both until the first stream of the one has passed a text, and the other has said it again.
async fn talk(
    dialled: &mut Connection<NativeConnection>,
    accepted: &mut Connection<NativeConnection>,
) {
    let text = b"as good as any other connection";
    let here = async {
        let mut stream = open(dialled).await;
        let said = async {
            stream.write_all(text).await.expect("a stream");
            stream.close().await.expect("a stream");
            let mut said = Vec::new();
            stream.read_to_end(&mut said).await.expect("a stream");
            said
        };
        driven(dialled, said).await
    };
    let there = async {
        let mut stream = poll_fn(|cx| poll_inbound(accepted, cx)).await;
        let said = async {
            let mut said = Vec::new();
            stream.read_to_end(&mut said).await.expect("a stream");
            stream.write_all(&said).await.expect("a stream");
            stream.close().await.expect("a stream");
        };
        driven(accepted, said).await;
        accepted
    };
    let there = async {
        let accepted = there.await;
        poll_fn::<(), _>(|cx| Pin::new(&mut *accepted).poll(cx).map(|_| ())).await;
    };
    let (here, there) = (pin!(here), pin!(there));
    match select(here, there).await {
        Either::Left((said, _)) => assert_eq!(said, text),
        Either::Right(_) => panic!("the connection ended"),
    }
}

async fn open(connection: &mut Connection<NativeConnection>) -> Stream<NativeConnection> {
    poll_fn(|cx| Pin::new(&mut *connection).poll_outbound(cx))
        .await
        .expect("a stream")
}

fn poll_inbound(
    connection: &mut Connection<NativeConnection>,
    cx: &mut Context<'_>,
) -> Poll<Stream<NativeConnection>> {
    let _ = Pin::new(&mut *connection)
        .poll(cx)
        .map(|end| end.expect("a connection"));
    Pin::new(connection)
        .poll_inbound(cx)
        .map(|stream| stream.expect("a stream"))
}

async fn driven<T>(
    connection: &mut Connection<NativeConnection>,
    steps: impl Future<Output = T>,
) -> T {
    let mut steps = pin!(steps);
    poll_fn(|cx| {
        let _ = Pin::new(&mut *connection).poll(cx);
        steps.as_mut().poll(cx)
    })
    .await
}

async fn in_patience<T>(steps: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, steps)
        .await
        .expect("in time")
}

#[tokio::test]
async fn both_versions_lead_to_a_connection_with_the_host() {
    in_patience(async {
        let user = format!("{VERSION_1}{}", "a".repeat(32));
        for ufrag in [None, Some(user)] {
            let mut host = Host::new().await;
            let key = Keypair::generate_ed25519();
            let backend = Native::new().open().expect("sockets");
            let dial = dial(backend, host.target, key.clone(), ufrag);
            let dial = async { dial.await.expect("a connection") };
            let (dialled, accepted) = join(dial, host.accept()).await;
            let (peer, mut dialled) = dialled;
            assert_eq!(peer, host.key.public().to_peer_id());
            let (peer, mut accepted) = accepted;
            assert_eq!(peer, key.public().to_peer_id());
            talk(&mut dialled, &mut accepted).await;
        }
    })
    .await;
}

#[tokio::test]
async fn another_certificate_than_the_address_names_is_no_connection() {
    in_patience(async {
        let host = Host::new().await;
        let mut target = host.target;
        target.fingerprint = Certificate::random().expect("one").fingerprint();
        let mut transport = host.transport;
        let accept = poll_fn(|cx| {
            // Whoever comes is let in as far as he gets.
            while let Poll::Ready(event) = Pin::new(&mut transport).poll(cx) {
                if let Some((upgrade, _)) = event.into_incoming() {
                    tokio::spawn(upgrade);
                }
            }
            Poll::<()>::Pending
        });
        let backend = Native::new().open().expect("sockets");
        let dial = in_time(dial(backend, target, Keypair::generate_ed25519(), None));
        match select(pin!(dial), pin!(accept)).await {
            Either::Left((result, _)) => assert!(result.is_err(), "{result:?}"),
            Either::Right(_) => unreachable!("it goes on for ever"),
        }
    })
    .await;
}

#[tokio::test]
async fn a_port_that_is_taken_is_an_error_and_a_foreign_address_is_refused() {
    let host = Host::new().await;
    let mut transport = ListeningTransport::new(&host.key, Native::new());
    let taken = format!(
        "/ip4/127.0.0.1/udp/{}/webrtc-direct",
        host.target.socket.port()
    );
    let result = transport.listen_on(ListenerId::next(), taken.parse().expect("an address"));
    assert!(
        matches!(result, Err(TransportError::Other(_))),
        "{result:?}"
    );
    for foreign in [
        "/ip4/127.0.0.1/udp/0/quic-v1",
        "/ip4/127.0.0.1/tcp/0",
        "/memory/1",
    ] {
        let result = transport.listen_on(ListenerId::next(), foreign.parse().expect("an address"));
        let refused = matches!(result, Err(TransportError::MultiaddrNotSupported(_)));
        assert!(refused, "{foreign}: {result:?}");
    }
}

#[tokio::test]
async fn a_listener_that_is_removed_says_so_and_frees_its_port() {
    in_patience(async {
        let mut host = Host::new().await;
        let id = host.listener;
        assert!(host.transport.remove_listener(id));
        assert!(!host.transport.remove_listener(id));
        let event = poll_fn(|cx| Pin::new(&mut host.transport).poll(cx)).await;
        assert!(
            matches!(event, TransportEvent::ListenerClosed { listener_id, .. } if listener_id == id)
        );
        while tokio::net::UdpSocket::bind(host.target.socket)
            .await
            .is_err()
        {
            tokio::task::yield_now().await;
        }
    })
    .await;
}
