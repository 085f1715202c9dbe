//! `cargo xtask setup`: finds and installs what the tests need beyond cargo, by one table.

use std::{env, path::Path};

use anyhow::{Result, bail};

use crate::{
    run::{self, Cmd},
    tools::{self, Tool},
};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Install nothing: say what is missing, and fail if anything is.
    #[arg(long)]
    check: bool,
}

/// The purpose of a set-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum For {
    /// To run all tests.
    Tests,
    /// To build the browser's package, and no more.
    Web,
}

/// Something that the tests need.
struct Need {
    what: How,
    /// The browser's package needs it, too.
    web: bool,
    why: &'static str,
}

/// How something is installed, and how it is found.
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
    /// A program of a Debian package that would start a service, too: it is unpacked below target/, and not installed.
    Unpacked(tools::Unpacked),
    /// A program that cargo builds.
    Cargo(Tool),
    /// All packages of package.json.
    Npm,
}

const NEEDS: &[Need] = &[
    Need {
        what: How::Component {
            name: "rustfmt",
            subcommand: "fmt",
        },
        web: false,
        why: "the format check",
    },
    Need {
        what: How::Component {
            name: "clippy",
            subcommand: "clippy",
        },
        web: false,
        why: "the lints",
    },
    Need {
        what: How::Target("wasm32-unknown-unknown"),
        web: true,
        why: "compiling the peer for a browser",
    },
    Need {
        what: How::Debian {
            package: "iproute2",
            program: "ip",
        },
        web: false,
        why: "network namespaces for the NAT tests",
    },
    Need {
        what: How::Debian {
            package: "nftables",
            program: "nft",
        },
        web: false,
        why: "address translation for the NAT tests",
    },
    Need {
        what: How::Debian {
            package: "iptables",
            program: "iptables-nft",
        },
        web: false,
        why: "delayed packets in the NAT tests",
    },
    Need {
        what: How::Debian {
            package: "faketime",
            program: "faketime",
        },
        web: false,
        why: "peers whose clock is wrong, in the NAT tests",
    },
    Need {
        what: How::Debian {
            package: "miniupnpd-nftables",
            program: "miniupnpd",
        },
        web: false,
        why: "a gateway that maps ports, in the NAT tests",
    },
    Need {
        what: How::Debian {
            package: "coturn",
            program: "turnserver",
        },
        web: false,
        why: "a TURN server, in the NAT tests",
    },
    Need {
        what: How::Debian {
            package: "conntrack",
            program: "conntrack",
        },
        web: false,
        why: "NATs that forget, in the NAT tests",
    },
    Need {
        what: How::Unpacked(tools::PROMTOOL),
        web: false,
        why: "checking the dashboard and the alerts for a relay",
    },
    Need {
        what: How::Debian {
            package: "nginx-light",
            program: "nginx",
        },
        web: false,
        why: "a relay behind nginx",
    },
    Need {
        what: How::Debian {
            package: "caddy",
            program: "caddy",
        },
        web: false,
        why: "a relay behind Caddy",
    },
    Need {
        what: How::Debian {
            package: "pebble",
            program: "pebble",
        },
        web: false,
        why: "a relay that gets its certificate from an ACME server",
    },
    Need {
        what: How::Debian {
            package: "openssl",
            program: "openssl",
        },
        web: false,
        why: "a certificate for the page over https",
    },
    Need {
        what: How::Debian {
            package: "nodejs",
            program: "node",
        },
        web: true,
        why: "compressing and optimising the browser's package",
    },
    Need {
        what: How::Debian {
            package: "npm",
            program: "npm",
        },
        web: true,
        why: "tools written in JavaScript",
    },
    Need {
        what: How::Debian {
            package: "chromium",
            program: "chromium",
        },
        web: false,
        why: "tests in a browser",
    },
    Need {
        what: How::Debian {
            package: "firefox-esr",
            program: "firefox-esr",
        },
        web: false,
        why: "tests in a browser",
    },
    Need {
        what: How::Debian {
            package: "chromium-driver",
            program: "chromedriver",
        },
        web: false,
        why: "tests in a browser",
    },
    Need {
        what: How::Cargo(tools::WASM_BINDGEN),
        web: true,
        why: "building the browser's package, and its tests",
    },
    Need {
        what: How::Cargo(tools::WASM_PACK),
        web: true,
        why: "building the browser's package",
    },
    Need {
        what: How::Npm,
        web: true,
        why: "wasm-opt and TypeScript, as package-lock.json has them",
    },
];

