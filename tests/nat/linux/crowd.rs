//! One machine with many peer ids takes all that a relay gives it, and others still get what they need.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, TcpStream},
    ops::Range,
    sync::mpsc,
    thread::{self, JoinHandle},
};

use futures::{StreamExt, future::poll_fn, task::Poll};
use libp2p::{
    Multiaddr, Swarm, SwarmBuilder, identify,
    multiaddr::Protocol,
    noise, relay,
    swarm::{NetworkBehaviour, SwarmEvent},
    tcp, yamux,
};
use libp2p_rendezvous as rendezvous;
use punchline::address::peer_of;
use tokio::{runtime::Builder, sync::oneshot, time};

use super::{
    Test,
    peers::{Peer, talk},
};
use crate::{
    common::DEADLINE,
    lab::{Lab, Nat, RELAY_PORT},
};

/// The relay's limits, for everybody together.
const LIMITS: &[&str] = &[
    "--max-connections=40",
    "--max-reservations=40",
    "--max-connections-per-peer=2",
    "--max-registrations=20",
    "--max-circuits=8",
    "--max-http-connections=16",
];
/// The share of one network.
const SHARE: Taken = Taken {
    connections: 10,
    registrations: 5,
    circuits: 2,
    http: 4,
};
/// How many peer ids the machine has.
const CROWD: usize = 30;

pub(super) fn tests() -> Vec<Test> {
    vec![Test::new("crowd::leaves_room_for_others", leaves_room)]
}

fn leaves_room() {
    let lab = Lab::new(None);
    let relay_site = lab.site("relays", Nat::None);
    let relay = lab.host("relay", &relay_site).relay(1, LIMITS);
    let crowd = lab.host("crowd", &lab.site("crowd-site", Nat::Cone));
    let (ip, address) = (relay.ip(), relay.tcp().parse().unwrap());
    let (taken, _held) = crowd.inside(move || Crowd::start(ip, address)).taken();
    assert_eq!(taken, SHARE);

    let [a, b] = ["a", "b"].map(|name| {
        let site = lab.site(&format!("{name}-home"), Nat::Symmetric);
        lab.host(name, &site)
    });
    let mut a = Peer::ready(&a, "a", &relay.url());
    let mut b = Peer::ready(&b, "b", &relay.url());
    a.wait_connected(&b);
    b.wait_connected(&a);
    talk(&mut a, &mut b, "room", 10);
    a.assert_stayed_relayed(&b);
}

/// How much a machine has got of everything.
#[derive(Debug, PartialEq, Eq)]
struct Taken {
    connections: usize,
    registrations: usize,
    circuits: usize,
    http: usize,
}

/// A machine that takes all it can get, in a thread of its own.
struct Crowd {
    taken: mpsc::Receiver<Taken>,
    held: Held,
}

/// What was taken is given back when this is dropped.
struct Held {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Crowd {
    fn start(ip: Ipv4Addr, relay: Multiaddr) -> Self {
        let (report, taken) = mpsc::channel();
        let (stop, stopped) = oneshot::channel();
        let thread = thread::spawn(move || {
            // One thread: others would be outside the network namespace of this one.
            let mut runtime = Builder::new_current_thread();
            runtime.enable_all().build().unwrap().block_on(async {
                let mut members = Members::join(&relay).await;
                let mut taken = members.take(&relay).await;
                // Last, as the relay closes idle HTTP connections soonest.
                let http = http(ip);
                taken.http = http.len();
                report.send(taken).unwrap();
                tokio::select! {
                    _ = stopped => {}
                    () = members.wait() => {}
                }
            });
        });
        Self {
            taken,
            held: Held {
                stop: Some(stop),
                thread: Some(thread),
            },
        }
    }

    fn taken(self) -> (Taken, Held) {
        (self.taken.recv_timeout(DEADLINE).unwrap(), self.held)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        drop(self.stop.take());
        let ended = self.thread.take().map(JoinHandle::join);
        assert!(thread::panicking() || matches!(ended, Some(Ok(()))));
    }
}

/// HTTP connections that are kept open: each asks once, and those that were let in get an answer.
fn http(ip: Ipv4Addr) -> Vec<TcpStream> {
    let connections = (0..CROWD).filter_map(|_| {
        let mut stream = TcpStream::connect((ip, RELAY_PORT + 2)).unwrap();
        let request = format!("GET /bootstrap.json HTTP/1.1\r\nhost: {ip}\r\n\r\n");
        stream.write_all(request.as_bytes()).ok()?;
        // Beyond the share there is an answer, too: that there is no room.
        let mut status = [0; 12];
        stream.read_exact(&mut status).ok()?;
        (status == *b"HTTP/1.1 200").then_some(stream)
    });
    connections.collect()
}

#[derive(NetworkBehaviour)]
struct Member {
    relay: relay::client::Behaviour,
    rendezvous: rendezvous::client::Behaviour,
    identify: identify::Behaviour,
}

/// The swarms, one a peer id, that the relay has let in.
struct Members(Vec<Swarm<Member>>);

impl Members {
    async fn join(relay: &Multiaddr) -> Self {
        let mut all = Self((0..CROWD).map(|_| member()).collect());
        for swarm in &mut all.0 {
            swarm.dial(relay.clone()).unwrap();
        }
        // The relay denies a connection after its handshake, so only an answer to identify shows that it was let in.
        let let_in = |event: &SwarmEvent<_>| match event {
            SwarmEvent::Behaviour(MemberEvent::Identify(identify::Event::Received { .. })) => {
                Some(true)
            }
            SwarmEvent::ConnectionClosed { .. } | SwarmEvent::OutgoingConnectionError { .. } => {
                Some(false)
            }
            _ => None,
        };
        let let_in = all.outcomes("connections", 0..CROWD, let_in).await;
        let members = all.0.into_iter().zip(let_in);
        Self(
            members
                .filter_map(|(s, is_in)| is_in.then_some(s))
                .collect(),
        )
    }

