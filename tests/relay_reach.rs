//! The relay as an AutoNAT v2 server: it dials back an honest client, and a hostile one cannot misuse it.
//!
//! <https://github.com/libp2p/specs/blob/master/autonat/autonat-v2.md>

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod common;

use std::{io::ErrorKind, net::TcpListener};

use asynchronous_codec::Framed;
use futures::{SinkExt, StreamExt};
use libp2p::{
    Multiaddr, PeerId, Stream, StreamProtocol, Swarm, SwarmBuilder, noise,
    swarm::{NetworkBehaviour, SwarmEvent},
    tcp, yamux,
};
use libp2p_stream::OpenStreamError;
use prost_codec::Codec;
use tokio::{task::JoinHandle, time};

use common::{DEADLINE, Relay};

const NO_ARGS: &[&str] = &[];
const DIAL_REQUEST: StreamProtocol = StreamProtocol::new("/libp2p/autonat/2/dial-request");
/// The longest message.
const MAX_BYTES: usize = 8 * 1024;
/// The bytes that a server may ask for before it dials an address that the client is not seen at, by the specification.
const DIAL_DATA: std::ops::RangeInclusive<u64> = 30_000..=100_000;
const OK: i32 = 200;
const DIAL_ERROR: i32 = 100;
const DIAL_BACK_ERROR: i32 = 101;
/// Requests that are served at a time, by docs/operating.md.
const AT_A_TIME: usize = 8;
/// Requests of one client that are served in a minute, by docs/operating.md.
const A_MINUTE: usize = 20;

#[derive(Clone, PartialEq, prost::Message)]
struct Message {
    #[prost(oneof = "Kind", tags = "1, 2, 3, 4")]
    kind: Option<Kind>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum Kind {
    #[prost(message, tag = "1")]
    Request(Request),
    #[prost(message, tag = "2")]
    Response(Response),
    #[prost(message, tag = "3")]
    DataRequest(DataRequest),
    #[prost(message, tag = "4")]
    Data(Data),
}

#[derive(Clone, PartialEq, prost::Message)]
struct Request {
    #[prost(bytes = "vec", repeated, tag = "1")]
    addresses: Vec<Vec<u8>>,
    #[prost(fixed64, tag = "2")]
    nonce: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Response {
    #[prost(int32, tag = "1")]
    status: i32,
    #[prost(uint32, tag = "2")]
    index: u32,
    #[prost(int32, tag = "3")]
    dial_status: i32,
}

#[derive(Clone, PartialEq, prost::Message)]
struct DataRequest {
    #[prost(uint32, tag = "1")]
    index: u32,
    #[prost(uint64, tag = "2")]
    bytes: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Data {
    #[prost(bytes = "vec", tag = "1")]
    data: Vec<u8>,
}

#[derive(NetworkBehaviour)]
struct Behaviour {
    streams: libp2p_stream::Behaviour,
}

/// A peer whose requests a test writes byte by byte.
struct Client {
    streams: libp2p_stream::Control,
    relay: PeerId,
    /// The address that it listens on.
    address: Multiaddr,
    task: JoinHandle<()>,
}

impl Client {
    async fn connected_to(relay: &Relay) -> Self {
        let mut swarm = SwarmBuilder::with_new_identity()
            .with_tokio()
            .with_tcp(
                tcp::Config::default(),
                noise::Config::new,
                yamux::Config::default,
            )
            .unwrap()
            .with_behaviour(|_| Behaviour {
                streams: libp2p_stream::Behaviour::new(),
            })
            .unwrap()
            .with_swarm_config(|config| config.with_idle_connection_timeout(DEADLINE))
            .build();
        let any = "/ip4/127.0.0.1/tcp/0".parse().unwrap();
        swarm.listen_on(any).unwrap();
        let address = until(&mut swarm, "address", |event| match event {
            SwarmEvent::NewListenAddr { address, .. } => Some(address),
            _ => None,
        })
        .await;
        let to: Multiaddr = relay.local_address("tcp", "/p2p/").parse().unwrap();
        swarm.dial(to).unwrap();
        let relay = until(&mut swarm, "connection", |event| match event {
            SwarmEvent::ConnectionEstablished { peer_id, .. } => Some(peer_id),
            SwarmEvent::OutgoingConnectionError { error, .. } => panic!("{error}"),
            _ => None,
        })
        .await;
        let streams = swarm.behaviour().streams.new_control();
        let task = tokio::spawn(async move {
            loop {
                swarm.select_next_some().await;
            }
        });
        Self {
            streams,
            relay,
            address,
            task,
        }
    }

    /// Opens a stream for a request. libp2p-stream takes any connection, and those that the relay has dialled refuse
    /// requests, or are closed meanwhile, so it tries until it has the right one.
    async fn stream(&mut self) -> Stream {
        let opened = async {
            loop {
                match self.streams.open_stream(self.relay, DIAL_REQUEST).await {
                    Ok(stream) => return stream,
                    Err(OpenStreamError::UnsupportedProtocol(_) | OpenStreamError::Io(_)) => {}
                    Err(e) => panic!("{e}"),
                }
            }
        };
        within("stream", opened).await
    }

