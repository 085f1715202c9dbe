//! What answers mean, honest ones and others.

use futures::task::noop_waker_ref;

use super::{super::packet::DiscoverResponse, super::packet::RegisterResponse, *};

const NAMESPACE: &str = "room";

#[test]
fn of_many_addresses_the_best_are_registered() {
    let [relay, other, me] = [(); 3].map(|()| PeerId::random());
    let circuit = |by: PeerId, port: u16| -> Multiaddr {
        let address = format!("/ip4/192.0.2.1/tcp/{port}/p2p/{by}/p2p-circuit/p2p/{me}");
        address.parse().unwrap()
    };
    let direct: Multiaddr = "/ip4/192.0.2.2/tcp/1".parse().unwrap();
    let mut addresses: Vec<_> = (1..=10).map(|port| circuit(other, port)).collect();
    addresses.extend((1..=10).map(|port| circuit(relay, port)));
    addresses.push(direct.clone());
    let best = best(&addresses, relay);
    assert_eq!(best.len(), MAX_ADDRESSES_PER_PEER);
    assert_eq!(best[0], direct);
    assert_eq!(best[1..11], addresses[10..20]);
    assert_eq!(best[11..], addresses[..5]);
}

#[test]
fn without_an_address_there_is_nothing_to_register() {
    let mut client = Behaviour::new(Keypair::generate_ed25519(), NAMESPACE.into());
    let point = PeerId::random();
    client.register(point, &[]);
    let mut cx = Context::from_waker(noop_waker_ref());
    match client.poll(&mut cx) {
        Poll::Ready(ToSwarm::GenerateEvent(Event::RegisterFailed { point: of, cause })) => {
            assert_eq!((of, cause.code), (point, Reason::NoExternalAddress));
        }
        other => panic!("{other:?}"),
    }
    assert!(client.poll(&mut cx).is_pending(), "nobody was asked");
}

#[test]
fn every_refusal_has_a_code() {
    let codes = [
        (100, Reason::NamespaceRefused),
        (101, Reason::RendezvousRefused),
        (102, Reason::RendezvousRefused),
        (103, Reason::RendezvousRefused),
        (200, Reason::RendezvousRefused),
        (300, Reason::RendezvousRefused),
        (400, Reason::RendezvousFull),
        (7, Reason::ProtocolViolation),
        (-1, Reason::ProtocolViolation),
    ];
    let point = PeerId::random();
    for (status, expected) in codes {
        match answered(Question::Register, point, registered(Some(status), None)) {
            Event::RegisterFailed { cause, .. } => assert_eq!(cause.code, expected, "{status}"),
            other => panic!("{other:?}"),
        }
        let refused = discovered(Some(status), Vec::new());
        match answered(Question::Discover, point, refused) {
            Event::DiscoverFailed { cause, .. } => assert_eq!(cause.code, expected, "{status}"),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn an_answer_to_another_question_is_a_violation() {
    let violation = |event: Event| match event {
        Event::RegisterFailed { cause, .. } | Event::DiscoverFailed { cause, .. } => {
            assert_eq!(cause.code, Reason::ProtocolViolation);
        }
        other => panic!("{other:?}"),
    };
    let point = PeerId::random();
    let page = discovered(Some(0), Vec::new());
    violation(answered(Question::Register, point, page));
    let yes = registered(Some(0), Some(1));
    violation(answered(Question::Discover, point, yes));
    violation(answered(Question::Register, point, Packet::default()));
    violation(answered(
        Question::Discover,
        point,
        discovered(None, Vec::new()),
    ));
}

#[test]
fn failures_without_an_answer_are_left_to_the_owner() {
    use rr::OutboundFailure as Failure;
    let code_of = |error: &Failure| cause_of(error).map(|cause| cause.code);
    assert_eq!(code_of(&Failure::Timeout), None);
    assert_eq!(code_of(&Failure::ConnectionClosed), None);
    // The relay may work all the same.
    let no_point = cause_of(&Failure::UnsupportedProtocols);
    let text = "it is no rendezvous point";
    let expected = Cause::new(Reason::RendezvousRefused, text);
    assert_eq!(no_point, Some(expected));
    let violation = Failure::Io(std::io::ErrorKind::InvalidData.into());
    assert_eq!(code_of(&violation), Some(Reason::ProtocolViolation));
    let broken = Failure::Io(std::io::ErrorKind::UnexpectedEof.into());
    assert_eq!(code_of(&broken), Some(Reason::ConnectionClosed));
}

#[test]
fn a_time_to_live_without_end_is_only_a_number() {
    let (point, ttl) = (PeerId::random(), u64::MAX);
    let event = answered(Question::Register, point, registered(Some(0), Some(ttl)));
    assert_eq!(event, Event::Registered { point, ttl });
    let key = Keypair::generate_ed25519();
    let record = PeerRecord::new(&key, Vec::new()).unwrap();
    let entry = entry(record, NAMESPACE, ttl);
    assert_eq!(found(vec![entry]), [key.public().to_peer_id()]);
}

#[test]
fn both_forms_of_peer_records_are_read() {
    let keys = [(); 2].map(|()| Keypair::generate_ed25519());
    let legacy = PeerRecord::new(&keys[0], Vec::new()).unwrap();
    let standard = PeerRecord::new_interop(&keys[1], Vec::new()).unwrap();
    let entries = vec![entry(legacy, NAMESPACE, 60), entry(standard, NAMESPACE, 60)];
    assert_eq!(found(entries), keys.map(|key| key.public().to_peer_id()));
}

#[test]
fn only_signed_registrations_in_our_namespace_count_and_not_too_many() {
    let record = || PeerRecord::new(&Keypair::generate_ed25519(), Vec::new()).unwrap();
    let elsewhere = entry(record(), "another room", 60);
    let mut forged = entry(record(), NAMESPACE, 60);
    *forged.record.as_mut().unwrap().last_mut().unwrap() ^= 1;
    let nothing = Register {
        namespace: Some(NAMESPACE.into()),
        ..Register::default()
    };
    assert_eq!(found(vec![elsewhere, forged, nothing]), []);
    let one = entry(record(), NAMESPACE, 60);
    let many = vec![one; MAX_REGISTRATIONS + 1];
    assert_eq!(found(many).len(), MAX_REGISTRATIONS);
}

/// The peers that a page with these registrations makes known.
fn found(registrations: Vec<Register>) -> Vec<PeerId> {
    let page = discovered(Some(0), registrations);
    match answered(Question::Discover, PeerId::random(), page) {
        Event::Discovered { peers, .. } => peers.into_iter().map(|(peer, _)| peer).collect(),
        other => panic!("{other:?}"),
    }
}

fn answered(question: Question, point: PeerId, answer: Packet) -> Event {
    question.answered(point, answer, NAMESPACE)
}

fn registered(status: Option<i32>, ttl: Option<u64>) -> Packet {
    Packet {
        kind: Some(Kind::RegisterResponse as i32),
        register_response: Some(RegisterResponse { status, ttl }),
        ..Packet::default()
    }
}

fn discovered(status: Option<i32>, registrations: Vec<Register>) -> Packet {
    Packet {
        kind: Some(Kind::DiscoverResponse as i32),
        discover_response: Some(DiscoverResponse {
            registrations,
            cookie: None,
            status,
        }),
        ..Packet::default()
    }
}

fn entry(record: PeerRecord, namespace: &str, ttl: u64) -> Register {
    Register {
        namespace: Some(namespace.into()),
        record: Some(record.into_signed_envelope().into_protobuf_encoding()),
        ttl: Some(ttl),
    }
}
