use std::future::poll_fn;

use futures::FutureExt;
use libp2p::swarm::{ConnectionClosed, DialError, DialFailure};

use super::*;

const RELAY: &str = "/ip4/192.0.2.7/tcp/1/p2p/12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN";
/// Longer than any wait of a first try.
const PATIENCE: Duration = Duration::from_secs(60);

fn circuit(peer: PeerId) -> Multiaddr {
    format!("{RELAY}/p2p-circuit/p2p/{peer}").parse().unwrap()
}

fn by_webrtc(peer: PeerId) -> Multiaddr {
    format!("{RELAY}/p2p-circuit/webrtc/p2p/{peer}")
        .parse()
        .unwrap()
}

fn connect(behaviour: &mut Behaviour, peer: PeerId, endpoint: &ConnectedPoint) -> ConnectionId {
    let conn = ConnectionId::new_unchecked(rand::random_range(0..1 << 40));
    behaviour.on_swarm_event(FromSwarm::ConnectionEstablished(ConnectionEstablished {
        peer_id: peer,
        connection_id: conn,
        endpoint,
        failed_addresses: &[],
        other_established: 0,
    }));
    conn
}

/// A connection that we dialled.
fn dialled(behaviour: &mut Behaviour, peer: PeerId, address: Multiaddr) -> ConnectionId {
    let endpoint = ConnectedPoint::Dialer {
        address,
        role_override: Endpoint::Dialer,
        port_use: PortUse::Reuse,
    };
    connect(behaviour, peer, &endpoint)
}

fn close(behaviour: &mut Behaviour, peer: PeerId, conn: ConnectionId) {
    let endpoint = ConnectedPoint::Dialer {
        address: circuit(peer),
        role_override: Endpoint::Dialer,
        port_use: PortUse::Reuse,
    };
    behaviour.on_swarm_event(FromSwarm::ConnectionClosed(ConnectionClosed {
        peer_id: peer,
        connection_id: conn,
        endpoint: &endpoint,
        cause: None,
        remaining_established: 0,
    }));
}

/// What it wants next.
async fn next(behaviour: &mut Behaviour) -> ToSwarm<Event, Infallible> {
    let next = poll_fn(|cx| behaviour.poll(cx));
    tokio::time::timeout(PATIENCE, next).await.expect("in time")
}

async fn next_dial(behaviour: &mut Behaviour) -> DialOpts {
    match next(behaviour).await {
        ToSwarm::Dial { opts } => opts,
        other => panic!("{other:?}"),
    }
}

/// Its addresses cannot be asked for.
fn leads_to(opts: &DialOpts, address: &Multiaddr) -> bool {
    format!("{opts:?}").contains(&address.to_string())
}

fn wants_nothing(behaviour: &mut Behaviour) -> bool {
    poll_fn(|cx| behaviour.poll(cx)).now_or_never().is_none()
}

/// Nothing is due, now or later.
fn stays_quiet(behaviour: &mut Behaviour) {
    for circuit in behaviour.circuits.values_mut() {
        assert!(circuit.next.is_none(), "something is due");
    }
    assert!(wants_nothing(behaviour));
}

fn fail(behaviour: &mut Behaviour, dial: ConnectionId) {
    behaviour.on_swarm_event(FromSwarm::DialFailure(DialFailure {
        peer_id: None,
        error: &DialError::Aborted,
        connection_id: dial,
    }));
}

#[tokio::test]
async fn who_dialled_the_circuit_dials_beside_it() {
    let (mut behaviour, peer) = (Behaviour::default(), PeerId::random());
    let conn = dialled(&mut behaviour, peer, circuit(peer));
    stays_quiet(&mut behaviour);
    behaviour.speaks(conn);
    let opts = next_dial(&mut behaviour).await;
    assert_eq!(opts.get_peer_id(), Some(peer));
    assert!(leads_to(&opts, &by_webrtc(peer)), "{opts:?}");
    // Identify may say it again.
    behaviour.speaks(conn);
    stays_quiet(&mut behaviour);
}

