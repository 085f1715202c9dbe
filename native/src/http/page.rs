//! The page for browsers: where its files come from, and the headers they are served with.

use std::path::{Path, PathBuf};

use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use tower_http::services::{
    ServeDir,
    fs::{Backend, DefaultServeDirFallback},
};

#[cfg(feature = "embed")]
use super::embedded::Embedded;
use super::files::{self, Disk};
use crate::common::UsageError;

/// The page of the checkout that this binary was built from, if it still is where it was.
#[cfg(not(feature = "embed"))]
const CHECKOUT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../www");
const INDEX: &str = "index.html";
/// What has to be built.
const WASM: &str = "pkg/web_bg.wasm";

const NOT_FOUND: &str = "not found\n";
const NO_PAGE: &str = "\
This relay serves no page for browsers. Its operator can name one: punchline relay --www DIR,
where DIR is www/ of the source code, or build it in: cargo build --release -p native --features embed
Peers in a terminal can join: punchline --relay with this URL.
";

/// Only what the page itself brings runs and shows. It may connect anywhere, because a person may
/// name another relay than the one the page came from, by ws, wss or the URL of its
/// `/bootstrap.json`.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; \
    script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self'; \
    connect-src 'self' ws: wss: http: https:; manifest-src 'self'; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
/// What the page has no use for.
const PERMISSIONS_POLICY: &str = "accelerometer=(), camera=(), display-capture=(), \
    geolocation=(), gyroscope=(), hid=(), magnetometer=(), microphone=(), midi=(), payment=(), \
    serial=(), usb=()";

/// On every answer of the server, whatever it is.
const HEADERS: [(HeaderName, &str); 4] = [
    (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (
        HeaderName::from_static("permissions-policy"),
        PERMISSIONS_POLICY,
    ),
];

/// The page that a relay serves, if it has one.
#[derive(Debug, Clone)]
pub(crate) struct Page {
    source: Option<Source>,
}

/// What a browser will find.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Readiness {
    /// All of it.
    Built,
    /// A page that says how to build what is missing.
    NotBuilt,
    /// Nothing.
    Missing,
}

#[derive(Debug, Clone)]
enum Source {
    Disk(PathBuf, ServeDir<DefaultServeDirFallback, Disk>),
    #[cfg(feature = "embed")]
    Embedded(Embedded, ServeDir<DefaultServeDirFallback, Embedded>),
}

impl Page {
    /// The page in that directory; else the one in this binary, or the one of the checkout that
    /// it was built from.
    pub(crate) fn find(www: Option<&Path>) -> Result<Self, UsageError> {
        let source = match www {
            Some(path) if path.is_dir() => Some(Source::disk(path)),
            Some(path) => {
                let path = path.display();
                return Err(UsageError(format!("--www {path}: no such directory")));
            }
            None => Source::built_in(),
        };
        Ok(Self { source })
    }

    #[cfg(all(test, feature = "embed"))]
    pub(crate) fn embedded(files: Embedded) -> Self {
        Self {
            source: Some(Source::embedded(files)),
        }
    }

    /// As it is now: the files of a directory may come later.
    pub(crate) fn readiness(&self) -> Readiness {
        let has = |name: &str| match &self.source {
            Some(Source::Disk(root, _)) => root.join(name).is_file(),
            #[cfg(feature = "embed")]
            Some(Source::Embedded(embedded, _)) => embedded.has(name),
            None => false,
        };
        match (has(INDEX), has(WASM)) {
            (false, _) => Readiness::Missing,
            (true, false) => Readiness::NotBuilt,
            (true, true) => Readiness::Built,
        }
    }
}

impl Source {
    fn disk(root: &Path) -> Self {
        Self::Disk(root.into(), serve_dir(root, Disk::new(root)))
    }

    #[cfg(feature = "embed")]
    fn embedded(files: Embedded) -> Self {
        Self::Embedded(files, serve_dir(Path::new(""), files))
    }

    #[cfg(feature = "embed")]
    fn built_in() -> Option<Self> {
        Some(Self::embedded(Embedded::WWW))
    }

    #[cfg(not(feature = "embed"))]
    fn built_in() -> Option<Self> {
        let path = Path::new(CHECKOUT);
        path.is_dir().then(|| Self::disk(path))
    }
}

fn serve_dir<B: Backend>(root: &Path, backend: B) -> ServeDir<DefaultServeDirFallback, B> {
    ServeDir::with_backend(root, backend)
        .precompressed_br()
        .precompressed_gzip()
        .append_index_html_on_directories(false)
}

/// Answers a request for a file.
pub(crate) async fn serve(State(page): State<Page>, request: Request) -> Response {
    let path = request.uri().path();
    let is_root = path == "/";
    let public = is_root || path.strip_prefix('/').is_some_and(files::is_public);
    if !public {
        return not_found();
    }
    let request = prepare(request, is_root);
    let response = match &page.source {
        Some(Source::Disk(_, files)) => serve_file(files, request).await,
        #[cfg(feature = "embed")]
        Some(Source::Embedded(_, files)) => serve_file(files, request).await,
        None => not_found(),
    };
    match response.status() {
        StatusCode::NOT_FOUND if is_root => (StatusCode::NOT_FOUND, NO_PAGE).into_response(),
        StatusCode::NOT_FOUND => not_found(),
        _ => response,
    }
}

/// The request as `ServeDir` shall see it.
fn prepare(mut request: Request, is_root: bool) -> Request {
    if is_root {
        *request.uri_mut() = axum::http::Uri::from_static("/index.html");
    }
    // Only the ETag tells whether a file has changed: see `files::Facts`.
    request.headers_mut().remove(header::IF_MODIFIED_SINCE);
    request.headers_mut().remove(header::IF_UNMODIFIED_SINCE);
    request
}

async fn serve_file<B: Backend>(
    files: &ServeDir<DefaultServeDirFallback, B>,
    request: Request,
) -> Response {
    let response = match files.clone().try_call(request).await {
        Ok(response) => response,
        Err(error) => {
            tracing::debug!(%error, "not served");
            return not_found();
        }
    };
    let mut response = response.map(Body::new);
    let headers = response.headers_mut();
    headers.remove(header::LAST_MODIFIED);
    headers.insert(
        header::VARY,
        HeaderValue::from_name(header::ACCEPT_ENCODING),
    );
    // A browser asks each time, and is told in some hundred bytes that nothing has changed.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    if let Some(typed) = headers.get(header::CONTENT_TYPE).and_then(with_charset) {
        headers.insert(header::CONTENT_TYPE, typed);
    }
    response
}

/// All our texts are UTF-8.
fn with_charset(content_type: &HeaderValue) -> Option<HeaderValue> {
    let plain = content_type.to_str().ok()?;
    let lacks = plain.starts_with("text/") && !plain.contains(';');
    lacks.then(|| HeaderValue::try_from(format!("{plain}; charset=utf-8")).ok())?
}

fn not_found() -> Response {
    (StatusCode::NOT_FOUND, NOT_FOUND).into_response()
}

/// Adds what every answer has.
pub(crate) async fn protect(mut response: Response) -> Response {
    for (name, value) in HEADERS {
        let value = HeaderValue::from_static(value);
        response.headers_mut().insert(name, value);
    }
    response
}
