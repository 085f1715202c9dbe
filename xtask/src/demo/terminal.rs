//! The demo in a terminal: two peers meet through a relay, get a direct path, and talk on without the relay.

use std::{
    io::{self, BufRead, IsTerminal},
    sync::mpsc::{Receiver, SyncSender},
    thread,
    time::Instant,
};

use anyhow::{Result, bail};

use super::{
    cast::{Cast, Role, Saying},
    play,
    story::Story,
};

/// Plays all scenes. Then the person may go on as A, unless `once` is set.
pub(super) fn perform(
    cast: &mut Cast,
    heard: &Receiver<Saying>,
    sayings: SyncSender<Saying>,
    once: bool,
) -> Result<()> {
    let start = Instant::now();
    let mut story = Story::default();
    while let Some(scene) = story.next_scene() {
        play(scene, cast, &mut story, heard, listen)?;
    }
    println!("\nThe story took {:.1} s.", start.elapsed().as_secs_f64());
    if !once && io::stdin().is_terminal() {
        improvise(cast, heard, sayings)?;
    }
    Ok(())
}

fn listen(saying: Saying, cast: &mut Cast, story: &mut Story) -> Result<()> {
    match saying {
        Saying::Event(role, event) => {
            story.note(role, &event);
            cast.hear(role, &event);
            Ok(())
        }
        Saying::Typed(line) => cast.type_line(Role::A, &line),
        Saying::Ended(role) if cast.may_end(role) => Ok(()),
        Saying::Ended(role) => bail!("{role} ended though nobody asked it to"),
        Saying::Quit => Ok(()),
    }
}

/// Passes what the person types to A, until the person ends it.
fn improvise(cast: &mut Cast, heard: &Receiver<Saying>, sayings: SyncSender<Saying>) -> Result<()> {
    println!("The relay is off. What you type now goes from A to B, directly. Ctrl-C ends it.\n");
    thread::spawn(move || {
        for line in io::stdin().lock().lines().map_while(Result::ok) {
            if sayings.send(Saying::Typed(line)).is_err() {
                return;
            }
        }
        // It fails if the demo is over, and then nobody needs it.
        let _ = sayings.send(Saying::Quit);
    });
    let mut story = Story::default();
    while let Ok(saying) = heard.recv() {
        if matches!(&saying, Saying::Quit) {
            break;
        }
        if matches!(&saying, Saying::Typed(line) if line.trim() == "/quit") {
            break;
        }
        listen(saying, cast, &mut story)?;
    }
    Ok(())
}
