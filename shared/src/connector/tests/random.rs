//! Any inputs in any order: no panic, no spinning, no second dial, nothing without bound.

use proptest::prelude::*;

use super::*;
use crate::connector::{backoff::Next, purpose::Purpose};

#[derive(Debug, Clone)]
enum Step {
    Input(Input),
    Network(NetworkInput),
    /// Lets time pass, in milliseconds, with every timer in between.
    Advance(u64),
    /// Lets the first timer fire.
    Timer,
}

fn peer() -> impl Strategy<Value = PeerId> {
    prop::sample::select(vec![id(LOCAL), id(RELAY), id(2), id(SMALL), id(LARGE)])
}

fn relay_id() -> impl Strategy<Value = RelayId> {
    (0..4u32).prop_map(RelayId)
}

fn conn() -> impl Strategy<Value = ConnId> {
    (0..12usize).prop_map(ConnId::new_unchecked)
}

fn address() -> impl Strategy<Value = Multiaddr> {
    let any = prop::sample::select(vec![
        Multiaddr::empty(),
        a(QUIC),
        a(TCP),
        a(WS),
        a(DIRECT),
        a("/p2p-circuit"),
        circuit(QUIC, id(SMALL)),
        circuit(TCP, id(LARGE)),
        addresses::circuit(&circuit(QUIC, id(2)), id(2)),
    ]);
    (any, prop::option::of(peer())).prop_map(|(address, peer)| match peer {
        Some(peer) => address.with(libp2p::multiaddr::Protocol::P2p(peer)),
        None => address,
    })
}

fn transport() -> impl Strategy<Value = Transport> {
    prop::sample::select(vec![
        Transport::Quic,
        Transport::Tcp,
        Transport::Ws,
        Transport::Circuit,
        Transport::Circuit,
    ])
}

fn addresses() -> impl Strategy<Value = Vec<Multiaddr>> {
    prop::collection::vec(address(), 0..4)
}

fn connected() -> impl Strategy<Value = Input> {
    let dial = prop::option::of((0..40u64).prop_map(DialId));
    (peer(), conn(), address(), transport(), any::<bool>(), dial).prop_map(
        |(peer, conn, address, transport, outbound, dial)| Input::Connected {
            peer,
            conn,
            address,
            transport,
            outbound,
            dial,
        },
    )
}

fn identified() -> impl Strategy<Value = Input> {
    (peer(), conn(), any::<bool>(), any::<bool>(), addresses()).prop_map(
        |(peer, conn, compatible, relay, listen_addresses)| Input::Identified {
            peer,
            conn,
            compatible,
            is_relay: relay,
            protocols: vec!["/x".into()],
            listen_addresses,
        },
    )
}

fn path() -> impl Strategy<Value = Input> {
    let some = (conn(), transport(), address());
    (peer(), prop::option::of(some), remote()).prop_map(|(peer, path, remote)| Input::Path {
        peer,
        remote,
        path: path.map(|(conn, transport, address)| ActivePath {
            conn,
            kind: transport.path(),
            transport,
            address,
        }),
        cause: cause(""),
    })
}

fn remote() -> impl Strategy<Value = Remote> {
    let memberships = [Membership::Member, Membership::Guest, Membership::Unproven];
    (peer(), prop::sample::select(memberships.to_vec())).prop_map(|(named_as, membership)| Remote {
        name: PeerName::of(&named_as),
        membership,
    })
}

fn introduced() -> impl Strategy<Value = Input> {
    (peer(), remote()).prop_map(|(peer, remote)| Input::Introduced { peer, remote })
}

fn from_a_relay() -> impl Strategy<Value = Input> {
    let reason = String::new;
    let found = prop::collection::vec((peer(), addresses()), 0..4);
    prop_oneof![
        (conn(), 0..2_000u64).prop_map(|(conn, rtt)| Input::Answered {
            conn,
            rtt: millis(rtt)
        }),
        (relay_id(), address())
            .prop_map(|(relay, address)| Input::ReservationAccepted { relay, address }),
        relay_id().prop_map(move |relay| Input::ReservationLost {
            relay,
            cause: cause(&reason())
        }),
        (peer(), any::<u64>()).prop_map(|(point, ttl)| Input::Registered { point, ttl }),
        (peer(), peer()).prop_map(|(point, who)| Input::News {
            point,
            peers: vec![(who, vec![a(DIRECT)])]
        }),
        peer().prop_map(|point| Input::News {
            point,
            peers: Vec::new()
        }),
        peer().prop_map(move |point| Input::RegisterFailed {
            point,
            cause: cause(&reason())
        }),
        (peer(), found, prop::collection::vec(any::<u8>(), 0..9)).prop_map(
            |(point, peers, cookie)| Input::Discovered {
                point,
                peers,
                cookie
            }
        ),
        peer().prop_map(|point| Input::Stranger { point }),
        peer().prop_map(move |point| Input::DiscoverFailed {
            point,
            cause: cause(&reason())
        }),
    ]
}

