//! Builds the program that demos and benchmarks run.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::Value;

use crate::run::Cmd;

/// Builds the program, and returns where it is.
pub(crate) fn punchline(release: bool) -> Result<PathBuf> {
    println!("Building. The first time this takes some minutes.");
    let mut cmd = Cmd::new("cargo build --package native --bin punchline");
    if release {
        cmd = cmd.arg("--release");
    }
    println!("$ {cmd}");
    let messages = cmd.arg("--message-format=json-render-diagnostics").read()?;
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
        .filter(|file| file.file_stem() == Path::new("punchline").file_stem())
        .context("cargo built no `punchline`")
}
