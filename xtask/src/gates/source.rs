//! Source files, parsed once for all gates.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use super::names::{self, Name, Names};

/// Folders that hold no source of ours.
const SKIPPED: &[&str] = &["target", "node_modules", "pkg"];

/// One file.
pub(super) struct Source {
    /// Its path from the workspace's root, with slashes.
    pub(super) file: String,
    pub(super) syntax: syn::File,
}

impl Source {
    /// Parses every Rust file below `dir`.
    pub(super) fn read_all(dir: &Path) -> Result<Vec<Self>> {
        let mut files = Vec::new();
        rust_files(dir, &mut files)?;
        files.sort();
        let read = |file: &PathBuf| {
            let name = file.strip_prefix(".").unwrap_or(file).to_string_lossy();
            let name = name.replace('\\', "/");
            let text = fs::read_to_string(file).with_context(|| format!("cannot read {name}"))?;
            Self::parse(&name, &text)
        };
        files.iter().map(read).collect()
    }

    pub(super) fn parse(file: &str, text: &str) -> Result<Self> {
        let syntax = syn::parse_file(text).with_context(|| format!("cannot parse {file}"))?;
        Ok(Self {
            file: file.into(),
            syntax,
        })
    }
}

/// The modules of one crate, without its tests.
pub(super) struct Tree {
    pub(super) modules: Vec<Module>,
    /// Every module that has a file of its own, by its path.
    paths: BTreeSet<Vec<String>>,
}

/// A module with a file of its own.
pub(super) struct Module {
    pub(super) file: String,
    /// Where it is in the crate: empty for the crate's root.
    pub(super) path: Vec<String>,
    pub(super) names: Vec<Name>,
    /// What its imports call things.
    pub(super) imports: BTreeMap<String, Name>,
}

impl Tree {
    /// The crate whose files stand in `dir`, and begin with `root` there.
    pub(super) fn new(dir: &str, root: &str, all: &[Source]) -> Self {
        let mut modules = Vec::new();
        let mut tests = Vec::new();
        for source in all {
            let Some(path) = module_path(&source.file, dir, root) else {
                continue;
            };
            let Names {
                names,
                imports,
                test_modules,
            } = names::of(&source.syntax, &path);
            tests.extend(test_modules);
            modules.push(Module {
                file: source.file.clone(),
                path,
                names,
                imports,
            });
        }
        modules.retain(|module| !tests.iter().any(|test| module.path.starts_with(test)));
        let paths = modules.iter().map(|module| module.path.clone()).collect();
        Self { modules, paths }
    }

    /// Whether a module of this path has a file of its own.
    pub(super) fn has(&self, path: &[String]) -> bool {
        self.paths.contains(path)
    }
}

/// `dir/a/b.rs` is `a::b`, `dir/a/mod.rs` is `a`, and `dir/root` is the root.
fn module_path(file: &str, dir: &str, root: &str) -> Option<Vec<String>> {
    let inside = file.strip_prefix(dir)?.strip_prefix('/')?;
    if inside == root {
        return Some(Vec::new());
    }
    let inside = inside.strip_suffix(".rs")?;
    let inside = inside.strip_suffix("/mod").unwrap_or(inside);
    Some(inside.split('/').map(String::from).collect())
}

fn rust_files(dir: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(dir).with_context(|| format!("cannot list {}", dir.display()))? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if path.is_dir() && !name.starts_with('.') && !SKIPPED.contains(&&*name) {
            rust_files(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_its_place_in_the_crate() {
        let path = |file| module_path(file, "shared/src", "lib.rs").map(|path| path.join("::"));
        assert_eq!(path("shared/src/lib.rs").as_deref(), Some(""));
        assert_eq!(path("shared/src/node.rs").as_deref(), Some("node"));
        assert_eq!(path("shared/src/node/mod.rs").as_deref(), Some("node"));
        assert_eq!(path("shared/src/a/b.rs").as_deref(), Some("a::b"));
        assert_eq!(path("native/src/a/b.rs"), None);
        assert_eq!(path("shared/src/README.md"), None);
    }

    #[test]
    fn modules_of_tests_are_left_out_with_all_that_is_in_them() {
        let text = "#[cfg(test)] mod tests; #[cfg(all(test, unix))] mod rig; mod b;";
        let sources = [
            ("shared/src/a.rs", text),
            ("shared/src/a/tests.rs", ""),
            ("shared/src/a/tests/rig.rs", ""),
            ("shared/src/a/rig.rs", ""),
            ("shared/src/a/b.rs", ""),
            ("native/src/a.rs", ""),
        ]
        .map(|(file, text)| Source::parse(file, text).unwrap());
        let tree = Tree::new("shared/src", "lib.rs", &sources);
        let files: Vec<_> = tree.modules.iter().map(|module| &module.file).collect();
        assert_eq!(files, ["shared/src/a.rs", "shared/src/a/b.rs"]);
        assert!(tree.has(&["a".into(), "b".into()]) && !tree.has(&["a".into(), "tests".into()]));
    }

    #[test]
    fn what_is_no_rust_is_named() {
        let error = Source::parse("shared/src/a.rs", "fn (").err().unwrap();
        assert!(error.to_string().contains("shared/src/a.rs"), "{error}");
    }
}
