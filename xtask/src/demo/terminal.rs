//! The story of two peers in a terminal: they meet by the relay, go direct, and outlive it.

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

/// Plays the story; then the person may go on typing, unless it is to be played once.
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

/// The person is A from now on.
fn improvise(cast: &mut Cast, heard: &Receiver<Saying>, sayings: SyncSender<Saying>) -> Result<()> {
    println!("The relay is off. What you type now goes from A to B, directly. Ctrl-C ends it.\n");
    thread::spawn(move || {
        for line in io::stdin().lock().lines().map_while(Result::ok) {
            if sayings.send(Saying::Typed(line)).is_err() {
                return;
            }
        }
        // Whoever listens may be gone already; then there is nobody to tell.
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
