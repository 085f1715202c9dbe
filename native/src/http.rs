//! The relay's HTTP server: what a peer needs to join, and whether the relay is alive.
//!
//! The server bounds what a client can hold: connections, the time to send a request, the time of
//! a whole connection.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::State,
    http::{HeaderValue, StatusCode, header},
    response::IntoResponse,
    routing::get,
};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use shared::config::Bootstrap;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
    time,
};

/// A client that has not sent a whole request header by then is cut off.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// No connection lasts longer, however busy: a client that reads one byte a second must not hold
/// one for ever.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(120);
/// After an error of `accept` that is not the client's, such as no file descriptor left.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// What is served.
pub(crate) fn router(bootstrap: watch::Receiver<Bootstrap>) -> Router {
    Router::new()
        .route("/bootstrap.json", get(bootstrap_json))
        .route("/healthz", get(async || "ok"))
        .fallback(async || (StatusCode::NOT_FOUND, "not found\n"))
        .with_state(bootstrap)
}

/// Serves until dropped. `slots` bounds the connections of all listeners together.
pub(crate) async fn serve(listener: TcpListener, router: Router, slots: Arc<Semaphore>) {
    loop {
        // Waiting here leaves new connections in the system's queue, which is bounded too.
        let Ok(slot) = slots.clone().acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((stream, from)) => {
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

async fn bootstrap_json(State(bootstrap): State<watch::Receiver<Bootstrap>>) -> impl IntoResponse {
    let headers = [
        // A page that came from elsewhere may ask too: there is no secret in it.
        (
            header::ACCESS_CONTROL_ALLOW_ORIGIN,
            HeaderValue::from_static("*"),
        ),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    (headers, Json(bootstrap.borrow().clone()))
}

#[cfg(test)]
mod tests {
    use libp2p::PeerId;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    struct Server {
        address: SocketAddr,
        bootstrap: watch::Sender<Bootstrap>,
        task: tokio::task::JoinHandle<()>,
    }

    impl Server {
        async fn start(slots: usize) -> Self {
            let (bootstrap, served) = watch::channel(Bootstrap {
                peer_id: PeerId::random(),
                addresses: Vec::new(),
                namespace: "room".into(),
                version: "1".into(),
            });
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let slots = Arc::new(Semaphore::new(slots));
            let task = tokio::spawn(serve(listener, router(served), slots));
            Self {
                address,
                bootstrap,
                task,
            }
        }

        async fn exchange(&self, request: &str) -> String {
            let mut stream = TcpStream::connect(self.address).await.unwrap();
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut response = String::new();
            stream.read_to_string(&mut response).await.unwrap();
            response
        }

        async fn get(&self, path: &str) -> String {
            let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
            self.exchange(&request).await
        }
    }

    impl Drop for Server {
        fn drop(&mut self) {
            self.task.abort();
        }
    }

    #[tokio::test]
    async fn bootstrap_is_what_it_is_now() {
        let server = Server::start(1).await;
        let address = "/ip4/192.0.2.1/tcp/1".parse().unwrap();
        server.bootstrap.send_modify(|b| b.addresses.push(address));
        let response = server.get("/bootstrap.json").await;
        assert!(response.starts_with("HTTP/1.1 200"), "{response}");
        assert!(response.contains("access-control-allow-origin: *"));
        let body = response.split("\r\n\r\n").nth(1).unwrap();
        let served: Bootstrap = serde_json::from_str(body).unwrap();
        assert_eq!(served, *server.bootstrap.borrow());
    }

    #[tokio::test]
    async fn healthz_is_ok_and_nothing_else_is_there() {
        let server = Server::start(1).await;
        assert!(server.get("/healthz").await.ends_with("\r\n\r\nok"));
        for path in ["/", "/%00", "/../etc/passwd", "/bootstrap.json/x"] {
            let response = server.get(path).await;
            assert!(response.starts_with("HTTP/1.1 404"), "{path}: {response}");
            assert!(
                response.ends_with("\r\n\r\nnot found\n"),
                "{path}: {response}"
            );
        }
    }

    #[tokio::test]
    async fn garbage_is_refused_and_the_next_client_served() {
        let server = Server::start(1).await;
        let response = server.exchange("\u{1}\u{2}nonsense\r\n\r\n").await;
        assert!(response.starts_with("HTTP/1.1 400"), "{response}");
        assert!(server.get("/healthz").await.ends_with("ok"));
    }

    #[tokio::test]
    async fn more_clients_than_slots_wait_their_turn() {
        let server = Server::start(1).await;
        let silent = TcpStream::connect(server.address).await.unwrap();
        let waiting = server.get("/healthz");
        tokio::pin!(waiting);
        assert!(futures::poll!(&mut waiting).is_pending());
        drop(silent);
        assert!(waiting.await.ends_with("ok"));
    }
}
