//! Pings as js-libp2p sends them: one stream, one ping after the other.

use std::time::Duration;

use futures::{AsyncReadExt, AsyncWriteExt, StreamExt};
use libp2p::{
    Swarm, SwarmBuilder, identify,
    identity::Keypair,
    swarm::{NetworkBehaviour, SwarmEvent},
};

use super::*;

/// With libp2p's own answers each ping may wait for the handler's own interval, 15 s.
const PINGS: usize = 1_000;
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn pings_on_one_stream_are_answered_over_quic() {
    let mut answerer = swarm(|_| Behaviour::default());
    let (to, address) = listening(&mut answerer).await;
    let mut pinger = swarm(|_| libp2p_stream::Behaviour::new());
    let mut control = pinger.behaviour().new_control();
    pinger.dial(address.with_p2p(to).unwrap()).unwrap();
    while !pinger.is_connected(&to) {
        tokio::select! {
            _ = pinger.select_next_some() => {}
            _ = answerer.select_next_some() => {}
        }
    }
    tokio::spawn(async move { while answerer.next().await.is_some() {} });
    tokio::spawn(async move { while pinger.next().await.is_some() {} });

    let pings = async {
        let mut stream = control.open_stream(to, ping::PROTOCOL_NAME).await.unwrap();
        for number in 0..PINGS {
            let sent = [u8::try_from(number % 256).unwrap(); 32];
            let mut answer = [0; 32];
            stream.write_all(&sent).await.unwrap();
            stream.flush().await.unwrap();
            stream.read_exact(&mut answer).await.unwrap();
            assert_eq!(answer, sent);
        }
    };
    tokio::time::timeout(PATIENCE, pings)
        .await
        .expect("pings that were not answered");
}

fn swarm<B: NetworkBehaviour>(behaviour: impl FnOnce(&Keypair) -> B) -> Swarm<B> {
    SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_quic()
        .with_behaviour(behaviour)
        .unwrap()
        .with_swarm_config(|config| config.with_idle_connection_timeout(PATIENCE))
        .build()
}

/// Has a swarm listen, and returns who is to be dialled where.
async fn listening<B: NetworkBehaviour>(swarm: &mut Swarm<B>) -> (PeerId, Multiaddr) {
    swarm
        .listen_on("/ip4/127.0.0.1/udp/0/quic-v1".parse().unwrap())
        .unwrap();
    loop {
        if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await {
            return (*swarm.local_peer_id(), address);
        }
    }
}

const WATCHED: StreamProtocol = StreamProtocol::new("/watched/1");
const RELAYS: StreamProtocol = StreamProtocol::new("/relays/1");

#[derive(NetworkBehaviour)]
struct Speaking {
    ping: Behaviour,
    identify: identify::Behaviour,
    streams: libp2p_stream::Behaviour,
}

/// A peer that listens and speaks this, besides ping; it is driven until the test ends.
async fn speaking(protocols: &[StreamProtocol]) -> (PeerId, Multiaddr) {
    let mut swarm = swarm(Behaviour::default().and_identify());
    let mut control = swarm.behaviour().streams.new_control();
    let accepted: Vec<_> = protocols
        .iter()
        .map(|protocol| control.accept(protocol.clone()).unwrap())
        .collect();
    let there = listening(&mut swarm).await;
    tokio::spawn(async move {
        while swarm.next().await.is_some() {}
        drop(accepted);
    });
    there
}

impl Behaviour {
    fn and_identify(self) -> impl FnOnce(&Keypair) -> Speaking {
        |key| Speaking {
            ping: self,
            identify: identify::Behaviour::new(identify::Config::new("/x/1".into(), key.public())),
            streams: libp2p_stream::Behaviour::new(),
        }
    }
}

#[tokio::test]
async fn who_is_watched_by_another_protocol_is_not_pinged() {
    let config = ping::Config::new().with_interval(Duration::from_millis(1));
    let pinging = Behaviour::new(config).sparing(Spared {
        speaking: WATCHED,
        but_not: RELAYS,
    });
    let mut pinger = swarm(pinging.and_identify());
    let mut remotes = Vec::new();
    for protocols in [&[][..], &[WATCHED], &[WATCHED, RELAYS]] {
        let (peer, address) = speaking(protocols).await;
        pinger.dial(address.with_p2p(peer).unwrap()).unwrap();
        remotes.push(peer);
    }
    let mut pings = [0_usize; 3];
    let pinged = async {
        while pings[0] < 50 || pings[2] < 50 {
            if let SwarmEvent::Behaviour(SpeakingEvent::Ping(event)) =
                pinger.select_next_some().await
            {
                let remote = remotes.iter().position(|peer| *peer == event.peer);
                pings[remote.unwrap()] += 1;
            }
        }
    };
    tokio::time::timeout(PATIENCE, pinged).await.expect("pings");
    assert_eq!(pings[1], 0);
}
