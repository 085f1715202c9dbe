//! The gates: what ARCHITECTURE.md says about the code and a compiler does not check.
//!
//! - Inside `shared`, imports follow the arrows between its rooms ([`arrows`]).
//! - The pure rooms use no swarm, no runtime and no clock ([`purity`]).
//! - Code for one target stands in few, known places ([`targets`]).
//! - The modules of `native` import one another in no circle ([`circles`]).
//!
//! All of them go by the syntax tree, so that a path counts wherever it stands: in nested braces, behind `super`,
//! in the middle of an expression, in a macro.

mod arrows;
mod circles;
mod names;
mod purity;
mod source;
mod targets;
mod tokens;

use std::path::Path;

use anyhow::{Result, bail};

use self::source::{Source, Tree};

/// A place in the code, and what is wrong there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Fault {
    file: String,
    line: usize,
    what: String,
}

/// Fails if any gate finds a fault, and names all that were found.
pub(crate) fn check() -> Result<()> {
    let all = Source::read_all(Path::new("."))?;
    let shared = Tree::new("shared/src", "lib.rs", &all);
    let native = Tree::new("native/src", "main.rs", &all);
    let reports = [
        report(arrows::faults(&shared), arrows::ADVICE),
        report(purity::faults(&shared), purity::ADVICE),
        report(targets::faults(&all), targets::ADVICE),
        report(circles::faults(&native), circles::ADVICE),
    ];
    let failed: String = reports.into_iter().flatten().collect();
    if !failed.is_empty() {
        bail!("the gates found\n{failed}");
    }
    println!("{} files looked at", all.len());
    Ok(())
}

/// The faults of one gate, a line each, and what to do about them.
fn report(mut faults: Vec<Fault>, advice: &str) -> Option<String> {
    faults.sort();
    faults.dedup();
    let lines: String = faults
        .iter()
        .map(|fault| format!("    {}:{}: {}\n", fault.file, fault.line, fault.what))
        .collect();
    (!faults.is_empty()).then(|| format!("{lines}  {advice}\n"))
}
