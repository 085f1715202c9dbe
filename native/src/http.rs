//! The relay's HTTP server: `/bootstrap.json` for peers that join, the page for browsers, and
//! `/healthz`, `/readyz`, `/metrics` and `/status` for whoever watches it.
//!
//! The relay calls [`router`] and [`serve`] once for each listener, with one [`ConnectionLimit`] for all
//! of them. A connection takes a permit of that limit, has ten seconds for each request header, may let ten
//! seconds pass without reading, and two minutes in all. When there is no permit, a few connections are
//! served all the same: whoever watches the relay gets an answer, and all else says that there is no room. axum's own
//! server (`axum::serve` of axum 0.8.9) has none of these limits, which is why hyper serves here.

pub(crate) mod bootstrap;
pub(crate) mod connection_limit;
#[cfg(feature = "embed")]
mod embedded;
mod files;
pub(crate) mod page;
mod watched;

use std::{collections::VecDeque, net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::ConnectInfo,
    http::{Request, StatusCode, header},
    middleware,
    routing::get,
};
use hyper::{
    body::Incoming,
    server::conn::http1,
    service::{Service, service_fn},
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    task::AbortHandle,
    time,
};
use tokio_io_timeout::TimeoutStream;

use self::{connection_limit::ConnectionLimit, page::Page};
use crate::watch::Watch;

/// How long a client may take to send a whole request header.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a connection may last, however busy it is: a client that reads one byte a second must not
/// hold it for ever.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(120);
/// An answer of which nothing was taken for so long is given up.
const UNREAD_TIMEOUT: Duration = Duration::from_secs(10);
/// What is kept of a request or an answer: hyper's 400 KiB are much, times all connections.
const MAX_BUFFER_BYTES: usize = 32 * 1024;
/// Connections beyond the limit, of each listener: for who watches, and to say that there is no room.
const MAX_SPARES: usize = 32;
/// How long such a connection may last.
const SPARE_TIMEOUT: Duration = Duration::from_secs(5);
/// The pause after an error of `accept` that is not the client's, such as no file descriptor left.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// Returns what is served at each path.
pub(crate) fn router(bootstrap: bootstrap::Source, page: Page, watch: Watch) -> Router {
    Router::new()
        .route("/bootstrap.json", get(bootstrap::serve))
        .with_state(bootstrap)
        .route("/healthz", get(async || "ok"))
        .fallback(page::serve)
        .with_state(page)
        .merge(watched::routes(watch.clone()))
        .layer(middleware::from_fn_with_state(watch, watched::count))
        .layer(middleware::map_response(page::add_security_headers))
}

/// Returns what is served where there is no room for more: a monitor wants an answer then, of all times.
fn busy_router(watch: Watch) -> Router {
    Router::new()
        .route("/healthz", get(async || "ok"))
        .merge(watched::routes(watch))
        .fallback(async || {
            let headers = [(header::RETRY_AFTER, "1")];
            (StatusCode::SERVICE_UNAVAILABLE, headers, BUSY)
        })
        .layer(middleware::map_response(page::add_security_headers))
}

const BUSY: &str = "the relay has all the HTTP connections that it may have: try again\n";

/// Serves the connections of a listener until it is dropped. Several listeners may share a limit.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    watch: Watch,
    limit: Arc<ConnectionLimit>,
) {
    let busy = busy_router(watch);
    let mut spares = Spares::default();
    loop {
        match listener.accept().await {
            Ok((stream, from)) => match limit.acquire(from.ip()) {
                Some(permit) => {
                    let router = router.clone();
                    tokio::spawn(async move {
                        connection(stream, from, router, CONNECTION_TIMEOUT).await;
                        drop(permit);
                    });
                }
                None => {
                    let served = connection(stream, from, busy.clone(), SPARE_TIMEOUT);
                    spares.add(tokio::spawn(served).abort_handle());
                }
            },
            Err(error) => {
                tracing::warn!(%error, "cannot accept an HTTP connection");
                time::sleep(ACCEPT_RETRY).await;
            }
        }
    }
}

/// Connections beyond the limit, oldest first: who sends nothing makes room for who asks.
#[derive(Debug, Default)]
struct Spares(VecDeque<AbortHandle>);

impl Spares {
    fn add(&mut self, one: AbortHandle) {
        self.0.retain(|spare| !spare.is_finished());
        if self.0.len() >= MAX_SPARES
            && let Some(oldest) = self.0.pop_front()
        {
            oldest.abort();
        }
        self.0.push_back(one);
    }
}

async fn connection(stream: TcpStream, from: SocketAddr, router: Router, timeout: Duration) {
    let service = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: Request<Incoming>| {
        // Some answers are not for everybody.
        request.extensions_mut().insert(ConnectInfo(from));
        service.call(request)
    });
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(UNREAD_TIMEOUT));
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(MAX_BUFFER_BYTES)
        .serve_connection(TokioIo::new(Box::pin(stream)), service);
    match time::timeout(timeout, served).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%from, %error, "HTTP connection"),
        Err(_) => tracing::debug!(%from, "HTTP connection took too long"),
    }
}

#[cfg(test)]
mod tests;