pub(crate) fn main(args: &Args) -> Result<()> {
    set_up(For::Tests, args.check)
}

/// Installs what is missing, or only says what is.
pub(crate) fn set_up(purpose: For, only_check: bool) -> Result<()> {
    let missing = missing(purpose);
    if missing.is_empty() {
        println!("set-up: everything is here: {}", names(needs(purpose)));
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
    install_tools(&missing)?;
    verify(purpose)
}

fn needs(purpose: For) -> impl Iterator<Item = &'static Need> {
    NEEDS
        .iter()
        .filter(move |need| purpose == For::Tests || need.web)
}

fn missing(purpose: For) -> Vec<&'static Need> {
    let missing = |need: &&Need| !need.what.is_present();
    needs(purpose).filter(missing).collect()
}

/// Looks again after the installation: an installer may succeed and yet not bring what it was asked for.
fn verify(purpose: For) -> Result<()> {
    let missing = missing(purpose);
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
            Self::Unpacked(tool) => tool.package,
            Self::Cargo(tool) => tool.package,
            Self::Npm => "node_modules",
        }
    }

    fn is_present(&self) -> bool {
        match self {
            Self::Component { subcommand, .. } => Cmd::new("cargo")
                .arg(*subcommand)
                .arg("--version")
                .succeeds(),
            Self::Target(target) => has_target(target),
            // On other systems the tests that need it are left out.
            Self::Debian { program, .. } => {
                env::consts::OS != "linux" || run::find_program(program).is_some()
            }
            Self::Unpacked(tool) => env::consts::OS != "linux" || tool.is_present(),
            Self::Cargo(tool) => tool.is_present(),
            Self::Npm => tools::has_node_modules(),
        }
    }

    /// The command by which rustup installs it; `None` if rustup does not.
    fn rustup(&self) -> Option<Cmd> {
        match self {
            Self::Component { name, .. } => Some(Cmd::new("rustup component add").arg(*name)),
            Self::Target(target) => Some(Cmd::new("rustup target add").arg(*target)),
            Self::Debian { .. } | Self::Unpacked(_) | Self::Cargo(_) | Self::Npm => None,
        }
    }

    /// The command that installs it; `None` if rustup or apt-get does.
    fn other(&self) -> Option<Result<Cmd>> {
        match self {
            Self::Unpacked(tool) => Some(Ok(tool.unpack())),
            Self::Cargo(tool) => Some(tool.install()),
            Self::Npm => Some(Ok(Cmd::new("npm ci --no-audit --no-fund"))),
            Self::Component { .. } | Self::Target(_) | Self::Debian { .. } => None,
        }
    }
}

/// Whether the toolchain in use, which need not be rustup's, has a target.
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
    // Not fatal: an old list may still name the package, and the install shows whether it does.
    if let Err(error) = Cmd::new("apt-get update --quiet").run() {
        println!("set-up: {error}");
    }
    Cmd::new("apt-get install --yes --quiet --no-install-recommends")
        .args(packages.iter().copied())
        .env("DEBIAN_FRONTEND", "noninteractive")
        .run()?;
    stop_daemons(&packages)
}

/// Packages that come with a daemon, which Debian starts at once and with each boot, and its service: nobody asked for that.
const DAEMONS: &[(&str, &str)] = &[
    ("caddy", "caddy"),
    ("coturn", "coturn"),
    ("nginx-light", "nginx"),
];

/// Stops the daemons of packages that were not here before.
fn stop_daemons(installed: &[&str]) -> Result<()> {
    if !Path::new("/run/systemd/system").exists() {
        return Ok(());
    }
    for (_, service) in DAEMONS
        .iter()
        .filter(|(package, _)| installed.contains(package))
    {
        Cmd::new("systemctl disable --now").arg(*service).run()?;
    }
    Ok(())
}

fn install_tools(missing: &[&Need]) -> Result<()> {
    for command in missing.iter().filter_map(|need| need.what.other()) {
        println!("set-up: installing");
        command?.run()?;
    }
    Ok(())
}

/// The commands that install all that is missing, for a person to type.
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
    let others = missing.iter().filter_map(|need| need.what.other()?.ok());
    commands.extend(others.map(|cmd| cmd.to_string()));
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
            let name = match need.what {
                How::Npm => "npm ci",
                _ => need.what.name(),
            };
            assert!(commands.contains(name), "{commands}");
        }
        assert_eq!(commands.matches("apt-get install").count(), 1);
    }

    #[test]
    fn a_target_that_does_not_exist_is_missing() {
        assert!(!has_target("wasm128-unknown-unknown"));
    }
}
