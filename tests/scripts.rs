//! The program in the hands of scripts and supervisors: full disks, closed terminals, one identity for two.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
#![allow(clippy::print_stdout, reason = "a test that is left out says why")]

mod common;

use std::{
    fs::OpenOptions,
    os::unix::process::CommandExt,
    process::{Command, Stdio},
};

use nix::sys::signal::{SigHandler, Signal, signal};

use common::{Killed, Proc, Relay, free_ports, http_get, text, wait_exit};

const LISTEN: [&str; 3] = ["--json", "--listen", "/ip4/127.0.0.1/tcp/0"];

fn punchline(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_punchline"));
    command.args(args);
    command
}

/// A device on which there is never any room; `None` where the system has none.
fn full_disk() -> Option<Stdio> {
    let device = OpenOptions::new().write(true).open("/dev/full");
    if device.is_err() {
        println!("left out: there is no /dev/full");
    }
    device.ok().map(Stdio::from)
}

#[test]
fn a_relay_outlives_a_full_disk_and_says_so_once() {
    let Some(full_disk) = full_disk() else {
        return;
    };
    let port = free_ports().to_string();
    let mut child = punchline(&["relay", "--json", "--port", &port])
        .env("XDG_DATA_HOME", tempfile::tempdir().unwrap().path())
        .stdout(full_disk)
        .stderr(Stdio::piped())
        .spawn()
        .map(Killed)
        .unwrap();
    let http = format!("127.0.0.1:{}", port.parse::<u16>().unwrap() + 2);
    let served = || std::net::TcpStream::connect(&http).is_ok();
    let deadline = std::time::Instant::now() + common::DEADLINE;
    while !served() {
        assert!(child.0.try_wait().unwrap().is_none(), "it ended");
        assert!(std::time::Instant::now() < deadline);
    }
    assert_eq!(http_get(http.parse().unwrap(), "/bootstrap.json").0, 200);
    nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(child.0.id() as i32),
        Signal::SIGTERM,
    )
    .unwrap();
    assert_eq!(wait_exit(&mut child.0).unwrap().code(), Some(0));
    let mut stderr = String::new();
    std::io::Read::read_to_string(&mut child.0.stderr.take().unwrap(), &mut stderr).unwrap();
    assert_eq!(
        stderr.matches("cannot write to stdout").count(),
        1,
        "{stderr}"
    );
    assert!(stderr.contains("No space left"), "{stderr}");
}

#[test]
fn what_cannot_be_reported_is_no_success() {
    if full_disk().is_none() {
        return;
    }
    let relay = Relay::start::<&str>(&[]);
    let url = relay.url();
    let mut receiver = Proc::start("receiver", &[&LISTEN[..], &["--relay", &url]].concat());
    receiver.wait_event("ready");
    let mut sender = punchline(&[&LISTEN[..], &["--relay", &url]].concat())
        .stdin(Stdio::piped())
        .stdout(full_disk().unwrap())
        .stderr(Stdio::null())
        .spawn()
        .map(Killed)
        .unwrap();
    std::io::Write::write_all(&mut sender.0.stdin.take().unwrap(), b"hi\n").unwrap();
    receiver.wait_for("hi", |e| e["body"] == "hi");
    assert_eq!(wait_exit(&mut sender.0).unwrap().code(), Some(1));
    for args in [
        &["--help"][..],
        &["--version"],
        &["doctor", "--json"],
        &["doctor"],
    ] {
        let status = punchline(args)
            .stdout(full_disk().unwrap())
            .stderr(Stdio::null())
            .status();
        assert_eq!(status.unwrap().code(), Some(1), "{args:?}");
    }
}

#[test]
fn nobody_who_reads_is_no_fault() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let status = punchline(&["--help"])
        .stdout(writer.try_clone().unwrap())
        .status();
    assert_eq!(status.unwrap().code(), Some(0));
    let mut relay = punchline(&["relay", "--json", "--port", "0"])
        .stdout(writer)
        .stderr(Stdio::null())
        .spawn()
        .map(Killed)
        .unwrap();
    assert_eq!(
        wait_exit(&mut relay.0).unwrap().code(),
        Some(0),
        "as before"
    );
}

#[test]
fn a_closed_terminal_is_a_stop() {
    let relay = Relay::start::<&str>(&[]);
    let url = relay.url();
    let args = [&LISTEN[..], &["--relay", &url]].concat();
    let mut a = Proc::start("a", &args);
    a.wait_event("ready");
    let mut b = Proc::start("b", &args);
    let b_id = text(&b.wait_event("started"), "peer_id");
    b.wait_event("connected");
    a.wait_for("connection", |e| {
        e["event"] == "connected" && e["peer"] == *b_id
    });
    b.signal(Signal::SIGHUP);
    assert_eq!(b.wait_exit().code(), Some(0));
    let gone = a.wait_event("disconnected");
    assert_eq!((&gone["peer"], &gone["left"]), (&b_id.into(), &true.into()));
    relay.proc.signal(Signal::SIGHUP);
    assert_eq!(relay.proc.finish().code, Some(0));
}

#[allow(
    unsafe_code,
    reason = "what nohup does can be done between fork and exec only"
)]
#[test]
fn a_closed_terminal_is_nothing_to_what_nohup_started() {
    let mut command = punchline(&LISTEN);
    // SAFETY: signal(2) may be called after fork.
    unsafe {
        command.pre_exec(|| {
            signal(Signal::SIGHUP, SigHandler::SigIgn)?;
            Ok(())
        });
    }
    let mut peer = Proc::spawn("peer", command);
    peer.wait_event("ready");
    peer.signal(Signal::SIGHUP);
    peer.type_line("/peers");
    peer.signal(Signal::SIGTERM);
    assert_eq!(peer.finish().code, Some(0));
}

