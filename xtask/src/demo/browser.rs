//! The demo with the page: a relay that serves it, and a peer in this terminal that answers everybody there.

use std::sync::mpsc::Receiver;

use anyhow::{Result, bail};
use serde_json::Value;

use super::{
    cast::{Cast, Role, Saying},
    play,
    story::{Scene, Story},
};
use crate::run::Cmd;

/// Programs that open a URL in the person's browser: of Linux, of macOS.
const OPENERS: &[&str] = &["xdg-open", "open"];
/// The most characters of a message that its answer quotes: the answer must not exceed the limit of a message.
const QUOTED_CHARS: usize = 200;

/// Starts relay and peer, shows the page's URL, and answers until Ctrl-C. With `once` it returns when all is up.
pub(super) fn perform(
    cast: &mut Cast,
    heard: &Receiver<Saying>,
    open: bool,
    once: bool,
) -> Result<()> {
    let mut story = Story::default();
    for scene in [Scene::RelayOpens, Scene::BArrives] {
        play(scene, cast, &mut story, heard, listen)?;
    }
    let url = story.relay_url()?;
    println!(
        "\nOpen {url} in a browser, and in another, and talk to B and to each other. Ctrl-C ends it.\n"
    );
    if open {
        open_in_browser(&url);
    }
    if once {
        return Ok(());
    }
    while let Ok(saying) = heard.recv() {
        listen(saying, cast, &mut story)?;
    }
    Ok(())
}

fn listen(saying: Saying, cast: &mut Cast, story: &mut Story) -> Result<()> {
    match saying {
        Saying::Event(role, event) => {
            story.note(role, &event);
            cast.hear(role, &event);
            match answer(&event) {
                Some(answer) if role == Role::B => cast.type_line(role, &answer),
                _ => Ok(()),
            }
        }
        Saying::Ended(role) => bail!("{role} ended though nobody asked it to"),
        Saying::Typed(_) | Saying::Quit => Ok(()),
    }
}

/// The line that B types in answer to an event, if it answers at all.
fn answer(event: &Value) -> Option<String> {
    let text = |field: &str| event[field].as_str();
    match text("event")? {
        "connected" => Some(format!(
            "/to {} Hello from B, a peer in a terminal. Say something!",
            text("peer")?
        )),
        "message" => Some(format!(
            "/to {} You said “{}”, and it came {}.",
            text("from")?,
            quoted(text("body")?),
            match text("path")? {
                "direct" => "directly",
                _ => "by the relay",
            }
        )),
        _ => None,
    }
}

/// The beginning of a message, on one line: a line break would end what B types.
fn quoted(body: &str) -> String {
    let line: String = body
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(QUOTED_CHARS)
        .collect();
    if line.len() < body.len() {
        line + "…"
    } else {
        line
    }
}

fn open_in_browser(url: &str) {
    let opened = OPENERS
        .iter()
        .any(|opener| Cmd::new(opener).arg(url).succeeds());
    if !opened {
        println!(
            "No browser could be started from here ({}).",
            OPENERS.join(", ")
        );
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn whoever_speaks_is_answered() {
        let event = json!({"event": "message", "from": "12D3A", "body": "a\nb", "path": "relayed"});
        let answer = answer(&event).unwrap();
        assert_eq!(
            answer,
            "/to 12D3A You said “a b”, and it came by the relay."
        );
    }

    #[test]
    fn whoever_comes_is_welcomed_and_nothing_else_is_answered() {
        let come = json!({"event": "connected", "peer": "12D3A", "path": "direct"});
        assert!(answer(&come).unwrap().starts_with("/to 12D3A Hello"));
        for event in [
            json!({"event": "ready"}),
            json!("text"),
            json!({"event": "message"}),
        ] {
            assert_eq!(answer(&event), None);
        }
    }

    #[test]
    fn long_lines_are_quoted_in_part() {
        assert_eq!(quoted(&"x".repeat(QUOTED_CHARS)), "x".repeat(QUOTED_CHARS));
        let long = quoted(&"ä".repeat(QUOTED_CHARS + 1));
        assert_eq!(long.chars().count(), QUOTED_CHARS + 1);
        assert!(long.ends_with('…'));
    }
}
