//! `cargo xtask test`: everything that CI checks, in the order in which it fails fastest.

use std::{
    fs,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use clap::ValueEnum;

use crate::{
    gates, policy,
    run::{self, Cmd},
    setup,
    tools::{with_tools, without_our_paths},
    web,
};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Run this step alone, without set-up.
    #[arg(long, value_enum)]
    only: Option<Step>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Step {
    /// Install what is missing.
    Setup,
    /// The code is formatted.
    Fmt,
    /// Imports follow the arrows of ARCHITECTURE.md, pure code is pure, and `cfg(target…)` stands where it may.
    Gates,
    /// Licences and sources of all dependencies, as deny.toml allows them.
    Policy,
    /// No warnings, in any target of any crate.
    Clippy,
    /// The peer compiles for a browser, without warnings and without what browsers lack.
    Wasm,
    /// The browser's package builds, is small enough, and has the types that its example uses.
    Web,
    /// The browser's package passes its tests in Chromium.
    WasmTest,
    /// The documentation builds without warnings.
    Doc,
    /// The tests pass.
    Test,
    /// The page's tests pass, with a stand-in for the package.
    Page,
    /// The real program, package and page pass their tests in Chromium.
    Browser,
    /// Other implementations of libp2p talk to the real program. Installs them below tests/interop.
    Interop,
}

pub(crate) fn main(args: &Args, ci: bool) -> Result<()> {
    let steps = match &args.only {
        Some(step) => std::slice::from_ref(step),
        None => Step::value_variants(),
    };
    let mut done = Vec::new();
    for &step in steps {
        println!("\n== {} ==", step.name());
        let start = Instant::now();
        let result = step.run(ci);
        done.push((step, start.elapsed(), result.is_ok()));
        if result.is_err() {
            summary(&done, steps);
            return result.with_context(|| format!("step `{}` failed", step.name()));
        }
    }
    summary(&done, steps);
    Ok(())
}

impl Step {
    fn run(self, ci: bool) -> Result<()> {
        match self {
            Self::Setup => setup::set_up(setup::For::Tests, false),
            Self::Fmt => Cmd::new("cargo fmt --all --check").run(),
            Self::Gates => gates::check(),
            Self::Policy => policy::check(),
            // With the page in the binary, which the tests' build leaves out.
            Self::Clippy => cargo(
                "clippy --workspace --all-targets --features native/embed",
                ci,
            )
            .args(["--", "-D", "warnings"])
            .run(),
            Self::Wasm => wasm(ci),
            Self::Web => web::build(false, ci).and_then(|()| types()),
            Self::WasmTest => wasm_test(ci),
            // The features of clippy, so that it finds what that has checked.
            Self::Doc => cargo("doc --workspace --no-deps --features native/embed", ci)
                .env("RUSTDOCFLAGS", "-D warnings")
                .run(),
            Self::Test => cargo("test --workspace", ci).run(),
            Self::Page => Cmd::new("npm test").run(),
            Self::Browser => browser(ci),
            Self::Interop => interop(ci),
        }
    }

    fn name(self) -> String {
        self.to_possible_value()
            .map_or_else(String::new, |value| value.get_name().into())
    }
}

/// Runs clippy, which includes all that `cargo check` finds.
fn wasm(ci: bool) -> Result<()> {
    let conf = run::workspace_root().join("xtask/clippy-wasm");
    cargo(
        "clippy --package shared --package punchline-webrtc --package web --target wasm32-unknown-unknown",
        ci,
    )
    .args(["--", "-D", "warnings"])
    .env("CLIPPY_CONF_DIR", conf.to_string_lossy())
    .run()
}

fn types() -> Result<()> {
    with_tools(Cmd::new("tsc --project web/example")).run()
}

/// Tests in release mode, as the package itself is built, so that dependencies are compiled once for both.
fn wasm_test(ci: bool) -> Result<()> {
    let Some(driver) = run::find_program("chromedriver") else {
        println!("left out: chromedriver is not here");
        return Ok(());
    };
    let cmd = cargo("test --release --target wasm32-unknown-unknown", ci)
        .env(
            "CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUNNER",
            "wasm-bindgen-test-runner",
        )
        .env("CHROMEDRIVER", driver.to_string_lossy())
        .env("WASM_BINDGEN_TEST_TIMEOUT", WASM_TEST_SECONDS)
        .dir("web");
    without_our_paths(with_tools(cmd)).run()
}

/// When to give up on the tests. They take a few seconds.
const WASM_TEST_SECONDS: &str = "300";

/// Runs the tests in Chromium, with the program that the tests before have built.
fn browser(ci: bool) -> Result<()> {
    if run::find_program("chromium").is_none() {
        println!("left out: chromium is not here");
        return Ok(());
    }
    cargo("build --package native --bin punchline", ci).run()?;
    let program = run::workspace_root().join("target/debug/punchline");
    let mut files: Vec<_> = fs::read_dir("tests/browser")?
        .filter_map(|entry| entry.ok()?.path().to_str().map(String::from))
        .filter(|file| file.ends_with(".test.mjs"))
        .collect();
    files.sort();
    Cmd::new("node --test --test-reporter spec --test-concurrency 2")
        .args(files)
        .env("PUNCHLINE", program.to_string_lossy())
        .run()
}

/// Runs the tests against other implementations, with the program that the tests before have built. Those in a browser want
/// the package that was built before, too.
fn interop(ci: bool) -> Result<()> {
    cargo("build --package native --bin punchline", ci).run()?;
    let program = run::workspace_root().join("target/debug/punchline");
    let mut directories = vec!["tests/interop"];
    match run::find_program("chromium") {
        Some(_) => directories.push("tests/interop/browser"),
        None => println!("left out: chromium is not here"),
    }
    for directory in directories {
        // Not `npm ci`, which wants the packages of all systems in the lock file: not every registry has them all.
        Cmd::new("npm install --no-save --no-audit --no-fund")
            .dir(directory)
            .run()?;
        Cmd::new("npm test")
            .env("PUNCHLINE", program.to_string_lossy())
            .dir(directory)
            .run()?;
    }
    Ok(())
}

/// A cargo command. In CI it builds exactly what is committed, and without incremental compilation, which helps only
/// later builds.
fn cargo(words: &str, ci: bool) -> Cmd {
    let cmd = Cmd::new("cargo").args(words.split_whitespace());
    if ci {
        cmd.arg("--locked")
            .env("CARGO_INCREMENTAL", "0")
            .env("CARGO_TERM_PROGRESS_WHEN", "never")
    } else {
        cmd
    }
}

fn summary(done: &[(Step, Duration, bool)], steps: &[Step]) {
    println!("\n== summary ==");
    for (step, took, passed) in done {
        let verdict = if *passed { "ok" } else { "FAILED" };
        println!(
            "{:<9} {verdict:<8} {:>7.1} s",
            step.name(),
            took.as_secs_f64()
        );
    }
    for step in &steps[done.len()..] {
        println!("{:<9} not run", step.name());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ci_builds_what_is_committed() {
        assert!(
            cargo("test --workspace", true)
                .to_string()
                .ends_with("cargo test --workspace --locked")
        );
        assert_eq!(
            cargo("test --workspace", false).to_string(),
            "cargo test --workspace"
        );
    }
}
