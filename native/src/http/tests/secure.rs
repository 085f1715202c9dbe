//! TLS, HTTP/2 and WebSockets, over real sockets.

use std::io::ErrorKind;

use axum::http::Request;
use h2::client::SendRequest;
use rustls::{ClientConfig, RootCertStore, crypto::ring, pki_types::CertificateDer};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::*;

/// What a client of WebSocket asks for.
const UPGRADE: &str = "GET /ws HTTP/1.1\r\nhost: localhost\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
    sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// A server with TLS, and its certificate.
struct Secure {
    address: SocketAddr,
    certificate: CertificateDer<'static>,
    task: JoinHandle<()>,
}

impl Drop for Secure {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Secure {
    async fn start(max_connections: u32) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let pair = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        write(directory.path(), "cert.pem", pair.cert.pem().as_bytes());
        write(
            directory.path(),
            "key.pem",
            pair.key_pair.serialize_pem().as_bytes(),
        );
        let files = tls::Source::Files(tls::Files {
            certificate: directory.path().join("cert.pem"),
            key: directory.path().join("key.pem"),
        });
        let tls = tls::Tls::load(files, None).unwrap();
        assert_eq!(tls.host().as_deref(), Some("localhost"));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let watched = crate::http::watched::routes(Watch::for_test(Access::Local));
        let router = Router::new().route("/healthz", get(async || "ok"));
        let router = router.merge(watched);
        let server = plain(router, limit(max_connections)).secured(tls.acceptor().unwrap());
        let task = tokio::spawn(serve(listener, server));
        Self {
            address,
            certificate: pair.cert.der().clone(),
            task,
        }
    }

    async fn connect(&self, protocol: &[u8]) -> TlsStream<TcpStream> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).unwrap();
        let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![protocol.to_vec()];
        let stream = TcpStream::connect(self.address).await.unwrap();
        let connector = TlsConnector::from(Arc::new(config));
        connector
            .connect("localhost".try_into().unwrap(), stream)
            .await
            .unwrap()
    }

    /// Sends a request over HTTP/1.1, and returns the status and the rest.
    async fn get(&self, path: &str) -> Answer {
        let mut stream = self.connect(b"http/1.1").await;
        let request =
            format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        Answer::parse(&answer)
    }

    /// Begins HTTP/2. Returns with it what its connection ends with.
    async fn http_2(
        &self,
    ) -> (
        SendRequest<axum::body::Bytes>,
        JoinHandle<Result<(), h2::Error>>,
    ) {
        let stream = self.connect(tls::HTTP_2).await;
        let (client, connection) = h2::client::handshake(stream).await.unwrap();
        (client, tokio::spawn(connection))
    }
}

fn request(path: &str) -> Request<()> {
    Request::get(format!("https://localhost{path}"))
        .body(())
        .unwrap()
}

#[tokio::test]
async fn both_versions_of_http_are_spoken_over_tls() {
    let server = Secure::start(MANY).await;
    let answer = server.get("/healthz").await;
    assert_eq!((answer.status, answer.text()), (200, "ok"));
    assert_eq!(
        answer.header("strict-transport-security"),
        "max-age=31536000"
    );

    let (client, _connection) = server.http_2().await;
    let mut client = client.ready().await.unwrap();
    let (answer, _) = client.send_request(request("/healthz"), true).unwrap();
    let mut answer = answer.await.unwrap();
    assert_eq!(answer.status(), 200);
    assert!(
        answer
            .headers()
            .contains_key(header::STRICT_TRANSPORT_SECURITY)
    );
    assert_eq!(answer.body_mut().data().await.unwrap().unwrap(), "ok");
    assert_eq!(client.current_max_send_streams(), MAX_STREAMS as usize);
    // Who may read figures is told by the host that was asked for, which HTTP/2 has elsewhere.
    let mut client = client.ready().await.unwrap();
    let (answer, _) = client.send_request(request("/metrics"), true).unwrap();
    assert_eq!(answer.await.unwrap().status(), 200);
}

/// A frame of HTTP/2 (RFC 9113, 4.1).
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let stream = stream.to_be_bytes();
    [&length[1..], &[kind, flags], &stream, payload].concat()
}

