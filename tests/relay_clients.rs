//! The relay as a libp2p client meets it, on every transport: it reserves, registers, is discovered, is called
//! through a circuit, and leaves or vanishes.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod common;

use std::time::{Duration, Instant};

use futures::{AsyncReadExt, AsyncWriteExt, StreamExt, future::Either};
use libp2p::{
    Multiaddr, PeerId, Swarm, SwarmBuilder, identify,
    identity::Keypair,
    multiaddr::Protocol,
    noise, ping, relay,
    swarm::{NetworkBehaviour, SwarmEvent},
    tcp, yamux,
};
use libp2p_rendezvous as rendezvous;
use nix::sys::signal::Signal;
use punchline_webrtc::{direct, platform::native::Native};
use tokio::time;

use common::{DEADLINE, Proc, Relay, text};

const NO_ARGS: &[&str] = &[];
/// Shows soon whether a circuit still carries anything.
const PING_INTERVAL: Duration = Duration::from_millis(500);
const NAMESPACE: &str = "test room";

fn namespace() -> rendezvous::Namespace {
    rendezvous::Namespace::from_static(NAMESPACE)
}

#[derive(NetworkBehaviour)]
struct Client {
    relay: relay::client::Behaviour,
    rendezvous: rendezvous::client::Behaviour,
    identify: identify::Behaviour,
    ping: ping::Behaviour,
}

async fn client() -> Swarm<Client> {
    client_with(Keypair::generate_ed25519()).await
}

async fn client_with(key: Keypair) -> Swarm<Client> {
    SwarmBuilder::with_existing_identity(key)
        .with_tokio()
        .with_tcp(
            tcp::Config::default().nodelay(true),
            noise::Config::new,
            yamux::Config::default,
        )
        .unwrap()
        .with_quic()
        .with_other_transport(|key| direct::Transport::new(key, Native::new()))
        .unwrap()
        .with_dns()
        .unwrap()
        .with_websocket(noise::Config::new, yamux::Config::default)
        .await
        .unwrap()
        .with_relay_client(noise::Config::new, yamux::Config::default)
        .unwrap()
        .with_behaviour(|key, relay| Client {
            relay,
            rendezvous: rendezvous::client::Behaviour::new(key.clone()),
            identify: identify::Behaviour::new(identify::Config::new("/x".into(), key.public())),
            ping: ping::Behaviour::new(ping::Config::new().with_interval(PING_INTERVAL)),
        })
        .unwrap()
        .build()
}

/// Runs a swarm until `wanted` returns something, and returns that.
async fn until<T>(
    swarm: &mut Swarm<Client>,
    what: &str,
    mut wanted: impl FnMut(SwarmEvent<ClientEvent>) -> Option<T>,
) -> T {
    let found = async {
        loop {
            if let Some(found) = wanted(swarm.select_next_some().await) {
                return found;
            }
        }
    };
    time::timeout(DEADLINE, found)
        .await
        .unwrap_or_else(|_| panic!("no {what} within {DEADLINE:?}"))
}

async fn reserve(swarm: &mut Swarm<Client>, relay: &Multiaddr) {
    swarm
        .listen_on(relay.clone().with(Protocol::P2pCircuit))
        .unwrap();
    let mut known = false;
    let mut reserved = false;
    until(swarm, "reservation", |event| {
        match event {
            SwarmEvent::ExternalAddrConfirmed { .. } => known = true,
            SwarmEvent::Behaviour(ClientEvent::Relay(
                relay::client::Event::ReservationReqAccepted { .. },
            )) => reserved = true,
            SwarmEvent::ListenerClosed { reason, .. } => panic!("{reason:?}"),
            _ => {}
        }
        (known && reserved).then_some(())
    })
    .await;
}