#[tokio::test]
async fn who_was_dialled_waits_politely_and_then_dials_the_same() {
    let (mut behaviour, peer) = (Behaviour::default(), PeerId::random());
    let endpoint = ConnectedPoint::Listener {
        local_addr: format!("{RELAY}/p2p-circuit").parse().unwrap(),
        send_back_addr: format!("/p2p/{peer}").parse().unwrap(),
    };
    let conn = connect(&mut behaviour, peer, &endpoint);
    behaviour.speaks(conn);
    assert!(wants_nothing(&mut behaviour));
    let opts = next_dial(&mut behaviour).await;
    assert!(leads_to(&opts, &by_webrtc(peer)), "{opts:?}");
}

#[tokio::test]
async fn with_a_direct_path_there_is_nothing_to_do_until_it_is_lost() {
    let (mut behaviour, peer) = (Behaviour::default(), PeerId::random());
    let over_quic = "/ip4/192.0.2.9/udp/1/quic-v1".parse().unwrap();
    let direct = dialled(&mut behaviour, peer, over_quic);
    let conn = dialled(&mut behaviour, peer, circuit(peer));
    behaviour.speaks(conn);
    // The timer runs out, and nothing comes of it.
    while behaviour.circuits.values_mut().any(|c| c.next.is_some()) {
        assert!(wants_nothing(&mut behaviour));
        tokio::task::yield_now().await;
    }
    close(&mut behaviour, peer, direct);
    next_dial(&mut behaviour).await;
}

#[tokio::test]
async fn a_connection_that_came_by_webrtc_is_a_direct_path() {
    let (mut behaviour, peer) = (Behaviour::default(), PeerId::random());
    let conn = dialled(&mut behaviour, peer, circuit(peer));
    dialled(&mut behaviour, peer, by_webrtc(peer));
    assert_eq!(behaviour.circuits.len(), 1);
    behaviour.speaks(conn);
    while behaviour.circuits.values_mut().any(|c| c.next.is_some()) {
        assert!(wants_nothing(&mut behaviour));
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn failures_are_tried_again_and_said_once() {
    let (mut behaviour, peer) = (Behaviour::default(), PeerId::random());
    let conn = dialled(&mut behaviour, peer, circuit(peer));
    behaviour.speaks(conn);
    let mut said = 0;
    for attempt in 1..=2 * ATTEMPTS {
        let dial = next_dial(&mut behaviour).await.connection_id();
        fail(&mut behaviour, dial);
        assert!(behaviour.circuits.values_mut().all(|c| c.next.is_some()));
        if attempt == ATTEMPTS {
            let event = next(&mut behaviour).await;
            assert!(matches!(event, ToSwarm::GenerateEvent(event) if event.peer == peer));
            said += 1;
        }
        let ours = behaviour.circuits.values_mut().next().expect("a circuit");
        // As if the pause was over.
        ours.next = Some(Delay::new(Duration::ZERO));
    }
    assert_eq!(said, 1);
}

#[tokio::test]
async fn another_network_ends_the_pause() {
    let (mut behaviour, peer) = (Behaviour::default(), PeerId::random());
    let conn = dialled(&mut behaviour, peer, circuit(peer));
    behaviour.speaks(conn);
    for _ in 0..20 {
        let dial = next_dial(&mut behaviour).await.connection_id();
        fail(&mut behaviour, dial);
        behaviour.events.clear();
        behaviour.hurry();
    }
    close(&mut behaviour, peer, conn);
    behaviour.hurry();
    stays_quiet(&mut behaviour);
}

#[test]
fn two_that_punch_holes_do_without() {
    for punching in PUNCHING {
        let protocols = [SIGNALLING_PROTOCOL, punching];
        assert!(!is_wanted(&protocols, true));
        assert!(is_wanted(&protocols, false), "we are a browser");
        assert!(is_wanted(&protocols[..1], true), "it is a browser");
        assert!(!is_wanted(&protocols[1..], false));
    }
    assert!(!is_wanted(&[], true));
}
