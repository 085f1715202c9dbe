//! What strangers of a room make a peer send to a victim, whose address they name as theirs.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod common;

use std::{net::UdpSocket, time::Duration};

use futures::StreamExt;
use libp2p::{
    Multiaddr, PeerId, Swarm, SwarmBuilder, identify,
    multiaddr::Protocol,
    noise, relay,
    swarm::{NetworkBehaviour, SwarmEvent},
    tcp, yamux,
};
use libp2p_rendezvous as rendezvous;
use punchline::address::peer_of;
use tokio::{task::JoinSet, time};

use common::{DEADLINE, Proc, Relay};

const ROOM: &str = "rendezvous";
/// Members who name the victim.
const ACCUSERS: usize = 60;
/// What a peer sends an address in a minute where nobody answers: `HOST_PACKETS` in `shared/src/budget.rs`.
const ALLOWANCE: usize = 100;
/// A victim that hears nothing for so long is left in peace: a dial sends again after 3 s at the latest.
const QUIET: Duration = Duration::from_secs(8);

#[derive(NetworkBehaviour)]
struct Stranger {
    relay: relay::client::Behaviour,
    rendezvous: rendezvous::client::Behaviour,
    identify: identify::Behaviour,
}

/// A plain libp2p peer that is connected to the relay, and says that it listens here.
async fn stranger(relay: &Multiaddr, claims: &[Multiaddr]) -> Swarm<Stranger> {
    let mut swarm = SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(
            tcp::Config::default().nodelay(true),
            noise::Config::new,
            yamux::Config::default,
        )
        .unwrap()
        .with_relay_client(noise::Config::new, yamux::Config::default)
        .unwrap()
        .with_behaviour(|key, relay| Stranger {
            relay,
            rendezvous: rendezvous::client::Behaviour::new(key.clone()),
            identify: identify::Behaviour::new(identify::Config::new("/x".into(), key.public())),
        })
        .unwrap()
        .with_swarm_config(|config| config.with_idle_connection_timeout(2 * DEADLINE))
        .build();
    for claim in claims {
        swarm.add_external_address(claim.clone());
    }
    swarm.dial(relay.clone()).unwrap();
    let connected = |event: &_| matches!(event, SwarmEvent::ConnectionEstablished { .. });
    until(&mut swarm, "connection", connected).await;
    swarm
}

async fn until(
    swarm: &mut Swarm<Stranger>,
    what: &str,
    wanted: impl Fn(&SwarmEvent<StrangerEvent>) -> bool,
) {
    let found = async { while !wanted(&swarm.select_next_some().await) {} };
    let ended = time::timeout(DEADLINE, found).await;
    ended.unwrap_or_else(|_| panic!("no {what} within {DEADLINE:?}"));
}

async fn reserve(swarm: &mut Swarm<Stranger>, relay: &Multiaddr) {
    let circuit = relay.clone().with(Protocol::P2pCircuit);
    swarm.listen_on(circuit).unwrap();
    let reserved = |event: &_| matches!(event, SwarmEvent::ExternalAddrConfirmed { .. });
    until(swarm, "reservation", reserved).await;
}

async fn register(swarm: &mut Swarm<Stranger>, point: PeerId) {
    let room = rendezvous::Namespace::from_static(ROOM);
    let rendezvous = &mut swarm.behaviour_mut().rendezvous;
    rendezvous.register(room, point, None).unwrap();
    until(swarm, "registration", |event| match event {
        SwarmEvent::Behaviour(StrangerEvent::Rendezvous(event)) => match event {
            rendezvous::client::Event::Registered { .. } => true,
            other => panic!("{other:?}"),
        },
        _ => false,
    })
    .await;
}

fn tcp_address(relay: &Relay) -> Multiaddr {
    let tcp =
        |address: &&String| address.starts_with("/ip4/127.0.0.1/tcp/") && !address.contains("/ws");
    relay.addresses.iter().find(tcp).unwrap().parse().unwrap()
}

/// The seed of a key whose peer id is smaller than almost all: of two peers the one with the smaller id dials where the other
/// listens, and the members' ids are made by chance.
const SMALL_ID: u8 = 14;

fn peer(name: &str, relay: &str) -> Proc {
    let listen = "--listen=/ip4/127.0.0.1/udp/0/quic-v1";
    let seed = format!("--secret-key-seed={SMALL_ID}");
    Proc::start(name, &["--json", listen, "--relay", relay, &seed])
}

/// They are there, answer by the relay, and say there that they listen where the victim is.
#[test]
fn members_who_name_a_victim_make_a_peer_send_it_little() {
    // Where nobody answers: at 127.0.0.1 the relay does.
    let victim = UdpSocket::bind("127.0.0.2:0").unwrap();
    let port = victim.local_addr().unwrap().port();
    let claim = format!("/ip4/127.0.0.2/udp/{port}/quic-v1");
    let claim: Multiaddr = claim.parse().unwrap();
    let relay = Relay::start(&["--max-share-per-ip=100"]);
    let address = tcp_address(&relay);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut members = runtime.block_on(accusers(&address, &claim));
    let _peer = peer("peer", &relay.url());
    runtime.block_on(async {
        for _ in 0..ACCUSERS {
            let called = time::timeout(DEADLINE, members.called.recv()).await;
            called.expect("the peer calls each member").unwrap();
        }
    });
    victim.set_read_timeout(Some(QUIET)).unwrap();
    let mut packets = 0;
    while victim.recv(&mut [0; 2_048]).is_ok() {
        packets += 1;
    }
    println!("{packets} packets for {ACCUSERS} members");
    assert!((1..=ALLOWANCE).contains(&packets), "{packets}");
}

/// Members that run, and the count of calls that they have got.
struct Accusers {
    called: tokio::sync::mpsc::Receiver<()>,
    _running: JoinSet<()>,
}

async fn accusers(relay: &Multiaddr, victim: &Multiaddr) -> Accusers {
    let (calls, called) = tokio::sync::mpsc::channel(ACCUSERS);
    let mut running = JoinSet::new();
    let point = peer_of(relay).unwrap();
    for _ in 0..ACCUSERS {
        let mut swarm = stranger(relay, std::slice::from_ref(victim)).await;
        reserve(&mut swarm, relay).await;
        register(&mut swarm, point).await;
        let calls = calls.clone();
        running.spawn(async move {
            let called = |event: &_| match event {
                SwarmEvent::ConnectionEstablished { endpoint, .. } => endpoint.is_listener(),
                _ => false,
            };
            while !called(&swarm.select_next_some().await) {}
            calls.send(()).await.unwrap();
            loop {
                swarm.select_next_some().await;
            }
        });
    }
    Accusers {
        called,
        _running: running,
    }
}