    async fn take(&mut self, relay: &Multiaddr) -> Taken {
        Taken {
            connections: self.0.len(),
            registrations: self.register(relay).await,
            circuits: self.call_the_first(relay).await,
            http: 0,
        }
    }

    async fn register(&mut self, relay: &Multiaddr) -> usize {
        let point = peer_of(relay).unwrap();
        for swarm in &mut self.0 {
            swarm.add_external_address("/ip4/192.0.2.1/tcp/1".parse().unwrap());
            let room = rendezvous::Namespace::from_static("rendezvous");
            let rendezvous = &mut swarm.behaviour_mut().rendezvous;
            rendezvous.register(room, point, None).unwrap();
        }
        let registered = |event: &SwarmEvent<_>| match event {
            SwarmEvent::Behaviour(MemberEvent::Rendezvous(event)) => match event {
                rendezvous::client::Event::Registered { .. } => Some(true),
                rendezvous::client::Event::RegisterFailed { .. } => Some(false),
                _ => None,
            },
            _ => None,
        };
        count(
            &self
                .outcomes("registrations", 0..self.0.len(), registered)
                .await,
        )
    }

    async fn call_the_first(&mut self, relay: &Multiaddr) -> usize {
        let circuit = relay.clone().with(Protocol::P2pCircuit);
        let callee = &mut self.0[0];
        callee.listen_on(circuit.clone()).unwrap();
        let to = circuit.with(Protocol::P2p(*callee.local_peer_id()));
        let reserved = |event: &SwarmEvent<_>| {
            matches!(event, SwarmEvent::NewListenAddr { .. }).then_some(true)
        };
        self.outcomes("reservation", 0..1, reserved).await;
        for swarm in &mut self.0[1..] {
            swarm.dial(to.clone()).unwrap();
        }
        let connected = |event: &SwarmEvent<_>| match event {
            SwarmEvent::ConnectionEstablished { .. } => Some(true),
            SwarmEvent::OutgoingConnectionError { .. } => Some(false),
            _ => None,
        };
        count(&self.outcomes("circuits", 1..self.0.len(), connected).await)
    }

    /// Runs all swarms until each in the range has come to an outcome, and returns the outcomes.
    async fn outcomes(
        &mut self,
        what: &str,
        of: Range<usize>,
        outcome: impl Fn(&SwarmEvent<MemberEvent>) -> Option<bool>,
    ) -> Vec<bool> {
        let mut outcomes = vec![None; self.0.len()];
        let all = async {
            while outcomes[of.clone()].contains(&None) {
                let (member, event) = self.next().await;
                outcomes[member] = outcomes[member].or_else(|| outcome(&event));
            }
        };
        let ended = time::timeout(DEADLINE, all).await;
        ended.unwrap_or_else(|_| panic!("{what} within {DEADLINE:?}: {outcomes:?}"));
        outcomes[of].iter().map(|o| *o == Some(true)).collect()
    }

    async fn next(&mut self) -> (usize, SwarmEvent<MemberEvent>) {
        poll_fn(|cx| {
            for (member, swarm) in self.0.iter_mut().enumerate() {
                if let Poll::Ready(Some(event)) = swarm.poll_next_unpin(cx) {
                    return Poll::Ready((member, event));
                }
            }
            Poll::Pending
        })
        .await
    }

    async fn wait(&mut self) {
        loop {
            self.next().await;
        }
    }
}

fn member() -> Swarm<Member> {
    SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(
            tcp::Config::default(),
            noise::Config::new,
            yamux::Config::default,
        )
        .unwrap()
        .with_relay_client(noise::Config::new, yamux::Config::default)
        .unwrap()
        .with_behaviour(|key, relay| Member {
            relay,
            rendezvous: rendezvous::client::Behaviour::new(key.clone()),
            identify: identify::Behaviour::new(identify::Config::new("/x".into(), key.public())),
        })
        .unwrap()
        // The connections stay open for the whole test, though nothing uses them.
        .with_swarm_config(|config| config.with_idle_connection_timeout(DEADLINE * 2))
        .build()
}

fn count(outcomes: &[bool]) -> usize {
    outcomes.iter().filter(|outcome| **outcome).count()
}
