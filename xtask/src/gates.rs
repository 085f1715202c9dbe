//! The check that code for one target stands in few, known places.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};

/// Where the switch between targets is made. Everything else is the same code everywhere.
const ALLOWED: &[&str] = &[
    "shared/src/node.rs",
    "shared/src/platform.rs",
    "shared/src/platform/",
    "shared/src/protocols.rs",
    "tests/nat/main.rs",
    "web/src/lib.rs",
];

/// Folders that hold no source of ours.
const SKIPPED: &[&str] = &["target", "node_modules", "pkg"];

pub(crate) fn check() -> Result<()> {
    let mut files = Vec::new();
    rust_files(Path::new("."), &mut files)?;
    let mut found = Vec::new();
    for file in &files {
        let name = file
            .strip_prefix(".")
            .unwrap_or(file)
            .to_string_lossy()
            .replace('\\', "/");
        if !ALLOWED.iter().any(|allowed| name.starts_with(allowed)) {
            let text = fs::read_to_string(file).with_context(|| format!("cannot read {name}"))?;
            found.extend(
                gates(&text)
                    .into_iter()
                    .map(|line| format!("{name}:{line}")),
            );
        }
    }
    if !found.is_empty() {
        bail!(
            "code for one target stands outside {}:\n    {}",
            ALLOWED.join(", "),
            found.join("\n    ")
        );
    }
    println!("{} files looked at", files.len());
    Ok(())
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

/// The lines where a `cfg` that asks for the target begins, also one that goes over several lines.
fn gates(text: &str) -> Vec<usize> {
    let code = without_comments(text);
    let starts = ["cfg", "cfg_attr", "cfg!"].map(|call| format!("{call}("));
    let mut lines = Vec::new();
    for start in &starts {
        for (at, _) in code.match_indices(start.as_str()) {
            let inside = in_parentheses(&code[at + start.len()..]);
            if inside.contains("target_") {
                lines.push(code[..at].matches('\n').count() + 1);
            }
        }
    }
    lines.sort_unstable();
    lines.dedup();
    lines
}

fn without_comments(text: &str) -> String {
    let keep = |line: &str| !line.trim_start().starts_with("//");
    let lines = text.lines().map(|line| if keep(line) { line } else { "" });
    lines.collect::<Vec<_>>().join("\n")
}

/// Up to the parenthesis that closes one opened before.
fn in_parentheses(text: &str) -> &str {
    let mut depth = 1;
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return &text[..at];
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Spelt so that the check does not find it in this file.
    fn gate(call: &str) -> String {
        format!("{call}{}target_family = \"wasm\")", '(')
    }

    #[test]
    fn every_form_of_the_switch_is_found() {
        for call in ["cfg", "cfg_attr", "cfg!"] {
            let text = format!("fn f() {{}}\n#[{}]\nfn g() {{}}", gate(call));
            assert_eq!(gates(&text), [2], "{text}");
            let nested = format!("#[{call}{}{})]", '(', gate("not"));
            assert_eq!(gates(&nested), [1], "{nested}");
        }
        let long = format!("#[cfg{}\n    not(unix),\n    {}\n)]", '(', gate("not"));
        assert_eq!(gates(&long), [1]);
    }

    #[test]
    fn other_gates_and_comments_are_let_through() {
        let comment = format!("// {}\n//! {}", gate("cfg"), gate("cfg"));
        assert_eq!(gates(&comment), [0; 0]);
        assert_eq!(
            gates("#[cfg(test)] mod t { const X: &str = \"target_os\"; }"),
            [0; 0]
        );
        assert_eq!(gates("#[cfg(unix)]"), [0; 0]);
    }
}
