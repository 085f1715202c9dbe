//! Ten thousand messages each way at full speed, while something happens.

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
/// They come in so many parts, so that there are some before, during and after what happens.
const PARTS: usize = 5;

/// What two peers say to each other, all the time.
pub(super) struct Flood {
    gates: [SyncSender<()>; 2],
    writers: [JoinHandle<()>; 2],
    heard: usize,
}

impl Flood {
    /// Both begin with the first part. There has to be a path.
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

    /// Both go on with the next part, without waiting for anything.
    pub(super) fn go_on(&self) {
        for gate in &self.gates {
            gate.try_send(()).expect("more parts than there are");
        }
    }

    /// Waits until both have heard the next part: all of it, in order, once.
    pub(super) fn hear(&mut self, a: &mut Peer, b: &mut Peer) {
        let part = self.heard..self.heard + COUNT / PARTS;
        self.heard = part.end;
        for number in part {
            for peer in [&mut *a, &mut *b] {
                // Each wait looks at all that was not waited for.
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

    /// Lets both say what is left, and checks that they heard it.
    pub(super) fn finish(mut self, a: &mut Peer, b: &mut Peer) {
        // Closed gates hold nobody up.
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

/// Of no interest in a flood: what is on its way, though not yet the last of it.
fn is_progress(event: &Value) -> bool {
    event["event"] == "delivery" && event["state"] != "failed" && event["id"] != COUNT
}

/// Writes the numbers from 0, each part once its gate has opened.
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
        // It stays open until the test is over: who hears all need not stay.
        let _ = opened.recv();
        std::mem::forget(stdin);
    });
    (gate, writer)
}

/// The paths that messages took, in order, without repetitions.
pub(super) fn paths(peer: &Peer) -> Vec<String> {
    let mut paths: Vec<String> = Vec::new();
    for line in peer.proc.lines() {
        let Ok(event) = serde_json::from_str::<Value>(&line) else {
            continue;
        };
        let path = match event["event"].as_str() {
            Some("connected") => text(&event, "path"),
            Some("path_changed") => {
                // Each begins where the one before has ended.
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
