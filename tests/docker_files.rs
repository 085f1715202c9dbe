//! The files in docs/docker fit the program. They are only read: no container engine is needed.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use yaml_rust2::{Yaml, YamlLoader};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
/// An option that the program refuses. It comes last, so that a complaint about it shows that all before was accepted.
const UNKNOWN: &str = "--no-such-option";

fn folder() -> PathBuf {
    Path::new(ROOT).join("docs/docker")
}

fn compose(file: &str) -> Yaml {
    let text = fs::read_to_string(folder().join(file)).unwrap();
    let mut documents = YamlLoader::load_from_str(&text).unwrap();
    assert_eq!(documents.len(), 1);
    documents.remove(0)
}

fn words(list: &Yaml) -> Vec<String> {
    let list = list.as_vec().unwrap().iter();
    list.map(|word| word.as_str().unwrap().to_owned()).collect()
}

/// Returns the service of a compose file, after the checks that both files need.
fn service(file: &str, name: &str) -> Yaml {
    let compose = compose(file);
    let service = compose["services"][name].clone();
    assert!(service.as_hash().is_some(), "{file} has no service {name}");
    let build = &service["build"];
    let context = folder().join(build["context"].as_str().unwrap());
    assert!(context.join("Cargo.lock").exists());
    assert!(context.join(build["dockerfile"].as_str().unwrap()).exists());
    for volume in words(&service["volumes"]) {
        let (volume, _) = volume.split_once(':').unwrap();
        let known = compose["volumes"].as_hash().unwrap();
        assert!(known.contains_key(&Yaml::String(volume.into())), "{volume}");
    }
    assert_understood(&words(&service["command"]));
    service
}

/// Checks that the program accepts these arguments, by having it refuse one behind them.
fn assert_understood(args: &[String]) {
    let output = Command::new(env!("CARGO_BIN_EXE_punchline"))
        .args(args)
        .arg(UNKNOWN)
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{args:?}: {error}");
    assert!(error.contains(UNKNOWN), "{args:?}: {error}");
}

#[test]
fn the_relay_publishes_the_ports_it_listens_on() {
    let relay = service("relay.compose.yaml", "relay");
    let port = words(&relay["command"])
        .iter()
        .find_map(|word| word.strip_prefix("--port=")?.parse::<u16>().ok())
        .unwrap();
    let wanted = [("tcp", port + 2), ("udp", port + 3)].map(|(protocol, last)| {
        let range = format!("{port}-{last}");
        format!("{range}:{range}/{protocol}")
    });
    assert_eq!(words(&relay["ports"]), wanted);
}

#[test]
fn the_peer_publishes_nothing() {
    let peer = service("peer.compose.yaml", "peer");
    assert!(peer["ports"].is_badvalue());
}

#[test]
fn the_image_runs_what_the_build_makes() {
    let text = fs::read_to_string(folder().join("Dockerfile")).unwrap();
    let of = |instruction: &str| {
        let lines = text.lines().rev();
        let mut found = lines.filter_map(|line| line.strip_prefix(instruction));
        found.next().unwrap().trim().to_owned()
    };
    let entry: Vec<String> = serde_json::from_str(&of("ENTRYPOINT ")).unwrap();
    assert_eq!(entry, ["punchline"]);
    let copied = of("COPY ");
    let built = "--from=build /source/target/release/punchline";
    assert_eq!(copied, format!("{built} /usr/local/bin/punchline"));
    let toolchain = text.split("FROM rust:").nth(1).unwrap();
    let manifest = fs::read_to_string(Path::new(ROOT).join("Cargo.toml")).unwrap();
    let version = toolchain.split('-').next().unwrap();
    assert!(manifest.contains(&format!("rust-version = \"{version}\"")));
}
