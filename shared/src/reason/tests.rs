use super::*;

#[test]
fn codes_are_in_kebab_case() {
    let json = serde_json::to_string(&Reason::NotARelay).unwrap();
    assert_eq!(json, "\"not-a-relay\"");
}

#[test]
fn the_innermost_cause_is_what_a_person_reads() {
    let inner = io::Error::new(io::ErrorKind::ConnectionRefused, "refused\n by the host");
    let outer = io::Error::other(io::Error::other(inner));
    let cause = Cause::of_transport(&TransportError::Other(outer));
    assert_eq!(
        cause,
        Cause::new(Reason::ConnectionRefused, "refused by the host")
    );
}

#[test]
fn what_the_system_says_of_a_dial_has_a_code() {
    let code = |kind: io::ErrorKind| {
        Cause::of_transport(&TransportError::Other(io::Error::other(io::Error::from(
            kind,
        ))))
        .code
    };
    assert_eq!(code(io::ErrorKind::TimedOut), Reason::NoAnswer);
    assert_eq!(code(io::ErrorKind::NetworkUnreachable), Reason::Unreachable);
    assert_eq!(
        code(io::ErrorKind::PermissionDenied),
        Reason::TransportFailed
    );
}
