//! Lines from stdin, read by a thread of their own: no line is too long for memory, and a reader
//! that is slow to take them slows the writer at the other end of the pipe.

use std::{
    io::{self, BufRead},
    thread,
};

use punchline::config::MAX_BODY_BYTES;
use tokio::sync::{
    mpsc::{self, error::TrySendError},
    watch,
};

/// A body, and before it `/to` and a peer id.
const MAX_LINE_BYTES: usize = MAX_BODY_BYTES + 128;
/// Lines that were read and not yet taken.
const QUEUE_LEN: usize = 256;

/// Something from stdin. It ends with the channel.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Typed {
    /// A line, without its end.
    Line(String),
    /// A line that cannot be a message, and why.
    Bad(String),
}

/// The lines of stdin, in order.
#[derive(Debug)]
pub(crate) struct Lines {
    queue: mpsc::Receiver<Typed>,
    pressing: watch::Receiver<bool>,
}

/// Where the reading thread puts lines.
#[derive(Debug)]
pub(crate) struct LinesSender {
    queue: mpsc::Sender<Typed>,
    pressing: watch::Sender<bool>,
}

/// A queue of lines.
pub(crate) fn channel() -> (LinesSender, Lines) {
    let (sender, receiver) = mpsc::channel(QUEUE_LEN);
    let (pressing_tx, pressing) = watch::channel(false);
    let sender = LinesSender {
        queue: sender,
        pressing: pressing_tx,
    };
    let lines = Lines {
        queue: receiver,
        pressing,
    };
    (sender, lines)
}

/// Reads stdin to its end.
pub(crate) fn from_stdin() -> io::Result<Lines> {
    let (sender, lines) = channel();
    thread::Builder::new()
        .name("stdin".into())
        .spawn(move || read_all(&mut io::stdin().lock(), &sender))?;
    Ok(lines)
}

impl Lines {
    /// The next one; `None` at the end.
    pub(crate) async fn next(&mut self) -> Option<Typed> {
        self.queue.recv().await
    }

    /// Resolves while the writer can do no more: it has written everything, or waits for us.
    pub(crate) async fn pressing(&mut self) {
        // An error means that the reading thread has ended, after everything was written.
        let _ = self.pressing.wait_for(|pressing| *pressing).await;
    }
}

impl LinesSender {
    /// Passes one on. Waits while the queue is full; returns whether anybody is still there.
    pub(crate) fn send(&self, typed: Typed) -> bool {
        let typed = match self.queue.try_send(typed) {
            Ok(()) => return true,
            Err(TrySendError::Closed(_)) => return false,
            Err(TrySendError::Full(typed)) => typed,
        };
        self.pressing.send_replace(true);
        let sent = self.queue.blocking_send(typed).is_ok();
        self.pressing.send_replace(false);
        sent
    }
}

fn read_all(reader: &mut impl BufRead, lines: &LinesSender) {
    for number in 1_u64.. {
        let typed = match read_line(reader) {
            Ok(Some(line)) => to_typed(line, number),
            Ok(None) => return,
            Err(e) => {
                lines.send(Typed::Bad(format!("stdin cannot be read any further: {e}")));
                return;
            }
        };
        if !lines.send(typed) {
            return;
        }
    }
}

fn to_typed(line: Option<Vec<u8>>, number: u64) -> Typed {
    let Some(line) = line else {
        return Typed::Bad(format!(
            "line {number} has more than {MAX_BODY_BYTES} bytes: not sent"
        ));
    };
    String::from_utf8(line).map_or_else(
        |_| Typed::Bad(format!("line {number} is not UTF-8: not sent")),
        Typed::Line,
    )
}

/// One line, without its end: `None` at the end of the input, `Some(None)` if it is too long. Of a
/// line that is too long nothing is kept.
fn read_line(reader: &mut impl BufRead) -> io::Result<Option<Option<Vec<u8>>>> {
    let mut line = Vec::new();
    let mut length = 0;
    loop {
        let available = match reader.fill_buf() {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            available => available?,
        };
        let end = available.iter().position(|byte| *byte == b'\n');
        let part = &available[..end.unwrap_or(available.len())];
        let at_end_of_input = available.is_empty();
        length += part.len();
        if length <= MAX_LINE_BYTES {
            line.extend_from_slice(part);
        } else {
            line = Vec::new();
        }
        let used = part.len() + usize::from(end.is_some());
        reader.consume(used);
        if at_end_of_input && length == 0 {
            return Ok(None);
        }
        if at_end_of_input || end.is_some() {
            if line.last() == Some(&b'\r') {
                line.pop();
            }
            return Ok(Some((length <= MAX_LINE_BYTES).then_some(line)));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use super::*;

    fn typed(input: &[u8]) -> Vec<Typed> {
        let (sender, mut lines) = channel();
        // A small buffer: lines come in several parts.
        read_all(&mut BufReader::with_capacity(7, input), &sender);
        std::iter::from_fn(|| lines.queue.try_recv().ok()).collect()
    }

    fn line(text: &str) -> Typed {
        Typed::Line(text.into())
    }

    #[test]
    fn lines_of_any_length_and_ending() {
        assert_eq!(typed(b""), []);
        assert_eq!(
            typed(b"a\n\nlonger than the buffer\r\nno end"),
            [
                line("a"),
                line(""),
                line("longer than the buffer"),
                line("no end")
            ]
        );
    }

    #[test]
    fn a_line_that_is_too_long_is_one_error() {
        let mut input = vec![b'x'; MAX_LINE_BYTES];
        input.push(b'\n');
        let fits = input.len();
        input.resize(fits + 10 * MAX_LINE_BYTES, b'y');
        input.extend(b"\nnext\n");
        let typed = typed(&input);
        assert_eq!(typed[0], line(&"x".repeat(MAX_LINE_BYTES)));
        assert_eq!(
            typed[1],
            Typed::Bad("line 2 has more than 65536 bytes: not sent".into())
        );
        assert_eq!(typed[2..], [line("next")]);
    }

    #[test]
    fn what_is_not_utf8_is_one_error() {
        let bad = Typed::Bad("line 2 is not UTF-8: not sent".into());
        assert_eq!(typed(b"a\n\xff\xfe\nb\n"), [line("a"), bad, line("b")]);
    }

    #[tokio::test]
    async fn a_full_queue_and_the_end_are_pressing() {
        let (sender, mut lines) = channel();
        for _ in 0..QUEUE_LEN {
            assert!(sender.send(line("x")));
        }
        assert!(!*lines.pressing.borrow());
        let thread = thread::spawn(move || sender.send(line("one more")));
        lines.pressing().await;
        while lines.queue.recv().await.is_some() {}
        assert!(thread.join().unwrap());
        lines.pressing().await;
    }
}
