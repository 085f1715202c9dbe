//! The relay's HTTP server: `/bootstrap.json` for peers that join, the page for browsers, and
//! `/healthz`, `/readyz`, `/metrics` and `/status` for whoever watches it.
//!
//! The relay calls [`serve`] once for each listener, with one [`ConnectionLimit`] for all
//! of them. A connection takes a permit of that limit, has ten seconds for TLS and for each request header, may let ten
//! seconds pass without reading, and two minutes in all. When there is no permit, a few connections are
//! served all the same: whoever watches the relay gets an answer, and all else says that there is no room. axum's own server
//! (`axum::serve` of axum 0.8.9) has none of these limits, which is why hyper serves here.
//!
//! With [`tls`] a listener speaks HTTP/2 as well, as the client likes. A [`websocket`] leaves all this: it gives its permit
//! back, and becomes a connection of the swarm.

pub(crate) mod acme;
pub(crate) mod bootstrap;
pub(crate) mod connection_limit;
#[cfg(feature = "embed")]
mod embedded;
mod files;
mod forwarded;
pub(crate) mod page;
mod patience;
pub(crate) mod tls;
mod watched;
pub(crate) mod websocket;

use std::{
    collections::VecDeque,
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use axum::{
    Router,
    extract::Request,
    http::{HeaderValue, StatusCode, header},
    middleware,
    routing::get,
};
use hyper::server::conn::{http1, http2};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    task::AbortHandle,
    time,
};
use tokio_rustls::TlsAcceptor;
use tower_http::add_extension::AddExtension;

use self::{
    connection_limit::{ConnectionLimit, Permit},
    page::Page,
    patience::{Impatient, Patience},
    websocket::{Client, Doorway, Ends},
};
use crate::{
    common::{
        proxies::TrustedProxies,
        proxy_header::{self, Beginning},
    },
    watch::Watch,
};

