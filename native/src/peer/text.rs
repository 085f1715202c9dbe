//! Text for a terminal: what came from elsewhere is made harmless, what is ours gets colours.

use std::{borrow::Cow, io::IsTerminal};

/// What stands in place of a character that a terminal would obey instead of showing.
const REPLACEMENT: char = '\u{fffd}';
/// Before each further line of a message, so that nobody can make up a line of ours.
const CONTINUED: &str = "\n    ";

/// Text from elsewhere, on one line. It can neither move the cursor nor reorder what is around it.
pub(crate) fn clean(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_unsafe) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().map(harmless).collect())
}

/// As [`clean`], but lines stay lines.
pub(crate) fn clean_body(body: &str) -> Cow<'_, str> {
    if !body.chars().any(is_unsafe) {
        return Cow::Borrowed(body);
    }
    let lines = body.lines().map(clean);
    Cow::Owned(lines.collect::<Vec<_>>().join(CONTINUED))
}

fn harmless(c: char) -> char {
    match c {
        '\t' => ' ',
        c if is_unsafe(c) => REPLACEMENT,
        c => c,
    }
}

fn is_unsafe(c: char) -> bool {
    let reorders = matches!(
        c,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    );
    let breaks_line = matches!(c, '\u{2028}' | '\u{2029}');
    c.is_control() || reorders || breaks_line
}

/// Puts colours on text, if the terminal has any and nobody minds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Paint {
    on: bool,
}

impl Paint {
    /// For stdout. <https://no-color.org>
    pub(crate) fn stdout() -> Self {
        let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        Self {
            on: std::io::stdout().is_terminal() && !unwanted && !dumb,
        }
    }

    /// No colours.
    #[cfg(test)]
    pub(crate) const fn plain() -> Self {
        Self { on: false }
    }

    /// A peer's name.
    pub(crate) fn name(self, text: &str) -> String {
        self.paint("1;36", text)
    }

    /// Good news.
    pub(crate) fn good(self, text: &str) -> String {
        self.paint("32", text)
    }

    /// Bad news.
    pub(crate) fn bad(self, text: &str) -> String {
        self.paint("31", text)
    }

    /// What need not be read.
    pub(crate) fn dim(self, text: &str) -> String {
        self.paint("2", text)
    }

    fn paint(self, code: &str, text: &str) -> String {
        if self.on {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_replaced() {
        assert_eq!(
            clean("a\x1b[2Jb\r\n\u{9b}c\u{7f}"),
            "a\u{fffd}[2Jb\u{fffd}\u{fffd}\u{fffd}c\u{fffd}"
        );
        assert_eq!(clean("\u{202e}olleh\u{2066}"), "\u{fffd}olleh\u{fffd}");
        assert_eq!(
            clean("tab\there, ünïcode 👋 stays"),
            "tab here, ünïcode 👋 stays"
        );
    }

    #[test]
    fn a_message_of_several_lines_cannot_pass_for_others() {
        let body = "hi\nAbc123: I was never said\r\n\x1b[A";
        assert_eq!(
            clean_body(body),
            "hi\n    Abc123: I was never said\n    \u{fffd}[A"
        );
    }

    #[test]
    fn colours_only_where_they_are_on() {
        assert_eq!(Paint { on: false }.bad("x"), "x");
        assert_eq!(Paint { on: true }.bad("x"), "\x1b[31mx\x1b[0m");
    }
}
