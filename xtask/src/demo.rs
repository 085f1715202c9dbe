//! `cargo xtask demo`: the whole story in one terminal, by the real program and its `--json`.

mod cast;
mod story;
mod words;

use std::{
    io::{self, BufRead, IsTerminal},
    path::{Path, PathBuf},
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::run::Cmd;

use self::{
    cast::{Cast, Role, Saying},
    story::{Scene, Story},
};

/// How long each scene may take. Locally none takes more than a second or two; a busy machine may
/// need much longer, and a demo that hangs is worse than one that waited.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Use an optimised build: it takes longer to make.
    #[arg(long)]
    release: bool,
    /// Stop at the end of the story. Without it a person at a terminal may go on typing.
    #[arg(long)]
    once: bool,
    /// Use this `punchline` instead of building one.
    #[arg(long, value_name = "FILE")]
    bin: Option<PathBuf>,
}

pub(crate) fn main(args: &Args) -> Result<()> {
    let program = match &args.bin {
        Some(file) => file.clone(),
        None => build(args.release)?,
    };
    let start = Instant::now();
    let (sayings, heard) = sync_channel(1024);
    let mut cast = Cast::new(&program, sayings.clone())?;
    if let Err(error) = play(&mut cast, &heard) {
        cast.show_logs();
        return Err(error);
    }
    println!("\nThe story took {:.1} s.", start.elapsed().as_secs_f64());
    if !args.once && io::stdin().is_terminal() {
        improvise(&mut cast, &heard, sayings)?;
    }
    // With nobody listening their last words are read and dropped, so they cannot block on them.
    drop(heard);
    cast.leave()
}

fn build(release: bool) -> Result<PathBuf> {
    println!("Building. The first time this takes some minutes; nothing is installed.");
    let mut cmd = Cmd::new("cargo build --package native --bin punchline");
    if release {
        cmd = cmd.arg("--release");
    }
    println!("$ {cmd}");
    let messages = cmd.arg("--message-format=json-render-diagnostics").read()?;
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
        .filter(|file| file.file_stem() == Path::new("punchline").file_stem())
        .context("cargo built no `punchline`")
}

/// Plays the story, scene by scene.
fn play(cast: &mut Cast, heard: &Receiver<Saying>) -> Result<()> {
    let mut story = Story::default();
    while let Some(scene) = story.next_scene() {
        println!("\n{}", scene.title());
        scene.begin(cast, &story)?;
        wait_for(scene, cast, &mut story, heard)?;
    }
    Ok(())
}

fn wait_for(
    scene: Scene,
    cast: &mut Cast,
    story: &mut Story,
    heard: &Receiver<Saying>,
) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while !scene.is_over(story) {
        let left = deadline.saturating_duration_since(Instant::now());
        let Ok(saying) = heard.recv_timeout(left) else {
            bail!(
                "waited {} s in vain for this: {}",
                PATIENCE.as_secs(),
                scene.awaited()
            );
        };
        listen(saying, cast, story)?;
    }
    Ok(())
}

fn listen(saying: Saying, cast: &mut Cast, story: &mut Story) -> Result<()> {
    match saying {
        Saying::Event(role, event) => {
            story.note(role, &event);
            cast.learn(role, &event);
            if let Some(line) = words::of(&event, cast.names()) {
                println!("{role:>5} | {line}");
            }
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
