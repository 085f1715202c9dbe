//! Lines on stdout and stderr that can neither block the event loop nor panic.

use std::{
    io::{self, Write},
    sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    thread,
    time::Duration,
};

use tokio::sync::watch;

/// Lines that wait for a slow reader of stdout; beyond them lines are dropped and counted.
const QUEUE_LEN: usize = 4_096;
/// How long a reader of stdout may take for the last lines when we stop.
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

    /// Queues one line, without its end.
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

    /// Resolves when nobody reads stdout any more.
    pub(crate) fn closed(&self) -> impl Future<Output = ()> + use<> {
        let mut closed = self.closed.clone();
        async move {
            // An error means that the writer ended without a fault: then this is no reason to stop.
            if closed.wait_for(|closed| *closed).await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Writes what is queued, unless that takes too long.
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

/// One line on stderr for the person who started us. `eprintln!` would panic on a closed stderr.
pub(crate) fn complain(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}