/// How long a client may take to send a whole request header.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// How long TLS's handshake may take.
const TLS_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a connection may last, however busy it is: a client that reads one byte a second must not
/// hold it for ever.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(120);
/// What is kept of a request or an answer: hyper's 400 KiB are much, times all connections.
const MAX_BUFFER_BYTES: usize = 32 * 1024;
/// Requests that a connection of HTTP/2 has answered at a time. What is kept of each answer adds up.
const MAX_STREAMS: u32 = 16;
/// What is kept of one answer of HTTP/2.
const MAX_STREAM_BUFFER_BYTES: usize = 16 * 1024;
/// The longest header of a request over HTTP/2, as it counts them. Browsers send a tenth of that.
const MAX_HEADER_BYTES: u32 = 16 * 1024;
/// What may come of bodies, which nobody reads here: the least that HTTP/2 has.
const WINDOW_BYTES: u32 = 64 * 1024 - 1;
/// Requests that a client may take back, one after the other, before the server has looked at them (CVE-2023-44487).
const MAX_RESETS: usize = 20;
/// How often a silent client of HTTP/2 is asked whether it is there, and how long it has to answer.
const KEEP_ALIVE: Duration = Duration::from_secs(10);
/// Connections beyond the limit, of each listener: for who watches, and to say that there is no room.
const MAX_SPARES: usize = 32;
/// How long such a connection may last.
const SPARE_TIMEOUT: Duration = Duration::from_secs(5);
/// The pause after an error of `accept` that is not the client's, such as no file descriptor left.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// Returns what is served at each path.
pub(crate) fn router(
    bootstrap: bootstrap::Source,
    page: Page,
    watch: Watch,
    doorway: Doorway,
) -> Router {
    Router::new()
        .route("/bootstrap.json", get(bootstrap::serve))
        .with_state(bootstrap)
        .route("/healthz", get(async || "ok"))
        .fallback(page::serve)
        .with_state(page)
        .merge(watched::routes(watch.clone()))
        .layer(middleware::from_fn_with_state(watch, watched::count))
        .layer(middleware::from_fn_with_state(doorway, websocket::let_in))
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

/// What listeners serve.
#[derive(Clone)]
pub(crate) struct Server {
    /// What is at each path.
    pub(crate) router: Router,
    /// For who watches, when there is no room for others.
    pub(crate) watch: Watch,
    /// How many connections there may be, those of other listeners included.
    pub(crate) limit: Arc<ConnectionLimit>,
    /// Whose word on where a client comes from is taken.
    pub(crate) proxies: TrustedProxies,
    /// What is spoken beneath HTTP, if anything is.
    pub(crate) tls: Option<TlsAcceptor>,
}

/// Serves the connections of a listener until it is dropped.
pub(crate) async fn serve(listener: TcpListener, server: Server) {
    let server = Arc::new(server.behind_proxies());
    let busy = Arc::new(Server {
        router: busy_router(server.watch.clone()),
        ..Server::clone(&server)
    });
    let mut spares = Spares::default();
    loop {
        match listener.accept().await {
            Ok((stream, from)) => match server.admit(from.ip()) {
                Some(permit) => {
                    let server = server.clone();
                    tokio::spawn(async move {
                        server.connection(stream, from, CONNECTION_TIMEOUT).await;
                        drop(permit);
                    });
                }
                None => {
                    let busy = busy.clone();
                    let served = async move { busy.connection(stream, from, SPARE_TIMEOUT).await };
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

impl Server {
    /// Returns the same, over TLS.
    pub(crate) fn secured(mut self, tls: TlsAcceptor) -> Self {
        let layer = middleware::map_response(page::add_transport_security);
        let named = middleware::map_request(name_host);
        self.router = self.router.layer(layer).layer(named);
        self.tls = Some(tls);
        self
    }

    /// Adds what takes a proxy's word on where each request comes from.
    fn behind_proxies(mut self) -> Self {
        let state = forwarded::Shares {
            limit: self.limit.clone(),
            proxies: self.proxies.clone(),
        };
        let layer = middleware::from_fn_with_state(state, forwarded::attribute);
        self.router = self.router.layer(layer);
        self
    }

    fn admit(&self, from: IpAddr) -> Option<Permit> {
        match self.proxies.contains(from) {
            true => self.limit.acquire_for_proxy(from),
            false => self.limit.acquire(from),
        }
    }

    async fn connection(&self, stream: TcpStream, from: SocketAddr, timeout: Duration) {
        match time::timeout(timeout, self.converse(stream, from)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%from, %error, "HTTP connection"),
            Err(_) => tracing::debug!(%from, "HTTP connection took too long"),
        }
    }

    /// Answers the requests of a connection, until it ends or becomes a WebSocket.
    async fn converse(
        &self,
        mut stream: TcpStream,
        from: SocketAddr,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        // A WebSocket's messages must not wait for one another.
        stream.set_nodelay(true)?;
        let mut ends = Ends {
            local: stream.local_addr()?,
            remote: from,
            is_secure: self.tls.is_some(),
        };
        let mut begun = Vec::new();
        let mut share = None;
        if self.proxies.contains(from.ip()) {
            match proxy_header::read(&mut stream).await? {
                Beginning::Header(None) => {}
                Beginning::Header(Some(client)) => {
                    ends.remote = client;
                    let taken = self.limit.acquire_for_client(client.ip());
                    share = Some(taken.ok_or("no room for the client of a proxy")?);
                }
                Beginning::Other(bytes) => begun = bytes,
            }
        }
        let patience = Patience::default();
        let stream = Impatient::new(stream, begun, patience.clone());
        let service = AddExtension::new(self.router.clone(), Client { ends, patience });
        self.speak(stream, service).await?;
        drop(share);
        Ok(())
    }

    async fn speak(
        &self,
        stream: Impatient<TcpStream>,
        service: Service,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let Some(tls) = &self.tls else {
            return Ok(http_1(stream, service).await?);
        };
        let stream = time::timeout(TLS_TIMEOUT, tls.accept(stream))
            .await
            .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        let (_, session) = stream.get_ref();
        match session.alpn_protocol() {
            Some(tls::HTTP_2) => http_2(stream, service).await?,
            // The certificate was the answer.
            Some(acme::CHALLENGE) => {}
            _ => http_1(stream, service).await?,
        }
        Ok(())
    }
}

/// Over HTTP/2 the host is part of the request's address. What is served looks for it where HTTP/1.1 has it.
async fn name_host(mut request: Request) -> Request {
    let host = request.uri().authority();
    let host = host.and_then(|authority| HeaderValue::from_str(authority.as_str()).ok());
    if let Some(host) = host {
        request.headers_mut().insert(header::HOST, host);
    }
    request
}

type Service = AddExtension<Router, Client>;

async fn http_1<S>(stream: S, service: Service) -> hyper::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(MAX_BUFFER_BYTES)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service))
        .with_upgrades()
        .await
}

async fn http_2<S>(stream: S, service: Service) -> hyper::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_send_buf_size(MAX_STREAM_BUFFER_BYTES)
        .max_header_list_size(MAX_HEADER_BYTES)
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(WINDOW_BYTES)
        .max_pending_accept_reset_streams(MAX_RESETS)
        .max_local_error_reset_streams(MAX_RESETS)
        .keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service))
        .await
}

#[cfg(test)]
mod tests;
