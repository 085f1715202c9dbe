//! The files that [`ServeDir`](tower_http::services::ServeDir) serves: which of them are public, and how
//! they are read from a directory.
//!
//! `ServeDir` makes a path of a request, and a [`Backend`] opens it. Its own backend follows links out
//! of the directory and decides by times of change whether a file is current; [`Disk`] does neither.
//! Nothing is cached, so that a changed file is served at once.

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

/// The largest file that is served. A debug build of the wasm is the largest that belongs to the page.
const MAX_FILE_BYTES: u64 = 16 * 1024 * 1024;
/// The longest path that is served.
const MAX_PATH_BYTES: usize = 255;
/// The tests of the page lie beside it.
const PRIVATE_DIRECTORY: &str = "tests";
/// The endings of compressed forms, behind the whole name of the file.
const COMPRESSED: [&str; 2] = ["br", "gz"];

/// Returns whether a path below the served directory is public.
///
/// The names of the page's files are plain, so that escapes are refused rather than decoded, and with
/// them the tricks that they allow.
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

/// A directory that files are served from.
#[derive(Debug, Clone)]
pub(crate) struct Disk {
    root: Arc<Path>,
}

impl Disk {
    pub(crate) fn new(root: &Path) -> Self {
        Self { root: root.into() }
    }

    /// Resolves the links in a path that `ServeDir` has put together, and refuses what is not public.
    fn find(&self, path: &Path) -> io::Result<(PathBuf, fs::Metadata)> {
        // The root is resolved each time, too: it may be a link that a deployment turns to another
        // directory.
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

    fn open_now(&self, path: &Path) -> io::Result<OpenFile<tokio::fs::File>> {
        let (path, metadata) = self.find(path)?;
        // Opening a pipe would wait for its other end.
        if !metadata.is_file() {
            return Err(io::Error::other("not a file"));
        }
        let file = fs::File::open(path)?;
        let metadata = FileMetadata::of(&file.metadata()?)?;
        Ok(OpenFile::new(tokio::fs::File::from_std(file), metadata))
    }

    fn metadata_now(&self, path: &Path) -> io::Result<FileMetadata> {
        let (_, metadata) = self.find(path)?;
        if !metadata.is_file() && !metadata.is_dir() {
            return Err(io::Error::other("not a file"));
        }
        FileMetadata::of(&metadata)
    }

    /// Does `work` on a thread that may wait. Every error becomes "not found", upon which `ServeDir`
    /// tries the next form of the file.
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
    type File = OpenFile<tokio::fs::File>;
    type Metadata = FileMetadata;
    type OpenFuture = BoxFuture<'static, io::Result<Self::File>>;
    type MetadataFuture = BoxFuture<'static, io::Result<FileMetadata>>;

    fn open(&self, path: PathBuf) -> Self::OpenFuture {
        self.blocking(path, Self::open_now)
    }

    fn metadata(&self, path: PathBuf) -> Self::MetadataFuture {
        self.blocking(path, Self::metadata_now)
    }
}

/// Returns whether this is the compressed form of a file that has been changed since.
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

/// What `ServeDir` asks about a file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FileMetadata {
    pub(crate) is_dir: bool,
    pub(crate) len: u64,
    /// Differs when the content does. `ServeDir` makes the ETag of it and the length; it is shown
    /// nowhere else.
    pub(crate) version: SystemTime,
}

impl FileMetadata {
    fn of(metadata: &fs::Metadata) -> io::Result<Self> {
        Ok(Self {
            is_dir: metadata.is_dir(),
            len: metadata.len(),
            version: os::changed(metadata)?,
        })
    }
}

impl Metadata for FileMetadata {
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
pub(crate) struct OpenFile<R> {
    content: R,
    metadata: FileMetadata,
}

impl<R> OpenFile<R> {
    pub(crate) fn new(content: R, metadata: FileMetadata) -> Self {
        Self { content, metadata }
    }
}

impl<R: AsyncRead + AsyncSeek + Unpin + Send + Sync> File for OpenFile<R> {
    type Metadata = FileMetadata;
    type MetadataFuture<'a>
        = Ready<io::Result<FileMetadata>>
    where
        Self: 'a;

    fn metadata(&self) -> Self::MetadataFuture<'_> {
        future::ready(Ok(self.metadata))
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for OpenFile<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.content).poll_read(cx, buf)
    }
}

impl<R: AsyncSeek + Unpin> AsyncSeek for OpenFile<R> {
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
