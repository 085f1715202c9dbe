//! Ten thousand messages each way at full speed, while the test breaks something.

use std::{
    io::Write,
    process::ChildStdin,
    sync::mpsc::{SyncSender, sync_channel},
    thread::JoinHandle,
};

use serde_json::Value;

use super::peers::Peer;
use crate::common::text;

/// Messages each way.
const COUNT: usize = 10_000;
/// The messages come in so many parts: some before, some during and some after the fault.
const PARTS: usize = 5;

/// The messages of two peers to each other, and how many of them have been checked.
pub(super) struct Flood {
    gates: [SyncSender<()>; 2],
    writers: [JoinHandle<()>; 2],
    heard: usize,
}

impl Flood {
    /// Has both peers send the first part. There has to be a path between them.
    pub(super) fn start(a: &mut Peer, b: &mut Peer) -> Self {
        let (gate_a, writer_a) = writer(a.proc.take_stdin());
        let (gate_b, writer_b) = writer(b.proc.take_stdin());
        let flood = Self {
            gates: [gate_a, gate_b],
            writers: [writer_a, writer_b],
            heard: 0,
        };
        flood.go_on();
        flood
    }

    /// Has both peers send the next part, and does not wait for it.
    pub(super) fn go_on(&self) {
        for gate in &self.gates {
            gate.try_send(()).expect("more parts than there are");
        }
    }

    /// Waits until both peers have received the next part: all of it, in order, once.
    pub(super) fn hear(&mut self, a: &mut Peer, b: &mut Peer) {
        let part = self.heard..self.heard + COUNT / PARTS;
        self.heard = part.end;
        for number in part {
            for peer in [&mut *a, &mut *b] {
                // Every wait searches what earlier waits have passed over, so that must stay short.
                if number % 100 == 0 {
                    peer.proc.forget(is_progress);
                }
                let message = peer.proc.wait_event("message");
                assert_eq!(
                    message["body"],
                    number.to_string(),
                    "{}",
                    peer.proc.report()
                );
            }
        }
    }

    /// Has both peers send the rest, and checks that all has arrived and is acked.
    pub(super) fn finish(mut self, a: &mut Peer, b: &mut Peer) {
        // A writer goes on when its gate is closed.
        self.gates = [sync_channel(1).0, sync_channel(1).0];
        while self.heard < COUNT {
            self.hear(a, b);
        }
        for writer in self.writers {
            writer.join().unwrap();
        }
        for peer in [a, b] {
            let acked = |event: &Value| {
                event["event"] == "delivery" && event["state"] == "acked" && event["id"] == COUNT
            };
            peer.proc.wait_for("the last ack", acked);
            for event in peer.proc.pending_events() {
                assert_ne!(event["event"], "message", "{event} is one too many");
                assert_ne!(event["state"], "failed", "{event}");
            }
        }
    }
}

/// A delivery state on the way to the last ack.
fn is_progress(event: &Value) -> bool {
    event["event"] == "delivery" && event["state"] != "failed" && event["id"] != COUNT
}

/// Writes the numbers from 0 on, a line each. Every part waits until the gate lets it through.
fn writer(mut stdin: ChildStdin) -> (SyncSender<()>, JoinHandle<()>) {
    let (gate, opened) = sync_channel(PARTS);
    let writer = std::thread::spawn(move || {
        for part in 0..PARTS {
            let _ = opened.recv();
            for number in part * COUNT / PARTS..(part + 1) * COUNT / PARTS {
                if writeln!(stdin, "{number}").is_err() {
                    return;
                }
            }
        }
        // Stdin stays open until the test is over: at its end a peer whose messages are acked would leave.
        let _ = opened.recv();
        std::mem::forget(stdin);
    });
    (gate, writer)
}

/// The paths that a peer has reported, in order and without repetitions.
pub(super) fn paths(peer: &Peer) -> Vec<String> {
    let mut paths: Vec<String> = Vec::new();
    for line in peer.proc.lines() {
        let Ok(event) = serde_json::from_str::<Value>(&line) else {
            continue;
        };
        let path = match event["event"].as_str() {
            Some("connected") => text(&event, "path"),
            Some("path_changed") => {
                // A change begins where the one before has ended.
                assert_eq!(paths.last(), Some(&text(&event, "from")), "{event}");
                text(&event, "to")
            }
            Some("disconnected") => "none".into(),
            _ => continue,
        };
        if paths.last() != Some(&path) {
            paths.push(path);
        }
    }
    paths
}
