//! The page for browsers: where its files come from, and the headers that they are served with.

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

/// The page of the checkout that this binary was built from, which may be gone.
#[cfg(not(feature = "embed"))]
const CHECKOUT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../www");
const INDEX: &str = "index.html";
/// The file that has to be built; the others are part of the source code.
const WASM: &str = "pkg/web_bg.wasm";

const NOT_FOUND: &str = "not found\n";
const NO_PAGE: &str = "\
This relay serves no page for browsers. Its operator can name one: punchline relay --www DIR,
where DIR is www/ of the source code, or build it in: cargo build --release -p native --features embed
Peers in a terminal can join: punchline --relay with this URL.
";

/// Allows scripts, styles and images from this server only. The page may connect anywhere, because a
/// person may name another relay than the one that the page came from, by ws, wss or the URL of its
/// `/bootstrap.json`.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; \
    script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self'; \
    connect-src 'self' ws: wss: http: https:; manifest-src 'self'; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
/// Switches off what the page has no use for.
const PERMISSIONS_POLICY: &str = "accelerometer=(), camera=(), display-capture=(), \
    geolocation=(), gyroscope=(), hid=(), magnetometer=(), microphone=(), midi=(), payment=(), \
    serial=(), usb=()";

/// The headers of every answer of the server.
const SECURITY_HEADERS: [(HeaderName, &str); 4] = [
    (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (
        HeaderName::from_static("permissions-policy"),
        PERMISSIONS_POLICY,
    ),
];

/// For a year.
const TRANSPORT_SECURITY: &str = "max-age=31536000";

/// The page that a relay serves, if it has one.
#[derive(Debug, Clone)]
pub(crate) struct Page {
    files: Option<Files>,
}

/// How much of the page there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Readiness {
    /// The whole page.
    Built,
    /// The page without what has to be built, which says how to build it.
    NotBuilt,
    /// No page.
    Missing,
}

#[derive(Debug, Clone)]
enum Files {
    Disk(PathBuf, ServeDir<DefaultServeDirFallback, Disk>),
    #[cfg(feature = "embed")]
    Embedded(Embedded, ServeDir<DefaultServeDirFallback, Embedded>),
}

impl Page {
    /// Returns the page in that directory. Without a directory it is the page in this binary, or else
    /// that of the checkout which the binary was built from.
    pub(crate) fn find(www: Option<&Path>) -> Result<Self, UsageError> {
        let files = match www {
            Some(path) if path.is_dir() => Some(Files::disk(path)),
            Some(path) => {
                let path = path.display();
                return Err(UsageError(format!("--www {path}: no such directory")));
            }
            None => Files::built_in(),
        };
        Ok(Self { files })
    }

    #[cfg(all(test, feature = "embed"))]
    pub(crate) fn embedded(files: Embedded) -> Self {
        Self {
            files: Some(Files::embedded(files)),
        }
    }

    /// Returns how much of the page there is now: files may come into a directory later.
    pub(crate) fn readiness(&self) -> Readiness {
        let has = |name: &str| match &self.files {
            Some(Files::Disk(root, _)) => root.join(name).is_file(),
            #[cfg(feature = "embed")]
            Some(Files::Embedded(embedded, _)) => embedded.has(name),
            None => false,
        };
        match (has(INDEX), has(WASM)) {
            (false, _) => Readiness::Missing,
            (true, false) => Readiness::NotBuilt,
            (true, true) => Readiness::Built,
        }
    }
}

impl Files {
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
    let response = match &page.files {
        Some(Files::Disk(_, files)) => serve_file(files, request).await,
        #[cfg(feature = "embed")]
        Some(Files::Embedded(_, files)) => serve_file(files, request).await,
        None => not_found(),
    };
    match response.status() {
        StatusCode::NOT_FOUND if is_root => (StatusCode::NOT_FOUND, NO_PAGE).into_response(),
        StatusCode::NOT_FOUND => not_found(),
        _ => response,
    }
}

/// Rewrites a request for `ServeDir`.
fn prepare(mut request: Request, is_root: bool) -> Request {
    if is_root {
        *request.uri_mut() = axum::http::Uri::from_static("/index.html");
    }
    // Whether a file has changed is decided by its ETag alone: see `files::FileMetadata`.
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
    // A browser asks each time, and if nothing has changed the answer is some hundred bytes long.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    if let Some(typed) = headers.get(header::CONTENT_TYPE).and_then(with_charset) {
        headers.insert(header::CONTENT_TYPE, typed);
    }
    response
}

/// Adds the character set to the type of a text: they are all in UTF-8.
fn with_charset(content_type: &HeaderValue) -> Option<HeaderValue> {
    let plain = content_type.to_str().ok()?;
    let lacks = plain.starts_with("text/") && !plain.contains(';');
    lacks.then(|| HeaderValue::try_from(format!("{plain}; charset=utf-8")).ok())?
}

fn not_found() -> Response {
    (StatusCode::NOT_FOUND, NOT_FOUND).into_response()
}

/// Adds the headers that every answer has.
pub(crate) async fn add_security_headers(mut response: Response) -> Response {
    for (name, value) in SECURITY_HEADERS {
        let value = HeaderValue::from_static(value);
        response.headers_mut().insert(name, value);
    }
    response
}

/// Adds the header by which browsers come over TLS from then on (RFC 6797).
pub(crate) async fn add_transport_security(mut response: Response) -> Response {
    let value = HeaderValue::from_static(TRANSPORT_SECURITY);
    let headers = response.headers_mut();
    headers.insert(header::STRICT_TRANSPORT_SECURITY, value);
    response
}
