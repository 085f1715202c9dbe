//! Tools that cargo builds, and npm's. They are installed below the workspace; the machine's own tools stay as they are.

use std::{env, fs, path::PathBuf};

use anyhow::{Context, Result, bail};

use crate::run::{self, Cmd};

/// Turns a crate into a package for a browser.
pub(crate) const WASM_PACK: Tool = Tool {
    package: "wasm-pack",
    program: "wasm-pack",
    version: Version::Is("0.15.1"),
};

/// Makes the JavaScript for a wasm file (wasm-pack runs it), and runs tests in a browser.
pub(crate) const WASM_BINDGEN: Tool = Tool {
    package: "wasm-bindgen-cli",
    program: "wasm-bindgen",
    version: Version::As("wasm-bindgen"),
};

/// Checks what Prometheus reads.
pub(crate) const PROMTOOL: Unpacked = Unpacked {
    package: "prometheus",
    program: "promtool",
};

/// A program from crates.io.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tool {
    pub(crate) package: &'static str,
    program: &'static str,
    version: Version,
}

/// A program from a Debian package, without the package.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Unpacked {
    pub(crate) package: &'static str,
    program: &'static str,
}

#[derive(Debug, Clone, Copy)]
enum Version {
    Is(&'static str),
    /// The version of a package in Cargo.lock: the tool can read only what the library of its own version has written.
    As(&'static str),
}

impl Tool {
    pub(crate) fn is_present(&self) -> bool {
        let Ok(version) = self.version() else {
            return false;
        };
        let printed = with_tools(Cmd::new(self.program).arg("--version")).read_quietly();
        printed.is_some_and(|text| text.split_whitespace().nth(1) == Some(version.as_str()))
    }

    /// The command that installs the tool. It builds without optimisation, in a third of the time, and without the
    /// tool's own lock file, which names versions that are gone.
    pub(crate) fn install(&self) -> Result<Cmd> {
        let version = self.version()?;
        let dir = dir().to_string_lossy().into_owned();
        Ok(Cmd::new("cargo install --debug")
            .args([self.package, "--version", &version])
            .args(["--root", &dir, "--target-dir"])
            .arg(format!("{dir}/build")))
    }

    fn version(&self) -> Result<String> {
        match self.version {
            Version::Is(version) => Ok(version.into()),
            Version::As(package) => locked(package),
        }
    }
}

impl Unpacked {
    pub(crate) fn is_present(&self) -> bool {
        let ours = dir().join(self.package).join("usr/bin").join(self.program);
        ours.is_file() || run::find_program(self.program).is_some()
    }

    /// The command that brings the program into target/tools/PACKAGE/usr/bin. Root need not do that, but has apt-get look
    /// what there is, as it may never have.
    pub(crate) fn unpack(&self) -> Cmd {
        let package = self.package;
        let dir = dir().join(package);
        let dir = dir.to_string_lossy();
        let script = format!(
            "mkdir -p '{dir}' && cd '{dir}' && rm -f ./*.deb; \
             apt-get update --quiet; apt-get download --quiet {package} && dpkg-deb --extract ./*.deb ."
        );
        Cmd::new("sh -c").arg(script)
    }
}

/// Has a command find the tools of the workspace before those of the machine.
pub(crate) fn with_tools(cmd: Cmd) -> Cmd {
    let path = env::var_os("PATH").unwrap_or_default();
    let ours = [
        dir().join("bin"),
        run::workspace_root().join("node_modules/.bin"),
    ];
    let all = ours.into_iter().chain(env::split_paths(&path));
    match env::join_paths(all) {
        Ok(path) => cmd.hidden_env("PATH", path),
        Err(_) => cmd,
    }
}

/// Leaves this machine's folders out of what cargo builds, where panics name files by them. So the wasm is the same
/// wherever it is built, and a little smaller.
pub(crate) fn without_our_paths(cmd: Cmd) -> Cmd {
    let cargo_home = env::var_os("CARGO_HOME").map(PathBuf::from);
    let cargo_home = cargo_home.or_else(|| Some(env::home_dir()?.join(".cargo")));
    let sources = cargo_home.and_then(|dir| fs::read_dir(dir.join("registry/src")).ok());
    let mut flags: Vec<_> = sources
        .into_iter()
        .flatten()
        .flatten()
        .map(|registry| format!("--remap-path-prefix={}/=", registry.path().display()))
        .collect();
    // Sorted: flags in another order would have cargo build again.
    flags.sort_unstable();
    cmd.hidden_env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"))
}

/// Whether `npm ci` has been run since the lock file changed.
pub(crate) fn has_node_modules() -> bool {
    let changed = |file: &str| fs::metadata(file).and_then(|data| data.modified()).ok();
    let installed = changed("node_modules/.package-lock.json");
    installed.is_some() && installed >= changed("package-lock.json")
}

fn dir() -> PathBuf {
    run::workspace_root().join("target/tools")
}

fn locked(package: &str) -> Result<String> {
    let file = run::workspace_root().join("Cargo.lock");
    let text = fs::read_to_string(&file).context("cannot read Cargo.lock")?;
    let lock: toml::Table = text.parse().context("Cargo.lock is no TOML")?;
    let packages = lock.get("package").and_then(toml::Value::as_array);
    let named =
        |entry: &&toml::Value| entry.get("name").and_then(toml::Value::as_str) == Some(package);
    let versions: Vec<_> = packages
        .into_iter()
        .flatten()
        .filter(named)
        .filter_map(|entry| entry.get("version")?.as_str())
        .collect();
    match versions[..] {
        [version] => Ok(version.into()),
        [] => bail!("Cargo.lock has no {package}"),
        _ => bail!("Cargo.lock has several versions of {package}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tools_version_is_that_of_the_library() {
        let version = locked("wasm-bindgen").unwrap();
        let install = WASM_BINDGEN.install().unwrap().to_string();
        assert!(
            install.contains(&format!("wasm-bindgen-cli --version {version} ")),
            "{install}"
        );
        assert!(locked("no-such-package").is_err());
    }
}
