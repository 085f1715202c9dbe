//! Runs other programs. A failure names the command as a person would type it.

use std::{
    env,
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};

/// A command line, and the environment it needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cmd {
    env: Vec<(String, String)>,
    /// Variables that are left out where the command is shown: they are long, and nobody types them.
    hidden_env: Vec<(&'static str, OsString)>,
    dir: Option<&'static str>,
    words: Vec<String>,
}

impl Cmd {
    /// A command of these words, which are separated by spaces.
    pub(crate) fn new(words: &str) -> Self {
        Self {
            env: Vec::new(),
            hidden_env: Vec::new(),
            dir: None,
            words: words.split_whitespace().map(Into::into).collect(),
        }
    }

    pub(crate) fn arg(mut self, word: impl Into<String>) -> Self {
        self.words.push(word.into());
        self
    }

    pub(crate) fn args<I: IntoIterator<Item: Into<String>>>(mut self, words: I) -> Self {
        self.words.extend(words.into_iter().map(Into::into));
        self
    }

    pub(crate) fn env(mut self, name: &str, value: impl Into<String>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Sets a variable, and leaves it out where the command is shown.
    pub(crate) fn hidden_env(mut self, name: &'static str, value: impl Into<OsString>) -> Self {
        self.hidden_env.push((name, value.into()));
        self
    }

    /// Has the command run in a folder of the workspace.
    pub(crate) fn dir(mut self, dir: &'static str) -> Self {
        self.dir = Some(dir);
        self
    }

    /// Shows the command and runs it in this terminal.
    pub(crate) fn run(&self) -> Result<()> {
        println!("$ {self}");
        let status = self
            .command()
            .status()
            .with_context(|| format!("cannot start: {self}"))?;
        if !status.success() {
            bail!("this command failed ({status}):\n    {self}");
        }
        Ok(())
    }

    /// Runs the command, and returns what it prints. Its stderr goes to this terminal.
    pub(crate) fn read(&self) -> Result<String> {
        let output = self
            .command()
            .stderr(Stdio::inherit())
            .output()
            .with_context(|| format!("cannot start: {self}"))?;
        if !output.status.success() {
            bail!("this command failed ({}):\n    {self}", output.status);
        }
        String::from_utf8(output.stdout).with_context(|| format!("no text came from: {self}"))
    }

    /// Runs the command without showing anything, and returns what it prints if it succeeds.
    pub(crate) fn read_quietly(&self) -> Option<String> {
        let output = self.command().stderr(Stdio::null()).output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        output.status.success().then_some(text)
    }

    /// Runs the command without showing anything, and returns whether it succeeds.
    pub(crate) fn succeeds(&self) -> bool {
        let quiet = self
            .command()
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        quiet.is_ok_and(|status| status.success())
    }

    fn command(&self) -> Command {
        // The cargo that started this program, which may be another one than that on PATH.
        let program = match self.words[0].as_str() {
            "cargo" => env::var("CARGO").unwrap_or_else(|_| "cargo".into()),
            other => other.into(),
        };
        let mut command = Command::new(program);
        command.args(&self.words[1..]).stdin(Stdio::null());
        for (name, _) in env::vars_os().filter(|(name, _)| is_of_our_package(name)) {
            command.env_remove(name);
        }
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command.envs(self.hidden_env.iter().map(|(name, value)| (name, value)));
        if let Some(dir) = self.dir {
            command.current_dir(workspace_root().join(dir));
        }
        command
    }
}

impl std::fmt::Display for Cmd {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(dir) = self.dir {
            write!(f, "cd {dir} && ")?;
        }
        for (name, value) in &self.env {
            write!(f, "{name}={} ", quoted(value))?;
        }
        let words: Vec<_> = self.words.iter().map(|word| quoted(word)).collect();
        f.write_str(&words.join(" "))
    }
}

/// The folder of the workspace.
pub(crate) fn workspace_root() -> PathBuf {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().unwrap_or(xtask).to_owned()
}

/// Whether this runs in CI, by the variable that CI systems agree on.
pub(crate) fn in_ci() -> bool {
    env::var("CI").is_ok_and(|value| !matches!(value.as_str(), "" | "0" | "false"))
}

/// Finds a program on PATH, or where administrators' programs are when PATH leaves them out.
pub(crate) fn find_program(name: impl AsRef<OsStr>) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let sbin = ["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from);
    env::split_paths(&path)
        .chain(sbin)
        .map(|dir| dir.join(name.as_ref()))
        .find(|file| file.is_file())
}

/// Whether `cargo run` has set a variable for the program that it starts. Some build scripts read these, too: a cargo
/// that inherits them would build again what a person's cargo has built.
fn is_of_our_package(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    ["CARGO_MANIFEST_", "CARGO_PKG_"]
        .iter()
        .any(|prefix| name.starts_with(prefix))
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.into();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_shows_as_a_person_would_type_it() {
        let cmd = Cmd::new("cargo doc")
            .arg("it's here")
            .env("RUSTDOCFLAGS", "-D warnings");
        assert_eq!(
            cmd.to_string(),
            r"RUSTDOCFLAGS='-D warnings' cargo doc 'it'\''s here'"
        );
    }

    #[test]
    fn a_failure_names_the_command() {
        let error = Cmd::new("false --anything").read().unwrap_err();
        assert!(error.to_string().contains("false --anything"), "{error}");
    }

    #[test]
    fn what_we_start_does_not_inherit_variables_of_our_package() {
        assert!(
            env::var_os("CARGO_MANIFEST_DIR").is_some(),
            "no cargo runs this"
        );
        let inherited = Cmd::new("env").read().unwrap();
        let of_us: Vec<_> = inherited
            .lines()
            .filter(|line| is_of_our_package(OsStr::new(line)))
            .collect();
        assert!(of_us.is_empty(), "{of_us:?}");
    }

    #[test]
    fn a_missing_program_is_an_error_with_its_name() {
        let error = Cmd::new("no-such-program-anywhere --x").run().unwrap_err();
        assert!(
            error.to_string().contains("no-such-program-anywhere --x"),
            "{error}"
        );
        assert!(find_program("no-such-program-anywhere").is_none());
    }
}
