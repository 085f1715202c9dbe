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
