//! Lines on stdout and stderr, written by a thread of its own.
//!
//! The queue is bounded. A slow reader of stdout slows down what awaits [`Screen::out`], but blocks no thread of the
//! runtime.

use std::{
    io::{self, StdoutLock, Write},
    sync::Arc,
    thread,
    time::Duration,
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot},
    time,
};

use crate::common::output::Trouble;

/// How many lines wait for the writing thread.
const QUEUE_LEN: usize = 1_024;
/// How many bytes those lines may have. As JSON a message can have six times the bytes of its body.
const QUEUE_BYTES: usize = 4 * 1024 * 1024;
/// How many lines are taken from the queue at a time.
const BATCH: usize = 256;
/// How long the reader of stdout may take for the last lines after a request to stop.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// Prints lines. Clones share one queue.
#[derive(Debug, Clone)]
pub(crate) struct Screen {
    lines: mpsc::Sender<Queued>,
    /// A permit for each byte that may be queued.
    room: Arc<Semaphore>,
}

/// The thread that writes what a [`Screen`] prints.
#[derive(Debug)]
pub(crate) struct ScreenThread {
    finished: oneshot::Receiver<bool>,
}

/// Prints text above a prompt.
pub(crate) type PromptPrinter = Box<dyn FnMut(String) -> io::Result<()> + Send>;

#[derive(Debug)]
enum Line {
    Out(String),
    Err(String),
}

/// A line in the queue.
#[derive(Debug)]
struct Queued {
    line: Line,
    /// Given back when the line has been written.
    _room: Option<OwnedSemaphorePermit>,
}

/// Opens a screen on stdout and stderr, or above a prompt if there is one.
pub(crate) fn open(prompt: Option<PromptPrinter>) -> io::Result<(Screen, ScreenThread)> {
    let (sender, mut lines) = mpsc::channel(QUEUE_LEN);
    let (finished_tx, finished) = oneshot::channel();
    thread::Builder::new()
        .name("screen".into())
        .spawn(move || {
            let mut trouble = Trouble::default();
            let result = match prompt {
                Some(print) => write_above_prompt(&mut lines, print),
                None => write_lines(&mut lines, &mut trouble),
            };
            if let Err(e) = result {
                tracing::debug!("nobody reads what we print: {e}");
            }
            // Nobody may be waiting for it.
            let _ = finished_tx.send(!trouble.happened());
        })?;
    let screen = Screen {
        lines: sender,
        room: Arc::new(Semaphore::new(QUEUE_BYTES)),
    };
    Ok((screen, ScreenThread { finished }))
}

impl Screen {
    /// Prints a line to stdout. Waits while the queue is full.
    pub(crate) async fn out(&self, line: String) {
        self.queue(line.len(), Line::Out(line)).await;
    }

    /// Prints a line to stderr. Waits while the queue is full.
    pub(crate) async fn err(&self, line: String) {
        self.queue(line.len(), Line::Err(line)).await;
    }

    async fn queue(&self, bytes: usize, line: Line) {
        let bytes = u32::try_from(bytes.min(QUEUE_BYTES)).unwrap_or(u32::MAX);
        let room = tokio::select! {
            room = self.room.clone().acquire_many_owned(bytes) => room.ok(),
            () = self.lines.closed() => None,
        };
        // An error means that stdout has no reader any more, which ends the program.
        let _ = self.lines.send(Queued { line, _room: room }).await;
    }

    /// Waits until stdout has no reader any more.
    pub(crate) async fn closed(&self) {
        self.lines.closed().await;
    }
}

impl ScreenThread {
    /// Waits until the last line is written. Every [`Screen`] must have been dropped. Returns whether every line could
    /// be written.
    pub(crate) async fn finish(self) -> bool {
        // An error means that the thread is gone.
        self.finished.await.unwrap_or(false)
    }

    /// Like [`finish`](Self::finish), with a time limit.
    pub(crate) async fn finish_soon(self) -> bool {
        let finished = time::timeout(FLUSH_TIMEOUT, self.finish()).await;
        finished.unwrap_or_else(|_| {
            tracing::warn!("stdout is not being read: the last lines are lost");
            true
        })
    }
}

fn write_lines(lines: &mut mpsc::Receiver<Queued>, trouble: &mut Trouble) -> io::Result<()> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    let mut batch = Vec::with_capacity(BATCH);
    while lines.blocking_recv_many(&mut batch, BATCH) > 0 {
        for Queued { line, _room } in batch.drain(..) {
            trouble.judge(write_line(&mut out, line))?;
        }
        // Flushed only when the queue is empty: a system call for each line would be the slowest step of all.
        if lines.is_empty() {
            trouble.judge(out.flush())?;
        }
    }
    trouble.judge(out.flush())
}

fn write_line(out: &mut io::BufWriter<StdoutLock<'_>>, line: Line) -> io::Result<()> {
    match line {
        Line::Out(mut line) => {
            line.push('\n');
            out.write_all(line.as_bytes())
        }
        Line::Err(line) => {
            let flushed = out.flush();
            // Nothing can be done about a closed stderr.
            let _ = writeln!(io::stderr(), "{line}");
            flushed
        }
    }
}

fn write_above_prompt(
    lines: &mut mpsc::Receiver<Queued>,
    mut print: PromptPrinter,
) -> io::Result<()> {
    let mut batch = Vec::with_capacity(BATCH);
    while lines.blocking_recv_many(&mut batch, BATCH) > 0 {
        let mut text = String::new();
        for queued in &batch {
            let (Line::Out(line) | Line::Err(line)) = &queued.line;
            text.push_str(line);
            text.push('\n');
        }
        print(text)?;
        batch.clear();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn a_queue_that_nobody_writes_is_bounded_in_bytes() {
        let (sender, mut lines) = mpsc::channel(QUEUE_LEN);
        let screen = Screen {
            lines: sender,
            room: Arc::new(Semaphore::new(QUEUE_BYTES)),
        };
        let long = "x".repeat(QUEUE_BYTES / 4);
        for _ in 0..4 {
            screen.out(long.clone()).await;
        }
        assert!(screen.out("one more".into()).now_or_never().is_none());
        drop(lines.recv().await);
        screen.out(long).await;
        // A line that is larger than the whole queue has it for itself.
        while lines.try_recv().is_ok() {}
        screen.out("x".repeat(QUEUE_BYTES + 1)).await;
        assert!(screen.err("one more".into()).now_or_never().is_none());
    }
}
