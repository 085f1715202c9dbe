//! Makes text that comes from elsewhere safe to print to a terminal.

use std::borrow::Cow;

/// Replaces a character that a terminal would obey instead of showing.
const REPLACEMENT: char = '\u{fffd}';
/// Begins each further line of a message, so that no line of it can pass for one of the program's own.
const CONTINUED: &str = "\n    ";

/// The text on one line, unable to move the cursor or to reorder what stands around it.
pub(crate) fn sanitised(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_unsafe) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().map(harmless).collect())
}

/// Like [`sanitised`], but keeps line breaks, each followed by an indent.
pub(crate) fn sanitised_body(body: &str) -> Cow<'_, str> {
    if !body.chars().any(is_unsafe) {
        return Cow::Borrowed(body);
    }
    let lines = body.lines().map(sanitised);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_replaced() {
        assert_eq!(
            sanitised("a\x1b[2Jb\r\n\u{9b}c\u{7f}"),
            "a\u{fffd}[2Jb\u{fffd}\u{fffd}\u{fffd}c\u{fffd}"
        );
        assert_eq!(sanitised("\u{202e}olleh\u{2066}"), "\u{fffd}olleh\u{fffd}");
        assert_eq!(
            sanitised("tab\there, ünïcode 👋 stays"),
            "tab here, ünïcode 👋 stays"
        );
    }

    #[test]
    fn a_message_of_several_lines_cannot_pass_for_others() {
        let body = "hi\nAbc123: I was never said\r\n\x1b[A";
        assert_eq!(
            sanitised_body(body),
            "hi\n    Abc123: I was never said\n    \u{fffd}[A"
        );
    }
}
