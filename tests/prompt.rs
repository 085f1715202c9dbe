//! A peer at a terminal: what a person types there, and how it arrives.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod common;

use std::{
    fs::File,
    io::{Read, Write},
    process::{Child, Command, Stdio},
    thread,
};

use nix::pty::{OpenptyResult, openpty};

use common::{Killed, wait_exit};

/// A peer whose stdin and stdout are a terminal, and the terminal's other end.
fn at_a_terminal() -> (Killed, File) {
    let state = tempfile::tempdir().unwrap();
    let OpenptyResult { master, slave } = openpty(None, None).unwrap();
    let child: Child = Command::new(env!("CARGO_BIN_EXE_punchline"))
        .args(["--listen", "/ip4/127.0.0.1/tcp/0"])
        .env("TERM", "xterm")
        .env("XDG_STATE_HOME", state.path())
        .stdin(Stdio::from(slave.try_clone().unwrap()))
        .stdout(Stdio::from(slave))
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    (Killed(child), File::from(master))
}

/// Reads until the prompt is there: from then on keys arrive one by one.
fn wait_for_the_prompt(terminal: &mut File) {
    let mut seen = Vec::new();
    let mut bytes = [0; 1_024];
    while !seen.windows(2).any(|two| two == b"> ") {
        let count = terminal.read(&mut bytes).unwrap();
        assert!(count > 0, "ended before the prompt");
        seen.extend_from_slice(&bytes[..count]);
    }
}

/// An input method, or a paste, hands over a whole word at once.
#[test]
fn keys_that_arrive_together_are_all_read() {
    let (mut peer, mut terminal) = at_a_terminal();
    wait_for_the_prompt(&mut terminal);
    terminal.write_all(b"/quit\r").unwrap();
    let mut rest = terminal.try_clone().unwrap();
    // A terminal that nobody reads would stop the peer. It ends with an error when the peer has gone.
    thread::spawn(move || while rest.read(&mut [0; 1_024]).is_ok_and(|count| count > 0) {});
    let status = wait_exit(&mut peer.0).expect("what was typed has not been read");
    assert!(status.success(), "{status}");
}
