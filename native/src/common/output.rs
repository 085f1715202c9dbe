//! Lines on stdout and stderr, for what must never wait for their reader.
//!
//! Unlike the peer's screen, which waits while stdout is slow, this drops lines and counts them: a relay serves its
//! peers whether or not anybody reads what it prints.

use std::{
    io::{self, Write},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    thread,
    time::Duration,
};

use tokio::sync::watch;

use super::log;

/// How many lines wait for a slow reader of stdout. More are dropped and counted.
const QUEUE_LEN: usize = 4_096;
/// How long the reader of stdout may take for the last lines at the end.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// Writes lines to stdout from a thread of its own.
#[derive(Debug)]
pub(crate) struct Output {
    lines: SyncSender<String>,
    closed: watch::Receiver<bool>,
    /// Whether every line could be written.
    finished: Receiver<bool>,
    dropped: u64,
    backlog: Backlog,
}

/// How far the reader of stdout is behind. Clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Backlog(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    queued: AtomicU64,
    dropped: AtomicU64,
}

impl Backlog {
    /// Lines that wait.
    pub(crate) fn queued(&self) -> u64 {
        self.0.queued.load(Ordering::Relaxed)
    }

    /// Lines for which there was no room, since the start.
    pub(crate) fn dropped(&self) -> u64 {
        self.0.dropped.load(Ordering::Relaxed)
    }
}

impl Output {
    /// Starts the writing thread.
    pub(crate) fn stdout() -> io::Result<Self> {
        let (lines, queue) = sync_channel(QUEUE_LEN);
        let (closed_tx, closed) = watch::channel(false);
        let (finished_tx, finished) = sync_channel(1);
        let backlog = Backlog::default();
        let counts = backlog.0.clone();
        thread::Builder::new()
            .name("stdout".into())
            .spawn(move || {
                let mut trouble = Trouble::default();
                if write_all(&queue, &counts.queued, &mut trouble).is_err() {
                    closed_tx.send_replace(true);
                }
                let _ = finished_tx.try_send(!trouble.happened());
            })?;
        Ok(Self {
            lines,
            closed,
            finished,
            dropped: 0,
            backlog,
        })
    }

    /// Queues a line, or drops it when the queue is full.
    pub(crate) fn line(&mut self, line: String) {
        let counts = &self.backlog.0;
        // Before the other thread can count it off.
        counts.queued.fetch_add(1, Ordering::Relaxed);
        let sent = self.lines.try_send(line);
        if sent.is_err() {
            counts.queued.fetch_sub(1, Ordering::Relaxed);
        }
        match sent {
            Ok(()) if self.dropped > 0 => {
                tracing::warn!(lines = self.dropped, "stdout was too slow: lines dropped");
                self.dropped = 0;
            }
            Ok(()) | Err(TrySendError::Disconnected(_)) => {}
            Err(TrySendError::Full(_)) => {
                self.dropped += 1;
                counts.dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// How far the reader is behind.
    pub(crate) fn backlog(&self) -> Backlog {
        self.backlog.clone()
    }

    /// Waits until stdout has no reader any more.
    pub(crate) fn closed(&self) -> impl Future<Output = ()> + use<> {
        let mut closed = self.closed.clone();
        async move {
            // An error means that the thread ended without a fault, which is no reason to stop.
            if closed.wait_for(|closed| *closed).await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Waits until the queued lines are written, with a time limit. Returns whether every line could be.
    pub(crate) fn finish(self) -> bool {
        drop(self.lines);
        self.finished.recv_timeout(FLUSH_TIMEOUT).unwrap_or(true)
    }
}

fn write_all(
    queue: &Receiver<String>,
    queued: &AtomicU64,
    trouble: &mut Trouble,
) -> io::Result<()> {
    let mut out = io::stdout().lock();
    while let Ok(mut line) = queue.recv() {
        queued.fetch_sub(1, Ordering::Relaxed);
        line.push('\n');
        let written = out.write_all(line.as_bytes()).and_then(|()| out.flush());
        trouble.judge(written)?;
    }
    Ok(())
}

/// What becomes of a program whose stdout cannot be written.
#[derive(Debug, Default)]
pub(crate) struct Trouble {
    reported: bool,
}

impl Trouble {
    /// Takes the result of a write. An error means that nobody reads any more. Every other fault, such as a full disk,
    /// may pass: it is said once on stderr, and what could not be written is lost.
    pub(crate) fn judge(&mut self, result: io::Result<()>) -> io::Result<()> {
        match result {
            Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Err(e),
            Err(e) => {
                if !std::mem::replace(&mut self.reported, true) {
                    complain(&format!(
                        "error: cannot write to stdout: {e}; going on without"
                    ));
                }
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    /// Whether anything could not be written.
    pub(crate) const fn happened(&self) -> bool {
        self.reported
    }
}

/// Writes text to stdout at once. A reader that has gone is no fault.
pub(crate) fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    written.or_else(|e| match e.kind() {
        io::ErrorKind::BrokenPipe => Ok(()),
        _ => Err(e),
    })
}

/// Writes a line to stderr, if there is one: `eprintln!` would panic on a closed stderr.
pub(crate) fn complain(line: &str) {
    let _ = writeln!(io::stderr(), "{}", log::format(line));
}
