//! `cargo xtask demo`: the main job, by the real program and its `--json`.

mod browser;
mod cast;
mod story;
mod terminal;
mod words;

use std::{
    path::PathBuf,
    sync::mpsc::{Receiver, sync_channel},
    time::{Duration, Instant},
};

use anyhow::{Result, bail};

use self::{
    cast::{Cast, Saying},
    story::{Scene, Story},
};
use crate::{
    build,
    setup::{self, For},
    web,
};

/// How long each scene may take. Locally none takes more than a second or two; a busy machine may
/// need much longer, and a demo that hangs is worse than one that waited.
const PATIENCE: Duration = Duration::from_secs(60);
/// Events that wait to be shown.
const SAYINGS: usize = 1024;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Use an optimised build: it takes longer to make.
    #[arg(long)]
    release: bool,
    /// Leave the browser out: two peers in this terminal that meet, go direct, and outlive the relay.
    #[arg(long)]
    terminal: bool,
    /// Open the page in a browser.
    #[arg(long, conflicts_with = "terminal")]
    open: bool,
    /// Stop when all is shown, instead of waiting for what a person does.
    #[arg(long)]
    once: bool,
    /// Use this `punchline` instead of building one.
    #[arg(long, value_name = "FILE")]
    bin: Option<PathBuf>,
}

pub(crate) fn main(args: &Args) -> Result<()> {
    if !args.terminal {
        setup::set_up(For::Web, false)?;
        web::build(false, false)?;
    }
    let program = match &args.bin {
        Some(file) => file.clone(),
        None => build::punchline(args.release)?,
    };
    let (sayings, heard) = sync_channel(SAYINGS);
    let mut cast = Cast::new(&program, sayings.clone())?;
    let performed = if args.terminal {
        terminal::perform(&mut cast, &heard, sayings, args.once)
    } else {
        browser::perform(&mut cast, &heard, args.open, args.once)
    };
    if let Err(error) = performed {
        cast.show_logs();
        return Err(error);
    }
    // With nobody listening their last words are read and dropped, so they cannot block on them.
    drop(heard);
    cast.leave()
}

/// Plays a scene to its end. `listen` does what is to be done about each thing that is heard.
fn play(
    scene: Scene,
    cast: &mut Cast,
    story: &mut Story,
    heard: &Receiver<Saying>,
    mut listen: impl FnMut(Saying, &mut Cast, &mut Story) -> Result<()>,
) -> Result<()> {
    println!("\n{}", scene.title());
    scene.begin(cast, story)?;
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