fn from_a_peer() -> impl Strategy<Value = Input> {
    let reason = String::new;
    prop_oneof![
        conn().prop_map(move |conn| Input::Closed {
            conn,
            cause: cause(&reason())
        }),
        (peer(), conn()).prop_map(|(peer, conn)| Input::Drained { peer, conn }),
        (peer(), conn(), any::<bool>()).prop_map(|(peer, conn, dead)| Input::Silent {
            peer,
            conn,
            dead
        }),
        peer().prop_map(move |peer| Input::UpgradeFailed {
            peer,
            cause: cause(&reason())
        }),
        (peer(), address()).prop_map(move |(peer, address)| Input::GreetingReply {
            peer,
            message: reason(),
            address
        }),
    ]
}

fn from_the_application() -> impl Strategy<Value = Input> {
    prop_oneof![
        (prop::option::of(peer()), addresses())
            .prop_map(|(peer, addresses)| Input::AddRelay(RelayAddress { peer, addresses })),
        (0..3usize, prop::option::of(peer()), addresses()).prop_map(|(place, peer, addresses)| {
            let relay = RelayAddress { peer, addresses };
            Input::RelayFound { place, relay }
        }),
        peer().prop_map(Input::DropRelay),
        address().prop_map(Input::Dial),
        Just(Input::ListenersReady),
        Just(Input::Wake),
    ]
}

fn from_the_network() -> impl Strategy<Value = NetworkInput> {
    prop_oneof![
        any::<bool>().prop_map(|lost| NetworkInput::Changed { lost }),
        (peer(), addresses())
            .prop_map(|(peer, addresses)| NetworkInput::Announced { peer, addresses }),
        address().prop_map(|address| NetworkInput::Mapped { address }),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let dial_failed = (0..40u64).prop_map(|dial| Input::DialFailed {
        dial: DialId(dial),
        cause: cause("refused"),
    });
    prop_oneof![
        4 => connected().prop_map(Step::Input),
        1 => introduced().prop_map(Step::Input),
        3 => identified().prop_map(Step::Input),
        3 => path().prop_map(Step::Input),
        4 => from_a_relay().prop_map(Step::Input),
        3 => from_a_peer().prop_map(Step::Input),
        2 => from_the_application().prop_map(Step::Input),
        1 => from_the_network().prop_map(Step::Network),
        2 => dial_failed.prop_map(Step::Input),
        2 => (0..100_000u64).prop_map(Step::Advance),
        4 => Just(Step::Timer),
    ]
}

/// At most one dial runs for each peer and target, and it is the one that is waited for. A relay
/// has at most one for each group of transports, and one each of the other kinds.
fn check_dials(connector: &Connector) {
    let mut running: BTreeMap<String, usize> = BTreeMap::new();
    for (dial, purpose) in connector.dials.running() {
        let (key, limit) = match purpose {
            Purpose::Peer(peer) | Purpose::Upgrade(peer) => {
                let next = connector.peers.get(peer).map(|peer| peer.next);
                assert_eq!(next, Some(Next::Dialling(dial)));
                (format!("{peer}"), 1)
            }
            Purpose::Target(target) => (format!("{target:?}"), 1),
            Purpose::Observation(relay) => (format!("other {relay:?}"), 2),
            Purpose::Remembered(peer) => (format!("remembered {peer}"), 1),
            // Those of the last attempt may still run when the next one starts.
            Purpose::Relay(relay) => (format!("{relay:?}"), usize::MAX),
        };
        let count = running.entry(key).or_default();
        *count += 1;
        assert!(*count <= limit, "{purpose:?}");
    }
}

/// What one machine learnt of another is what that one holds.
fn check_agreement(connector: &Connector) {
    for peer in [id(LOCAL), id(RELAY), id(2), id(SMALL), id(LARGE)] {
        let facts = connector.peers.facts(peer);
        let connected = facts.path.is_some();
        assert_eq!(
            connector.greetings.knows(peer),
            (facts.is_ordered, connected)
        );
        assert_eq!(connector.relays.path(peer), facts.path);
        assert_eq!(facts.is_targeted, facts.target_leads_there);
    }
    for relay in (0..8).map(RelayId) {
        assert_eq!(
            connector.relays.known(relay),
            connector.peers.known(relay).cloned()
        );
    }
}

fn run(steps: Vec<Step>, from_scratch: bool) {
    let mut config = config(&[QUIC, TCP, WS]);
    config.dial = vec![a(DIRECT)];
    config.remembered = vec![at(DIRECT, id(SMALL)), at(DIRECT, id(LARGE))];
    config.pending_relays = 2;
    let mut rig = Rig::new(&config);
    if !from_scratch {
        (rig, _) = Rig::with_relay();
        rig.reach(id(SMALL));
    }
    rig.answering = false;
    for step in steps {
        rig.take();
        match step {
            Step::Input(input) => rig.input(input),
            Step::Network(input) => rig.network(input),
            Step::Advance(by) => rig.advance(millis(by)),
            Step::Timer => {
                if let Some(at) = rig.connector.poll_timeout() {
                    rig.advance(at - rig.now);
                }
            }
        }
        check_dials(&rig.connector);
        check_agreement(&rig.connector);
        assert!(rig.out.len() < 500, "{} outputs", rig.out.len());
    }
    rig.input(Input::Shutdown);
    rig.take();
    rig.advance(secs(600));
    assert_eq!(rig.take(), []);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_sequence_of_inputs_is_survived(
        steps in prop::collection::vec(step(), 0..150),
        from_scratch: bool,
    ) {
        run(steps, from_scratch);
    }
}
