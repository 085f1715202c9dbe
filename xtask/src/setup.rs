//! `cargo xtask setup`: what the tests need beyond cargo, in one table.

use std::{env, path::Path};

use anyhow::{Result, bail};

use crate::run::{self, Cmd};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Install nothing: say what is missing, and fail if anything is.
    #[arg(long)]
    check: bool,
}

/// One thing that the tests need.
struct Need {
    what: How,
    why: &'static str,
}

enum How {
    /// A component of the toolchain, and the cargo subcommand it brings.
    Component {
        name: &'static str,
        subcommand: &'static str,
    },
    /// A compilation target of the toolchain.
    Target(&'static str),
    /// A Debian package, and a program it brings. Needed on Linux only.
    Debian {
        package: &'static str,
        program: &'static str,
    },
}

const NEEDS: &[Need] = &[
    Need {
        what: How::Component {
            name: "rustfmt",
            subcommand: "fmt",
        },
        why: "the format check",
    },
    Need {
        what: How::Component {
            name: "clippy",
            subcommand: "clippy",
        },
        why: "the lints",
    },
    Need {
        what: How::Target("wasm32-unknown-unknown"),
        why: "compiling the peer for a browser",
    },
    Need {
        what: How::Debian {
            package: "iproute2",
            program: "ip",
        },
        why: "network namespaces for the NAT tests",
    },
    Need {
        what: How::Debian {
            package: "nftables",
            program: "nft",
        },
        why: "address translation for the NAT tests",
    },
];

pub(crate) fn main(args: &Args) -> Result<()> {
    set_up(args.check)
}

/// Installs what is missing, or only says what is.
pub(crate) fn set_up(only_check: bool) -> Result<()> {
    let missing = missing();
    if missing.is_empty() {
        println!("set-up: everything is here: {}", names(NEEDS.iter()));
        return Ok(());
    }
    for need in &missing {
        println!("set-up: {} is missing, for {}", need.what.name(), need.why);
    }
    if only_check {
        let commands = by_hand(&missing);
        bail!(
            "to install what is missing, type\n    {}",
            commands.join("\n    ")
        );
    }
    install_toolchain_parts(&missing)?;
    install_debian_packages(&missing)?;
    verify()
}

fn missing() -> Vec<&'static Need> {
    let missing = |need: &&Need| !need.what.is_present();
    NEEDS.iter().filter(missing).collect()
}

/// An installer may succeed and yet not bring what it was asked for.
fn verify() -> Result<()> {
    let missing = missing();
    if !missing.is_empty() {
        let names = names(missing.into_iter());
        bail!("still missing after the installation: {names}");
    }
    Ok(())
}

impl How {
    const fn name(&self) -> &'static str {
        match self {
            Self::Component { name, .. } | Self::Target(name) => name,
            Self::Debian { package, .. } => package,
        }
    }

    fn is_present(&self) -> bool {
        match self {
            Self::Component { subcommand, .. } => Cmd::new("cargo")
                .arg(*subcommand)
                .arg("--version")
                .succeeds(),
            Self::Target(target) => has_target(target),
            // Elsewhere the tests that need it are left out.
            Self::Debian { program, .. } => {
                env::consts::OS != "linux" || run::find_program(program).is_some()
            }
        }
    }

    /// What rustup has to do; `None` if that is not rustup's business.
    fn rustup(&self) -> Option<Cmd> {
        match self {
            Self::Component { name, .. } => Some(Cmd::new("rustup component add").arg(*name)),
            Self::Target(target) => Some(Cmd::new("rustup target add").arg(*target)),
            Self::Debian { .. } => None,
        }
    }
}

/// Asks the toolchain in use, which need not be rustup's.
fn has_target(target: &str) -> bool {
    let sysroot = Cmd::new("rustc --print sysroot").read();
    sysroot.is_ok_and(|dir| {
        Path::new(dir.trim())
            .join("lib/rustlib")
            .join(target)
            .is_dir()
    })
}

fn install_toolchain_parts(missing: &[&Need]) -> Result<()> {
    for command in missing.iter().filter_map(|need| need.what.rustup()) {
        if run::find_program("rustup").is_none() {
            bail!(
                "rustup, which would install this, is not here; with it, type\n    {}",
                by_hand(missing).join("\n    ")
            );
        }
        println!("set-up: installing by rustup");
        command.run()?;
    }
    Ok(())
}

fn install_debian_packages(missing: &[&Need]) -> Result<()> {
    let packages = debian_packages(missing);
    if packages.is_empty() {
        return Ok(());
    }
    if run::find_program("apt-get").is_none() {
        bail!(
            "install these by your system's package manager: {}",
            packages.join(", ")
        );
    }
    if !is_root() {
        bail!(
            "only root may install {}; type\n    {}",
            packages.join(", "),
            by_hand(missing).join("\n    ")
        );
    }
    println!("set-up: installing by apt-get: {}", packages.join(", "));
    // A stale list may still name what is wanted, so the install decides whether this failed.
    if let Err(error) = Cmd::new("apt-get update --quiet").run() {
        println!("set-up: {error}");
    }
    Cmd::new("apt-get install --yes --quiet --no-install-recommends")
        .args(packages)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .run()
}

/// The commands that would install it all, for whoever has to type them.
fn by_hand(missing: &[&Need]) -> Vec<String> {
    let mut commands: Vec<String> = missing
        .iter()
        .filter_map(|need| need.what.rustup())
        .map(|cmd| cmd.to_string())
        .collect();
    let packages = debian_packages(missing);
    if !packages.is_empty() {
        let sudo = if is_root() { "" } else { "sudo " };
        commands.push(format!(
            "{sudo}apt-get update && {sudo}apt-get install -y {}",
            packages.join(" ")
        ));
    }
    commands
}

fn debian_packages(missing: &[&Need]) -> Vec<&'static str> {
    let package = |need: &&Need| match need.what {
        How::Debian { package, .. } => Some(package),
        _ => None,
    };
    missing.iter().filter_map(package).collect()
}

fn names<'a>(needs: impl Iterator<Item = &'a Need>) -> String {
    needs
        .map(|need| need.what.name())
        .collect::<Vec<_>>()
        .join(", ")
}

fn is_root() -> bool {
    Cmd::new("id -u").read().is_ok_and(|id| id.trim() == "0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_commands_to_type_name_everything_that_is_missing() {
        let missing: Vec<&Need> = NEEDS.iter().collect();
        let commands = by_hand(&missing).join("\n");
        for need in NEEDS {
            assert!(commands.contains(need.what.name()), "{commands}");
        }
        assert_eq!(commands.matches("apt-get install").count(), 1);
    }

    #[test]
    fn a_target_that_does_not_exist_is_missing() {
        assert!(!has_target("wasm128-unknown-unknown"));
    }
}