async fn register(swarm: &mut Swarm<Client>, relay: PeerId) {
    swarm
        .behaviour_mut()
        .rendezvous
        .register(namespace(), relay, None)
        .unwrap();
    until(swarm, "registration", |event| match event {
        SwarmEvent::Behaviour(ClientEvent::Rendezvous(rendezvous::client::Event::Registered {
            ..
        })) => Some(()),
        SwarmEvent::Behaviour(ClientEvent::Rendezvous(other)) => panic!("{other:?}"),
        _ => None,
    })
    .await;
}

async fn discover(swarm: &mut Swarm<Client>, relay: PeerId) -> Vec<(PeerId, Vec<Multiaddr>)> {
    swarm
        .behaviour_mut()
        .rendezvous
        .discover(Some(namespace()), None, None, relay);
    until(swarm, "answer to discover", |event| match event {
        SwarmEvent::Behaviour(ClientEvent::Rendezvous(rendezvous::client::Event::Discovered {
            registrations,
            ..
        })) => Some(
            registrations
                .iter()
                .map(|r| (r.record.peer_id(), r.record.addresses().to_vec()))
                .collect(),
        ),
        _ => None,
    })
    .await
}

/// Runs through the life of a peer at the relay over one transport, up to an orderly leave.
async fn life_of_a_peer(start: &str, contains: &str) {
    let mut relay = Relay::start(NO_ARGS);
    let address: Multiaddr = relay.local_address(start, contains).parse().unwrap();
    let relay_id: PeerId = relay.peer_id.parse().unwrap();

    let mut callee = client().await;
    let callee_id = *callee.local_peer_id();
    reserve(&mut callee, &address).await;
    let event = relay.proc.wait_event("reservation_accepted");
    assert_eq!(text(&event, "peer"), callee_id.to_string());
    assert_eq!(event["renewed"], false);

    register(&mut callee, relay_id).await;
    let event = relay.proc.wait_event("peer_registered");
    assert_eq!(text(&event, "peer"), callee_id.to_string());
    assert_eq!(text(&event, "namespace"), NAMESPACE);
    assert_eq!(event["ttl"], 7_200);

    let mut caller = client().await;
    let caller_id = *caller.local_peer_id();
    caller.dial(address.clone()).unwrap();
    until(&mut caller, "connection to the relay", |event| {
        matches!(event, SwarmEvent::ConnectionEstablished { .. }).then_some(())
    })
    .await;
    let found = discover(&mut caller, relay_id).await;
    let [(peer, addresses)] = &found[..] else {
        panic!("{found:?}")
    };
    assert_eq!(*peer, callee_id);
    let circuit = address
        .with(Protocol::P2pCircuit)
        .with(Protocol::P2p(callee_id));
    assert!(addresses.contains(&circuit), "{circuit} in {addresses:?}");

    call(&mut caller, &mut callee, circuit).await;
    let opened = relay.proc.wait_event("circuit_opened");
    assert_eq!(text(&opened, "from"), caller_id.to_string());
    assert_eq!(text(&opened, "to"), callee_id.to_string());

    // Both swarms have to run: the relay closes a circuit once both ends have read what is left.
    caller.disconnect_peer_id(relay_id).unwrap();
    let both = async { futures::join!(drive(&mut caller), drive(&mut callee)) };
    let relay = said_during(relay, "circuit_closed", both).await;

    callee
        .behaviour_mut()
        .rendezvous
        .unregister(namespace(), relay_id);
    let relay = said_during(relay, "peer_unregistered", drive(&mut callee)).await;

    callee.disconnect_peer_id(relay_id).unwrap();
    said_during(relay, "reservation_ended", drive(&mut callee)).await;
}

/// Waits for an event of the relay while a swarm runs, and returns the relay.
async fn said_during<T>(
    mut relay: Relay,
    event: &'static str,
    other: impl Future<Output = T>,
) -> Relay {
    let said = tokio::task::spawn_blocking(move || {
        relay.proc.wait_event(event);
        relay
    });
    match futures::future::select(said, Box::pin(other)).await {
        Either::Left((relay, _)) => relay.unwrap(),
        Either::Right(_) => unreachable!("a swarm has no end"),
    }
}

