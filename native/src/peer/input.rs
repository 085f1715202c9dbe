//! Lines from stdin, read by a thread of its own.
//!
//! A line longer than any message is not kept in memory, and the queue is bounded: when lines are not taken, the
//! thread stops reading, and the writer at the other end of a pipe waits.

use std::{
    io::{self, BufRead},
    thread,
};

use punchline::config::MAX_BODY_BYTES;
use tokio::sync::{
    mpsc::{self, error::TrySendError},
    watch,
};

/// The longest line: `/to`, a peer id and a message.
const MAX_LINE_BYTES: usize = MAX_BODY_BYTES + 128;
/// How many lines wait to be taken.
const QUEUE_LEN: usize = 256;

/// One line of stdin.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum InputLine {
    /// Its text, without the line break.
    Text(String),
    /// Several lines that were pasted at a prompt: one message, whatever it begins with.
    Pasted(String),
    /// It cannot be a message, for this reason.
    Invalid(String),
}

/// The lines of stdin, in order, until its end.
#[derive(Debug)]
pub(crate) struct InputLines {
    queue: mpsc::Receiver<InputLine>,
    is_full: watch::Receiver<bool>,
}

/// The reading thread's end of the queue.
#[derive(Debug)]
pub(crate) struct InputSender {
    queue: mpsc::Sender<InputLine>,
    is_full: watch::Sender<bool>,
}

/// A queue of lines.
pub(crate) fn channel() -> (InputSender, InputLines) {
    let (sender, receiver) = mpsc::channel(QUEUE_LEN);
    let (is_full_tx, is_full) = watch::channel(false);
    let sender = InputSender {
        queue: sender,
        is_full: is_full_tx,
    };
    let lines = InputLines {
        queue: receiver,
        is_full,
    };
    (sender, lines)
}

/// Reads stdin to its end.
pub(crate) fn from_stdin() -> io::Result<InputLines> {
    let (sender, lines) = channel();
    thread::Builder::new()
        .name("stdin".into())
        .spawn(move || read_all(&mut io::stdin().lock(), &sender))?;
    Ok(lines)
}

impl InputLines {
    /// The next line; `None` at the end of stdin.
    pub(crate) async fn next(&mut self) -> Option<InputLine> {
        self.queue.recv().await
    }

    /// Waits until the writer can write no more: stdin has ended, or the queue is full.
    pub(crate) async fn full_or_ended(&mut self) {
        // An error means that the reading thread has ended, at the end of stdin.
        let _ = self.is_full.wait_for(|is_full| *is_full).await;
    }
}

impl InputSender {
    /// Queues a line, and blocks while the queue is full. Returns whether lines are still taken.
    pub(crate) fn send(&self, line: InputLine) -> bool {
        let line = match self.queue.try_send(line) {
            Ok(()) => return true,
            Err(TrySendError::Closed(_)) => return false,
            Err(TrySendError::Full(line)) => line,
        };
        self.is_full.send_replace(true);
        let sent = self.queue.blocking_send(line).is_ok();
        self.is_full.send_replace(false);
        sent
    }
}

fn read_all(reader: &mut impl BufRead, lines: &InputSender) {
    for number in 1_u64.. {
        let line = match read_line(reader) {
            Ok(Some(bytes)) => parse(bytes, number),
            Ok(None) => return,
            Err(e) => {
                lines.send(InputLine::Invalid(format!(
                    "stdin cannot be read any further: {e}"
                )));
                return;
            }
        };
        if !lines.send(line) {
            return;
        }
    }
}

fn parse(line: Option<Vec<u8>>, number: u64) -> InputLine {
    let Some(line) = line else {
        return InputLine::Invalid(format!(
            "line {number} has more than {MAX_BODY_BYTES} bytes: not sent"
        ));
    };
    String::from_utf8(line).map_or_else(
        |_| InputLine::Invalid(format!("line {number} is not UTF-8: not sent")),
        InputLine::Text,
    )
}

/// The bytes of one line without the line break; `None` at the end of the input, `Some(None)` for a line that is
/// too long.
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

    fn lines_of(input: &[u8]) -> Vec<InputLine> {
        let (sender, mut lines) = channel();
        // A small buffer, so that lines come in several parts.
        read_all(&mut BufReader::with_capacity(7, input), &sender);
        std::iter::from_fn(|| lines.queue.try_recv().ok()).collect()
    }

    fn line(text: &str) -> InputLine {
        InputLine::Text(text.into())
    }

    #[test]
    fn lines_of_any_length_and_ending() {
        assert_eq!(lines_of(b""), []);
        assert_eq!(
            lines_of(b"a\n\nlonger than the buffer\r\nno end"),
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
        let lines = lines_of(&input);
        assert_eq!(lines[0], line(&"x".repeat(MAX_LINE_BYTES)));
        assert_eq!(
            lines[1],
            InputLine::Invalid("line 2 has more than 65536 bytes: not sent".into())
        );
        assert_eq!(lines[2..], [line("next")]);
    }

    #[test]
    fn a_line_that_is_not_utf8_is_one_error() {
        let bad = InputLine::Invalid("line 2 is not UTF-8: not sent".into());
        assert_eq!(lines_of(b"a\n\xff\xfe\nb\n"), [line("a"), bad, line("b")]);
    }

    #[tokio::test]
    async fn a_full_queue_and_the_end_of_stdin_are_noticed() {
        let (sender, mut lines) = channel();
        for _ in 0..QUEUE_LEN {
            assert!(sender.send(line("x")));
        }
        assert!(!*lines.is_full.borrow());
        let thread = thread::spawn(move || sender.send(line("one more")));
        lines.full_or_ended().await;
        while lines.queue.recv().await.is_some() {}
        assert!(thread.join().unwrap());
        lines.full_or_ended().await;
    }
}
