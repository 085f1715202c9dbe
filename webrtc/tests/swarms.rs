//! Two swarms, a relay between them, and WebRTC in memory.

use std::time::Duration;

use futures::{AsyncReadExt, AsyncWriteExt, StreamExt};
use libp2p::{
    Multiaddr, PeerId, StreamProtocol, Swarm, Transport as _,
    core::{ConnectedPoint, muxing::StreamMuxerBox, transport::MemoryTransport, upgrade::Version},
    identity::Keypair,
    multiaddr::Protocol,
    noise, relay,
    swarm::{Config, ConnectionId, DialError, NetworkBehaviour, SwarmEvent, dial_opts::DialOpts},
    yamux,
};
use libp2p_stream as stream;
use punchline_webrtc::{
    Behaviour,
    backend::{Backend, mock::Mock},
    platform::native::Native,
};

const ECHO: StreamProtocol = StreamProtocol::new("/echo");
/// Longer than anything here takes, the timeouts of connections included.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(NetworkBehaviour)]
struct Peer<B: Backend> {
    relay: relay::client::Behaviour,
    webrtc: Behaviour<B>,
    stream: stream::Behaviour,
}

fn peer<B: Backend>(backend: &B) -> Swarm<Peer<B>> {
    let key = Keypair::generate_ed25519();
    let me = PeerId::from(key.public());
    let (circuits, relay) = relay::client::new(me);
    let (direct, webrtc) = punchline_webrtc::new(me, backend.clone());
    let upgraded = circuits
        .or_transport(MemoryTransport::default())
        .upgrade(Version::V1Lazy)
        .authenticate(noise::Config::new(&key).expect("a key"))
        .multiplex(yamux::Config::default());
    let transport = direct
        .map(|(peer, connection), _| (peer, StreamMuxerBox::new(connection)))
        .or_transport(upgraded.map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer))))
        .map(|either, _| either.into_inner())
        .boxed();
    let behaviour = Peer {
        relay,
        webrtc,
        stream: stream::Behaviour::new(),
    };
    Swarm::new(transport, behaviour, me, config())
}

fn config() -> Config {
    Config::with_tokio_executor().with_idle_connection_timeout(PATIENCE)
}

/// Starts a relay, and returns where it is.
async fn start_relay() -> Multiaddr {
    let key = Keypair::generate_ed25519();
    let me = PeerId::from(key.public());
    let transport = MemoryTransport::default()
        .upgrade(Version::V1Lazy)
        .authenticate(noise::Config::new(&key).expect("a key"))
        .multiplex(yamux::Config::default())
        .boxed();
    let behaviour = relay::Behaviour::new(me, relay::Config::default());
    let mut swarm = Swarm::new(transport, behaviour, me, config());
    swarm.listen_on(Protocol::Memory(0).into()).expect("memory");
    let address = loop {
        if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await {
            break address;
        }
    };
    swarm.add_external_address(address.clone());
    tokio::spawn(async move { while swarm.next().await.is_some() {} });
    address.with(Protocol::P2p(me))
}

/// Has a peer reserve at the relay, and returns the circuit to it.
async fn reserve<B: Backend>(peer: &mut Swarm<Peer<B>>, relay: &Multiaddr) -> Multiaddr {
    let circuit = relay.clone().with(Protocol::P2pCircuit);
    peer.listen_on(circuit).expect("a circuit");
    loop {
        if let SwarmEvent::NewListenAddr { address, .. } = peer.select_next_some().await {
            return address;
        }
    }
}

/// `<relay>/p2p-circuit/p2p/<peer>` with `/webrtc` in it.
fn signalled(mut circuit: Multiaddr) -> Multiaddr {
    let peer = circuit.pop().expect("a peer");
    circuit.with(Protocol::WebRTC).with(peer)
}

fn is_webrtc(endpoint: &ConnectedPoint) -> bool {
    let address = match endpoint {
        ConnectedPoint::Dialer { address, .. } => address,
        ConnectedPoint::Listener { local_addr, .. } => local_addr,
    };
    address.iter().any(|p| p == Protocol::WebRTC)
}

/// Runs a swarm until it has a connection over WebRTC, and returns to whom, and by which circuit it came.
async fn until_direct<B: Backend>(swarm: &mut Swarm<Peer<B>>) -> (PeerId, ConnectionId) {
    let mut circuit = None;
    loop {
        let event = swarm.select_next_some().await;
        if let SwarmEvent::ConnectionEstablished {
            peer_id,
            connection_id,
            endpoint,
            ..
        } = event
        {
            if is_webrtc(&endpoint) {
                return (peer_id, circuit.expect("a circuit"));
            }
            circuit = Some(connection_id);
        }
    }
}

/// Closes a connection.
async fn close<B: Backend>(swarm: &mut Swarm<Peer<B>>, conn: ConnectionId) {
    swarm.close_connection(conn);
    loop {
        if let SwarmEvent::ConnectionClosed { connection_id, .. } = swarm.select_next_some().await
            && connection_id == conn
        {
            return;
        }
    }
}

fn keep_running<B: Backend>(mut swarm: Swarm<Peer<B>>) {
    tokio::spawn(async move { while swarm.next().await.is_some() {} });
}

/// Sends back what comes.
fn echo(control: &mut stream::Control) {
    let mut incoming = control.accept(ECHO).expect("nobody else accepts it");
    tokio::spawn(async move {
        while let Some((_, mut stream)) = incoming.next().await {
            let mut bytes = Vec::new();
            stream.read_to_end(&mut bytes).await.expect("all of it");
            stream.write_all(&bytes).await.expect("taken back");
            stream.close().await.expect("closed");
        }
    });
}

async fn in_time<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future)
        .await
        .expect("in time")
}

