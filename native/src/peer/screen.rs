//! Lines on stdout and stderr, written by a thread of its own.
//!
//! The queue is bounded. A slow reader of stdout slows down what awaits [`Screen::out`], but blocks no thread of the
//! runtime.

use std::{
    io::{self, StdoutLock, Write},
    thread,
    time::Duration,
};

use tokio::{
    sync::{mpsc, oneshot},
    time,
};

use crate::common::output::Trouble;

/// How many lines wait for the writing thread.
const QUEUE_LEN: usize = 1_024;
/// How many lines are taken from the queue at a time.
const BATCH: usize = 256;
/// How long the reader of stdout may take for the last lines after a request to stop.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// Prints lines. Clones share one queue.
#[derive(Debug, Clone)]
pub(crate) struct Screen {
    lines: mpsc::Sender<Line>,
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
    Ok((Screen { lines: sender }, ScreenThread { finished }))
}

impl Screen {
    /// Prints a line to stdout. Waits while the queue is full.
    pub(crate) async fn out(&self, line: String) {
        // An error means that stdout has no reader any more, which ends the program.
        let _ = self.lines.send(Line::Out(line)).await;
    }

    /// Prints a line to stderr. Waits while the queue is full.
    pub(crate) async fn err(&self, line: String) {
        let _ = self.lines.send(Line::Err(line)).await;
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

fn write_lines(lines: &mut mpsc::Receiver<Line>, trouble: &mut Trouble) -> io::Result<()> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    let mut batch = Vec::with_capacity(BATCH);
    while lines.blocking_recv_many(&mut batch, BATCH) > 0 {
        for line in batch.drain(..) {
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
    lines: &mut mpsc::Receiver<Line>,
    mut print: PromptPrinter,
) -> io::Result<()> {
    let mut batch = Vec::with_capacity(BATCH);
    while lines.blocking_recv_many(&mut batch, BATCH) > 0 {
        let mut text = String::new();
        for Line::Out(line) | Line::Err(line) in batch.drain(..) {
            text.push_str(&line);
            text.push('\n');
        }
        print(text)?;
    }
    Ok(())
}
