//! The page as it was when this binary was built, in the binary itself.

use std::{
    borrow::Cow,
    future::{self, Ready},
    io::{self, Cursor},
    path::{Component, Path, PathBuf},
    time::{Duration, SystemTime},
};

use rust_embed::{Embed, EmbeddedFile};
use tower_http::services::fs::Backend;

use super::files::{FileMetadata, OpenFile};

/// Nanoseconds in a second.
const NANOS: u32 = 1_000_000_000;

/// The files of `www/`. A relay can be built without them, since the page may not have been built yet.
#[derive(Embed)]
#[folder = "../www"]
#[allow_missing = true]
#[exclude = "tests/*"]
#[exclude = ".*"]
#[exclude = "*/.*"]
#[exclude = "*.d.ts"]
struct Www;

/// Embedded files: the function that finds one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Embedded(fn(&str) -> Option<EmbeddedFile>);

impl Embedded {
    /// The files of `www/`.
    pub(crate) const WWW: Self = Self(Www::get);

    /// Returns whether there is such a file.
    pub(crate) fn has(self, path: &str) -> bool {
        (self.0)(path).is_some()
    }

    /// Finds a file by a path that `ServeDir` has put together: a dot, then the names.
    fn find(self, path: &Path) -> io::Result<EmbeddedFile> {
        let names = path.components().filter(|part| *part != Component::CurDir);
        let names: Option<Vec<_>> = names.map(|part| part.as_os_str().to_str()).collect();
        names
            .and_then(|names| self.up_to_date(&names.join("/")))
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Finds a file by its name, unless it is the compressed form of a file that was changed later.
    fn up_to_date(self, name: &str) -> Option<EmbeddedFile> {
        let file = (self.0)(name)?;
        let original = name
            .strip_suffix(".br")
            .or_else(|| name.strip_suffix(".gz"))
            .and_then(self.0);
        let changed = original.and_then(|original| original.metadata.last_modified());
        (!is_older(file.metadata.last_modified(), changed)).then_some(file)
    }
}

impl Backend for Embedded {
    type File = OpenFile<Cursor<Cow<'static, [u8]>>>;
    type Metadata = FileMetadata;
    type OpenFuture = Ready<io::Result<Self::File>>;
    type MetadataFuture = Ready<io::Result<FileMetadata>>;

    fn open(&self, path: PathBuf) -> Self::OpenFuture {
        let opened = self.find(&path).map(|file| {
            let metadata = metadata_of(&file);
            OpenFile::new(Cursor::new(file.data), metadata)
        });
        future::ready(opened)
    }

    fn metadata(&self, path: PathBuf) -> Self::MetadataFuture {
        future::ready(self.find(&path).map(|file| metadata_of(&file)))
    }
}

/// Returns whether something was made before its original changed, both in seconds. An unknown time
/// counts as current.
fn is_older(made: Option<u64>, changed: Option<u64>) -> bool {
    made.zip(changed)
        .is_some_and(|(made, changed)| made < changed)
}

/// Makes the version of a file's content, since some builds set the times of all files alike.
fn metadata_of(file: &EmbeddedFile) -> FileMetadata {
    let [a, b, c, d, e, f, g, h, ..] = file.metadata.sha256_hash();
    let seconds = u32::from_le_bytes([a, b, c, d]);
    let nanos = u32::from_le_bytes([e, f, g, h]) % NANOS;
    FileMetadata {
        is_dir: false,
        len: file.data.len() as u64,
        version: SystemTime::UNIX_EPOCH + Duration::new(seconds.into(), nanos),
    }
}

#[cfg(test)]
mod tests {
    use axum::{
        body::{self, Body},
        extract::{Request, State},
        http::{StatusCode, header},
        response::Response,
    };

    use super::*;
    use crate::http::page::{self, Page, Readiness};

    /// Some files that are there whether or not the page has been built.
    #[derive(Embed)]
    #[folder = "../docs"]
    struct Docs;

    async fn get(path: &str, known: &str) -> Response {
        let request = Request::get(path)
            .header(header::IF_NONE_MATCH, known)
            .header(header::ACCEPT_ENCODING, "br")
            .body(Body::empty())
            .unwrap();
        page::serve(State(Page::embedded(Embedded(Docs::get))), request).await
    }

    #[test]
    fn what_was_compressed_too_early_does_not_count() {
        assert!(is_older(Some(1), Some(2)));
        for (made, changed) in [(Some(2), Some(2)), (None, Some(2)), (Some(1), None)] {
            assert!(!is_older(made, changed), "{made:?} {changed:?}");
        }
    }

    #[tokio::test]
    async fn files_come_out_of_the_binary() {
        let answer = get("/operating.md", "").await;
        assert_eq!(answer.status(), StatusCode::OK);
        let etag = answer.headers()[header::ETAG].to_str().unwrap().to_owned();
        let body = body::to_bytes(answer.into_body(), 1 << 20).await.unwrap();
        assert_eq!(body[..], *Docs::get("operating.md").unwrap().data);
        let again = get("/operating.md", &etag).await;
        assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
        let other = get("/protocol.md", &etag).await;
        assert_eq!(other.status(), StatusCode::OK);
    }

    #[tokio::test]
    async fn what_was_not_there_is_missing() {
        let page = Page::embedded(Embedded(Docs::get));
        assert_eq!(page.readiness(), Readiness::Missing);
        for path in [
            "/",
            "/index.html",
            "/x",
            "/operating.md/x",
            "/../Cargo.toml",
        ] {
            let status = get(path, "").await.status();
            assert_eq!(status, StatusCode::NOT_FOUND, "{path}");
        }
    }

    #[test]
    fn the_etag_is_made_of_the_content() {
        let of = |path| metadata_of(&Docs::get(path).unwrap());
        assert_eq!(of("protocol.md").version, of("protocol.md").version);
        assert_ne!(of("protocol.md").version, of("operating.md").version);
    }
}
