//! Checks licences and sources of all dependencies against deny.toml.
//!
//! The file has cargo-deny's format, and cargo-deny reads it, too. But cargo-deny takes minutes to build, so what must
//! never go unnoticed is checked here.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};

use crate::run::Cmd;

pub(crate) fn check() -> Result<()> {
    let policy = Policy::read(&std::fs::read_to_string("deny.toml")?)?;
    let packages = packages(&tree()?)?;
    let refused: Vec<String> = packages
        .iter()
        .filter_map(|package| package.refusal(&policy))
        .collect();
    if !refused.is_empty() {
        bail!("deny.toml does not allow:\n    {}", refused.join("\n    "));
    }
    println!(
        "{} packages looked at; {}",
        packages.len(),
        duplicates(&packages)
    );
    Ok(())
}

/// A package of the dependency tree, on any platform.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Package {
    name: String,
    version: String,
    /// The source that it comes from; `None` for the default registry.
    source: Option<String>,
    licence: String,
}

impl Package {
    fn refusal(&self, policy: &Policy) -> Option<String> {
        let Self {
            name,
            version,
            source,
            licence,
        } = self;
        match source {
            Some(source) if !source.starts_with('/') && !source.contains(":\\") => {
                Some(format!("{name} {version} from {source}"))
            }
            _ if !satisfied(licence, &policy.allowed_for(name)) => {
                Some(format!("{name} {version}: `{licence}`"))
            }
            _ => None,
        }
    }
}

/// The tree of dependencies. Unlike `cargo metadata`, it leaves out packages that no combination of our features uses.
fn tree() -> Result<String> {
    Cmd::new(
        "cargo tree --workspace --all-features --target all --edges normal,build,dev --prefix none",
    )
    .args(["--format", "{p}|{l}"])
    .read()
}

/// Reads lines like `name v1.2.3 (proc-macro) (source)|licence (*)`.
fn packages(tree: &str) -> Result<Vec<Package>> {
    let mut packages = Vec::new();
    for line in tree.lines().filter(|line| !line.is_empty()) {
        let line = line.trim_end_matches(" (*)");
        let (package, licence) = line
            .split_once('|')
            .with_context(|| format!("odd line: {line}"))?;
        let mut words = package.splitn(3, ' ');
        let name = words.next().unwrap_or_default().to_owned();
        let version = words
            .next()
            .unwrap_or_default()
            .trim_start_matches('v')
            .to_owned();
        let rest = words.next().unwrap_or_default().replace("(proc-macro)", "");
        let source = rest.trim().trim_matches(['(', ')']).to_owned();
        let source = Some(source).filter(|source| !source.is_empty());
        packages.push(Package {
            name,
            version,
            source,
            licence: licence.into(),
        });
    }
    packages.sort();
    packages.dedup();
    Ok(packages)
}

/// The licences of deny.toml.
struct Policy {
    allowed: Vec<String>,
    /// Further licences that one package may have.
    exceptions: Vec<(String, Vec<String>)>,
}

impl Policy {
    fn read(deny: &str) -> Result<Self> {
        let deny: toml::Table = deny.parse().context("deny.toml is no TOML")?;
        let licenses = deny.get("licenses");
        let allowed = licenses
            .and_then(allowed_in)
            .context("deny.toml has no licenses.allow")?;
        let exceptions = licenses
            .and_then(|table| table.get("exceptions")?.as_array())
            .into_iter()
            .flatten();
        let named = |entry: &toml::Value| {
            let name = entry.get("crate")?.as_str()?.to_owned();
            Some((name, allowed_in(entry)?))
        };
        let exceptions = exceptions.map(|entry| named(entry).context("an odd exception"));
        Ok(Self {
            allowed,
            exceptions: exceptions.collect::<Result<_>>()?,
        })
    }

    fn allowed_for(&self, package: &str) -> Vec<String> {
        let exceptions = self.exceptions.iter().filter(|(name, _)| name == package);
        let more = exceptions.flat_map(|(_, allowed)| allowed);
        self.allowed.iter().chain(more).cloned().collect()
    }
}

fn allowed_in(table: &toml::Value) -> Option<Vec<String>> {
    let list = table.get("allow")?.as_array()?.iter();
    Some(
        list.filter_map(|name| name.as_str())
            .map(Into::into)
            .collect(),
    )
}

