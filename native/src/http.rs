//! The relay's HTTP server: `/bootstrap.json` for peers that join, the page for browsers, and
//! `/healthz`.
//!
//! The relay calls [`router`] and [`serve`] once for each listener, with one [`ConnectionLimit`] for all
//! of them. A connection takes a permit of that limit, has ten seconds for each request header and two
//! minutes in all. axum's own server (`axum::serve` of axum 0.8.9) has none of these limits, which is
//! why hyper serves here.

pub(crate) mod bootstrap;
pub(crate) mod connection_limit;
#[cfg(feature = "embed")]
mod embedded;
mod files;
pub(crate) mod page;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{Router, middleware, routing::get};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    time,
};

use self::{connection_limit::ConnectionLimit, page::Page};

/// How long a client may take to send a whole request header.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a connection may last, however busy it is: a client that reads one byte a second must not
/// hold it for ever.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(120);
/// The pause after an error of `accept` that is not the client's, such as no file descriptor left.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// Returns what is served at each path.
pub(crate) fn router(bootstrap: bootstrap::Source, page: Page) -> Router {
    Router::new()
        .route("/bootstrap.json", get(bootstrap::serve))
        .with_state(bootstrap)
        .route("/healthz", get(async || "ok"))
        .fallback(page::serve)
        .with_state(page)
        .layer(middleware::map_response(page::add_security_headers))
}

/// Serves the connections of a listener until it is dropped. Several listeners may share a limit; each
/// may hold one connection more, which waits for a permit.
pub(crate) async fn serve(listener: TcpListener, router: Router, limit: Arc<ConnectionLimit>) {
    loop {
        match listener.accept().await {
            Ok((stream, from)) => {
                // While this waits, further connections stay in the system's queue, which is bounded
                // too. A permit that was taken before `accept` would be one less for the other listener.
                let Some(permit) = limit.acquire(from.ip()).await else {
                    tracing::info!("HTTP connection denied: one network has its share");
                    continue;
                };
                let router = router.clone();
                tokio::spawn(async move {
                    connection(stream, from, router).await;
                    drop(permit);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept an HTTP connection");
                time::sleep(ACCEPT_RETRY).await;
            }
        }
    }
}

async fn connection(stream: TcpStream, from: SocketAddr, router: Router) {
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    match time::timeout(CONNECTION_TIMEOUT, served).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%from, %error, "HTTP connection"),
        Err(_) => tracing::debug!(%from, "HTTP connection took too long"),
    }
}

#[cfg(test)]
mod tests;
