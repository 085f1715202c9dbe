//! A peer at a terminal: what a person types there, and how it arrives.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod common;

use std::{
    fs::File,
    io::{Read, Write},
    os::fd::OwnedFd,
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
};

use nix::pty::{OpenptyResult, openpty};

use common::{DEADLINE, Killed, wait_exit};

/// The other end of a terminal: what a person types and sees. A thread reads it all the time, as a terminal that nobody
/// reads would stop the peer.
struct Screen {
    keys: File,
    output: Receiver<Vec<u8>>,
    /// Read, and not looked at yet.
    seen: Vec<u8>,
}

impl Screen {
    fn of(master: OwnedFd) -> Self {
        let keys = File::from(master);
        let mut reader = keys.try_clone().unwrap();
        let (sender, output) = channel();
        thread::spawn(move || {
            let mut bytes = [0; 1_024];
            // It ends with an error when the last process at the terminal has gone.
            while let Ok(count @ 1..) = reader.read(&mut bytes) {
                if sender.send(bytes[..count].to_vec()).is_err() {
                    return;
                }
            }
        });
        Self {
            keys,
            output,
            seen: Vec::new(),
        }
    }

    fn type_in(&mut self, keys: &[u8]) {
        self.keys.write_all(keys).unwrap();
    }

    /// Waits until this text has come, and forgets what came up to its end.
    fn wait_for(&mut self, wanted: &str) {
        let wanted = wanted.as_bytes();
        loop {
            let found = self
                .seen
                .windows(wanted.len())
                .position(|part| part == wanted);
            if let Some(at) = found {
                self.seen.drain(..at + wanted.len());
                return;
            }
            match self.output.recv_timeout(DEADLINE) {
                Ok(bytes) => self.seen.extend(bytes),
                Err(e) => panic!(
                    "{e}: no {:?} in {:?}",
                    String::from_utf8_lossy(wanted),
                    String::from_utf8_lossy(&self.seen)
                ),
            }
        }
    }
}

/// A peer whose stdin and stdout are a terminal, and the terminal's other end.
fn at_a_terminal(args: &[&str]) -> (Killed, Screen) {
    let OpenptyResult { master, slave } = openpty(None, None).unwrap();
    let child: Child = Command::new(env!("CARGO_BIN_EXE_punchline"))
        .args(["--listen", "/ip4/127.0.0.1/tcp/0", "--ephemeral"])
        .args(args)
        .env("TERM", "xterm")
        .stdin(Stdio::from(slave.try_clone().unwrap()))
        .stdout(Stdio::from(slave))
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    (Killed(child), Screen::of(master))
}

/// An input method, or a paste, hands over a whole word at once.
#[test]
fn keys_that_arrive_together_are_all_read() {
    let (mut peer, mut terminal) = at_a_terminal(&[]);
    // From now on keys arrive one by one.
    terminal.wait_for("> ");
    terminal.type_in(b"/quit\r");
    let status = wait_exit(&mut peer.0).expect("what was typed has not been read");
    assert!(status.success(), "{status}");
}

/// A peer on the loopback interface whose events are read, and its address.
fn listener() -> (common::Proc, String) {
    let mut peer = common::Proc::start("peer", &["--json", "--listen", "/ip4/127.0.0.1/tcp/0"]);
    let address = common::text(&peer.wait_event("listening"), "address");
    (peer, address)
}

#[test]
fn what_is_pasted_is_text_and_one_message() {
    let (mut other, address) = listener();
    let (mut peer, mut terminal) = at_a_terminal(&[&address, "--greet-interval", "0"]);
    terminal.wait_for("connected to ");
    terminal.type_in(b"\x1b[200~first\r\n/quit\r\nlast\x1b[201~\r");
    let message = other.wait_event("message");
    assert_eq!(
        message["body"].as_str().unwrap().replace('\r', "\n"),
        "first\n/quit\nlast"
    );
    terminal.type_in(b"/quit\r");
    assert!(wait_exit(&mut peer.0).is_some_and(|status| status.success()));
}

#[test]
fn an_input_method_hands_over_words() {
    let (mut other, address) = listener();
    let (_peer, mut terminal) = at_a_terminal(&[&address, "--greet-interval", "0"]);
    terminal.wait_for("connected to ");
    terminal.type_in("你好\r".as_bytes());
    assert_eq!(other.wait_event("message")["body"], "你好");
}

#[test]
fn after_ctrl_z_and_fg_the_prompt_is_as_before() {
    if !std::path::Path::new("/usr/bin/setsid").exists() {
        println!("left out: setsid, which gives the shell a terminal, is not here");
        return;
    }
    let (mut other, address) = listener();
    let state = tempfile::tempdir().unwrap();
    let OpenptyResult { master, slave } = openpty(None, None).unwrap();
    let mut shell = Command::new("setsid")
        .args(["--ctty", "--wait", "bash", "--norc", "--noprofile", "-i"])
        .env("TERM", "xterm")
        .env("PS1", "shell$ ")
        .env("XDG_STATE_HOME", state.path())
        .stdin(Stdio::from(slave.try_clone().unwrap()))
        .stdout(Stdio::from(slave.try_clone().unwrap()))
        .stderr(Stdio::from(slave))
        .spawn()
        .map(Killed)
        .unwrap();
    let mut terminal = Screen::of(master);
    terminal.wait_for("shell$ ");
    let program = env!("CARGO_BIN_EXE_punchline");
    let command = format!("{program} --listen /ip4/127.0.0.1/tcp/0 --greet-interval 0 {address}\r");
    terminal.type_in(command.as_bytes());
    terminal.wait_for("connected to ");
    for round in 0..3 {
        terminal.type_in(b"\x1a");
        terminal.wait_for("Stopped");
        terminal.wait_for("shell$ ");
        terminal.type_in(b"fg\r");
        // The shell repeats what it continues; then the prompt comes.
        terminal.wait_for("punchline");
        terminal.wait_for("> ");
        let line = format!("line {round}\r");
        terminal.type_in(line.as_bytes());
        assert_eq!(other.wait_event("message")["body"], line.trim());
    }
    terminal.type_in(b"/quit\r");
    terminal.wait_for("shell$ ");
    terminal.type_in(b"exit\r");
    assert!(wait_exit(&mut shell.0).is_some());
}

#[test]
fn tab_completes_who_is_here() {
    let (mut other, address) = listener();
    let name = punchline::name::PeerName::of(&address.rsplit('/').next().unwrap().parse().unwrap());
    let (_peer, mut terminal) = at_a_terminal(&[&address, "--greet-interval", "0"]);
    terminal.wait_for("connected to ");
    terminal.wait_for("\n");
    // `/to`, the name and the text, typed as a person does.
    let beginning: String = name.chars().take(4).collect();
    terminal.type_in(format!("/to {beginning}").as_bytes());
    terminal.wait_for(&beginning);
    terminal.type_in(b"\t");
    terminal.wait_for(&name.chars().skip(4).collect::<String>());
    terminal.type_in(b"hi\r");
    let message = other.wait_event("message");
    assert_eq!(
        (&message["body"], &message["scope"]),
        (&"hi".into(), &"private".into())
    );
}

#[test]
fn a_message_rings_the_bell_where_that_is_asked_for() {
    let (mut other, address) = listener();
    let (_peer, mut terminal) = at_a_terminal(&[&address, "--greet-interval", "0", "--bell"]);
    terminal.wait_for("connected to ");
    other.wait_event("connected");
    other.type_line("wake up");
    terminal.wait_for("wake up\x07");
}
