//! Where lines go: a thread that writes them, so that a slow reader slows the node's events down
//! and never a thread that others need.

use std::{
    io::{self, StdoutLock, Write},
    thread,
    time::Duration,
};

use tokio::{
    sync::{mpsc, oneshot},
    time,
};

/// Lines that wait for the writing thread.
const QUEUE_LEN: usize = 1_024;
/// Lines written before looking whether there are more.
const BATCH: usize = 256;
/// How long a reader of stdout may take for the last lines when we were asked to stop.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// Prints lines. Clones print to the same place.
#[derive(Debug, Clone)]
pub(crate) struct Screen {
    lines: mpsc::Sender<Line>,
}

/// The thread behind a screen.
#[derive(Debug)]
pub(crate) struct Writing {
    finished: oneshot::Receiver<()>,
}

/// Prints above a prompt that is being typed at.
pub(crate) type PromptPrinter = Box<dyn FnMut(String) -> io::Result<()> + Send>;

#[derive(Debug)]
enum Line {
    Out(String),
    Err(String),
}

/// A screen on stdout and stderr or, if there is a prompt, above that.
pub(crate) fn open(prompt: Option<PromptPrinter>) -> io::Result<(Screen, Writing)> {
    let (sender, mut lines) = mpsc::channel(QUEUE_LEN);
    let (finished_tx, finished) = oneshot::channel();
    thread::Builder::new()
        .name("screen".into())
        .spawn(move || {
            let result = match prompt {
                Some(print) => write_above_prompt(&mut lines, print),
                None => write_lines(&mut lines),
            };
            if let Err(e) = result {
                tracing::debug!("nobody reads what we print: {e}");
            }
            // Nobody may be waiting for it.
            let _ = finished_tx.send(());
        })?;
    Ok((Screen { lines: sender }, Writing { finished }))
}

impl Screen {
    /// A line, without its end, for stdout. Waits while the reader is slow.
    pub(crate) async fn out(&self, line: String) {
        // An error means that nobody reads it, which ends the program.
        let _ = self.lines.send(Line::Out(line)).await;
    }

    /// A line for stderr.
    pub(crate) async fn err(&self, line: String) {
        let _ = self.lines.send(Line::Err(line)).await;
    }

    /// Resolves when nobody reads stdout any more.
    pub(crate) async fn closed(&self) {
        self.lines.closed().await;
    }
}

impl Writing {
    /// Waits until the last line is written, once no [`Screen`] is left.
    pub(crate) async fn finish(self) {
        // An error means that the thread is gone.
        let _ = self.finished.await;
    }

    /// The same, unless that takes too long.
    pub(crate) async fn finish_soon(self) {
        if time::timeout(FLUSH_TIMEOUT, self.finish()).await.is_err() {
            tracing::warn!("stdout is not being read: the last lines are lost");
        }
    }
}

fn write_lines(lines: &mut mpsc::Receiver<Line>) -> io::Result<()> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    let mut batch = Vec::with_capacity(BATCH);
    while lines.blocking_recv_many(&mut batch, BATCH) > 0 {
        for line in batch.drain(..) {
            write_line(&mut out, line)?;
        }
        // One write for all there is: a write for each line would be the slowest part of it all.
        if lines.is_empty() {
            out.flush()?;
        }
    }
    out.flush()
}

fn write_line(out: &mut io::BufWriter<StdoutLock<'_>>, line: Line) -> io::Result<()> {
    match line {
        Line::Out(mut line) => {
            line.push('\n');
            out.write_all(line.as_bytes())
        }
        Line::Err(line) => {
            out.flush()?;
            // Without a stderr there is nobody to tell.
            let _ = writeln!(io::stderr(), "{line}");
            Ok(())
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
