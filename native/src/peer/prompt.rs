//! A prompt with line editing and a history, above which lines are printed.

use std::{
    io::{self, Write},
    thread,
};

use anyhow::Context;
use rustyline::{
    CompletionType, Config, Editor, ExternalPrinter, error::ReadlineError, history::DefaultHistory,
};

use super::{
    completion::{Choices, Completion},
    input::{self, InputLine, InputLines, InputSender},
    screen::PromptPrinter,
};
use crate::common::os::{self, Continued, TerminalMode};

const PROMPT: &str = "> ";
/// Switches bracketed paste on, as the prompt does.
const PASTE_AS_ONE: &[u8] = b"\x1b[?2004h";
/// Switches bracketed paste off, which the prompt switches on and a shell does not expect.
const PASTE_AS_TYPED: &[u8] = b"\x1b[?2004l";

/// An open prompt.
pub(crate) struct Prompt {
    /// The lines typed at it.
    pub(crate) lines: InputLines,
    /// Prints above it.
    pub(crate) print: PromptPrinter,
    /// To be dropped after the last line was read and printed.
    pub(crate) terminal: Terminal,
}

/// Restores the terminal on drop. The prompt cannot: its thread still waits for a key when the process ends.
#[derive(Debug)]
pub(crate) struct Terminal {
    _mode: TerminalMode,
}

/// Opens a prompt on stdin and stdout; `None` if the terminal lacks what it needs.
pub(crate) fn open(choices: Choices) -> anyhow::Result<Option<Prompt>> {
    let terminal = Terminal {
        _mode: TerminalMode::remember(),
    };
    let config = Config::builder()
        .auto_add_history(true)
        .completion_type(CompletionType::List)
        .build();
    let Ok(mut editor) = PromptEditor::with_config(config) else {
        return Ok(None);
    };
    editor.set_helper(Some(Completion(choices)));
    let Ok(mut printer) = editor.create_external_printer() else {
        return Ok(None);
    };
    if let Ok(mut redraw) = editor.create_external_printer() {
        restore_when_continued(move || redraw.print(String::new()).is_ok())?;
    }
    let (sender, lines) = input::channel();
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

/// After Ctrl-Z and `fg` the shell has its own mode on the terminal, and the prompt is gone. rustyline 19 restores both
/// before a process with several threads has stopped, so that it is of no use. Not reported, as far as known;
/// `tests/prompt.rs` fails without this.
fn restore_when_continued(mut redraw: impl FnMut() -> bool + Send + 'static) -> anyhow::Result<()> {
    let mut continued = Continued::install().context("cannot handle signals")?;
    tokio::spawn(async move {
        loop {
            continued.next().await;
            if os::read_keys() {
                let mut out = io::stdout();
                // The terminal may be gone.
                let _ = out.write_all(PASTE_AS_ONE).and_then(|()| out.flush());
                if !redraw() {
                    return;
                }
            }
        }
    });
    Ok(())
}

type PromptEditor = Editor<Completion, DefaultHistory>;

fn read_all(editor: &mut PromptEditor, lines: &InputSender) {
    loop {
        match editor.readline(PROMPT) {
            Ok(text) => {
                // A key cannot type a line break, only a paste has some.
                let line = match text.trim_end_matches(['\r', '\n']) {
                    text if text.contains('\n') => InputLine::Pasted(text.into()),
                    text => InputLine::Text(text.into()),
                };
                if !lines.send(line) {
                    return;
                }
            }
            Err(ReadlineError::Eof | ReadlineError::Interrupted) => return,
            Err(e) => {
                lines.send(InputLine::Invalid(format!(
                    "the terminal cannot be read: {e}"
                )));
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
