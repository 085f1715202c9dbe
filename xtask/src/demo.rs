//! `cargo xtask demo`: shows what Punchline is for, with the real program, driven by its `--json`.

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

/// How long a scene may take. On a quiet machine none takes more than two seconds; a busy one may need much longer.
const PATIENCE: Duration = Duration::from_secs(60);
/// The most events that wait to be shown.
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
    // Without a receiver the readers drop the last events, so that no process blocks on its output.
    drop(heard);
    cast.leave()
}

/// Plays a scene until the story has what it waits for. Everything that is heard meanwhile goes to `listen`.
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