/// Kills a peer that has a reservation. Its system closes a TCP connection, but says nothing over QUIC.
fn vanishes(start: &str, contains: &str) {
    let mut relay = Relay::start(NO_ARGS);
    let address = relay.local_address(start, contains).parse().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let swarm = runtime.block_on(async {
        let mut swarm = client().await;
        reserve(&mut swarm, &address).await;
        swarm
    });
    relay.proc.wait_event("reservation_accepted");
    runtime.shutdown_background();
    // Not dropped: that would close the connections in order.
    std::mem::forget(swarm);
    relay.proc.wait_event("reservation_ended");
}

async fn assert_reservation_refused(swarm: &mut Swarm<Client>, relay: &Multiaddr) {
    let circuit = relay.clone().with(Protocol::P2pCircuit);
    swarm.listen_on(circuit).unwrap();
    until(swarm, "refusal", |event| match event {
        SwarmEvent::ListenerClosed { reason, .. } => Some(reason.unwrap_err()),
        SwarmEvent::NewListenAddr { address, .. }
            if address.iter().any(|p| p == Protocol::P2pCircuit) =>
        {
            panic!("a reservation")
        }
        _ => None,
    })
    .await;
}

/// Dials through the relay and waits until a ping has come back over the circuit.
async fn call(caller: &mut Swarm<Client>, callee: &mut Swarm<Client>, circuit: Multiaddr) {
    caller.dial(circuit).unwrap();
    pinged(caller, callee).await;
}

/// Waits until a ping has come back.
async fn pinged(caller: &mut Swarm<Client>, callee: &mut Swarm<Client>) {
    let callee_id = *callee.local_peer_id();
    let answered = until(caller, "ping through the circuit", |event| match event {
        SwarmEvent::Behaviour(ClientEvent::Ping(ping::Event { peer, result, .. })) => {
            (peer == callee_id && result.is_ok()).then_some(())
        }
        SwarmEvent::OutgoingConnectionError { error, .. } => panic!("{error}"),
        _ => None,
    });
    match futures::future::select(Box::pin(answered), Box::pin(drive(callee))).await {
        Either::Left(_) => {}
        Either::Right(_) => unreachable!("a swarm has no end"),
    }
}

async fn drive(swarm: &mut Swarm<Client>) {
    loop {
        swarm.select_next_some().await;
    }
}

#[tokio::test]
async fn a_circuit_whose_callee_leaves_ends_once() {
    let relay = Relay::start(NO_ARGS);
    let address: Multiaddr = relay.local_address("tcp", "/p2p/").parse().unwrap();
    let relay_id: PeerId = relay.peer_id.parse().unwrap();
    let mut callee = client().await;
    let callee_id = *callee.local_peer_id();
    reserve(&mut callee, &address).await;
    let circuit = address
        .with(Protocol::P2pCircuit)
        .with(Protocol::P2p(callee_id));
    let mut caller = client().await;
    call(&mut caller, &mut callee, circuit).await;

    callee.disconnect_peer_id(relay_id).unwrap();
    let ended = until(&mut caller, "end of the circuit", |event| match event {
        SwarmEvent::ConnectionClosed { peer_id, .. } if peer_id == callee_id => Some(()),
        _ => None,
    });
    match futures::future::select(Box::pin(ended), Box::pin(drive(&mut callee))).await {
        Either::Left(_) => {}
        Either::Right(_) => unreachable!("a swarm has no end"),
    }
    // When the relay answers this, it has seen both ends of the circuit go.
    discover(&mut caller, relay_id).await;
    relay.proc.signal(Signal::SIGTERM);
    let said = relay.proc.finish().stdout;
    assert_eq!(said.matches("circuit_opened").count(), 1, "{said}");
    assert_eq!(said.matches("circuit_closed").count(), 1, "{said}");
}

