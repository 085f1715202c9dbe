//! Delays packets that come in from the internet, before the router sees them.
//!
//! The kernel hands each packet to a thread of the test and passes it on when the thread says so. Packets wait before
//! connection tracking sees them, as on a long wire: so a mapping exists from the moment a packet leaves.

use std::{
    collections::VecDeque,
    io::ErrorKind,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use nfq::{Message, Queue, Verdict};

use super::router::run;

/// How often the queue is looked at. A packet may wait that much longer than it should.
const TICK: Duration = Duration::from_millis(1);
/// The most packets that wait: far more than a test sends within one delay.
const MAX_WAITING: u32 = 65_536;

pub(super) struct Delay {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<anyhow::Result<()>>>,
}

impl Delay {
    /// Starts to delay what comes in by a link.
    pub(super) fn new(router: &patchbay::Router, link: &str, time: Duration) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let (ready_tx, ready) = mpsc::channel();
        let thread = router
            .spawn_thread(move || {
                let mut queue = Queue::open()?;
                queue.bind(0)?;
                queue.set_queue_max_len(0, MAX_WAITING)?;
                // Only the time is decided here, so no byte of a packet need be copied.
                queue.set_copy_range(0, 64)?;
                queue.set_recv_gso(0, true)?;
                queue.set_nonblocking(true);
                ready_tx.send(())?;
                hold(&mut queue, time, &stopped)
            })
            .unwrap();
        ready.recv().expect("the queue for delayed packets");
        divert(router, link).unwrap();
        Self {
            stop,
            thread: Some(thread),
        }
    }
}

/// By iptables: not every kernel has the queue statement of nft, but all have what iptables makes of it.
fn divert(router: &patchbay::Router, link: &str) -> anyhow::Result<()> {
    for program in ["iptables-nft", "ip6tables-nft"] {
        for protocol in ["tcp", "udp"] {
            let mut command = Command::new(program);
            command.args(["-t", "raw", "-A", "PREROUTING", "-i", link]);
            command.args(["-p", protocol, "-j", "NFQUEUE", "--queue-num", "0"]);
            run(router, command, String::new())?;
        }
    }
    Ok(())
}

impl Drop for Delay {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            if !thread::panicking() {
                ended.expect("the delay").expect("the delay");
            }
        }
    }
}

fn hold(queue: &mut Queue, time: Duration, stop: &AtomicBool) -> anyhow::Result<()> {
    let mut waiting: VecDeque<(Instant, Message)> = VecDeque::new();
    while !stop.load(Ordering::Relaxed) {
        loop {
            match queue.recv() {
                Ok(mut message) => {
                    message.set_verdict(Verdict::Accept);
                    waiting.push_back((Instant::now() + time, message));
                }
                Err(e) if e.kind() == ErrorKind::WouldBlock => break,
                Err(e) => return Err(e.into()),
            }
        }
        let now = Instant::now();
        while waiting.front().is_some_and(|(due, _)| *due <= now) {
            if let Some((_, message)) = waiting.pop_front() {
                queue.verdict(message)?;
            }
        }
        thread::sleep(TICK);
    }
    Ok(())
}