#[test]
fn an_identity_is_for_one_process_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let key = dir.path().join("key");
    let args = [&LISTEN[..], &["--identity", key.to_str().unwrap()]].concat();
    let mut first = Proc::start("first", &args);
    let id = text(&first.wait_event("started"), "peer_id");
    let second = Proc::start("second", &args).finish();
    assert_eq!(second.code, Some(1), "{second:?}");
    assert!(
        second.stderr.contains("another peer uses the identity in"),
        "{second:?}"
    );
    // However it ends, the file is free again.
    first.signal(Signal::SIGKILL);
    first.wait_exit();
    let mut third = Proc::start("third", &args);
    assert_eq!(text(&third.wait_event("started"), "peer_id"), id);
}

/// As a script does: what is piped in reaches everybody who is there, and only then the program ends.
fn pipe(lines: &str, args: &[&str]) -> common::Finished {
    let mut sender = Proc::start("sender", args);
    std::io::Write::write_all(&mut sender.take_stdin(), lines.as_bytes()).unwrap();
    sender.finish()
}

#[test]
fn a_piped_line_reaches_everybody_in_the_room() {
    let relay = Relay::start::<&str>(&[]);
    let url = relay.url();
    let args = [&LISTEN[..], &["--relay", &url, "--namespace", "ci"]].concat();
    let mut receivers: Vec<_> = (0..4).map(|_| Proc::start("receiver", &args)).collect();
    for receiver in &mut receivers {
        receiver.wait_event("ready");
    }
    for round in 0..3 {
        let body = format!("round {round}");
        let finished = pipe(&format!("{body}\n"), &args[1..]);
        assert_eq!(finished.code, Some(0), "{finished:?}");
        assert!(
            finished.stdout.contains("delivered to 4 of 4"),
            "{finished:?}"
        );
        for receiver in &mut receivers {
            receiver.wait_for(&body, |e| e["body"] == *body);
        }
    }
    let lines: String = (0..200).map(|i| format!("line {i}\n")).collect();
    let finished = pipe(&lines, &args[1..]);
    assert_eq!(finished.code, Some(0), "{finished:?}");
    for receiver in &mut receivers {
        for i in 0..200 {
            receiver.wait_for("line", |e| e["body"] == format!("line {i}"));
        }
    }
}

#[test]
fn who_has_not_got_a_piped_line_is_named() {
    let relay = Relay::start::<&str>(&[]);
    let url = relay.url();
    let dir = tempfile::tempdir().unwrap();
    let key = dir.path().join("key");
    let args = [&LISTEN[..], &["--relay", &url]].concat();
    let identity = ["--identity", key.to_str().unwrap()];
    let mut a = Proc::start("a", &args);
    a.wait_event("ready");
    let mut b = Proc::start("b", &[&args[..], &identity].concat());
    let b_id = text(&b.wait_event("started"), "peer_id");
    b.wait_event("ready");
    let mut sender = Proc::start("sender", &args[1..]);
    let mut stdin = sender.take_stdin();
    std::io::Write::write_all(&mut stdin, b"first\n").unwrap();
    b.wait_for("first", |e| e["body"] == "first");
    a.wait_for("first", |e| e["body"] == "first");
    sender.wait_line("  ✓ #1 delivered to 2 of 2");
    // Without a word, so a line waits for it; and when it is back it is in another room.
    b.signal(Signal::SIGKILL);
    b.wait_exit();
    std::io::Write::write_all(&mut stdin, b"second\n").unwrap();
    drop(stdin);
    a.wait_for("second", |e| e["body"] == "second");
    let elsewhere = [&args[..], &identity, &["--namespace", "elsewhere"]].concat();
    let mut b = Proc::start("b elsewhere", &elsewhere);
    b.wait_event("ready");
    let finished = sender.finish();
    assert_eq!(finished.code, Some(1), "{finished:?}");
    let end = &b_id[b_id.len() - 6..];
    let expected = format!("{end} (1)");
    assert!(
        finished.stderr.contains("messages were not delivered to"),
        "{finished:?}"
    );
    assert!(finished.stderr.contains(&expected), "{finished:?}");
}

/// A copied key, on two machines: each is told so.
#[test]
fn a_copied_identity_is_noticed_by_both() {
    let relay = Relay::start::<&str>(&[]);
    let url = relay.url();
    let dir = tempfile::tempdir().unwrap();
    let (key, copy) = (dir.path().join("key"), dir.path().join("copy"));
    let start = |name: &str, key: &std::path::Path| {
        let identity = ["--relay", &url, "--identity", key.to_str().unwrap()];
        let mut peer = Proc::start(name, &[&LISTEN[..], &identity].concat());
        peer.wait_event("ready");
        peer
    };
    let mut one = start("one", &key);
    std::fs::copy(&key, &copy).unwrap();
    // Signed records are numbered by the second.
    let second = || std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let first = second();
    while second() == first {
        std::thread::yield_now();
    }
    let mut other = start("other", &copy);
    for peer in [&mut one, &mut other] {
        let error = peer.wait_for("error", |e| e["code"] == "identity-in-use");
        assert!(text(&error, "message").contains("somebody else uses this identity"));
    }
}