#[tokio::test]
async fn who_talks_may_go_on_while_a_relay_drains_and_others_go() {
    let mut relay = Relay::start(&["--drain", "1h"]);
    let address: Multiaddr = relay.local_address("tcp", "/p2p/").parse().unwrap();
    let relay_id: PeerId = relay.peer_id.parse().unwrap();
    let (mut caller, mut callee, mut idle) = (client().await, client().await, client().await);
    reserve(&mut callee, &address).await;
    reserve(&mut idle, &address).await;
    let to_callee = Protocol::P2p(*callee.local_peer_id());
    let circuit = address.clone().with(Protocol::P2pCircuit).with(to_callee);
    call(&mut caller, &mut callee, circuit).await;

    relay.proc.signal(Signal::SIGTERM);
    let draining = relay.proc.wait_event("draining");
    assert_eq!(draining["circuits"], 1, "{draining}");
    assert_eq!(draining["seconds"], 3_600, "{draining}");
    until(
        &mut idle,
        "end of an idle connection",
        |event| match event {
            SwarmEvent::ConnectionClosed { peer_id, .. } if peer_id == relay_id => Some(()),
            _ => None,
        },
    )
    .await;
    idle.dial(address).unwrap();
    until(&mut idle, "closed door", |event| match event {
        SwarmEvent::ConnectionClosed { .. } | SwarmEvent::OutgoingConnectionError { .. } => {
            Some(())
        }
        SwarmEvent::Behaviour(ClientEvent::Identify(identify::Event::Received { .. })) => {
            panic!("let in")
        }
        _ => None,
    })
    .await;
    for _ in 0..3 {
        pinged(&mut caller, &mut callee).await;
    }
    drop((caller, callee));
    // What closes their connections runs here.
    let ended = tokio::task::spawn_blocking(|| relay.proc.finish());
    assert_eq!(ended.await.unwrap().code, Some(0));
}

