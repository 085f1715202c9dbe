//! Colours for text on a terminal.

use std::io::IsTerminal;

/// Colours for names, of the 256 that terminals have: neither too light for a white ground nor too dark for a black
/// one, and none of those that mean success or failure.
const NAME_COLOURS: [u8; super::names::COLOURS] = [32, 37, 71, 98, 130, 133, 136, 166, 169, 68];

/// Colours text, or leaves it as it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Paint {
    on: bool,
}

impl Paint {
    /// Colours if stdout is a terminal that has them, unless `NO_COLOR` is set: <https://no-color.org>.
    pub(crate) fn stdout() -> Self {
        let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        Self {
            on: std::io::stdout().is_terminal() && !unwanted && !dumb,
        }
    }

    /// Without colours.
    #[cfg(test)]
    pub(crate) const fn plain() -> Self {
        Self { on: false }
    }

    /// The name of a peer, in one of its ten colours.
    pub(crate) fn name(self, colour: usize, text: &str) -> String {
        let colour = NAME_COLOURS.get(colour).unwrap_or(&NAME_COLOURS[0]);
        self.paint(&format!("1;38;5;{colour}"), text)
    }

    /// Text that reports a success.
    pub(crate) fn good(self, text: &str) -> String {
        self.paint("32", text)
    }

    /// Text that reports a failure.
    pub(crate) fn bad(self, text: &str) -> String {
        self.paint("31", text)
    }

    /// Text of less importance.
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
    fn colours_only_where_they_are_on() {
        assert_eq!(Paint { on: false }.bad("x"), "x");
        assert_eq!(Paint { on: true }.bad("x"), "\x1b[31mx\x1b[0m");
    }
}
