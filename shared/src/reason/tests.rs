use super::*;

const DOCS: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/events.md"));
const SOURCE: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/reason.rs"));

/// A row of the table in docs/events.md for each variant: its code, and the text of its doc comment.
fn rows_of_the_source() -> Vec<String> {
    let variants = SOURCE.split("pub enum Reason {\n").nth(1).unwrap();
    let variants = variants.split("\n}\n").next().unwrap();
    let mut rows = Vec::new();
    let mut meaning = Vec::new();
    for line in variants.lines().map(str::trim) {
        if let Some(text) = line.strip_prefix("///") {
            meaning.push(text.trim());
        } else if let Some(name) = line.strip_suffix(',') {
            let code = kebab_case(name);
            // A code that is none is a fault of this parser.
            serde_json::from_value::<Reason>(code.as_str().into()).unwrap();
            rows.push(format!("| `{code}` | {} |", meaning.join(" ")));
            meaning.clear();
        }
    }
    rows
}

fn kebab_case(name: &str) -> String {
    let mut code = String::new();
    for (position, c) in name.char_indices() {
        if position > 0 && c.is_uppercase() {
            code.push('-');
        }
        code.extend(c.to_lowercase());
    }
    code
}

#[test]
fn the_documented_codes_are_those_of_the_source() {
    let table = DOCS.split("| code | meaning |\n| --- | --- |\n").nth(1);
    let documented: Vec<_> = table.unwrap().lines().map(String::from).collect();
    let rows = rows_of_the_source();
    assert!(
        documented == rows,
        "the table of codes in docs/events.md should be\n{}",
        rows.join("\n")
    );
}

#[test]
fn codes_are_in_kebab_case() {
    let json = serde_json::to_string(&Reason::NotARelay).unwrap();
    assert_eq!(json, "\"not-a-relay\"");
}

#[test]
fn the_innermost_cause_is_what_a_person_reads() {
    let inner = io::Error::new(io::ErrorKind::ConnectionRefused, "refused\n by the host");
    let outer = io::Error::other(io::Error::other(inner));
    let cause = Cause::of_transport(&TransportError::Other(outer), |_| None);
    assert_eq!(
        cause,
        Cause::new(Reason::ConnectionRefused, "refused by the host")
    );
}

#[test]
fn what_the_system_says_of_a_dial_has_a_code() {
    let code = |kind: io::ErrorKind| {
        let error = io::Error::other(io::Error::from(kind));
        Cause::of_transport(&TransportError::Other(error), |_| None).code
    };
    assert_eq!(code(io::ErrorKind::TimedOut), Reason::NoAnswer);
    assert_eq!(code(io::ErrorKind::NetworkUnreachable), Reason::Unreachable);
    assert_eq!(
        code(io::ErrorKind::PermissionDenied),
        Reason::TransportFailed
    );
}

#[test]
fn what_the_platform_knows_comes_first() {
    #[derive(Debug, thiserror::Error)]
    #[error("no such name")]
    struct NoSuchName(#[source] io::Error);
    let inner = NoSuchName(io::ErrorKind::TimedOut.into());
    let error = TransportError::Other(io::Error::other(inner));
    let known: KnownErrors = |e| e.is::<NoSuchName>().then_some(Reason::NameNotFound);
    assert_eq!(
        Cause::of_transport(&error, known).code,
        Reason::NameNotFound
    );
    assert_eq!(Cause::of_transport(&error, |_| None).code, Reason::NoAnswer);
}

#[test]
fn every_dial_that_fails_has_a_fitting_code() {
    let peer = libp2p::PeerId::random();
    let code = |error: &DialError| Cause::of_dial(error, |_| None).code;
    let address: libp2p::Multiaddr = "/ip4/192.0.2.1/tcp/1".parse().unwrap();
    let unsupported = TransportError::MultiaddrNotSupported(address.clone());
    let refused = TransportError::Other(io::ErrorKind::ConnectionRefused.into());
    let unsupported_alone = TransportError::MultiaddrNotSupported(address.clone());
    let both = vec![(address.clone(), unsupported), (address.clone(), refused)];
    let alone = vec![(address.clone(), unsupported_alone)];
    let cases = [
        (DialError::Transport(both), Reason::ConnectionRefused),
        (DialError::Transport(alone), Reason::NoTransport),
        (DialError::Transport(Vec::new()), Reason::TransportFailed),
        (
            DialError::WrongPeerId {
                obtained: peer,
                address: address.clone(),
            },
            Reason::WrongPeer,
        ),
        (DialError::LocalPeerId { address }, Reason::InvalidAddress),
        (DialError::NoAddresses, Reason::NoAddress),
        (DialError::Aborted, Reason::Aborted),
    ];
    for (error, expected) in cases {
        assert_eq!(code(&error), expected, "{error}");
    }
}

#[test]
fn a_connection_that_timed_out_gave_no_answer() {
    let code = |error: Option<ConnectionError>| Cause::of_close(error.as_ref()).code;
    assert_eq!(code(None), Reason::ConnectionClosed);
    let timeout = ConnectionError::IO(io::ErrorKind::TimedOut.into());
    assert_eq!(code(Some(timeout)), Reason::NoAnswer);
    let reset = ConnectionError::IO(io::ErrorKind::ConnectionReset.into());
    assert_eq!(code(Some(reset)), Reason::ConnectionClosed);
    let idle = ConnectionError::KeepAliveTimeout;
    assert_eq!(code(Some(idle)), Reason::ConnectionClosed);
}

#[test]
fn what_a_relay_refuses_has_a_code() {
    use relay::client::transport::Error;
    let reserve = |error| {
        let error = io::Error::other(Error::Reservation(error));
        Cause::of_reservation(&error).code
    };
    assert_eq!(reserve(ReserveError::Refused), Reason::ReservationRefused);
    assert_eq!(reserve(ReserveError::Unsupported), Reason::NotARelay);
    let timeout = ReserveError::Io(io::ErrorKind::TimedOut.into());
    assert_eq!(reserve(timeout), Reason::NoAnswer);
    let unknown = io::Error::other("anything else");
    let code = Cause::of_reservation(&unknown).code;
    assert_eq!(code, Reason::ReservationRefused);

    let connect = |error| {
        let error = TransportError::Other(io::Error::other(Error::Connect(error)));
        Cause::of_transport(&error, |_| None)
    };
    let none = connect(ConnectError::NoReservation);
    assert_eq!(none.code, Reason::CircuitRefused);
    assert_eq!(none.text, "Relay has no reservation for destination.");
    let full = connect(ConnectError::ResourceLimitExceeded);
    assert_eq!(full.code, Reason::RelayFull);
    let broken = ConnectError::Io(io::ErrorKind::UnexpectedEof.into());
    assert_eq!(connect(broken).code, Reason::ConnectionClosed);
}
