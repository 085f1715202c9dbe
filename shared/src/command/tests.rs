//! Every command that a person can type.

use super::*;

const ADDRESS: &str = "/ip4/192.0.2.7/udp/45678/quic-v1";

/// A case of tests/cases/commands.json, which the page's parser is tested with, too.
#[derive(Deserialize)]
#[serde(untagged)]
enum Case {
    Command { line: String, command: Command },
    Error { line: String, error: String },
}

#[derive(Deserialize)]
struct Cases {
    cases: Vec<Case>,
}

#[test]
fn the_cases_shared_with_the_page() {
    const CASES: &str = include_str!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../tests/cases/commands.json"
    ));
    let Cases { cases } = serde_json::from_str(CASES).unwrap();
    assert!(!cases.is_empty());
    for case in cases {
        match case {
            Case::Command { line, command } => assert_eq!(line.parse(), Ok(command), "{line:?}"),
            Case::Error { line, error } => {
                let kind = line.parse::<Command>().map_err(|e| kind(&e));
                assert_eq!(kind, Err(error.as_str()), "{line:?}");
            }
        }
    }
}

const fn kind(error: &ParseCommandError) -> &'static str {
    match error {
        ParseCommandError::Empty => "empty",
        ParseCommandError::Unknown(_) => "unknown",
        ParseCommandError::Usage(_) => "usage",
        ParseCommandError::Address { .. } => "address",
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
