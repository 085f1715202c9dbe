//! What Tab completes at the prompt: commands, and after those that want one the names of who is here.

use std::sync::{Arc, Mutex, PoisonError};

use rustyline::{
    Context, Helper, Highlighter, Hinter, Validator,
    completion::{Completer, Pair},
};

const COMMANDS: [&str; 9] = [
    "/addresses",
    "/block ",
    "/dial ",
    "/help",
    "/name ",
    "/peers",
    "/quit",
    "/to ",
    "/unblock ",
];
/// Commands that a name follows, and whether a text follows that.
const NAMING: [(&str, bool); 2] = [("/to ", true), ("/block ", false)];

/// The names of who is here, kept by the reporter and read by the prompt.
#[derive(Debug, Clone, Default)]
pub(crate) struct Choices(Arc<Mutex<Vec<String>>>);

impl Choices {
    pub(crate) fn set(&self, names: Vec<String>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = names;
    }

    fn beginning_with(&self, typed: &str) -> Vec<String> {
        let names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let bare = typed.trim_start_matches('"').to_lowercase();
        let fits = |name: &&String| {
            name.trim_start_matches('"')
                .to_lowercase()
                .starts_with(&bare)
        };
        names.iter().filter(fits).cloned().collect()
    }
}

/// The prompt's helper.
#[derive(Debug, Helper, Highlighter, Hinter, Validator)]
pub(crate) struct Completion(pub(crate) Choices);

impl Completer for Completion {
    type Candidate = Pair;

    fn complete(
        &self,
        line: &str,
        at: usize,
        _: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<Pair>)> {
        Ok(complete(&self.0, line.get(..at).unwrap_or(line)))
    }
}

/// Where the completed word begins, and what it may become.
fn complete(names: &Choices, typed: &str) -> (usize, Vec<Pair>) {
    let pair = |text: String| Pair {
        display: text.trim_end().into(),
        replacement: text,
    };
    for (command, text_follows) in NAMING {
        if let Some(name) = typed.strip_prefix(command) {
            let end = if text_follows { " " } else { "" };
            let names = names.beginning_with(name).into_iter();
            return (command.len(), names.map(|name| pair(name + end)).collect());
        }
    }
    let commands = COMMANDS.iter().filter(|command| command.starts_with(typed));
    match typed.starts_with('/') {
        true => (0, commands.map(|command| pair((*command).into())).collect()),
        false => (typed.len(), Vec::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_and_names_are_completed() {
        let names = Choices::default();
        names.set(vec![
            "frosty-owl".into(),
            "Fred".into(),
            "\"Anna B\"".into(),
        ]);
        let completed = |typed: &str| -> (usize, Vec<String>) {
            let (start, pairs) = complete(&names, typed);
            (
                start,
                pairs.into_iter().map(|pair| pair.replacement).collect(),
            )
        };
        assert_eq!(completed("/pe"), (0, vec!["/peers".into()]));
        assert_eq!(completed("/").1.len(), COMMANDS.len());
        assert_eq!(
            completed("/to fr"),
            (4, vec!["frosty-owl ".into(), "Fred ".into()])
        );
        assert_eq!(completed("/to \"an"), (4, vec!["\"Anna B\" ".into()]));
        assert_eq!(completed("/to an"), (4, vec!["\"Anna B\" ".into()]));
        assert_eq!(completed("hello /pe").1, Vec::<String>::new());
    }
}
