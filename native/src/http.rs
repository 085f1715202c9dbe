//! The relay's HTTP server: what a peer needs to join, the page for browsers, and whether the relay
//! is alive.
//!
//! The server bounds what a client can hold: connections, the time to send a request, the time of
//! a whole connection.

pub(crate) mod bootstrap;
#[cfg(feature = "embed")]
mod embedded;
mod files;
pub(crate) mod page;
pub(crate) mod slots;

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

use self::{page::Page, slots::Slots};

/// A client that has not sent a whole request header by then is cut off.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// No connection lasts longer, however busy: a client that reads one byte a second must not hold
/// one for ever.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(120);
/// After an error of `accept` that is not the client's, such as no file descriptor left.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// What is served.
pub(crate) fn router(bootstrap: bootstrap::Source, page: Page) -> Router {
    Router::new()
        .route("/bootstrap.json", get(bootstrap::serve))
        .with_state(bootstrap)
        .route("/healthz", get(async || "ok"))
        .fallback(page::serve)
        .with_state(page)
        .layer(middleware::map_response(page::protect))
}

/// Serves until dropped. `slots` bounds the connections of all listeners together; each listener may
/// hold one more, that waits.
pub(crate) async fn serve(listener: TcpListener, router: Router, slots: Arc<Slots>) {
    loop {
        match listener.accept().await {
            Ok((stream, from)) => {
                // Waiting leaves further connections in the system's queue, which is bounded too. A
                // slot that was taken before would be one less for the other listener.
                let Some(slot) = slots.take(from.ip()).await else {
                    tracing::info!("HTTP connection denied: one network has its share");
                    continue;
                };
                let router = router.clone();
                tokio::spawn(async move {
                    connection(stream, from, router).await;
                    drop(slot);
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
