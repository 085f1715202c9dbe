//! Files that may change while the program runs: which have, and when to read them again.

use std::{fs, path::PathBuf, time::Duration, time::SystemTime};

use tokio::task;

use super::{every, os};

/// What tells whether a file has changed: when it or its mode did, and how long it is; `None` for one that is not there.
type Stamp = Option<(SystemTime, u64)>;

/// Some files that are read together.
#[derive(Debug, Clone)]
pub(crate) struct Watched<const N: usize> {
    paths: [Option<PathBuf>; N],
    /// As they were when they were read, and when they were looked at last.
    read: [Stamp; N],
    seen: [Stamp; N],
}

impl<const N: usize> Watched<N> {
    /// Takes the files as they are: to be called before they are read.
    pub(crate) fn new(paths: [Option<PathBuf>; N]) -> Self {
        let stamps = stamps(&paths);
        Self {
            paths,
            read: stamps,
            seen: stamps,
        }
    }

    /// Whether they are to be read again: they have changed, and not since the look before. Whoever writes one may not be
    /// through with it, or be about to write another.
    pub(crate) fn are_new(&mut self) -> bool {
        let stamps = stamps(&self.paths);
        let is_settled = std::mem::replace(&mut self.seen, stamps) == stamps;
        let are_new = is_settled && stamps != self.read;
        if are_new {
            self.read = stamps;
        }
        are_new
    }
}

fn stamps<const N: usize>(paths: &[Option<PathBuf>; N]) -> [Stamp; N] {
    std::array::from_fn(|at| {
        let metadata = fs::metadata(paths[at].as_ref()?).ok()?;
        Some((os::changed(&metadata).ok()?, metadata.len()))
    })
}

/// Looks at files once in a period, for as long as it is polled. A disk may take its time.
pub(crate) async fn look_often<T: Send + 'static>(
    mut keeper: T,
    period: Duration,
    look: fn(&mut T),
) {
    let mut due = every(period);
    loop {
        due.tick().await;
        let looked = task::spawn_blocking(move || {
            look(&mut keeper);
            keeper
        });
        match looked.await {
            Ok(same) => keeper = same,
            Err(error) => return tracing::error!(%error, "files are not looked at any more"),
        }
    }
}
