use super::*;
use crate::gates::source::Source;

/// The modules that there are in every test.
const FILES: &[&str] = &[
    "address",
    "config",
    "connector",
    "connector/dials",
    "delivery",
    "event",
    "node",
    "node/event_loop",
    "platform",
    "platform/native",
    "protocols",
    "protocols/greet",
    "protocols/msg",
    "protocols/msg/messenger",
    "protocols/wire",
    "table",
];

/// The faults of `text` in the module `file`, beside a lib.rs that gathers `exports`.
fn faults_beside(exports: &str, file: &str, text: &str) -> Vec<Fault> {
    let mut sources = vec![Source::parse("shared/src/lib.rs", exports).unwrap()];
    for name in FILES {
        let text = if *name == file { text } else { "" };
        sources.push(Source::parse(&format!("shared/src/{name}.rs"), text).unwrap());
    }
    faults(&Tree::new("shared/src", "lib.rs", &sources))
}

fn faults_of(file: &str, text: &str) -> Vec<Fault> {
    faults_beside("", file, text)
}

#[track_caller]
fn passes(file: &str, text: &str) {
    let faults = faults_of(file, text);
    assert!(faults.is_empty(), "{file}: {text}: {faults:?}");
}

#[track_caller]
fn fails(file: &str, text: &str, arrow: &str) {
    let faults = faults_of(file, text);
    let [fault] = &faults[..] else {
        panic!("{file}: {text}: {faults:?}");
    };
    assert!(
        fault
            .what
            .contains(&format!("no arrow leads from {arrow},")),
        "{}",
        fault.what
    );
}

#[test]
fn each_arrow_passes() {
    passes(
        "node/event_loop",
        "use crate::{connector::Input, delivery::Outbox, platform, protocols::{self, greet, msg::messenger::Messenger}};",
    );
    passes(
        "protocols",
        "pub use self::msg::Behaviour; pub use crate::protocols::greet as g;",
    );
    passes(
        "protocols/msg/messenger",
        "use crate::delivery::Outbox; use super::super::wire;",
    );
    passes("protocols/greet", "use crate::protocols::wire::Codec;");
    for file in [
        "connector",
        "delivery",
        "platform",
        "protocols/greet",
        "protocols/wire",
        "config",
    ] {
        passes(file, "use crate::{address, event::Event, table::Table};");
    }
}

#[test]
fn each_missing_arrow_is_found() {
    fails("connector", "use crate::platform;", "connector to platform");
    fails(
        "connector/dials",
        "use crate::node::Node;",
        "connector to node",
    );
    fails(
        "connector",
        "use crate::delivery::Outbox;",
        "connector to delivery",
    );
    fails(
        "delivery",
        "use crate::protocols::msg;",
        "delivery to protocols::msg",
    );
    fails(
        "platform/native",
        "use crate::connector::Input;",
        "platform to connector",
    );
    fails(
        "protocols/greet",
        "use crate::delivery::Outbox;",
        "protocols::greet to delivery",
    );
    fails(
        "protocols/greet",
        "use crate::protocols::msg;",
        "protocols::greet to protocols::msg",
    );
    fails(
        "protocols/msg",
        "use crate::connector::Input;",
        "protocols::msg to connector",
    );
    fails(
        "protocols/msg/messenger",
        "use crate::node::reason;",
        "protocols::msg to node",
    );
    fails(
        "protocols/wire",
        "use crate::protocols::greet::Hi;",
        "protocols::wire to protocols::greet",
    );
    fails("protocols", "use crate::delivery;", "protocols to delivery");
    fails(
        "config",
        "use crate::platform::can_dial;",
        "ground to platform",
    );
    fails(
        "event",
        "pub use crate::protocols::greet::Hi;",
        "ground to protocols::greet",
    );
}

