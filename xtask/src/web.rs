//! `cargo xtask web`: the browser's package, small and compressed, in www/pkg.

use std::{fs, path::Path};

use anyhow::{Context, Result, bail};

use crate::{
    run::Cmd,
    setup::{self, For},
    tools::{with_tools, without_our_paths},
};

/// The budget: the most bytes of wasm that a tab has to download, compressed by brotli. A phone's network carries
/// this in a second or two.
const MAX_WASM_BROTLI: u64 = 400_000;

const WWW: &str = "www";
const PKG: &str = "www/pkg";
const WASM: &str = "web_bg.wasm";
/// The wasm as wasm-pack left it the last time. If it is the same again, what is in www/pkg stays.
const LAST: &str = "target/web-last.wasm";
/// Passes of wasm-opt that make the compressed wasm larger.
const SKIPPED_PASSES: [&str; 4] = [
    "inlining-optimizing",
    "code-folding",
    "local-cse",
    "merge-locals",
];
/// Files of the package that are compressed here, so that the relay's HTTP server need not do it.
const COMPRESSED: &[&str] = &[WASM, "web.js"];
/// The kinds of the page's own files that are compressed, too.
const PAGE_KINDS: &[&str] = &["css", "html", "js", "svg"];

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Neither optimised nor compressed: quick, for work on the page.
    #[arg(long)]
    dev: bool,
}

pub(crate) fn main(args: &Args) -> Result<()> {
    setup::set_up(For::Web, false)?;
    build(args.dev, false)
}

/// Builds www/pkg, and fails when it is over the budget.
pub(crate) fn build(dev: bool, ci: bool) -> Result<()> {
    let out = Path::new("target/web-pkg");
    wasm_pack(dev, ci)?;
    let fresh = fs::read(out.join(WASM)).context("wasm-pack left no wasm")?;
    let unchanged = fs::read(LAST).is_ok_and(|last| last == fresh);
    if !dev && unchanged && complete() {
        println!("unchanged since it was optimised");
    } else {
        // From here until the end, www/pkg may hold half of a build.
        let _ = fs::remove_file(LAST);
        replace(out)?;
        if !dev {
            optimise()?;
            compress()?;
            fs::write(LAST, fresh)?;
        }
    }
    compress_page()?;
    if dev { Ok(()) } else { check_budget() }
}

/// Runs wasm-pack as a person would without this program, into another folder.
fn wasm_pack(dev: bool, ci: bool) -> Result<()> {
    let mut cmd = Cmd::new("wasm-pack build web --target web --out-dir ../target/web-pkg");
    if dev {
        cmd = cmd.arg("--dev");
    }
    if ci {
        cmd = cmd.args(["--", "--locked"]).env("CARGO_INCREMENTAL", "0");
    }
    without_our_paths(with_tools(cmd)).run()
}

fn complete() -> bool {
    let exists = |name: &str| Path::new(PKG).join(name).is_file();
    exists("web.d.ts")
        && COMPRESSED.iter().all(|name| {
            exists(name) && exists(&format!("{name}.br")) && exists(&format!("{name}.gz"))
        })
}

/// Puts the files where the page looks for them, and removes those of an earlier build.
fn replace(out: &Path) -> Result<()> {
    if Path::new(PKG).exists() {
        fs::remove_dir_all(PKG).context("cannot empty www/pkg")?;
    }
    fs::create_dir_all(PKG)?;
    for entry in fs::read_dir(out)? {
        let entry = entry?;
        // Its .gitignore is wasm-pack's own.
        if entry.file_type()?.is_file() && entry.file_name() != ".gitignore" {
            fs::copy(entry.path(), Path::new(PKG).join(entry.file_name()))?;
        }
    }
    Ok(())
}

fn optimise() -> Result<()> {
    let wasm = format!("{PKG}/{WASM}");
    with_tools(
        // Rust's linker puts the stack at the bottom of the memory, so nothing is kept at its first addresses, and no
        // one but the module itself fills the memory.
        Cmd::new("wasm-opt --low-memory-unused --zero-filled-memory -Os --converge")
            // What these passes share or inline is fewer bytes before compression, and more after it: 376,900
            // instead of 381,400 in November 2026.
            .args(SKIPPED_PASSES.map(|pass| format!("--skip-pass={pass}")))
            // Sorted by name, functions of one kind are neighbours, which compresses better.
            .args(["--reorder-functions-by-name"])
            .args(["--strip-producers", "--strip-target-features"])
            .args([&wasm, "-o", &wasm]),
    )
    .run()
}

fn compress() -> Result<()> {
    let files = COMPRESSED.iter().map(|name| format!("{PKG}/{name}"));
    Cmd::new("node xtask/compress.mjs").args(files).run()
}

/// Compresses the page's own files. If one is changed later, the relay serves it uncompressed, as the compressed file is
/// older.
fn compress_page() -> Result<()> {
    let mut files = Vec::new();
    for entry in fs::read_dir(WWW)? {
        let path = entry?.path();
        let kind = path.extension().and_then(|kind| kind.to_str());
        if kind.is_some_and(|kind| PAGE_KINDS.contains(&kind)) {
            files.push(path.to_string_lossy().into_owned());
        }
    }
    files.sort();
    Cmd::new("node xtask/compress.mjs").args(files).run()
}

fn check_budget() -> Result<()> {
    println!(
        "{:<14}{:>11}{:>11}{:>11}",
        "www/pkg", "bytes", "gzip", "brotli"
    );
    for name in COMPRESSED {
        let [raw, gz, br] = ["", ".gz", ".br"].map(|suffix| size(&format!("{name}{suffix}")));
        println!("{name:<14}{:>11}{:>11}{:>11}", raw?, gz?, br?);
    }
    let wasm = size(&format!("{WASM}.br"))?;
    if wasm > MAX_WASM_BROTLI {
        bail!("the wasm has {wasm} bytes as brotli; the budget is {MAX_WASM_BROTLI}");
    }
    println!("{} bytes of the budget are left", MAX_WASM_BROTLI - wasm);
    Ok(())
}

fn size(name: &str) -> Result<u64> {
    let path = Path::new(PKG).join(name);
    let data = fs::metadata(&path).with_context(|| format!("there is no {}", path.display()))?;
    Ok(data.len())
}