#[tokio::test]
async fn a_dial_makes_the_circuit_that_it_needs_and_streams_need_no_relay() {
    let network = Mock::default();
    dials_and_talks([network.clone(), network]).await;
}

#[tokio::test]
async fn the_same_between_native_programs() {
    dials_and_talks([Native::new(), Native::new()]).await;
}

async fn dials_and_talks<B: Backend>([one, other]: [B; 2]) {
    in_time(async {
        let relay = start_relay().await;
        let (mut alice, mut bob) = (peer(&one), peer(&other));
        let circuit = reserve(&mut bob, &relay).await;
        echo(&mut bob.behaviour().stream.new_control());
        alice
            .dial(signalled(circuit))
            .expect("an address for WebRTC");

        let ((met, circuit), (by, _)) =
            futures::join!(until_direct(&mut alice), until_direct(&mut bob));
        assert_eq!((met, by), (*bob.local_peer_id(), *alice.local_peer_id()));
        keep_running(bob);
        // Only WebRTC is left.
        close(&mut alice, circuit).await;
        assert!(alice.is_connected(&met));
        let mut control = alice.behaviour().stream.new_control();
        keep_running(alice);
        let mut stream = control.open_stream(met, ECHO).await.expect("a stream");
        // Several times what a channel buffers.
        let sent = vec![7; 3_000_000];
        stream.write_all(&sent).await.expect("sent");
        stream.close().await.expect("closed");
        let mut back = Vec::new();
        stream.read_to_end(&mut back).await.expect("all back");
        assert_eq!(back.len(), sent.len());
        assert!(back == sent);
    })
    .await;
}

#[tokio::test]
async fn without_a_way_between_candidates_the_dial_fails_and_nothing_is_left() {
    in_time(async {
        let mock = Mock::default();
        mock.block();
        let relay = start_relay().await;
        let (mut alice, mut bob) = (peer(&mock), peer(&mock));
        let circuit = reserve(&mut bob, &relay).await;
        keep_running(bob);
        let opts: DialOpts = signalled(circuit).into();
        let dial = opts.connection_id();
        alice.dial(opts).expect("an address for WebRTC");
        loop {
            if let SwarmEvent::OutgoingConnectionError {
                connection_id,
                error,
                ..
            } = alice.select_next_some().await
                && connection_id == dial
            {
                assert!(matches!(error, DialError::Transport(_)), "{error}");
                break;
            }
        }
        while mock.ends() > 0 {
            tokio::select! {
                _ = alice.select_next_some() => {}
                () = tokio::task::yield_now() => {}
            }
        }
    })
    .await;
}

#[tokio::test]
async fn who_has_no_webrtc_is_told_from_who_cannot_be_reached() {
    in_time(async {
        let relay = start_relay().await;
        let mock = Mock::default();
        let mut alice = peer(&mock);
        let key = Keypair::generate_ed25519();
        let me = PeerId::from(key.public());
        let (circuits, client) = relay::client::new(me);
        let transport = circuits
            .or_transport(MemoryTransport::default())
            .upgrade(Version::V1Lazy)
            .authenticate(noise::Config::new(&key).expect("a key"))
            .multiplex(yamux::Config::default())
            .boxed();
        let mut plain = Swarm::new(transport, client, me, config());
        plain
            .listen_on(relay.clone().with(Protocol::P2pCircuit))
            .expect("a circuit");
        let circuit = loop {
            if let SwarmEvent::NewListenAddr { address, .. } = plain.select_next_some().await {
                break address;
            }
        };
        tokio::spawn(async move { while plain.next().await.is_some() {} });
        let error = fails(&mut alice, signalled(circuit)).await;
        assert!(error.contains("Unsupported"), "{error}");
        let nobody = relay.with(Protocol::P2pCircuit);
        let nobody = nobody.with(Protocol::P2p(PeerId::random()));
        let error = fails(&mut alice, signalled(nobody)).await;
        assert!(error.contains("NoCircuit"), "{error}");
    })
    .await;
}

/// Dials, and returns why that failed.
async fn fails<B: Backend>(swarm: &mut Swarm<Peer<B>>, address: Multiaddr) -> String {
    let opts: DialOpts = address.into();
    let dial = opts.connection_id();
    swarm.dial(opts).expect("an address for WebRTC");
    loop {
        if let SwarmEvent::OutgoingConnectionError {
            connection_id,
            error: DialError::Transport(errors),
            ..
        } = swarm.select_next_some().await
            && connection_id == dial
        {
            return format!("{errors:?}");
        }
    }
}

#[tokio::test]
async fn two_that_dial_each_other_end_with_one_connection() {
    in_time(async {
        let mock = Mock::default();
        let relay = start_relay().await;
        let (mut alice, mut bob) = (peer(&mock), peer(&mock));
        let to_alice = reserve(&mut alice, &relay).await;
        let to_bob = reserve(&mut bob, &relay).await;
        alice
            .dial(signalled(to_bob))
            .expect("an address for WebRTC");
        bob.dial(signalled(to_alice))
            .expect("an address for WebRTC");
        let mut direct = [0, 0];
        let mut over = 0;
        // One dial each, of which one succeeds and one fails.
        while over < 2 || direct != [1, 1] {
            let (side, event) = tokio::select! {
                event = alice.select_next_some() => (0, event),
                event = bob.select_next_some() => (1, event),
            };
            match event {
                SwarmEvent::ConnectionEstablished { endpoint, .. } if is_webrtc(&endpoint) => {
                    direct[side] += 1;
                    over += usize::from(endpoint.is_dialer());
                }
                SwarmEvent::OutgoingConnectionError { .. } => over += 1,
                _ => {}
            }
        }
        assert_eq!(mock.ends(), 2);
    })
    .await;
}
