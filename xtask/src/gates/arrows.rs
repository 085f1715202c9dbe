//! The arrows between the rooms of `shared`: who may import from whom.

#[cfg(test)]
mod tests;

use super::{
    Fault,
    names::{Name, Root},
    source::{Module, Tree},
};

/// The allowed arrows, as ARCHITECTURE.md draws them: a room, and where it may import from.
///
/// A room is a module at the root of `shared` with everything in it. Each module of `protocols` is a room of its own;
/// `protocols::*` stands for those that have no line here.
const ARROWS: &[(&str, &[&str])] = &[
    (
        "node",
        &[
            "protocols",
            "protocols::*",
            "connector",
            "delivery",
            "platform",
            GROUND,
        ],
    ),
    ("protocols", &["protocols::*", GROUND]),
    ("protocols::msg", &["delivery", "protocols::wire", GROUND]),
    ("protocols::*", &["protocols::wire", GROUND]),
    ("connector", &[GROUND]),
    ("delivery", &[GROUND]),
    ("platform", &[GROUND]),
    (GROUND, &[GROUND]),
    // What a user of the library sees is gathered here.
    (
        LIB,
        &[
            "node",
            "protocols",
            "protocols::*",
            "connector",
            "delivery",
            "platform",
            GROUND,
        ],
    ),
];

/// What every room may import. What stands in lib.rs itself is ground, too.
const GROUND: &str = "ground";
/// The modules of the ground.
const GROUND_MODULES: &[&str] = &[
    "address",
    "budget",
    "command",
    "config",
    "counts",
    "error",
    "event",
    "foreign",
    "hash",
    "name",
    "networks",
    "path",
    "poll_on_wake",
    "queue",
    "reason",
    "remote",
    "table",
];
/// The root of the crate.
const LIB: &str = "lib.rs";
/// The crate as a whole, as in `use crate::*`.
const WHOLE_CRATE: &str = "the whole crate";

pub(super) const ADVICE: &str = "Imports in shared follow the arrows of ARCHITECTURE.md (ARROWS in \
    xtask/src/gates/arrows.rs). What two rooms need belongs to the ground; what one room learns and another \
    acts on is passed on by `node`, which alone knows both. A new room needs a line in both places.";

/// The imports of `shared` against the arrows.
pub(super) fn faults(shared: &Tree) -> Vec<Fault> {
    let lib = shared.modules.iter().find(|module| module.path.is_empty());
    let rooms = Rooms { shared, lib };
    let mut faults = Vec::new();
    for module in &shared.modules {
        let from = rooms.of_module(&module.path);
        for name in &module.names {
            // What was imported has been judged where it was.
            if name.root != Root::Crate || name.imported > 0 {
                continue;
            }
            let to = rooms.of_name(&name.segments);
            if from != to && !allows(&from, &to) {
                faults.push(fault(module, name, &from, &to));
            }
        }
    }
    faults
}

/// Which room a path belongs to.
struct Rooms<'a> {
    shared: &'a Tree,
    lib: Option<&'a Module>,
}

impl Rooms<'_> {
    fn of_module(&self, path: &[String]) -> String {
        if path.is_empty() {
            LIB.into()
        } else {
            self.of_name(path)
        }
    }

    /// The room where what a path from the crate's root names stands.
    fn of_name(&self, path: &[String]) -> String {
        let Some(first) = path.first() else {
            return WHOLE_CRATE.into();
        };
        if !self.shared.has(&path[..1]) {
            return self.through_lib(first);
        }
        match first.as_str() {
            "protocols" => {
                let protocol = path.get(..2).filter(|path| self.shared.has(path));
                protocol.map_or_else(|| first.clone(), |path| path.join("::"))
            }
            first if GROUND_MODULES.contains(&first) => GROUND.into(),
            first => first.into(),
        }
    }

    /// A name of lib.rs, which may be one that is defined elsewhere.
    fn through_lib(&self, name: &str) -> String {
        let Some(lib) = self.lib else {
            return WHOLE_CRATE.into();
        };
        let known = |path: &&Name| path.segments.first().is_some_and(|first| first != name);
        match lib.imports.get(name).filter(known) {
            Some(path) if self.shared.has(&path.segments[..1]) => self.of_name(&path.segments),
            // It may come from anywhere.
            _ if name == "*" || lib.names.iter().any(Name::is_glob) => WHOLE_CRATE.into(),
            _ => GROUND.into(),
        }
    }
}

fn fault(module: &Module, name: &Name, from: &str, to: &str) -> Fault {
    let path = ["crate"].into_iter();
    let path = path.chain(name.segments.iter().map(String::as_str));
    let path = path.collect::<Vec<_>>().join("::");
    let what = match targets(from) {
        Some(targets) => format!(
            "`{path}`: no arrow leads from {from} to {to}, only to {}",
            targets.join(", ")
        ),
        None => format!("`{path}`: {from} is a room without arrows"),
    };
    Fault {
        file: module.file.clone(),
        line: name.line,
        what,
    }
}

fn allows(from: &str, to: &str) -> bool {
    targets(from).is_some_and(|targets| {
        targets
            .iter()
            .any(|&target| target == to || is_any_protocol(target, to))
    })
}

fn targets(from: &str) -> Option<&'static [&'static str]> {
    let of = |wanted: &dyn Fn(&str) -> bool| ARROWS.iter().find(|(room, _)| wanted(room));
    let found = of(&|room| room == from).or_else(|| of(&|room| is_any_protocol(room, from)));
    found.map(|(_, targets)| *targets)
}

fn is_any_protocol(pattern: &str, room: &str) -> bool {
    pattern == "protocols::*" && room.starts_with("protocols::")
}
