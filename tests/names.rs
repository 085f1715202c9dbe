//! Names of hosts where the name service is broken, or changes. Each test has a mount namespace of its own.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
#![allow(clippy::print_stdout, reason = "a test that is left out says why")]

mod common;

use std::{fs, path::Path, process::Command};

use nix::sys::signal::Signal;

use common::{Proc, Relay, text};

/// Whether there are mount namespaces: on Linux only.
fn has_namespaces() -> bool {
    let there = Path::new("/proc/self/ns/mnt").exists();
    if !there {
        println!("left out: this system has no mount namespaces");
    }
    there
}

/// A command whose /etc/resolv.conf, /etc/hosts and /etc/nsswitch.conf are the files of a directory.
fn with_names_of(dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "sh", "-c"]);
    let script = r#"
        for file in hosts resolv.conf nsswitch.conf; do
            if [ -e "$0/$file" ]; then mount --bind "$0/$file" "/etc/$file" || exit 99; fi
        done
        exec "$@""#;
    command.arg(script).arg(dir);
    command.arg(env!("CARGO_BIN_EXE_punchline")).args(args);
    command
}

fn names(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, content) in files {
        fs::write(dir.path().join(name), content).unwrap();
    }
    dir
}

const BROKEN: [&str; 3] = ["", "nameserver\n\0\n???\n", "# none\noptions ndots:x\n"];

#[test]
fn without_a_name_server_there_is_a_peer_all_the_same() {
    if !has_namespaces() {
        return;
    }
    let relay = Relay::start::<&str>(&[]);
    let address = relay.local_address("tcp", "/tcp/");
    for broken in BROKEN {
        let dir = names(&[("resolv.conf", broken)]);
        let args = ["--json", "--relay", &address];
        let mut peer = Proc::spawn("peer", with_names_of(dir.path(), &args));
        peer.wait_event("ready");
        peer.signal(Signal::SIGTERM);
        assert_eq!(peer.finish().code, Some(0), "{broken:?}");
    }
}

#[test]
fn without_a_name_server_there_is_a_doctor_all_the_same() {
    if !has_namespaces() {
        return;
    }
    let relay = Relay::start::<&str>(&[]);
    let dir = names(&[("resolv.conf", "")]);
    let url = relay.url();
    let doctor = Proc::spawn(
        "doctor",
        with_names_of(dir.path(), &["doctor", "--relay", &url]),
    );
    let finished = doctor.finish();
    assert!(matches!(finished.code, Some(0 | 3)), "{finished:?}");
}

#[test]
fn an_unknown_name_is_an_error_in_plain_words() {
    if !has_namespaces() {
        return;
    }
    let dir = names(&[(
        "resolv.conf",
        "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n",
    )]);
    let args = ["--json", "/dns4/relay.example/tcp/1"];
    let mut peer = Proc::spawn("peer", with_names_of(dir.path(), &args));
    let error = peer.wait_event("error");
    assert_eq!(error["code"], "name-not-found");
    let message = text(&error, "message");
    assert!(message.contains("relay.example: "), "{message}");
    assert!(!message.contains("Query"), "{message}");
}

/// A name server that is right at first would have to be one; a hosts file that changes shows the same.
#[test]
fn what_the_system_knows_of_names_may_change_while_a_peer_runs() {
    if !has_namespaces() {
        return;
    }
    let relay = Relay::start::<&str>(&[]);
    let by_name = relay
        .local_address("tcp", "/tcp/")
        .replace("/ip4/127.0.0.1/", "/dns4/moving-relay/");
    let dir = names(&[
        (
            "resolv.conf",
            "search example.org\nnameserver 127.0.0.1\noptions timeout:1 attempts:1\n",
        ),
        ("hosts", "127.0.0.1 localhost\n"),
        ("nsswitch.conf", "hosts: files dns\n"),
    ]);
    let args = ["--json", "--relay", &by_name];
    let mut peer = Proc::spawn("peer", with_names_of(dir.path(), &args));
    let error = peer.wait_event("error");
    assert_eq!(error["code"], "name-not-found", "{error}");
    // In place: the mount is of this very file.
    fs::write(
        dir.path().join("hosts"),
        "127.0.0.1 localhost moving-relay\n",
    )
    .unwrap();
    peer.wait_event("ready");
}

/// The C library looks at the file again by itself; a resolver that was made at the start does not.
#[test]
fn a_name_server_that_changes_is_noticed() {
    if !has_namespaces() {
        return;
    }
    let relay = Relay::start::<&str>(&[]);
    let server = std::net::UdpSocket::bind("127.0.0.7:53");
    let Ok(server) = server else {
        // Port 53 is for root only.
        assert!(
            std::env::var_os("CI").is_none(),
            "no port for a name server"
        );
        return;
    };
    std::thread::spawn(move || answer_all(&server));
    let by_name = relay
        .local_address("tcp", "/tcp/")
        .replace("/ip4/127.0.0.1/", "/dns4/relay.example/");
    let dir = names(&[
        (
            "resolv.conf",
            "nameserver 127.0.0.8\noptions timeout:1 attempts:1\n",
        ),
        ("nsswitch.conf", "hosts: files dns\n"),
    ]);
    let args = ["--json", "--relay", &by_name];
    let mut peer = Proc::spawn("peer", with_names_of(dir.path(), &args));
    assert_eq!(peer.wait_event("error")["code"], "name-not-found");
    fs::write(dir.path().join("resolv.conf"), "nameserver 127.0.0.7\n").unwrap();
    peer.wait_event("ready");
}

/// A name server for which every host is this one (RFC 1035, section 4).
fn answer_all(server: &std::net::UdpSocket) {
    let mut buffer = [0; 512];
    while let Ok((len, client)) = server.recv_from(&mut buffer) {
        let question = &buffer[12..len];
        let Some(end) = question.iter().position(|byte| *byte == 0) else {
            continue;
        };
        let is_a = question.get(end + 2) == Some(&1);
        let mut answer = buffer[..2].to_vec();
        // A response without an error: one question, one answer or none.
        answer.extend([0x81, 0x80, 0, 1, 0, u8::from(is_a), 0, 0, 0, 0]);
        answer.extend(&question[..end + 5]);
        if is_a {
            // The name of the question, type A, class IN, 1 s, four bytes.
            answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4, 127, 0, 0, 1]);
        }
        let _ = server.send_to(&answer, client);
    }
}
