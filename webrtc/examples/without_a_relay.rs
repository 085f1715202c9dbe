//! Two peers meet through a relay, get a connection over WebRTC, and talk on when the relay is gone.
//!
//!     cargo run -p punchline-webrtc --example without_a_relay
//!
//! All three are in this process, and the way to the relay is in memory; WebRTC between the peers is real, over UDP on
//! this machine's own addresses.

use std::error::Error;

use futures::{AsyncReadExt, AsyncWriteExt, StreamExt};
use libp2p::{
    Multiaddr, PeerId, StreamProtocol, Swarm, Transport as _,
    core::{muxing::StreamMuxerBox, transport::MemoryTransport, upgrade::Version},
    identity::Keypair,
    multiaddr::Protocol,
    noise, relay,
    swarm::{Config, NetworkBehaviour, SwarmEvent},
    yamux,
};
use libp2p_stream as stream;
use punchline_webrtc::platform::native::Native;

const LINE: StreamProtocol = StreamProtocol::new("/line/1.0.0");

#[derive(NetworkBehaviour)]
struct Peer {
    relay: relay::client::Behaviour,
    webrtc: punchline_webrtc::Behaviour<Native>,
    stream: stream::Behaviour,
}

fn peer() -> Result<Swarm<Peer>, Box<dyn Error>> {
    let key = Keypair::generate_ed25519();
    let me = PeerId::from(key.public());
    let (circuits, relay) = relay::client::new(me);
    // Over the internet it would ask a STUN server where it is seen: `Native::add_ice_server`.
    let (direct, webrtc) = punchline_webrtc::new(me, Native::new());
    let others = circuits
        .or_transport(MemoryTransport::default())
        .upgrade(Version::V1Lazy)
        .authenticate(noise::Config::new(&key)?)
        .multiplex(yamux::Config::default());
    // It comes first, as its addresses look like circuits.
    let transport = direct
        .map(|(peer, connection), _| (peer, StreamMuxerBox::new(connection)))
        .or_transport(others.map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer))))
        .map(|either, _| either.into_inner())
        .boxed();
    let behaviour = Peer {
        relay,
        webrtc,
        stream: stream::Behaviour::new(),
    };
    let config = Config::with_tokio_executor();
    Ok(Swarm::new(transport, behaviour, me, config))
}

/// Runs until its task is aborted. Returns its address, too.
async fn start_relay() -> Result<(Multiaddr, tokio::task::JoinHandle<()>), Box<dyn Error>> {
    let key = Keypair::generate_ed25519();
    let me = PeerId::from(key.public());
    let transport = MemoryTransport::default()
        .upgrade(Version::V1Lazy)
        .authenticate(noise::Config::new(&key)?)
        .multiplex(yamux::Config::default())
        .boxed();
    let behaviour = relay::Behaviour::new(me, relay::Config::default());
    let mut swarm = Swarm::new(transport, behaviour, me, Config::with_tokio_executor());
    swarm.listen_on(Protocol::Memory(0).into())?;
    let address = address_of(&mut swarm).await;
    swarm.add_external_address(address.clone());
    let task = tokio::spawn(async move { while swarm.next().await.is_some() {} });
    Ok((address.with(Protocol::P2p(me)), task))
}

async fn address_of<B: NetworkBehaviour>(swarm: &mut Swarm<B>) -> Multiaddr {
    loop {
        if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await {
            return address;
        }
    }
}

fn is_webrtc(address: &Multiaddr) -> bool {
    address.iter().any(|p| p == Protocol::WebRTC)
}

#[tokio::main(flavor = "current_thread")]
#[allow(clippy::print_stdout, reason = "an example says what happens")]
async fn main() -> Result<(), Box<dyn Error>> {
    let (at_relay, relay) = start_relay().await?;
    let (mut alice, mut bob) = (peer()?, peer()?);

    // Bob can be reached through the relay.
    bob.listen_on(at_relay.with(Protocol::P2pCircuit))?;
    let mut circuit = address_of(&mut bob).await;
    let mut incoming = bob.behaviour().stream.new_control().accept(LINE)?;
    let bob_id = *bob.local_peer_id();
    tokio::spawn(async move { while bob.next().await.is_some() {} });

    // Alice dials the same address with /webrtc in it. The circuit that she needs for that is made for her.
    circuit.pop();
    let address = circuit.with(Protocol::WebRTC).with(Protocol::P2p(bob_id));
    println!("alice dials {address}");
    alice.dial(address)?;
    loop {
        if let SwarmEvent::ConnectionEstablished { endpoint, .. } = alice.select_next_some().await {
            println!("connected: {}", endpoint.get_remote_address());
            if is_webrtc(endpoint.get_remote_address()) {
                break;
            }
        }
    }

    relay.abort();
    println!("the relay is gone");
    loop {
        if let SwarmEvent::ConnectionClosed { endpoint, .. } = alice.select_next_some().await {
            let remote = endpoint.get_remote_address();
            println!("closed: {remote}");
            if endpoint.is_relayed() && !is_webrtc(remote) {
                break;
            }
        }
    }

    let mut control = alice.behaviour().stream.new_control();
    tokio::spawn(async move { while alice.next().await.is_some() {} });
    let mut to_bob = control.open_stream(bob_id, LINE).await?;
    to_bob.write_all(b"still here").await?;
    to_bob.close().await?;
    let (_, mut from_alice) = incoming.next().await.ok_or("bob has stopped")?;
    let mut line = String::new();
    from_alice.read_to_string(&mut line).await?;
    println!("bob reads: {line}");
    Ok(())
}
