//! What the pure rooms of `shared` may not use: they are given the time and what happened, and return what to do.

use super::{
    Fault,
    names::{Name, Root},
    source::{Module, Tree},
};

/// The rooms without a network, a runtime and a clock.
const PURE: &[&str] = &["connector", "delivery"];

/// Paths that are forbidden there, with all that is in them.
const FORBIDDEN: &[(&str, &str)] = &[
    ("libp2p::swarm", "the swarm"),
    ("libp2p::Swarm", "the swarm"),
    ("libp2p::SwarmBuilder", "the swarm"),
    ("libp2p_swarm", "the swarm"),
    ("tokio", "a runtime"),
    ("futures_timer", "a runtime's clock"),
    ("futures::executor", "a runtime"),
    ("futures_executor", "a runtime"),
    ("async_std", "a runtime"),
    ("smol", "a runtime"),
    ("gloo_timers", "a runtime's clock"),
    ("wasm_bindgen_futures", "a runtime"),
    ("std::thread", "a thread"),
];

/// Ends of paths that read a clock, wherever the type comes from.
const CLOCKS: &[&[&str]] = &[&["Instant", "now"], &["Instant", "elapsed"]];
/// A type that does nothing but read a clock.
const SYSTEM_TIME: &str = "SystemTime";
/// A method of `Instant` that does.
const ELAPSED: &str = "elapsed";

pub(super) const ADVICE: &str = "The pure rooms (PURE in xtask/src/gates/purity.rs) take the time as an argument, and what \
    happens as an input; what is to be done they return as an output, for `node` to do. An `Instant` may be passed and \
    compared.";

/// What the pure rooms name and should not.
pub(super) fn faults(shared: &Tree) -> Vec<Fault> {
    let pure = |module: &&Module| {
        let room = module.path.first();
        room.is_some_and(|room| PURE.contains(&room.as_str()))
    };
    let mut faults = Vec::new();
    for module in shared.modules.iter().filter(pure) {
        for name in &module.names {
            if let Some(what) = forbidden(name) {
                faults.push(Fault {
                    file: module.file.clone(),
                    line: name.line,
                    what: format!(
                        "`{}`: {} is {what}, and {} is pure",
                        name.segments.join("::"),
                        if name.root == Root::Method {
                            "this method"
                        } else {
                            "this"
                        },
                        module.path[0],
                    ),
                });
            }
        }
    }
    faults
}

fn forbidden(name: &Name) -> Option<&'static str> {
    let segments: Vec<_> = name.segments.iter().map(String::as_str).collect();
    if name.root == Root::Method {
        return (segments == [ELAPSED]).then_some("a clock that is read");
    }
    let ends = |end: &&&[&str]| segments.ends_with(end);
    if segments.contains(&SYSTEM_TIME) || CLOCKS.iter().any(|end| ends(&end)) {
        return Some("a clock that is read");
    }
    if name.root != Root::Elsewhere {
        return None;
    }
    let (_, what) = FORBIDDEN.iter().find(|(path, _)| {
        let path: Vec<_> = path.split("::").collect();
        // What was imported has been judged where it was.
        let imported = &segments[..name.imported];
        covers(&path, &segments) && !covers(&path, imported)
    })?;
    Some(what)
}