/// Whether allowed licences alone satisfy an SPDX expression. AND binds tighter than OR, and the slash of old manifests is
/// an OR. An empty or malformed expression is never satisfied.
fn satisfied(expression: &str, allowed: &[String]) -> bool {
    let spaced = expression
        .replace('(', " ( ")
        .replace(')', " ) ")
        .replace('/', " OR ");
    let mut words = spaced.split_whitespace().peekable();
    let met = any_of(&mut words, allowed);
    met == Some(true) && words.next().is_none()
}

type Words<'a> = std::iter::Peekable<std::str::SplitWhitespace<'a>>;

fn any_of(words: &mut Words<'_>, allowed: &[String]) -> Option<bool> {
    let mut met = all_of(words, allowed)?;
    while words.next_if_eq(&"OR").is_some() {
        met |= all_of(words, allowed)?;
    }
    Some(met)
}

fn all_of(words: &mut Words<'_>, allowed: &[String]) -> Option<bool> {
    let mut met = one(words, allowed)?;
    while words.next_if_eq(&"AND").is_some() {
        met &= one(words, allowed)?;
    }
    Some(met)
}

fn one(words: &mut Words<'_>, allowed: &[String]) -> Option<bool> {
    let word = words.next()?;
    if word == "(" {
        let met = any_of(words, allowed)?;
        return words.next_if_eq(&")").map(|_| met);
    }
    let mut licence = word.to_owned();
    if words.next_if_eq(&"WITH").is_some() {
        licence = format!("{licence} WITH {}", words.next()?);
    }
    Some(allowed.contains(&licence))
}

/// Counts packages that there are in several versions. They cost time and size, but are not refused: which version a
/// library uses is up to its authors.
fn duplicates(packages: &[Package]) -> String {
    let mut versions: BTreeMap<&str, usize> = BTreeMap::new();
    for package in packages {
        *versions.entry(&package.name).or_default() += 1;
    }
    let several = versions.values().filter(|count| **count > 1).count();
    format!("{several} of them in more than one version (`cargo tree --duplicates` lists them)")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn met(expression: &str) -> bool {
        satisfied(
            expression,
            &["MIT".into(), "ISC".into(), "Apache-2.0".into()],
        )
    }

    #[test]
    fn expressions_are_met_as_spdx_says() {
        for good in [
            "MIT",
            "MIT/GPL-3.0",
            "GPL-3.0 OR (MIT AND ISC)",
            "GPL-3.0 AND X OR MIT",
        ] {
            assert!(met(good), "{good}");
        }
        for bad in [
            "GPL-3.0",
            "MIT AND GPL-3.0",
            "(MIT",
            "MIT)",
            "",
            "MIT WITH X",
            "MIT ISC",
            "OR",
        ] {
            assert!(!met(bad), "{bad}");
        }
    }

    #[test]
    fn other_sources_are_refused() {
        let tree = "a v1.0.0|MIT\na v1.0.0|MIT (*)\n\
            b v0.1.0 (/src/b)|MIT\n\
            c v2.0.0 (proc-macro)|MIT\n\
            d v1.0.0 (proc-macro) (https://example.org/d#012345)|MIT\n\
            e v1.0.0 (registry `mine`)|MIT\n";
        let packages = packages(tree).unwrap();
        let policy = Policy::read("[licenses]\nallow = [\"MIT\"]").unwrap();
        assert_eq!(packages.len(), 5);
        let refused: Vec<_> = packages.iter().filter_map(|p| p.refusal(&policy)).collect();
        assert_eq!(
            refused,
            [
                "d 1.0.0 from https://example.org/d#012345",
                "e 1.0.0 from registry `mine`"
            ]
        );
    }

    #[test]
    fn the_list_comes_from_deny_toml() {
        let deny = "[licenses]\nallow = [\"MIT\", \"ISC\"]";
        assert_eq!(Policy::read(deny).unwrap().allowed, ["MIT", "ISC"]);
        assert!(Policy::read("[bans]").is_err());
    }

    #[test]
    fn an_exception_is_for_one_package() {
        let deny = "[licenses]\nallow = [\"MIT\"]\n\
            exceptions = [{ allow = [\"ISC\"], crate = \"a\" }]";
        let policy = Policy::read(deny).unwrap();
        assert_eq!(policy.allowed_for("a"), ["MIT", "ISC"]);
        assert_eq!(policy.allowed_for("b"), ["MIT"]);
    }
}
