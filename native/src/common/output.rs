//! Lines on stdout and stderr, for what must never wait for their reader.
//!
//! Unlike the peer's screen, which waits while stdout is slow, this drops lines and counts them: a relay serves its
//! peers whether or not anybody reads what it prints.

use std::{
    io::{self, Write},
    sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    thread,
    time::Duration,
};

use tokio::sync::watch;

/// How many lines wait for a slow reader of stdout. More are dropped and counted.
const QUEUE_LEN: usize = 4_096;
/// How long the reader of stdout may take for the last lines at the end.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// Writes lines to stdout from a thread of its own.
#[derive(Debug)]
pub(crate) struct Output {
    lines: SyncSender<String>,
    closed: watch::Receiver<bool>,
    finished: Receiver<()>,
    dropped: u64,
}

impl Output {
    /// Starts the writing thread.
    pub(crate) fn stdout() -> io::Result<Self> {
        let (lines, queue) = sync_channel(QUEUE_LEN);
        let (closed_tx, closed) = watch::channel(false);
        let (finished_tx, finished) = sync_channel(1);
        thread::Builder::new()
            .name("stdout".into())
            .spawn(move || {
                if write_all(&queue).is_err() {
                    closed_tx.send_replace(true);
                }
                let _ = finished_tx.try_send(());
            })?;
        Ok(Self {
            lines,
            closed,
            finished,
            dropped: 0,
        })
    }

    /// Queues a line, or drops it when the queue is full.
    pub(crate) fn line(&mut self, line: String) {
        match self.lines.try_send(line) {
            Ok(()) if self.dropped > 0 => {
                tracing::warn!(lines = self.dropped, "stdout was too slow: lines dropped");
                self.dropped = 0;
            }
            Ok(()) | Err(TrySendError::Disconnected(_)) => {}
            Err(TrySendError::Full(_)) => self.dropped += 1,
        }
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

    /// Waits until the queued lines are written, with a time limit.
    pub(crate) fn finish(self) {
        drop(self.lines);
        let _ = self.finished.recv_timeout(FLUSH_TIMEOUT);
    }
}

fn write_all(queue: &Receiver<String>) -> io::Result<()> {
    let mut out = io::stdout().lock();
    while let Ok(line) = queue.recv() {
        out.write_all(line.as_bytes())?;
        out.write_all(b"\n")?;
        out.flush()?;
    }
    Ok(())
}

/// Writes a line to stderr, if there is one: `eprintln!` would panic on a closed stderr.
pub(crate) fn complain(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}
