//! The files, and what changes in them.

use std::{
    fs,
    io::Read,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::{
    sync::watch,
    task,
    time::{self, MissedTickBehavior},
};

use super::{
    Access,
    rules::{List, Rules},
};
use crate::common::{UsageError, os};

/// The longest file that is read.
const MAX_BYTES: u64 = 8 * 1024 * 1024;
/// How often to look whether a file is another one.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Where the lists are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Files {
    pub(crate) allow: Option<PathBuf>,
    pub(crate) deny: Option<PathBuf>,
}

/// What tells whether a file has changed: when it or its mode did, and how long it is.
type Stamp = Option<(SystemTime, u64)>;

/// What keeps the rules up to date.
#[derive(Debug)]
pub(crate) struct Keeper {
    files: Files,
    /// As they were when they were read, and when they were looked at last: who writes a file may not be through with it.
    read: [Stamp; 2],
    seen: [Stamp; 2],
    rules: watch::Sender<Arc<Rules>>,
}

impl Files {
    /// Reads the files for the first time.
    pub(crate) fn load(&self) -> Result<(Access, Keeper), UsageError> {
        let stamps = self.stamps();
        let rules = self.read().map_err(UsageError)?;
        let (sender, receiver) = watch::channel(Arc::new(rules));
        let keeper = Keeper {
            files: self.clone(),
            read: stamps,
            seen: stamps,
            rules: sender,
        };
        Ok((Access(receiver), keeper))
    }

    fn read(&self) -> Result<Rules, String> {
        let list = |option: &str, path: &Option<PathBuf>| {
            let list = path.as_deref().map(|path| {
                read(path).map_err(|reason| format!("{option} {}: {reason}", path.display()))
            });
            list.transpose()
        };
        Ok(Rules {
            allowed: list("--allow-list", &self.allow)?,
            denied: list("--deny-list", &self.deny)?.unwrap_or_default(),
        })
    }

    fn stamps(&self) -> [Stamp; 2] {
        [&self.allow, &self.deny].map(|path| {
            let metadata = fs::metadata(path.as_ref()?).ok()?;
            Some((os::changed(&metadata).ok()?, metadata.len()))
        })
    }
}

fn read(path: &Path) -> Result<List, String> {
    let file = fs::File::open(path).map_err(|error| error.to_string())?;
    let mut text = String::new();
    let read = file.take(MAX_BYTES + 1).read_to_string(&mut text);
    match read {
        Ok(bytes) if bytes as u64 <= MAX_BYTES => List::parse(&text),
        Ok(_) => Err(format!("longer than {MAX_BYTES} bytes")),
        Err(error) => Err(error.to_string()),
    }
}

impl Keeper {
    /// Reads the files again if they have changed. If they cannot be read, what they said before stays.
    fn look(&mut self) {
        let stamps = self.files.stamps();
        let is_settled = std::mem::replace(&mut self.seen, stamps) == stamps;
        if stamps == self.read || !is_settled {
            return;
        }
        self.read = stamps;
        match self.files.read() {
            Ok(rules) => {
                let (allowed, denied) = (rules.allowed.as_ref().map(List::len), rules.denied.len());
                tracing::warn!(
                    ?allowed,
                    denied,
                    "the lists of who may use the relay were read again"
                );
                self.rules.send_replace(Arc::new(rules));
            }
            Err(error) => tracing::warn!("the lists before stay: {error}"),
        }
    }
}

/// Looks at the files for as long as it is polled.
pub(crate) async fn keep_up(mut keeper: Keeper) {
    if keeper.files == Files::default() {
        return;
    }
    let mut due = time::interval(LOOK_INTERVAL);
    due.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        due.tick().await;
        let looked = task::spawn_blocking(move || {
            keeper.look();
            keeper
        });
        match looked.await {
            Ok(same) => keeper = same,
            Err(error) => return tracing::error!(%error, "the lists are not looked at any more"),
        }
    }
}

#[cfg(test)]
mod tests {
    use libp2p::PeerId;

    use super::*;

    #[test]
    fn what_changes_counts_and_what_is_wrong_does_not() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("deny");
        let (peer, other) = (PeerId::random(), PeerId::random());
        fs::write(&path, peer.to_string()).expect("a file");
        let files = Files {
            allow: None,
            deny: Some(path.clone()),
        };
        let (access, mut keeper) = files.load().expect("lists");
        assert!(!access.admits(&peer, None) && access.admits(&other, None));
        keeper.look();
        assert!(!access.0.has_changed().expect("a keeper"));
        fs::write(&path, format!("{other}\n")).expect("a file");
        keeper.look();
        assert!(!access.admits(&peer, None), "it may not be whole yet");
        keeper.look();
        assert!(access.admits(&peer, None) && !access.admits(&other, None));
        for broken in ["what is this", "192.0.2.0/40 "] {
            fs::write(&path, broken).expect("a file");
            keeper.look();
            keeper.look();
            assert!(!access.admits(&other, None));
        }
        fs::remove_file(&path).expect("a file");
        keeper.look();
        keeper.look();
        assert!(!access.admits(&other, None));
    }

    #[test]
    fn a_file_that_cannot_be_read_is_named_at_the_start() {
        let files = Files {
            allow: Some("/no/such/file".into()),
            deny: None,
        };
        let UsageError(error) = files.load().expect_err("an error");
        assert!(error.starts_with("--allow-list /no/such/file: "), "{error}");
    }
}
