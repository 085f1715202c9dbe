//! What a peer holds while many strangers send as much as they can.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
#![allow(clippy::print_stderr, reason = "figures of what was measured")]

#[path = "../common/mod.rs"]
mod common;
mod flooder;

use std::{
    collections::HashMap,
    io::{BufRead, BufReader},
    process::ChildStdout,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use serde_json::Value;

use common::{Proc, memory_kib, text, unread_peer};

/// What a peer may take under a flood, whatever many strangers send and its reader of stdout does.
const MOST_KIB: u64 = 200 * 1024;
/// Lines of somebody who was there before the flood.
const HONEST_LINES: usize = 50;
/// Strangers of a flood.
const STRANGERS: usize = 300;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_by_quic_takes_little_memory() {
    memory_under_a_flood("/ip4/127.0.0.1/udp/0/quic-v1").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_by_tcp_takes_little_memory() {
    memory_under_a_flood("/ip4/127.0.0.1/tcp/0").await;
}

/// Nobody reads the peer's stdout, and each stranger sends as much as is taken.
async fn memory_under_a_flood(listen: &str) {
    let (child, stdout, text_address) = unread_peer(&["--listen", listen]);
    let peak_kib = || memory_kib(child.0.id(), "VmHWM");
    let Some(before) = peak_kib() else {
        return;
    };
    let address = text_address.parse().unwrap();
    let mut honest = Proc::start(
        "honest",
        &["--json", &text_address, "--greet-interval", "0"],
    );
    honest.wait_event("connected");
    let written = Arc::new(AtomicUsize::new(0));
    let flooders: Vec<_> = (0..STRANGERS)
        .map(|_| flooder::start(&address, written.clone()))
        .collect();
    let mut moments = tokio::time::interval(Duration::from_secs(2));
    let mut last = 0;
    loop {
        moments.tick().await;
        let peak = peak_kib().unwrap();
        let now = written.load(Relaxed);
        assert!(
            peak < MOST_KIB,
            "{peak} KiB, {before} before, after {now} bytes"
        );
        if now > 0 && now == last {
            break;
        }
        last = now;
    }
    for number in 0..HONEST_LINES {
        honest.type_line(&format!("honest {number}"));
    }
    for flooder in flooders {
        flooder.abort();
    }
    tokio::task::spawn_blocking(|| nothing_is_lost(stdout))
        .await
        .unwrap();
    let peak = peak_kib().unwrap();
    assert!(peak < MOST_KIB, "{peak} KiB, {before} before");
    eprintln!("{listen}: {before} KiB before, {peak} KiB at most, {last} bytes taken");
}

/// Reads on where nobody read: what each has sent comes in order and without a gap, and all of the honest peer's.
fn nothing_is_lost(stdout: BufReader<ChildStdout>) {
    let mut next = HashMap::new();
    let mut honest = 0;
    for line in stdout.lines().map_while(Result::ok) {
        let event: Value = serde_json::from_str(&line).unwrap();
        // The one-shot form has numbers of its own, and bodies of a few bytes.
        if event["event"] != "message" || text(&event, "body").len() <= 2 {
            continue;
        }
        let next = next.entry(text(&event, "from")).or_insert(1);
        assert_eq!(event["id"], *next);
        *next += 1;
        if text(&event, "body").starts_with("honest") {
            assert_eq!(event["body"], format!("honest {honest}"));
            honest += 1;
        }
        if honest == HONEST_LINES {
            return;
        }
    }
    panic!("{honest} of {HONEST_LINES} lines came");
}
