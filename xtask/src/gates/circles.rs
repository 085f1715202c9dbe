//! The modules at a crate's root, and whether some of them import one another in a circle.

use std::collections::BTreeMap;

use super::{Fault, names::Root, source::Tree};

/// For each module that one imports, where it does so first.
type Imports<'a> = BTreeMap<&'a str, BTreeMap<&'a str, (&'a str, usize)>>;

pub(super) const ADVICE: &str = "Modules at the root of a crate import one another in one direction. Move what both need into a \
    module of its own, or give it to the one that is imported as an argument.";

/// Every import that is part of a circle.
pub(super) fn faults(tree: &Tree) -> Vec<Fault> {
    let imports = imports(tree);
    let mut faults = Vec::new();
    for (from, targets) in &imports {
        for (to, &(file, line)) in targets {
            if let Some(back) = way(&imports, to, from) {
                faults.push(Fault {
                    file: file.into(),
                    line,
                    what: format!(
                        "{from} imports {to}, in a circle: {from} → {}",
                        back.join(" → ")
                    ),
                });
            }
        }
    }
    faults
}

fn imports(tree: &Tree) -> Imports<'_> {
    let mut imports = Imports::new();
    for module in &tree.modules {
        // The root has them all.
        let Some(from) = module.path.first() else {
            continue;
        };
        for name in &module.names {
            if let Some(to) = name.segments.first()
                && name.root == Root::Crate
                && to != from
                && tree.has(&name.segments[..1])
            {
                let targets = imports.entry(from.as_str()).or_default();
                targets
                    .entry(to.as_str())
                    .or_insert((&module.file, name.line));
            }
        }
    }
    imports
}

/// A shortest way along the imports.
fn way<'a>(imports: &Imports<'a>, from: &'a str, to: &str) -> Option<Vec<&'a str>> {
    let mut ways = vec![vec![from]];
    let mut seen = vec![from];
    while !ways.is_empty() {
        if let Some(found) = ways.iter().find(|way| way.last() == Some(&to)) {
            return Some(found.clone());
        }
        let mut longer = Vec::new();
        for way in &ways {
            let next = way.last().and_then(|last| imports.get(last));
            for &next in next.into_iter().flat_map(BTreeMap::keys) {
                if !seen.contains(&next) {
                    seen.push(next);
                    longer.push([&way[..], &[next]].concat());
                }
            }
        }
        ways = longer;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gates::source::Source;

    fn found(files: &[(&str, &str)]) -> Vec<String> {
        let sources: Vec<_> = files
            .iter()
            .map(|(file, text)| Source::parse(file, text).unwrap())
            .collect();
        let faults = faults(&Tree::new("native/src", "main.rs", &sources));
        let shown = |fault: &Fault| format!("{}:{}: {}", fault.file, fault.line, fault.what);
        faults.iter().map(shown).collect()
    }

    #[test]
    fn a_circle_is_found_at_each_of_its_imports() {
        let files = [
            ("native/src/a.rs", "use crate::b::x;"),
            ("native/src/b.rs", ""),
            ("native/src/b/deep.rs", "\nfn f() { super::super::c::f() }"),
            ("native/src/c.rs", "use crate::{d, a::{x, y}};"),
            ("native/src/d.rs", ""),
        ];
        assert_eq!(
            found(&files),
            [
                "native/src/a.rs:1: a imports b, in a circle: a → b → c → a",
                "native/src/b/deep.rs:2: b imports c, in a circle: b → c → a → b",
                "native/src/c.rs:1: c imports a, in a circle: c → a → b → c",
            ]
        );
    }

    #[test]
    fn the_root_tests_and_a_module_itself_make_no_circle() {
        let files = [
            ("native/src/main.rs", "mod a; mod b; use crate::a::x;"),
            (
                "native/src/a.rs",
                "use crate::{Cli, b::y, a::z}; #[cfg(test)] mod tests;",
            ),
            ("native/src/a/tests.rs", ""),
            (
                "native/src/b.rs",
                "use std::fmt; #[cfg(test)] mod tests { use crate::a::x; }",
            ),
        ];
        assert_eq!(found(&files), [""; 0]);
    }
}
