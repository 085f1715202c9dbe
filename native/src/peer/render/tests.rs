use punchline::{name::PeerName, path::Transport, reason::Reason};

use super::*;

const ADDRESS: &str = "/ip4/192.0.2.7/udp/4001/quic-v1";

fn renderer() -> Renderer {
    Renderer::new(Paint::plain(), false)
}

fn address() -> Multiaddr {
    ADDRESS.parse().unwrap()
}

/// The line for an event of a peer whose name is cut out.
fn line(event: impl Fn(PeerId) -> Event) -> String {
    let peer = PeerId::random();
    let mut renderer = renderer();
    let line = renderer.event(&event(peer)).unwrap();
    line.replace(&peer.to_string(), "ID")
        .replace(&renderer.names.of(peer), "NAME")
}

#[test]
fn each_event_is_a_line() {
    let connected = |path, transport| {
        move |peer| Event::Connected {
            peer,
            name: PeerName::of(&peer),
            in_room: true,
            path,
            transport,
            address: address(),
            after_ms: 7,
        }
    };
    let changed = |from, to, transport| {
        move |peer| Event::PathChanged {
            peer,
            from,
            to,
            transport,
            address: address(),
        }
    };
    let lines = [
        line(|peer_id| Event::Started {
            peer_id,
            name: PeerName::of(&peer_id),
        }),
        line(|relay| Event::Reserved {
            relay,
            address: address(),
        }),
        line(|relay| Event::Registered {
            relay,
            namespace: "rendezvous".into(),
            ttl: 7_200,
        }),
        line(|relay| Event::ReservationLost {
            relay,
            code: Reason::Other,
            reason: "closed".into(),
        }),
        line(|peer| Event::Discovered {
            peer,
            addresses: vec![],
        }),
        line(connected(Path::Relayed, Transport::Circuit)),
        line(connected(Path::Direct, Transport::Quic)),
        line(changed(Path::Relayed, Path::Direct, Transport::Quic)),
        line(changed(Path::Direct, Path::Relayed, Transport::Circuit)),
        line(|peer| Event::Disconnected {
            peer,
            code: Reason::Other,
            reason: "timeout".into(),
            left: false,
        }),
        line(|peer| Event::Disconnected {
            peer,
            code: Reason::Left,
            reason: "it left".into(),
            left: true,
        }),
        line(|peer| Event::Incompatible {
            peer,
            protocols: vec!["/a/1".into(); 6],
        }),
        line(|from| Event::Message {
            from,
            name: PeerName::of(&from),
            id: 1,
            body: "hello".into(),
            path: Path::Direct,
            scope: Scope::Room,
        }),
        line(|from| Event::Message {
            from,
            name: PeerName::of(&from),
            id: 1,
            body: "hello".into(),
            path: Path::Direct,
            scope: Scope::Private,
        }),
        line(|from| Event::Greeting {
            from,
            message: "Hello from".into(),
        }),
        line(|from| Event::GreetingReply {
            from,
            message: "Hello back".into(),
            address: address(),
        }),
        line(|_| Event::Error {
            code: Reason::Other,
            message: "no".into(),
        }),
    ];
    assert_eq!(
        lines,
        [
            "you are NAME, in full ID",
            "relay NAME: reserved; others dial:\n  /ip4/192.0.2.7/udp/4001/quic-v1",
            "relay NAME: registered in 'rendezvous' for 7200 s",
            "relay NAME: lost (closed); retrying",
            "discovered NAME: ID",
            "connected to NAME (relayed, circuit)",
            "connected to NAME (direct, quic) at /ip4/192.0.2.7/udp/4001/quic-v1",
            "NAME: now direct over quic",
            "NAME: now relayed over circuit, the direct path is gone",
            "NAME: away (timeout); may come back",
            "NAME: left",
            "NAME: speaks none of our protocols, and was disconnected. It speaks /a/1, /a/1, /a/1, /a/1, /a/1, …",
            "NAME: hello",
            "NAME → you alone: hello",
            "NAME greets: Hello from",
            "NAME replies: Hello back (sees us at /ip4/192.0.2.7/udp/4001/quic-v1)",
            "error: no",
        ]
    );
}

#[test]
fn addresses_in_a_row_have_one_heading() {
    let mut renderer = renderer();
    let listening = Event::Listening { address: address() };
    let lines: Vec<_> = [&listening, &listening, &Event::Ready {}, &listening]
        .into_iter()
        .map(|event| renderer.event(event).unwrap())
        .collect();
    let first = format!("others dial:\n  {ADDRESS}");
    assert_eq!(
        lines,
        [first.clone(), format!("  {ADDRESS}"), "ready".into(), first]
    );
}

