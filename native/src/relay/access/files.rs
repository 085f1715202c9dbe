//! The files, and what changes in them.

use std::{
    fs,
    io::Read,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::sync::watch;

use super::{
    Access,
    rules::{List, Rules},
};
use crate::common::{
    UsageError,
    watched::{Watched, look_often},
};

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

/// What keeps the rules up to date.
#[derive(Debug)]
pub(crate) struct Keeper {
    files: Files,
    watched: Watched<2>,
    rules: watch::Sender<Arc<Rules>>,
}

impl Files {
    /// Reads the files for the first time.
    pub(crate) fn load(&self) -> Result<(Access, Keeper), UsageError> {
        let watched = Watched::new([self.allow.clone(), self.deny.clone()]);
        let rules = self.read().map_err(UsageError)?;
        let (sender, receiver) = watch::channel(Arc::new(rules));
        let keeper = Keeper {
            files: self.clone(),
            watched,
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
        if !self.watched.are_new() {
            return;
        }
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
pub(crate) async fn keep_up(keeper: Keeper) {
    if keeper.files != Files::default() {
        look_often(keeper, LOOK_INTERVAL, Keeper::look).await;
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
