//! The JSON of every event, and every command that a person can type.

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

fn address() -> Multiaddr {
    ADDRESS.parse().unwrap()
}

#[test]
fn started() {
    let event = Event::Started { peer_id: peer() };
    assert_json(&event, r#"{"event":"started","peer_id":"PEER"}"#);
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
        reason: "gone".into(),
    };
    assert_json(
        &event,
        r#"{"event":"reservation_lost","relay":"PEER","reason":"gone"}"#,
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
        path: Path::Direct,
        transport: Transport::Quic,
        address: address(),
        after_ms: 1_250,
    };
    assert_json(
        &event,
        r#"{"event":"connected","peer":"PEER","path":"direct","transport":"quic","address":"ADDRESS","after_ms":1250}"#,
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
        reason: "it left".into(),
    };
    assert_json(
        &event,
        r#"{"event":"disconnected","peer":"PEER","reason":"it left"}"#,
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
        id: 7,
        body: "a \"quoted\"\nline, ünïcödé".into(),
        path: Path::Relayed,
    };
    assert_json(
        &event,
        r#"{"event":"message","from":"PEER","id":7,"body":"a \"quoted\"\nline, ünïcödé","path":"relayed"}"#,
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
            reason: None,
        };
        let json = r#"{"event":"delivery","to":"PEER","id":7,"state":"STATE"}"#;
        assert_json(&event, &json.replace("STATE", name));
    }
    let failed = Event::Delivery {
        to: peer(),
        id: 7,
        state: DeliveryState::Failed,
        reason: Some("too late".into()),
    };
    assert_json(
        &failed,
        r#"{"event":"delivery","to":"PEER","id":7,"state":"failed","reason":"too late"}"#,
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
        message: "no such peer".into(),
    };
    assert_json(&event, r#"{"event":"error","message":"no such peer"}"#);
}

#[test]
fn panic() {
    let event = Event::Panic {
        message: "at x.rs:1: no".into(),
    };
    assert_json(&event, r#"{"event":"panic","message":"at x.rs:1: no"}"#);
}

#[test]
fn transports_and_paths_are_shown_as_they_are_written() {
    use Transport as T;
    for transport in [
        T::Quic,
        T::Tcp,
        T::Webrtc,
        T::WebrtcDirect,
        T::Ws,
        T::Circuit,
    ] {
        let json = serde_json::to_string(&transport).unwrap();
        assert_eq!(json, format!("\"{transport}\""));
    }
    for path in [Path::Direct, Path::Relayed] {
        assert_eq!(serde_json::to_string(&path).unwrap(), format!("\"{path}\""));
    }
}

#[test]
fn a_line_is_a_broadcast() {
    for line in ["hello", "  two  spaces kept ", "a / in the middle", "ü"] {
        assert_eq!(line.parse(), Ok(Command::Broadcast { body: line.into() }));
    }
    let body = "over the network".to_owned();
    assert_eq!(
        "over the network\r\n".parse(),
        Ok(Command::Broadcast { body })
    );
}

#[test]
fn two_slashes_send_one() {
    let body = "/help is a command".to_owned();
    assert_eq!(
        "//help is a command".parse(),
        Ok(Command::Broadcast { body })
    );
}

#[test]
fn an_empty_line_is_nothing() {
    for line in ["", "\n", "\r\n", "   ", "\t"] {
        assert_eq!(
            line.parse::<Command>(),
            Err(ParseCommandError::Empty),
            "{line:?}"
        );
    }
}

#[test]
fn to_sends_to_one_peer() {
    let command = Command::Send {
        to: "nXTN".into(),
        body: "hello  there".into(),
    };
    assert_eq!("/to nXTN hello  there".parse(), Ok(command.clone()));
    assert_eq!("/to \t nXTN   hello  there \n".parse(), Ok(command));
    for line in ["/to", "/to ", "/to nXTN", "/to nXTN  "] {
        let usage = ParseCommandError::Usage("/to PEER TEXT");
        assert_eq!(line.parse::<Command>(), Err(usage), "{line:?}");
    }
}

#[test]
fn dial_takes_an_address() {
    let command = Command::Dial { address: address() };
    assert_eq!(format!("/dial {ADDRESS} ").parse(), Ok(command));
    let usage = ParseCommandError::Usage("/dial ADDR");
    assert_eq!("/dial".parse::<Command>(), Err(usage));
    let error = "/dial 192.0.2.7:45678".parse::<Command>().unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("192.0.2.7:45678 is no multiaddr"),
        "{error}"
    );
}

#[test]
fn commands_without_arguments() {
    assert_eq!("/peers".parse(), Ok(Command::Peers));
    assert_eq!("/help\n".parse(), Ok(Command::Help));
    assert_eq!("/quit ".parse(), Ok(Command::Quit));
}

#[test]
fn an_unknown_command_is_not_sent() {
    for (line, word) in [
        ("/nonsense", "/nonsense"),
        ("/TO x y", "/TO"),
        ("/", "/"),
        ("/dialog", "/dialog"),
    ] {
        let unknown = ParseCommandError::Unknown(word.into());
        assert_eq!(line.parse::<Command>(), Err(unknown), "{line:?}");
    }
}

#[test]
fn the_json_of_commands() {
    let command = Command::Send {
        to: "nXTN".into(),
        body: "hi".into(),
    };
    let json = r#"{"command":"send","to":"nXTN","body":"hi"}"#;
    assert_eq!(serde_json::to_string(&command).unwrap(), json);
    assert_eq!(serde_json::from_str::<Command>(json).unwrap(), command);
    assert_eq!(
        serde_json::to_string(&Command::Peers).unwrap(),
        r#"{"command":"peers"}"#
    );
}
