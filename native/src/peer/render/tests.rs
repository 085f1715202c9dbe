use std::time::Duration;

use punchline::{name::PeerName, node::PeerInfo, path::Transport, reason::Reason};

use super::*;

const ADDRESS: &str = "/ip4/192.0.2.7/udp/4001/quic-v1";

fn renderer() -> Renderer {
    Renderer::new(Paint::plain(), false, None)
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
fn the_table_of_peers_is_aligned_and_no_wider_than_a_terminal() {
    let mut renderer = renderer();
    assert_eq!(renderer.peers(&[], false), "nobody is here yet");
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
        name: PeerName::chosen("Bea").unwrap(),
        in_room: true,
        path: None,
        transport: None,
        address: None,
        rtt: None,
        unacked: 1,
        code: None,
        reason: None,
    };
    renderer.names.call(here.peer, &here.name);
    let table = renderer.peers(&[here.clone(), away.clone()], false);
    let lines: Vec<_> = table.lines().collect();
    let column = |line: &str, word: &str| line[..line.find(word).unwrap()].chars().count();
    let path = column(lines[0], "path");
    let from = |line: &str, column: usize| line.chars().skip(column).collect::<String>();
    assert_eq!(
        from(lines[1], path),
        "direct  quic       1.2 ms  2",
        "{table}"
    );
    assert_eq!(
        from(lines[2], path),
        "away    -          -       1",
        "{table}"
    );
    assert!(lines[1].starts_with("  Anna·"), "{table}");
    let table = renderer.peers(&[here.clone(), away.clone()], true);
    let details = format!("    {} at {ADDRESS}", here.peer);
    assert_eq!(table.lines().nth(2), Some(&*details), "{table}");

    let longest = PeerName::chosen(&"W".repeat(64)).unwrap();
    renderer.names.call(here.peer, &longest);
    let relayed = PeerInfo {
        path: Some(Path::Relayed),
        transport: Some(Transport::Circuit),
        code: Some(Reason::HolePunchFailed),
        reason: Some("no\nanswer ".repeat(20)),
        ..here
    };
    let guest = PeerInfo {
        in_room: false,
        ..away
    };
    let table = renderer.peers(&[relayed, guest], false);
    let lines: Vec<_> = table.lines().collect();
    assert!(
        lines.iter().all(|line| line.chars().count() <= 80),
        "{table}"
    );
    assert!(
        lines[2].starts_with("    why not direct: no�answer no"),
        "{table}"
    );
    assert!(lines[2].ends_with('…'), "{table}");
    assert!(lines[3].ends_with("other room"), "{table}");
}

#[test]
fn with_a_relay_the_first_screen_is_four_lines() {
    let welcome = Welcome {
        room: "our-room".into(),
        invitation: "http://relay.example/#room=our-room".into(),
    };
    let mut renderer = Renderer::new(Paint::plain(), true, Some(welcome));
    let (us, peer) = (PeerId::random(), PeerId::random());
    let events = [
        Event::Started {
            peer_id: us,
            name: PeerName::of(&us),
        },
        Event::Listening { address: address() },
        Event::ExternalAddress { address: address() },
        Event::Reserved {
            relay: peer,
            address: address(),
        },
        Event::Registered {
            relay: peer,
            namespace: "our-room".into(),
            ttl: 7_200,
        },
        Event::Discovered {
            peer,
            addresses: vec![],
        },
        Event::Ready {},
    ];
    let lines: Vec<_> = events.iter().filter_map(|e| renderer.event(e)).collect();
    let name = renderer.names.of(us);
    assert_eq!(
        lines.join("\n"),
        format!(
            "you are {name}; /name NAME changes that\nroom 'our-room': nobody else is here yet\n\
             invite others: http://relay.example/#room=our-room\n\
             type a line and press Enter; /help lists what else"
        )
    );
    assert_eq!(renderer.addresses(), format!("others dial:\n  {ADDRESS}"));
}

#[test]
fn two_who_call_themselves_alike_are_marked() {
    let mut renderer = renderer();
    let (a, b) = (PeerId::random(), PeerId::random());
    for peer in [a, b] {
        let name = PeerName::chosen("Anna").unwrap();
        renderer.event(&Event::Renamed { peer, name });
    }
    let line = renderer.event(&Event::Message {
        from: a,
        name: PeerName::chosen("Anna").unwrap(),
        id: 1,
        body: "hi".into(),
        path: Path::Direct,
        scope: Scope::Room,
    });
    let end = renderer.names.end_of(a);
    assert_eq!(line.unwrap(), format!("≈Anna·{end}: hi"));
}