#[tokio::test]
async fn draining_ends_when_its_time_is_over() {
    let relay = Relay::start(&["--drain", "1s"]);
    let address: Multiaddr = relay.local_address("udp", "/quic-v1/").parse().unwrap();
    let (mut caller, mut callee) = (client().await, client().await);
    reserve(&mut callee, &address).await;
    let to_callee = Protocol::P2p(*callee.local_peer_id());
    let circuit = address.with(Protocol::P2pCircuit).with(to_callee);
    call(&mut caller, &mut callee, circuit).await;
    relay.proc.signal(Signal::SIGTERM);
    let ended = relay.proc.finish();
    assert_eq!(ended.code, Some(0));
    assert!(
        ended.stdout.contains(r#""event":"draining","circuits":1"#),
        "{}",
        ended.stdout
    );
}

#[tokio::test]
async fn who_has_a_reservation_can_renew_it_when_there_are_no_more() {
    let relay = Relay::start(&["--max-reservations", "1"]);
    let address: Multiaddr = relay.local_address("udp", "/quic-v1/").parse().unwrap();
    let circuit = address.clone().with(Protocol::P2pCircuit);
    let mut first = client().await;
    reserve(&mut first, &address).await;

    assert_reservation_refused(&mut client().await, &address).await;
    // A second request on the same connection renews the reservation.
    first.listen_on(circuit).unwrap();
    until(&mut first, "renewal", |event| match event {
        SwarmEvent::Behaviour(ClientEvent::Relay(
            relay::client::Event::ReservationReqAccepted { .. },
        )) => Some(()),
        SwarmEvent::ListenerClosed { reason, .. } => panic!("{reason:?}"),
        _ => None,
    })
    .await;
    relay.proc.signal(Signal::SIGTERM);
    let said = relay.proc.finish().stdout;
    assert!(said.contains("\"renewed\":true"), "{said}");
}

#[tokio::test]
async fn a_peer_has_as_many_reservations_as_it_may_have() {
    let relay = Relay::start(&["--max-reservations-per-peer", "1"]);
    let address: Multiaddr = relay.local_address("tcp", "/p2p/").parse().unwrap();
    // libp2p's client has one reservation for all its connections to a relay.
    let key = Keypair::generate_ed25519();
    let mut first = client_with(key.clone()).await;
    reserve(&mut first, &address).await;
    assert_reservation_refused(&mut client_with(key).await, &address).await;
}

#[tokio::test]
async fn a_peer_has_as_many_circuits_as_it_may_have() {
    let relay = Relay::start(&["--max-circuits-per-peer", "1"]);
    let address: Multiaddr = relay.local_address("tcp", "/p2p/").parse().unwrap();
    let [mut one, mut other] = [client().await, client().await];
    let mut circuits = Vec::new();
    for callee in [&mut one, &mut other] {
        reserve(callee, &address).await;
        let circuit = address.clone().with(Protocol::P2pCircuit);
        circuits.push(circuit.with(Protocol::P2p(*callee.local_peer_id())));
    }
    let [to_one, to_other] = <[Multiaddr; 2]>::try_from(circuits).unwrap();
    let mut caller = client().await;
    call(&mut caller, &mut one, to_one).await;
    caller.dial(to_other).unwrap();
    let refused = until(&mut caller, "refusal", |event| match event {
        SwarmEvent::OutgoingConnectionError { error, .. } => Some(error.to_string()),
        SwarmEvent::ConnectionEstablished { .. } => panic!("a second circuit"),
        _ => None,
    });
    let callees = futures::future::join(drive(&mut one), drive(&mut other));
    match futures::future::select(Box::pin(refused), Box::pin(callees)).await {
        Either::Left(_) => {}
        Either::Right(_) => unreachable!("a swarm has no end"),
    }
}

#[tokio::test]
async fn who_registers_without_end_is_cut_off_and_others_are_served() {
    let relay = Relay::start(NO_ARGS);
    let address: Multiaddr = relay.local_address("udp", "/quic-v1/").parse().unwrap();
    let relay_id: PeerId = relay.peer_id.parse().unwrap();
    let mut flooder = client().await;
    reserve(&mut flooder, &address).await;
    let mut registered = 0;
    loop {
        let rendezvous = &mut flooder.behaviour_mut().rendezvous;
        rendezvous.register(namespace(), relay_id, None).unwrap();
        let cut_off = until(&mut flooder, "answer, or end", |event| match event {
            SwarmEvent::Behaviour(ClientEvent::Rendezvous(
                rendezvous::client::Event::Registered { .. },
            )) => Some(false),
            SwarmEvent::ConnectionClosed { .. } => Some(true),
            _ => None,
        })
        .await;
        if cut_off {
            break;
        }
        registered += 1;
    }
    // The answer to the last registration may arrive before the connection closes.
    assert!((64..=65).contains(&registered), "{registered}");
    let mut other = client().await;
    reserve(&mut other, &address).await;
    register(&mut other, relay_id).await;
    let found = discover(&mut other, relay_id).await;
    assert_eq!(found.len(), 2);
}

#[tokio::test]
async fn over_tcp() {
    life_of_a_peer("tcp", "/p2p/").await;
}

#[tokio::test]
async fn over_quic() {
    life_of_a_peer("udp", "/quic-v1/").await;
}

#[tokio::test]
async fn over_websocket() {
    life_of_a_peer("tcp", "/ws/").await;
}

#[tokio::test]
async fn over_webrtc_direct() {
    life_of_a_peer("udp", "/webrtc-direct/").await;
}

#[test]
fn a_peer_that_vanishes_over_tcp_is_noticed() {
    vanishes("tcp", "/p2p/");
}

#[test]
fn a_peer_that_vanishes_over_quic_is_noticed() {
    vanishes("udp", "/quic-v1/");
}

/// The specification's streams carry several questions, and js-libp2p's clients have one for all of theirs.
/// A peer asks each 10 to 11 s, but it is told.
#[tokio::test]
async fn who_comes_is_known_at_once() {
    let relay = Relay::start(NO_ARGS);
    let address: Multiaddr = relay.local_address("udp", "/quic-v1/").parse().unwrap();
    let args = ["--json", "--namespace", NAMESPACE, "--relay", &relay.url()];
    let mut peer = Proc::start("peer", &args);
    peer.wait_event("ready");
    let mut swarm = client().await;
    reserve(&mut swarm, &address).await;
    register(&mut swarm, relay.peer_id.parse().unwrap()).await;
    let registered = Instant::now();
    let id = swarm.local_peer_id().to_string();
    let found = tokio::task::spawn_blocking(move || {
        peer.wait_for("discovery", |event| {
            event["event"] == "discovered" && event["peer"] == *id
        });
        registered.elapsed()
    });
    tokio::select! {
        () = drive(&mut swarm) => {}
        took = found => assert!(took.unwrap() < Duration::from_secs(5), "as soon as it is asked anyway"),
    }
}

#[tokio::test]
async fn one_stream_carries_several_questions() {
    let relay = Relay::start(NO_ARGS);
    let key = Keypair::generate_ed25519();
    let mut swarm = SwarmBuilder::with_existing_identity(key.clone())
        .with_tokio()
        .with_tcp(
            tcp::Config::default(),
            noise::Config::new,
            yamux::Config::default,
        )
        .unwrap()
        .with_behaviour(|_| libp2p_stream::Behaviour::new())
        .unwrap()
        .build();
    let mut control = swarm.behaviour().new_control();
    let address: Multiaddr = relay.local_address("tcp", "/tcp/").parse().unwrap();
    let peer = relay.peer_id.parse().unwrap();
    swarm.dial(address.clone()).unwrap();
    while !matches!(
        swarm.select_next_some().await,
        SwarmEvent::ConnectionEstablished { .. }
    ) {}
    tokio::spawn(async move { while swarm.next().await.is_some() {} });
    let protocol = libp2p::StreamProtocol::new("/rendezvous/1.0.0");
    let work = async {
        let mut stream = control.open_stream(peer, protocol).await.unwrap();
        let record = libp2p::core::PeerRecord::new(&key, vec![address]).unwrap();
        let record = record.into_signed_envelope().into_protobuf_encoding();
        // Fields as the specification numbers them: what it is, then that.
        let room = field(1, b"room");
        let register = [field(2, &[room.clone(), field(2, &record)].concat())].concat();
        let register = [vec![0x08, 0], register].concat();
        let discover = [vec![0x08, 3], field(5, &room)].concat();
        let unregister = [vec![0x08, 2], field(4, &room)].concat();
        ask(&mut stream, &register).await;
        assert_eq!(
            answer(&mut stream).await[..2],
            [0x08, 1],
            "REGISTER_RESPONSE"
        );
        ask(&mut stream, &discover).await;
        let found = answer(&mut stream).await;
        assert!(contains(&found, &record), "{found:?}");
        // No answer to this one.
        ask(&mut stream, &unregister).await;
        ask(&mut stream, &discover).await;
        let found = answer(&mut stream).await;
        assert_eq!(found[..2], [0x08, 4], "DISCOVER_RESPONSE");
        assert!(!contains(&found, &record), "{found:?}");
    };
    time::timeout(DEADLINE, work).await.unwrap();
}

/// A protobuf field of bytes.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut field = vec![number << 3 | 2];
    prost::encode_length_delimiter(bytes.len(), &mut field).unwrap();
    field.extend(bytes);
    field
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

async fn ask(stream: &mut libp2p::Stream, question: &[u8]) {
    let mut frame = Vec::new();
    prost::encode_length_delimiter(question.len(), &mut frame).unwrap();
    frame.extend(question);
    stream.write_all(&frame).await.unwrap();
    stream.flush().await.unwrap();
}

async fn answer(stream: &mut libp2p::Stream) -> Vec<u8> {
    let mut len = 0;
    for shift in (0..28).step_by(7) {
        let mut byte = [0];
        stream.read_exact(&mut byte).await.unwrap();
        len |= usize::from(byte[0] & 0x7f) << shift;
        if byte[0] & 0x80 == 0 {
            break;
        }
    }
    let mut bytes = vec![0; len];
    stream.read_exact(&mut bytes).await.unwrap();
    bytes
}