    /// Opens a stream, and sends a request on it.
    async fn request(&mut self, addresses: &[&Multiaddr]) -> Framed<Stream, Codec<Message>> {
        let mut framed = Framed::new(self.stream().await, Codec::<Message>::new(MAX_BYTES));
        let request = Kind::Request(Request {
            addresses: addresses.iter().map(|a| a.to_vec()).collect(),
            nonce: 7,
        });
        // The relay may have reset the stream already, which the next read shows.
        let _ = within("request", framed.send(message(request))).await;
        framed
    }

    /// Asks for a dial and sends the data that the relay wants for it. Returns whether it wanted any, and the status of
    /// the dial.
    async fn asks_for(&mut self, address: &Multiaddr) -> (bool, i32) {
        let mut framed = self.request(&[address]).await;
        let wanted = match next(&mut framed).await {
            Some(Kind::DataRequest(wanted)) => wanted,
            // An address at which the relay sees the client costs nobody else anything, so no data is wanted.
            Some(Kind::Response(response)) => return (false, dial_status(&response)),
            other => panic!("{other:?}"),
        };
        assert!(DIAL_DATA.contains(&wanted.bytes), "{wanted:?}");
        let mut left = usize::try_from(wanted.bytes).unwrap();
        while left > 0 {
            let data = vec![0; left.min(4_000)];
            left -= data.len();
            framed
                .send(message(Kind::Data(Data { data })))
                .await
                .unwrap();
        }
        match next(&mut framed).await {
            Some(Kind::Response(response)) => (true, dial_status(&response)),
            other => panic!("{other:?}"),
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn dial_status(response: &Response) -> i32 {
    assert_eq!(response.status, OK);
    response.dial_status
}

const fn message(kind: Kind) -> Message {
    Message { kind: Some(kind) }
}

async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    let done = time::timeout(DEADLINE, future).await;
    done.unwrap_or_else(|_| panic!("no {what} within {DEADLINE:?}"))
}

/// Runs a swarm until `wanted` returns something, and returns that.
async fn until<T>(
    swarm: &mut Swarm<Behaviour>,
    what: &str,
    wanted: impl Fn(SwarmEvent<BehaviourEvent>) -> Option<T>,
) -> T {
    let found = async {
        loop {
            if let Some(found) = wanted(swarm.select_next_some().await) {
                return found;
            }
        }
    };
    within(what, found).await
}

/// Reads the relay's next message; `None` at the end of the stream.
async fn next(framed: &mut Framed<Stream, Codec<Message>>) -> Option<Kind> {
    within("answer or end", framed.next()).await?.ok()?.kind
}

#[tokio::test]
async fn who_asks_is_dialled_and_nobody_else_is() {
    let relay = Relay::start(NO_ARGS);
    let mut client = Client::connected_to(&relay).await;
    // The client is there, but does not speak the protocol for dial-backs.
    let own = client.address.clone();
    assert_eq!(client.asks_for(&own).await, (false, DIAL_BACK_ERROR));

    let victim = TcpListener::bind(("127.0.0.2", 0)).unwrap();
    victim.set_nonblocking(true).unwrap();
    let port = victim.local_addr().unwrap().port();
    let third = format!("/ip4/127.0.0.2/tcp/{port}").parse().unwrap();
    assert_eq!(client.asks_for(&third).await, (true, DIAL_ERROR));
    let named = format!("/dns4/localhost/tcp/{port}").parse().unwrap();
    assert_eq!(client.asks_for(&named).await, (true, DIAL_ERROR));
    // A connection would be in the queue by now: within a machine it takes no time.
    let none = victim.accept().unwrap_err();
    assert_eq!(none.kind(), ErrorKind::WouldBlock);
}

#[tokio::test]
async fn too_many_questions_get_no_answer_and_harm_nobody() {
    let relay = Relay::start(NO_ARGS);
    let mut client = Client::connected_to(&relay).await;
    // Each request waits for data that does not come.
    let third = "/ip4/127.0.0.2/tcp/9".parse().unwrap();
    let mut open = Vec::new();
    for _ in 0..3 * AT_A_TIME {
        open.push(client.request(&[&third]).await);
    }
    let mut answered = 0;
    for framed in &mut open {
        answered += usize::from(next(framed).await.is_some());
    }
    assert_eq!(answered, AT_A_TIME);
    drop(open);

    let mut other = Client::connected_to(&relay).await;
    let own = other.address.clone();
    for _ in 0..A_MINUTE {
        let (has_paid, status) = other.asks_for(&own).await;
        assert!(!has_paid && status != OK);
    }
    let mut refused = other.request(&[&own]).await;
    assert_eq!(next(&mut refused).await, None);
}