#[test]
fn a_path_counts_in_whatever_form_it_stands() {
    for text in [
        "use crate::{config::{self, NodeConfig}, event::Event, platform::{self}};",
        "pub use crate::platform::can_dial as can;",
        "use super::platform;",
        "use self::super::platform::can_dial;",
        "mod inner { use super::super::platform; }",
        "fn f() { if crate::platform::can_dial() {} }",
        "fn f(_: Vec<crate::platform::Own>) {}",
        "impl crate::platform::Trait for S {}",
        "fn f() { debug!(\"{}\", crate::platform::NAME); }",
        "macro_rules! m { () => { $crate::platform::f() } }",
        "macro_rules! m { () => { use crate::{event, platform::{a as b}}; } }",
        "fn f() { use crate::platform as p; p::f(); p::g(); }",
        "use crate as root; fn f() { root::platform::f() }",
        "#[serde(with = \"crate::platform::x\")] struct S;",
        "extern crate self as us; use us::platform;",
    ] {
        let faults = faults_of("connector", text);
        let found = faults
            .iter()
            .any(|fault| fault.what.contains("connector to platform"));
        assert!(found, "{text}: {faults:?}");
    }
}

#[test]
fn the_line_is_that_of_the_import_and_each_is_reported() {
    let text = "use crate::{\n    event::Event,\n    node::{\n        self,\n        Node,\n    },\n    platform,\n};";
    let faults = faults_of("connector/dials", text);
    let lines: Vec<_> = faults.iter().map(|fault| fault.line).collect();
    assert_eq!(lines, [4, 5, 7]);
    assert_eq!(faults[0].file, "shared/src/connector/dials.rs");
    assert_eq!(
        faults[1].what,
        "`crate::node::Node`: no arrow leads from connector to node, only to ground"
    );
}

#[test]
fn tests_comments_and_who_may_see_something_are_no_imports() {
    for text in [
        "#[cfg(test)] mod tests { use crate::node::Node; }",
        "#[cfg(test)] use crate::node::Node;",
        "#[cfg(all(test, unix))] fn f() { crate::node::f() }",
        "// use crate::node::Node;\n/// [`crate::node::Node`]\nfn f() {}",
        "pub(crate) fn f() {} pub(in crate::connector) fn g() {}",
        "use platform::x; use std::{fmt, net}; fn f() { node::f() }",
        "fn f() -> &'static str { \"crate::node\" }",
    ] {
        passes("connector", text);
    }
    fails(
        "connector",
        "#[cfg(not(test))] use crate::node::Node;",
        "connector to node",
    );
}

#[test]
fn lib_gathers_what_there_is_and_is_no_way_around_an_arrow() {
    let lib = "pub use node::Node; pub use crate::connector::Input as In; pub use event::Event; pub const V: u8 = 1;";
    let faults = |text| faults_beside(lib, "connector", text);
    assert_eq!(faults("use crate::{Event, In, V};"), []);
    assert_eq!(faults("use crate::Node;").len(), 1);
    assert_eq!(faults("use crate::*;").len(), 1);
    assert_eq!(faults("use super::*;").len(), 1);
    assert_eq!(faults("use crate as us;").len(), 1);
    assert_eq!(
        faults_beside("pub use node::*;", "connector", "use crate::Node;").len(),
        1
    );
}

#[test]
fn a_room_that_has_no_line_in_the_table_is_found_when_it_is_used_or_imports() {
    let sources = [
        ("shared/src/lib.rs", "mod attic; mod node;"),
        ("shared/src/attic.rs", "use crate::event::Event;"),
        ("shared/src/event.rs", ""),
        ("shared/src/node.rs", "use crate::attic;"),
    ]
    .map(|(file, text)| Source::parse(file, text).unwrap());
    let faults = faults(&Tree::new("shared/src", "lib.rs", &sources));
    let whats: Vec<_> = faults.iter().map(|fault| fault.what.as_str()).collect();
    assert_eq!(
        whats[0],
        "`crate::event::Event`: attic is a room without arrows"
    );
    assert!(
        whats[1].contains("no arrow leads from node to attic"),
        "{whats:?}"
    );
    assert_eq!(whats.len(), 2);
}

#[test]
fn every_room_of_the_table_stands_in_it_once_and_leads_to_rooms_in_it() {
    let rooms: Vec<_> = ARROWS.iter().map(|(room, _)| room).collect();
    for (room, targets) in ARROWS {
        assert_eq!(
            rooms.iter().filter(|other| *other == &room).count(),
            1,
            "{room}"
        );
        for target in *targets {
            assert!(
                rooms.contains(&target) || *target == "protocols::wire",
                "{target}"
            );
        }
    }
}
