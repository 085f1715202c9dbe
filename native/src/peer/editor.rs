//! A prompt with line editing and a history, and printing above it.

use std::{io, thread};

use anyhow::Context;
use rustyline::{
    Cmd, Config, DefaultEditor, EventHandler, ExternalPrinter, KeyCode, KeyEvent, Modifiers,
    error::ReadlineError,
};

use super::{
    lines::{self, Lines, LinesSender, Typed},
    screen::PromptPrinter,
};

const PROMPT: &str = "> ";

/// What a prompt needs: its lines, and what prints above it. `None` if the terminal cannot do it.
pub(crate) fn open() -> anyhow::Result<Option<(Lines, PromptPrinter)>> {
    let config = Config::builder()
        .auto_add_history(true)
        // Several lines pasted are several messages.
        .bracketed_paste(false)
        .build();
    let Ok(mut editor) = DefaultEditor::with_config(config) else {
        return Ok(None);
    };
    let Ok(mut printer) = editor.create_external_printer() else {
        return Ok(None);
    };
    // It would stop the process with the terminal in a state that no shell expects.
    editor.bind_sequence(
        KeyEvent(KeyCode::Char('Z'), Modifiers::CTRL),
        EventHandler::Simple(Cmd::Noop),
    );
    let (sender, lines) = lines::channel();
    thread::Builder::new()
        .name("prompt".into())
        .spawn(move || read_all(&mut editor, &sender))
        .context("cannot start the prompt")?;
    let print: PromptPrinter = Box::new(move |text| printer.print(text).map_err(io::Error::other));
    Ok(Some((lines, print)))
}

fn read_all(editor: &mut DefaultEditor, lines: &LinesSender) {
    loop {
        let typed = match editor.readline(PROMPT) {
            Ok(line) => Typed::Line(line),
            Err(ReadlineError::Interrupted) => Typed::Interrupt,
            Err(ReadlineError::Eof) => return,
            Err(e) => {
                lines.send(Typed::Bad(format!("the terminal cannot be read: {e}")));
                return;
            }
        };
        let last = typed == Typed::Interrupt;
        if !lines.send(typed) || last {
            return;
        }
    }
}
