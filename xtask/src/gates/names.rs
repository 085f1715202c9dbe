//! The paths that code names: in imports, in the middle of expressions and types, in attributes and macros.

mod collector;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use self::collector::{Collector, Imports, Written};

/// A path, followed back to where it begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Name {
    pub(super) line: usize,
    pub(super) root: Root,
    /// The last one of a glob import is `*`.
    pub(super) segments: Vec<String>,
    /// How many of the segments stand in an import elsewhere in the file, and not here.
    pub(super) imported: usize,
}

impl Name {
    /// Whether it imports all that a module has.
    pub(super) fn is_glob(&self) -> bool {
        self.segments.last().is_some_and(|last| last == "*")
    }
}

/// Where a path begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Root {
    /// At the root of the crate that names it.
    Crate,
    /// At another crate, or at a name of the module.
    Elsewhere,
    /// Nowhere: it is the name of a method that is called.
    Method,
}

/// What a file names outside its tests.
#[derive(Debug)]
pub(super) struct Names {
    pub(super) names: Vec<Name>,
    /// What its imports call things.
    pub(super) imports: BTreeMap<String, Name>,
    /// The modules in other files that are compiled for tests only.
    pub(super) test_modules: Vec<Vec<String>>,
}

/// All that `file` names, which is the module `path` of its crate.
pub(super) fn of(file: &syn::File, path: &[String]) -> Names {
    let Collector {
        written,
        imports,
        test_modules,
        ..
    } = Collector::read(file, path);
    let names = written.iter();
    let names = names.filter_map(|written| follow(written, &imports));
    let named = imports.iter();
    let named =
        named.filter_map(|(name, written)| Some((name.clone(), follow(written, &imports)?)));
    Names {
        names: names.collect(),
        imports: named.collect(),
        test_modules,
    }
}

/// Follows a path through the file's imports, `self` and `super` to where it begins.
fn follow(written: &Written, imports: &Imports) -> Option<Name> {
    let mut name = Name {
        line: written.line,
        root: Root::Elsewhere,
        segments: written.segments.clone(),
        imported: 0,
    };
    if written.method {
        name.root = Root::Method;
        return Some(name);
    }
    let (mut absolute, mut module) = (written.absolute, &written.module);
    let mut seen = BTreeSet::new();
    while !absolute
        && let Some(import) = imports.get(name.segments.first()?)
        && seen.insert(name.segments[0].clone())
        && !(import.line == written.line && import.segments == written.segments)
    {
        name.segments.splice(..1, import.segments.iter().cloned());
        name.imported = import.segments.len() + name.imported.saturating_sub(1);
        (absolute, module) = (import.absolute, &import.module);
    }
    if !absolute && let Some(from_root) = from_root(&name.segments, module) {
        name.root = Root::Crate;
        if name.imported > 0 {
            let here = name.segments.len() - name.imported;
            name.imported = from_root.len().saturating_sub(here);
        }
        name.segments = from_root;
    }
    Some(name)
}

/// The segments from the crate's root on, of a path that begins there, in the module, or above it.
fn from_root(path: &[String], module: &[String]) -> Option<Vec<String>> {
    let mut from_root = match path.first()?.as_str() {
        "crate" => Vec::new(),
        "self" => module.to_vec(),
        "super" => module[..module.len().saturating_sub(1)].to_vec(),
        _ => return None,
    };
    for segment in &path[1..] {
        match segment.as_str() {
            "self" => {}
            "super" => {
                from_root.pop();
            }
            segment => from_root.push(segment.into()),
        }
    }
    Some(from_root)
}