#[tokio::test]
async fn who_takes_back_requests_without_end_is_cut_off() {
    /// GET https://localhost/ in HPACK.
    const REQUEST: &[u8] = b"\x82\x87\x84\x41\x09localhost";
    const CANCEL: [u8; 4] = 8_u32.to_be_bytes();
    const ENHANCE_YOUR_CALM: [u8; 4] = 11_u32.to_be_bytes();
    let server = Secure::start(MANY).await;
    let mut stream = server.connect(tls::HTTP_2).await;
    let mut flood = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    flood.extend(frame(4, 0, 0, &[]));
    for id in (1..10_000).step_by(2) {
        flood.extend(frame(1, 0b101, id, REQUEST));
        flood.extend(frame(3, 0, id, &CANCEL));
    }
    // The server may hang up before it has everything.
    let _ = stream.write_all(&flood).await;
    let why = loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).await.unwrap();
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; length as usize];
        stream.read_exact(&mut payload).await.unwrap();
        if head[3] == 7 {
            break payload[4..8].to_vec();
        }
    };
    assert_eq!(why, ENHANCE_YOUR_CALM);
}

#[tokio::test]
async fn a_long_header_over_http_2_is_refused() {
    let server = Secure::start(MANY).await;
    let (client, _connection) = server.http_2().await;
    let mut client = client.ready().await.unwrap();
    let mut long = request("/healthz");
    let value = "a".repeat(MAX_HEADER_BYTES as usize).parse().unwrap();
    long.headers_mut().insert("x-long", value);
    let (answer, _) = client.send_request(long, true).unwrap();
    assert_eq!(answer.await.unwrap().status(), 431);
}

#[tokio::test]
async fn there_is_one_limit_over_tls_too() {
    let server = Secure::start(1).await;
    let (client, _connection) = server.http_2().await;
    let mut client = client.ready().await.unwrap();
    let (answer, _) = client.send_request(request("/healthz"), true).unwrap();
    answer.await.unwrap();
    assert_eq!(server.get("/x").await.status, 503);
    assert_eq!(server.get("/healthz").await.text(), "ok");
}

#[tokio::test]
async fn a_silent_crowd_keeps_nobody_from_healthz_over_tls() {
    let server = Secure::start(1).await;
    let mut crowd = Vec::new();
    for _ in 0..2 * MAX_SPARES {
        crowd.push(TcpStream::connect(server.address).await.unwrap());
    }
    assert_eq!(server.get("/healthz").await.text(), "ok");
}

#[tokio::test]
async fn plain_text_is_no_tls() {
    let server = Secure::start(MANY).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer).await {
        Ok(_) => assert!(!answer.starts_with(b"HTTP"), "{}", answer.escape_ascii()),
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
    }
    assert_eq!(server.get("/healthz").await.text(), "ok");
}

/// Asks for a WebSocket, and returns the connection with the status of the answer.
async fn upgrade(server: &Server) -> (TcpStream, String) {
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(UPGRADE.as_bytes()).await.unwrap();
    let mut start = [0; 12];
    stream.read_exact(&mut start).await.unwrap();
    (stream, String::from_utf8(start.to_vec()).unwrap())
}

#[tokio::test]
async fn who_offers_another_protocol_gets_the_page() {
    let server = Server::with(&[("index.html", b"page")]).await;
    let offer = "connection: upgrade, close\r\nupgrade: h2c\r\n";
    let answer = server.ask("GET", "/", offer).await;
    assert_eq!((answer.status, answer.text()), (200, "page"));
}

#[tokio::test]
async fn websockets_that_nobody_takes_are_bounded() {
    // Fewer than there will be, as each gives its place back.
    let mut server = Server::start(8).await;
    let mut held = Vec::new();
    for n in 0..websocket::MAX_WAITING {
        let (stream, status) = upgrade(&server).await;
        assert_eq!(status, "HTTP/1.1 101", "{n}");
        held.push(stream);
    }
    assert_eq!(upgrade(&server).await.1, "HTTP/1.1 503");
    // Each one that is taken makes room.
    assert_eq!(server.get("/healthz").await.text(), "ok");
    let taken = server.websockets.recv().await.unwrap();
    assert_eq!(taken.ends.remote, held[0].local_addr().unwrap());
    assert_eq!(taken.ends.local, server.address);
    assert!(!taken.ends.is_secure);
    assert_eq!(upgrade(&server).await.1, "HTTP/1.1 101");
}