/// Whether `name` is in `path`, or imports all that is around it.
fn covers(path: &[&str], name: &[&str]) -> bool {
    match name {
        [around @ .., "*"] if path.starts_with(around) => true,
        name => name.starts_with(path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gates::source::Source;

    /// Each line of `text` where something is forbidden in `file`.
    fn lines(file: &str, text: &str) -> Vec<usize> {
        let source = Source::parse(file, text).unwrap();
        let tree = Tree::new("shared/src", "lib.rs", &[source]);
        faults(&tree).into_iter().map(|fault| fault.line).collect()
    }

    fn is_forbidden(text: &str) -> bool {
        !lines("shared/src/connector/dials.rs", text).is_empty()
    }

    #[test]
    fn every_way_to_the_swarm_is_found() {
        for text in [
            "use libp2p::swarm::ConnectionId;",
            "use libp2p::{PeerId, swarm::{self, dial_opts::DialOpts}};",
            "use libp2p::swarm as s;",
            "pub use libp2p::Swarm;",
            "use libp2p as p; fn f(_: p::swarm::ConnectionId) {}",
            "use libp2p::*;",
            "fn f() { ::libp2p::swarm::x() }",
            "fn f() { vec![libp2p::swarm::ConnectionId::new_unchecked(1)] }",
            "use libp2p_swarm::Swarm;",
        ] {
            assert!(is_forbidden(text), "{text}");
        }
    }

    #[test]
    fn every_runtime_is_found() {
        for text in [
            "use tokio::sync::mpsc;",
            "async fn f() { tokio::task::yield_now().await }",
            "async fn f() { tokio::select! {} }",
            "#[tokio::main] async fn f() {}",
            "extern crate tokio as t;",
            "use futures_timer::Delay;",
            "use futures::{StreamExt, executor::block_on};",
            "use gloo_timers::future::sleep;",
            "fn f() { wasm_bindgen_futures::spawn_local(x) }",
            "fn f() { std::thread::sleep(x) }",
        ] {
            assert!(is_forbidden(text), "{text}");
        }
    }

    #[test]
    fn every_clock_that_is_read_is_found() {
        for text in [
            "use web_time::Instant; fn f() { Instant::now(); }",
            "use web_time::Instant as Clock; fn f() { Clock::now(); }",
            "use web_time as w; fn f() { w::Instant::now(); }",
            "type Clock = web_time::Instant; fn f() { Clock::now(); }",
            "fn f() { std::time::Instant::now(); }",
            "fn f() { <std::time::Instant>::now(); }",
            "fn f() { option.unwrap_or_else(Instant::now); }",
            "fn f(since: Instant) { since.elapsed(); }",
            "fn f(since: Instant) { debug!(took = ?since.elapsed()); }",
            "fn f() { times.map(Instant::elapsed); }",
            "use std::time::{Duration, SystemTime};",
            "fn f() { debug!(\"{}\", x(SystemTime::now())); }",
            "mod inner { use super::Instant; fn f() { Instant::now(); } }",
        ] {
            assert!(is_forbidden(text), "{text}");
        }
    }

    #[test]
    fn what_is_pure_passes() {
        for text in [
            "use web_time::Instant; fn f(now: Instant) -> Option<Instant> { now.checked_add(D) }",
            "use libp2p::{Multiaddr, PeerId, identity, multiaddr::Protocol};",
            "use futures::StreamExt;",
            "use std::time::Duration;",
            "fn f(now: Now) { now.now(); Self::now(); debug!(?x.elapsed, y = self.elapsed); }",
            "#[cfg(test)] mod tests { use tokio::time; fn f() { Instant::now(); } }",
            "#[cfg(test)] fn f() { Instant::now(); }",
            "// use tokio::sync;\n/// `Instant::now()`\nfn f() {}",
            "fn f() -> &'static str { \"tokio::spawn\" }",
        ] {
            assert!(!is_forbidden(text), "{text}");
        }
    }

    #[test]
    fn each_is_reported_once_with_its_line_and_only_in_pure_rooms() {
        let text = "use std::{\n    fmt,\n    thread,\n};\nfn f() {\n    thread::sleep(x);\n    tokio::spawn(y);\n}";
        assert_eq!(lines("shared/src/delivery.rs", text), [3, 7]);
        assert_eq!(lines("shared/src/delivery/a/b.rs", text), [3, 7]);
        assert_eq!(lines("shared/src/node.rs", text), [0; 0]);
        assert_eq!(lines("shared/src/delivery_of_milk.rs", text), [0; 0]);
    }
}
