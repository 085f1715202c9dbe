//! The JSON of every event.

use super::*;

const PEER: &str = "12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN";
const ADDRESS: &str = "/ip4/192.0.2.7/udp/45678/quic-v1";

/// Checks both ways: what is written, and that it is read back.
fn assert_json(event: &Event, expected: &str) {
    let expected = expected.replace("PEER", PEER).replace("ADDRESS", ADDRESS);
    assert_eq!(serde_json::to_string(event).unwrap(), expected);
    assert_eq!(serde_json::from_str::<Event>(&expected).unwrap(), *event);
}

fn peer() -> PeerId {
    PEER.parse().unwrap()
}

fn name() -> PeerName {
    PeerName::chosen("Änne").unwrap()
}

fn address() -> Multiaddr {
    ADDRESS.parse().unwrap()
}

#[test]
fn started() {
    let event = Event::Started {
        peer_id: peer(),
        name: name(),
    };
    assert_json(
        &event,
        r#"{"event":"started","peer_id":"PEER","name":"Änne"}"#,
    );
}

#[test]
fn listening() {
    let event = Event::Listening { address: address() };
    assert_json(&event, r#"{"event":"listening","address":"ADDRESS"}"#);
}

#[test]
fn ready() {
    assert_json(&Event::Ready {}, r#"{"event":"ready"}"#);
}

#[test]
fn external_address() {
    let event = Event::ExternalAddress { address: address() };
    assert_json(
        &event,
        r#"{"event":"external_address","address":"ADDRESS"}"#,
    );
}

#[test]
fn reserved() {
    let event = Event::Reserved {
        relay: peer(),
        address: address(),
    };
    assert_json(
        &event,
        r#"{"event":"reserved","relay":"PEER","address":"ADDRESS"}"#,
    );
}

#[test]
fn reservation_lost() {
    let event = Event::ReservationLost {
        relay: peer(),
        code: Reason::NetworkChanged,
        reason: "gone".into(),
    };
    assert_json(
        &event,
        r#"{"event":"reservation_lost","relay":"PEER","code":"network-changed","reason":"gone"}"#,
    );
}

#[test]
fn registered() {
    let event = Event::Registered {
        relay: peer(),
        namespace: "rendezvous".into(),
        ttl: 7_200,
    };
    assert_json(
        &event,
        r#"{"event":"registered","relay":"PEER","namespace":"rendezvous","ttl":7200}"#,
    );
}

#[test]
fn discovered() {
    let event = Event::Discovered {
        peer: peer(),
        addresses: vec![address()],
    };
    assert_json(
        &event,
        r#"{"event":"discovered","peer":"PEER","addresses":["ADDRESS"]}"#,
    );
}

#[test]
fn connected() {
    let event = Event::Connected {
        peer: peer(),
        name: name(),
        in_room: true,
        path: Path::Direct,
        transport: Transport::Quic,
        address: address(),
        after_ms: 1_250,
    };
    assert_json(
        &event,
        r#"{"event":"connected","peer":"PEER","name":"Änne","in_room":true,"path":"direct","transport":"quic","address":"ADDRESS","after_ms":1250}"#,
    );
}

#[test]
fn path_changed() {
    let event = Event::PathChanged {
        peer: peer(),
        from: Path::Relayed,
        to: Path::Direct,
        transport: Transport::WebrtcDirect,
        address: address(),
    };
    assert_json(
        &event,
        r#"{"event":"path_changed","peer":"PEER","from":"relayed","to":"direct","transport":"webrtc-direct","address":"ADDRESS"}"#,
    );
}

#[test]
fn disconnected() {
    let event = Event::Disconnected {
        peer: peer(),
        code: Reason::ConnectionClosed,
        reason: "it left".into(),
        left: false,
    };
    assert_json(
        &event,
        r#"{"event":"disconnected","peer":"PEER","code":"connection-closed","reason":"it left","left":false}"#,
    );
}

#[test]
fn renamed() {
    let event = Event::Renamed {
        peer: peer(),
        name: name(),
    };
    assert_json(&event, r#"{"event":"renamed","peer":"PEER","name":"Änne"}"#);
}

#[test]
fn membership() {
    let event = Event::Membership {
        peer: peer(),
        in_room: false,
    };
    assert_json(
        &event,
        r#"{"event":"membership","peer":"PEER","in_room":false}"#,
    );
}

#[test]
fn incompatible() {
    let event = Event::Incompatible {
        peer: peer(),
        protocols: vec!["/ipfs/ping/1.0.0".into()],
    };
    assert_json(
        &event,
        r#"{"event":"incompatible","peer":"PEER","protocols":["/ipfs/ping/1.0.0"]}"#,
    );
}

#[test]
fn message() {
    let event = Event::Message {
        from: peer(),
        name: name(),
        id: 7,
        body: "a \"quoted\"\nline, ünïcödé".into(),
        path: Path::Relayed,
        scope: Scope::Private,
    };
    assert_json(
        &event,
        r#"{"event":"message","from":"PEER","name":"Änne","id":7,"body":"a \"quoted\"\nline, ünïcödé","path":"relayed","scope":"private"}"#,
    );
}

#[test]
fn delivery() {
    let states = [
        (DeliveryState::Queued, "queued"),
        (DeliveryState::Sent, "sent"),
        (DeliveryState::Acked, "acked"),
    ];
    for (state, name) in states {
        let event = Event::Delivery {
            to: peer(),
            id: 7,
            state,
            code: None,
            reason: None,
        };
        let json = r#"{"event":"delivery","to":"PEER","id":7,"state":"STATE"}"#;
        assert_json(&event, &json.replace("STATE", name));
    }
    let failed = Event::Delivery {
        to: peer(),
        id: 7,
        state: DeliveryState::Failed,
        code: Some(Reason::NotAcked),
        reason: Some("too late".into()),
    };
    assert_json(
        &failed,
        r#"{"event":"delivery","to":"PEER","id":7,"state":"failed","code":"not-acked","reason":"too late"}"#,
    );
}

#[test]
fn greeting() {
    let event = Event::Greeting {
        from: peer(),
        message: "Hello".into(),
    };
    assert_json(
        &event,
        r#"{"event":"greeting","from":"PEER","message":"Hello"}"#,
    );
}

#[test]
fn greeting_reply() {
    let event = Event::GreetingReply {
        from: peer(),
        message: "Hello back".into(),
        address: address(),
    };
    assert_json(
        &event,
        r#"{"event":"greeting_reply","from":"PEER","message":"Hello back","address":"ADDRESS"}"#,
    );
}

#[test]
fn error() {
    let event = Event::Error {
        code: Reason::InvalidAddress,
        message: "no such peer".into(),
    };
    assert_json(
        &event,
        r#"{"event":"error","code":"invalid-address","message":"no such peer"}"#,
    );
}

#[test]
fn panic() {
    let event = Event::Panic {
        message: "at x.rs:1: no".into(),
    };
    assert_json(&event, r#"{"event":"panic","message":"at x.rs:1: no"}"#);
}

/// Each event of the source as docs/events.md writes it: its name, and its fields in braces.
fn events_of_the_source() -> Vec<String> {
    const SOURCE: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/event.rs"));
    let variants = SOURCE.split("pub enum Event {\n").nth(1).unwrap();
    let variants = variants.split("\n}\n").next().unwrap();
    let mut events = Vec::new();
    for line in variants.lines() {
        // By rustfmt a variant has four spaces before it, and a field eight.
        let name = line.strip_prefix("    ").and_then(|l| l.split(" {").next());
        if let Some(name) = name.filter(|name| name.starts_with(char::is_uppercase)) {
            events.push((snake_case(name), Vec::new()));
        }
        let field = line
            .strip_prefix("        ")
            .and_then(|l| l.split_once(": "));
        if let Some((field, _)) = field.filter(|(field, _)| field.starts_with(char::is_lowercase)) {
            events.last_mut().unwrap().1.push(field);
        }
    }
    let text = |(name, fields): &(String, Vec<&str>)| format!("{name}{{{}}}", fields.join(","));
    events.iter().map(text).collect()
}

fn snake_case(name: &str) -> String {
    let mut snake = String::new();
    for (position, c) in name.char_indices() {
        if position > 0 && c.is_uppercase() {
            snake.push('_');
        }
        snake.extend(c.to_lowercase());
    }
    snake
}

#[test]
fn the_documented_events_are_those_of_the_source() {
    const DOCS: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/events.md"));
    let table = DOCS
        .split("| event | when |\n| --- | --- |\n")
        .nth(1)
        .unwrap();
    let rows = table.lines().take_while(|line| line.starts_with("| `"));
    let documented: Vec<_> = rows.filter_map(|row| row.split('`').nth(1)).collect();
    assert_eq!(documented, events_of_the_source(), "left: docs/events.md");
}
