//! Every command that a person can type.

use super::*;

const ADDRESS: &str = "/ip4/192.0.2.7/udp/45678/quic-v1";

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
    let command = Command::Dial {
        address: ADDRESS.parse().unwrap(),
    };
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
