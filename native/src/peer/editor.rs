//! A prompt with line editing and a history, and printing above it.

use std::{
    io::{self, Write},
    thread,
};

use anyhow::Context;
use rustyline::{Config, DefaultEditor, ExternalPrinter, error::ReadlineError};

use super::{
    lines::{self, Lines, LinesSender, Typed},
    screen::PromptPrinter,
};
use crate::os::TerminalMode;

const PROMPT: &str = "> ";
/// Tells the terminal to deliver pasted text as if it were typed, which is what shells expect.
const PASTE_AS_TYPED: &[u8] = b"\x1b[?2004l";

/// A prompt.
pub(crate) struct Prompt {
    /// What is typed at it.
    pub(crate) lines: Lines,
    /// Prints above it.
    pub(crate) print: PromptPrinter,
    /// To be kept until nothing is read or printed any more.
    pub(crate) terminal: Terminal,
}

/// Puts the terminal back on drop: a prompt that waits for a key when the process ends cannot.
#[derive(Debug)]
pub(crate) struct Terminal {
    _mode: TerminalMode,
}

/// Opens a prompt on stdin and stdout. `None` if the terminal cannot do it.
pub(crate) fn open() -> anyhow::Result<Option<Prompt>> {
    let terminal = Terminal {
        _mode: TerminalMode::remember(),
    };
    let config = Config::builder().auto_add_history(true).build();
    let Ok(mut editor) = DefaultEditor::with_config(config) else {
        return Ok(None);
    };
    let Ok(mut printer) = editor.create_external_printer() else {
        return Ok(None);
    };
    let (sender, lines) = lines::channel();
    thread::Builder::new()
        .name("prompt".into())
        .spawn(move || read_all(&mut editor, &sender))
        .context("cannot start the prompt")?;
    Ok(Some(Prompt {
        lines,
        print: Box::new(move |text| printer.print(text).map_err(io::Error::other)),
        terminal,
    }))
}

fn read_all(editor: &mut DefaultEditor, lines: &LinesSender) {
    loop {
        match editor.readline(PROMPT) {
            Ok(text) => {
                // Pasted text may have several lines: as many messages.
                let sent = text
                    .lines()
                    .all(|line| lines.send(Typed::Line(line.into())));
                if !sent {
                    return;
                }
            }
            Err(ReadlineError::Eof | ReadlineError::Interrupted) => return,
            Err(e) => {
                lines.send(Typed::Bad(format!("the terminal cannot be read: {e}")));
                return;
            }
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let mut out = io::stdout();
        // The terminal may be gone.
        let _ = out.write_all(PASTE_AS_TYPED).and_then(|()| out.flush());
    }
}
