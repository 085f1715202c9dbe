//! Pings as js-libp2p sends them: one stream, one ping after the other.

use std::time::Duration;

use futures::{AsyncReadExt, AsyncWriteExt, StreamExt};
use libp2p::{
    Swarm, SwarmBuilder,
    swarm::{NetworkBehaviour, SwarmEvent},
};

use super::*;

/// With libp2p's own answers each ping may wait for the handler's own interval, 15 s.
const PINGS: usize = 1_000;
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn pings_on_one_stream_are_answered_over_quic() {
    let mut answerer = swarm(Behaviour::default());
    answerer
        .listen_on("/ip4/127.0.0.1/udp/0/quic-v1".parse().unwrap())
        .unwrap();
    let address = loop {
        if let SwarmEvent::NewListenAddr { address, .. } = answerer.select_next_some().await {
            break address;
        }
    };
    let to = *answerer.local_peer_id();
    let mut pinger = swarm(libp2p_stream::Behaviour::new());
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

fn swarm<B: NetworkBehaviour>(behaviour: B) -> Swarm<B> {
    SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_quic()
        .with_behaviour(|_| behaviour)
        .unwrap()
        .with_swarm_config(|config| config.with_idle_connection_timeout(PATIENCE))
        .build()
}
