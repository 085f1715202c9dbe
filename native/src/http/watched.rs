//! `/metrics`, `/status` and `/readyz`: the relay, for those who watch it.

use axum::{
    Extension, Json, Router,
    extract::{Request, State},
    http::{HeaderName, StatusCode, header},
    middleware::{self, Next},
    response::{AppendHeaders, IntoResponse, Response},
    routing::{MethodRouter, get},
};
use tokio::task;

use super::websocket::Client;
use crate::watch::{self, By, StatusClass, Watch};

/// Prometheus asks for this format first.
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The routes. Figures are for those whom the operator lets see them; whether the relay is ready is no secret.
pub(super) fn routes(watch: Watch) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/status", file("text/html", PAGE))
        .route("/status/page.css", file("text/css", STYLE))
        .route("/status/page.js", file("text/javascript", SCRIPT))
        .route("/status/figures.js", file("text/javascript", FIGURES))
        .route("/status.json", get(status))
        .layer(middleware::from_fn_with_state(watch.clone(), admit))
        .route("/readyz", get(ready))
        .with_state(watch)
}

// They are part of the program, not of www/: a relay without a page for browsers has a status all the same.
const PAGE: &str = include_str!("status/page.html");
const STYLE: &str = include_str!("status/page.css");
const SCRIPT: &str = include_str!("status/page.js");
const FIGURES: &str = include_str!("status/figures.js");

fn file(kind: &'static str, text: &'static str) -> MethodRouter<Watch> {
    let kind = format!("{kind}; charset=utf-8");
    get(async move || ([(header::CONTENT_TYPE, kind), no_cache()], text))
}

/// A new version of the program comes with new files, and figures change all the time.
fn no_cache() -> (HeaderName, String) {
    (header::CACHE_CONTROL, "no-cache".into())
}

async fn status(State(watch): State<Watch>) -> Response {
    let status = task::spawn_blocking(move || watch.status()).await;
    match status {
        Ok(status) => (AppendHeaders([no_cache()]), Json(status)).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

async fn admit(
    State(watch): State<Watch>,
    Extension(client): Extension<Client>,
    request: Request,
    next: Next,
) -> Response {
    match watch
        .access()
        .refusal(client.ends.remote.ip(), request.headers())
    {
        Some(why) => (StatusCode::FORBIDDEN, why).into_response(),
        None => next.run(request).await,
    }
}

async fn metrics(State(watch): State<Watch>) -> Response {
    // It reads files of /proc, which may be long.
    let text = task::spawn_blocking(move || watch.metrics()).await;
    match text {
        Ok(Ok(text)) => ([(header::CONTENT_TYPE, OPENMETRICS)], text).into_response(),
        // Writing to a string fails no more than the process does.
        Ok(Err(_)) | Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

async fn ready(State(watch): State<Watch>) -> Response {
    const NOT: StatusCode = StatusCode::SERVICE_UNAVAILABLE;
    match watch.state() {
        watch::State::Ready => "ready\n".into_response(),
        watch::State::Starting => {
            (NOT, "not ready: some listener has no address yet\n").into_response()
        }
        watch::State::Stopping => (NOT, "not ready: the relay is being stopped\n").into_response(),
    }
}

/// Counts answers.
pub(super) async fn count(State(watch): State<Watch>, request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    let class = match response.status().as_u16() {
        0..300 => StatusClass::Success,
        300..400 => StatusClass::Redirection,
        400..500 => StatusClass::ClientError,
        500.. => StatusClass::ServerError,
    };
    watch
        .figures()
        .http_requests
        .get_or_create(&By(class))
        .inc();
    response
}
