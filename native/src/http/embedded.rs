//! The page as it was when this binary was built, in the binary itself.

use std::{
    borrow::Cow,
    future::{self, Ready},
    io::{self, Cursor},
    path::PathBuf,
    time::{Duration, SystemTime},
};

use rust_embed::{Embed, EmbeddedFile};
use tower_http::services::fs::Backend;

use super::files::{Facts, Opened};

/// Nanoseconds in a second.
const NANOS: u32 = 1_000_000_000;

/// A page that has not been built yet is no reason not to build the relay.
#[derive(Embed)]
#[folder = "../www"]
#[allow_missing = true]
#[exclude = "tests/*"]
#[exclude = ".*"]
#[exclude = "*/.*"]
#[exclude = "*.d.ts"]
struct Www;

/// The files of `www/`.
#[derive(Debug, Clone)]
pub(crate) struct Embedded;

impl Embedded {
    /// Whether there is such a file.
    pub(crate) fn has(path: &str) -> bool {
        Www::get(path).is_some()
    }
}

impl Backend for Embedded {
    type File = Opened<Cursor<Cow<'static, [u8]>>>;
    type Metadata = Facts;
    type OpenFuture = Ready<io::Result<Self::File>>;
    type MetadataFuture = Ready<io::Result<Facts>>;

    fn open(&self, path: PathBuf) -> Self::OpenFuture {
        let opened = find(&path).map(|file| {
            let facts = facts(&file);
            Opened::new(Cursor::new(file.data), facts)
        });
        future::ready(opened)
    }

    fn metadata(&self, path: PathBuf) -> Self::MetadataFuture {
        future::ready(find(&path).map(|file| facts(&file)))
    }
}

/// By a path as `ServeDir` puts it together: a dot, then the names.
fn find(path: &std::path::Path) -> io::Result<EmbeddedFile> {
    let names: Option<Vec<_>> = path
        .components()
        .filter_map(|part| match part {
            std::path::Component::CurDir => None,
            part => Some(part.as_os_str().to_str()),
        })
        .collect();
    names
        .and_then(|names| Www::get(&names.join("/")))
        .ok_or_else(|| io::ErrorKind::NotFound.into())
}

/// The times of files say little where builds set them all alike; their content tells them apart.
fn facts(file: &EmbeddedFile) -> Facts {
    let [a, b, c, d, e, f, g, h, ..] = file.metadata.sha256_hash();
    let seconds = u32::from_le_bytes([a, b, c, d]);
    let nanos = u32::from_le_bytes([e, f, g, h]) % NANOS;
    Facts {
        is_dir: false,
        len: file.data.len() as u64,
        version: SystemTime::UNIX_EPOCH + Duration::new(seconds.into(), nanos),
    }
}
