//! What [`ServeDir`](tower_http::services::ServeDir) reads: files of a directory, looked at anew
//! for each request, and what it needs to know of any file.

use std::{
    fs, io,
    path::{Path, PathBuf},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::SystemTime,
};

use futures::future::{self, BoxFuture, Ready};
use tokio::{
    io::{AsyncRead, AsyncSeek, ReadBuf},
    task,
};
use tower_http::services::fs::{Backend, File, Metadata};

use crate::common::os;

/// A larger file is not served. The largest that belongs here is a debug build of the wasm.
const MAX_FILE_BYTES: u64 = 16 * 1024 * 1024;
/// A longer path is no file of ours.
const MAX_PATH_BYTES: usize = 255;
/// What the page is tested with lies beside it.
const PRIVATE_DIRECTORY: &str = "tests";
/// Compressed forms of the file whose name stands before it.
const COMPRESSED: [&str; 2] = ["br", "gz"];

/// Whether a path below the served directory may be asked for at all.
///
/// The names of the page's files are plain, so nothing needs to be decoded: with escapes, every
/// trick that they allow is refused.
pub(crate) fn is_public(path: &str) -> bool {
    let is_plain = |part: &str| {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
        !part.is_empty() && !part.starts_with('.') && part.bytes().all(allowed)
    };
    let first = path.split('/').next().unwrap_or(path);
    path.len() <= MAX_PATH_BYTES
        && path.split('/').all(is_plain)
        && !first.eq_ignore_ascii_case(PRIVATE_DIRECTORY)
}

/// A directory on disk.
#[derive(Debug, Clone)]
pub(crate) struct Disk {
    root: Arc<Path>,
}

impl Disk {
    pub(crate) fn new(root: &Path) -> Self {
        Self { root: root.into() }
    }

    /// A path as `ServeDir` puts it together, without its links, and what is there.
    fn find(&self, path: &Path) -> io::Result<(PathBuf, fs::Metadata)> {
        // The root too, each time: it may be a link that a deployment turns round.
        let root = self.root.canonicalize()?;
        let found = path.canonicalize()?;
        let below = found.strip_prefix(&root).map_err(io::Error::other)?;
        if below.as_os_str().is_empty() {
            return found.metadata().map(|metadata| (found, metadata));
        }
        let parts: Option<Vec<_>> = below.iter().map(|part| part.to_str()).collect();
        if !parts.is_some_and(|parts| is_public(&parts.join("/"))) {
            return Err(io::Error::other("a link to what is not public"));
        }
        let metadata = found.metadata()?;
        if metadata.is_file() && metadata.len() > MAX_FILE_BYTES {
            return Err(io::Error::other("too large"));
        }
        if is_outdated(&found, &metadata)? {
            return Err(io::Error::other("older than what it was made of"));
        }
        Ok((found, metadata))
    }

    fn open_now(&self, path: &Path) -> io::Result<Opened<tokio::fs::File>> {
        let (path, metadata) = self.find(path)?;
        // To open a pipe would wait for its other end.
        if !metadata.is_file() {
            return Err(io::Error::other("not a file"));
        }
        let file = fs::File::open(path)?;
        let facts = Facts::of(&file.metadata()?)?;
        Ok(Opened::new(tokio::fs::File::from_std(file), facts))
    }

    fn facts_now(&self, path: &Path) -> io::Result<Facts> {
        let (_, metadata) = self.find(path)?;
        if !metadata.is_file() && !metadata.is_dir() {
            return Err(io::Error::other("not a file"));
        }
        Facts::of(&metadata)
    }

    /// Reads on a thread that may wait. Whatever is wrong, to the client it is not there: then
    /// the next form of the file is tried.
    fn blocking<T: Send + 'static>(
        &self,
        path: PathBuf,
        work: fn(&Self, &Path) -> io::Result<T>,
    ) -> BoxFuture<'static, io::Result<T>> {
        let disk = self.clone();
        Box::pin(async move {
            let done = task::spawn_blocking(move || {
                work(&disk, &path).map_err(|error| {
                    tracing::debug!(path = %path.display(), %error, "not served");
                    io::ErrorKind::NotFound.into()
                })
            });
            done.await.map_err(io::Error::other)?
        })
    }
}

impl Backend for Disk {
    type File = Opened<tokio::fs::File>;
    type Metadata = Facts;
    type OpenFuture = BoxFuture<'static, io::Result<Self::File>>;
    type MetadataFuture = BoxFuture<'static, io::Result<Facts>>;

    fn open(&self, path: PathBuf) -> Self::OpenFuture {
        self.blocking(path, Self::open_now)
    }

    fn metadata(&self, path: PathBuf) -> Self::MetadataFuture {
        self.blocking(path, Self::facts_now)
    }
}

/// Whether this is the compressed form of a file that has been changed since.
fn is_outdated(path: &Path, metadata: &fs::Metadata) -> io::Result<bool> {
    let compressed = path
        .extension()
        .is_some_and(|extension| COMPRESSED.iter().any(|c| extension == *c));
    if !compressed {
        return Ok(false);
    }
    let original = path.with_extension("").metadata()?;
    Ok(original.modified()? > metadata.modified()?)
}

/// What `ServeDir` wants to know of a file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Facts {
    pub(crate) is_dir: bool,
    pub(crate) len: u64,
    /// `ServeDir` makes the ETag of this and the length, so it differs when the content does. It
    /// is shown nowhere else.
    pub(crate) version: SystemTime,
}

impl Facts {
    fn of(metadata: &fs::Metadata) -> io::Result<Self> {
        Ok(Self {
            is_dir: metadata.is_dir(),
            len: metadata.len(),
            version: os::changed(metadata)?,
        })
    }
}

impl Metadata for Facts {
    fn is_dir(&self) -> bool {
        self.is_dir
    }

    fn modified(&self) -> io::Result<SystemTime> {
        Ok(self.version)
    }

    fn len(&self) -> u64 {
        self.len
    }
}

/// A file that is being sent.
#[derive(Debug)]
pub(crate) struct Opened<R> {
    content: R,
    facts: Facts,
}

impl<R> Opened<R> {
    pub(crate) fn new(content: R, facts: Facts) -> Self {
        Self { content, facts }
    }
}

impl<R: AsyncRead + AsyncSeek + Unpin + Send + Sync> File for Opened<R> {
    type Metadata = Facts;
    type MetadataFuture<'a>
        = Ready<io::Result<Facts>>
    where
        Self: 'a;

    fn metadata(&self) -> Self::MetadataFuture<'_> {
        future::ready(Ok(self.facts))
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for Opened<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.content).poll_read(cx, buf)
    }
}

impl<R: AsyncSeek + Unpin> AsyncSeek for Opened<R> {
    fn start_seek(mut self: Pin<&mut Self>, position: io::SeekFrom) -> io::Result<()> {
        Pin::new(&mut self.content).start_seek(position)
    }

    fn poll_complete(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<u64>> {
        Pin::new(&mut self.content).poll_complete(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_names_are_public() {
        for path in ["index.html", "pkg/web_bg.wasm", "a-b/c.d/e", "mytests"] {
            assert!(is_public(path), "{path}");
        }
        let long = "a".repeat(MAX_PATH_BYTES + 1);
        for path in [
            "",
            "/",
            "a//b",
            "a/",
            ".git",
            "a/.b",
            "..",
            "a/../b",
            "a%2fb",
            "a\\b",
            "c:",
            "a\0",
            "ä",
            "tests",
            "tests/x.js",
            "Tests/x.js",
            &long,
        ] {
            assert!(!is_public(path), "{path}");
        }
    }
}