#[test]
fn addresses_that_nobody_can_dial_are_not_offered() {
    let mut renderer = renderer();
    for address in ["/ip6/fe80::1/tcp/1", "/ip4/169.254.1.2/tcp/1"] {
        let address = address.parse().unwrap();
        assert_eq!(renderer.event(&Event::Listening { address }), None);
    }
}

#[test]
fn a_hostile_peer_cannot_move_the_cursor() {
    let evil = || "\x1b[2J\x07".to_owned();
    let peer = PeerId::random();
    let dns: Multiaddr = format!("/dns/{}/tcp/1", evil()).parse().unwrap();
    let mut renderer = renderer();
    for event in [
        Event::Message {
            from: peer,
            name: PeerName::of(&peer),
            id: 1,
            body: evil(),
            path: Path::Direct,
            scope: Scope::Room,
        },
        Event::Greeting {
            from: peer,
            message: evil(),
        },
        Event::GreetingReply {
            from: peer,
            message: evil(),
            address: dns.clone(),
        },
        Event::Incompatible {
            peer,
            protocols: vec![evil()],
        },
        Event::Disconnected {
            peer,
            code: Reason::Other,
            reason: evil(),
            left: false,
        },
        Event::ReservationLost {
            relay: peer,
            code: Reason::Other,
            reason: evil(),
        },
        Event::Reserved {
            relay: peer,
            address: dns.clone(),
        },
        Event::ExternalAddress {
            address: dns.clone(),
        },
        Event::Connected {
            peer,
            name: PeerName::of(&peer),
            in_room: true,
            path: Path::Direct,
            transport: Transport::Tcp,
            address: dns,
            after_ms: 7,
        },
        Event::Error {
            code: Reason::Other,
            message: evil(),
        },
    ] {
        let line = renderer.event(&event).unwrap();
        assert!(
            !line.contains(|c: char| c.is_control() && c != '\n'),
            "{line:?}"
        );
    }
}

#[test]
fn a_failure_names_line_peer_and_reason() {
    let to = PeerId::random();
    let mut renderer = renderer();
    let name = renderer.names.of(to);
    let failed = Event::Delivery {
        to,
        id: 9,
        state: DeliveryState::Failed,
        code: Some(Reason::NotAcked),
        reason: Some("late".into()),
    };
    let line = renderer.failure(Some(3), &failed);
    assert_eq!(line, Some(format!("  ✗ #3 not delivered to {name}: late")));
    let acked = Event::Delivery {
        to,
        id: 9,
        state: DeliveryState::Acked,
        code: None,
        reason: None,
    };
    assert_eq!(renderer.failure(Some(3), &acked), None);
}

#[test]
fn the_table_of_peers_is_aligned() {
    let mut renderer = renderer();
    assert_eq!(renderer.peers(&[]), "nobody is here yet");
    let here = PeerInfo {
        peer: PeerId::random(),
        name: PeerName::chosen("Anna").unwrap(),
        in_room: true,
        path: Some(Path::Direct),
        transport: Some(Transport::Quic),
        address: Some(address()),
        rtt: Some(Duration::from_micros(1_250)),
        unacked: 2,
        code: None,
        reason: None,
    };
    let away = PeerInfo {
        peer: PeerId::random(),
        name: PeerName::chosen("Anna").unwrap(),
        in_room: true,
        path: None,
        transport: None,
        address: None,
        rtt: None,
        unacked: 1,
        code: None,
        reason: None,
    };
    let table = renderer.peers(&[here.clone(), away.clone()]);
    let lines: Vec<_> = table.lines().collect();
    let column = lines[0].find("path").unwrap();
    assert!(
        lines[1][column..].starts_with("direct  quic       1.2 ms  2        /ip4/"),
        "{table}"
    );
    assert!(
        lines[2][column..].starts_with("away    -          -       1        -"),
        "{table}"
    );
    assert!(lines[1].contains(&here.peer.to_string()));
    assert!(lines[0].ends_with("address"), "{table}");

    let relayed = PeerInfo {
        path: Some(Path::Relayed),
        transport: Some(Transport::Circuit),
        code: Some(Reason::HolePunchFailed),
        reason: Some("no\nanswer".into()),
        ..here
    };
    let table = renderer.peers(&[relayed, away]);
    let lines: Vec<_> = table.lines().collect();
    let column = lines[0].find("why not direct").unwrap();
    assert_eq!(&lines[1][column..], &*sanitised("no\nanswer"));
    assert!(lines[2].ends_with('-'), "{table}");
}
