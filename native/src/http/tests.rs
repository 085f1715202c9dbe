//! The server over real sockets, with pages made for each test.

mod files;
mod secure;
mod watched;

use std::{collections::BTreeMap, fs, path::Path};

use libp2p::PeerId;
use punchline::{config::Bootstrap, networks::Share};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::watch,
    task::{JoinHandle, JoinSet},
};

use super::*;
use crate::{common::refusals::Refusals, watch::Access};

/// More connections than a test opens.
const MANY: u32 = 100;

fn limit(max: u32) -> Arc<ConnectionLimit> {
    let share = Share {
        of_address: max,
        of_site: max,
        of_private: max,
    };
    ConnectionLimit::new(max, share, Refusals::default())
}

/// A server without TLS and proxies.
fn plain(router: Router, limit: Arc<ConnectionLimit>) -> super::Server {
    super::Server {
        router,
        watch: Watch::for_test(Access::Local),
        limit,
        proxies: TrustedProxies::default(),
        tls: None,
    }
}

struct Server {
    address: SocketAddr,
    bootstrap: watch::Sender<Bootstrap>,
    websockets: websocket::Arrivals,
    www: TempDir,
    watch: Watch,
    task: JoinHandle<()>,
}

/// A client that keeps its connection.
struct Client(TcpStream);

/// An answer, taken apart.
#[derive(Debug)]
struct Answer {
    status: u16,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

impl Answer {
    fn parse(bytes: &[u8]) -> Self {
        let end = bytes.windows(4).position(|w| w == b"\r\n\r\n").unwrap();
        let head = std::str::from_utf8(&bytes[..end]).unwrap();
        let mut lines = head.split("\r\n");
        let status = lines.next().unwrap().split(' ').nth(1).unwrap();
        let header = |line: &str| {
            let (name, value) = line.split_once(": ").unwrap();
            (name.to_owned(), value.to_owned())
        };
        Self {
            status: status.parse().unwrap(),
            headers: lines.map(header).collect(),
            body: bytes[end + 4..].to_vec(),
        }
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

impl Server {
    async fn start(max_connections: u32) -> Self {
        let www = tempfile::tempdir().unwrap();
        Self::serving(max_connections, www, false).await
    }

    async fn serving(max_connections: u32, www: TempDir, announced: bool) -> Self {
        let watch = Watch::for_test(Access::Local);
        let (bootstrap, served) = watch::channel(Bootstrap {
            peer_id: PeerId::random(),
            addresses: Vec::new(),
            namespace: "room".into(),
            stun_ports: Vec::new(),
            version: "1".into(),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let source = bootstrap::Source {
            current: served,
            is_announced: announced,
        };
        let page = Page::find(Some(www.path())).unwrap();
        let (doorway, websockets) = websocket::doorway();
        let router = router(source, page, watch.clone(), doorway);
        let server = super::Server {
            watch: watch.clone(),
            ..plain(router, limit(max_connections))
        };
        let task = tokio::spawn(serve(listener, server));
        Self {
            address,
            bootstrap,
            websockets,
            www,
            watch,
            task,
        }
    }

    /// Starts a server of these files, for as many clients as a test has.
    async fn with(files: &[(&str, &[u8])]) -> Self {
        let www = tempfile::tempdir().unwrap();
        for (name, content) in files {
            write(www.path(), name, content);
        }
        Self::serving(MANY, www, false).await
    }

    async fn exchange(&self, request: &str) -> Answer {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut response = Vec::new();
        stream.read_to_end(&mut response).await.unwrap();
        Answer::parse(&response)
    }

    async fn ask(&self, method: &str, path: &str, headers: &str) -> Answer {
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n{headers}\r\n"
        );
        self.exchange(&request).await
    }

    async fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, "").await
    }

    async fn get_encoded(&self, path: &str, accepted: &str) -> Answer {
        self.ask("GET", path, &format!("accept-encoding: {accepted}\r\n"))
            .await
    }
}

impl Client {
    async fn connect(address: SocketAddr) -> Self {
        Self(TcpStream::connect(address).await.unwrap())
    }

    async fn ask(&mut self) {
        let request = b"GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n";
        self.0.write_all(request).await.unwrap();
    }

    async fn hear(&mut self) {
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\nok") {
            let read = self.0.read_buf(&mut answer).await.unwrap();
            assert!(read > 0, "cut off after {}", answer.escape_ascii());
        }
    }

    async fn exchange(&mut self) {
        self.ask().await;
        self.hear().await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn write(www: &Path, name: &str, content: &[u8]) {
    let path = www.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

#[tokio::test]
async fn bootstrap_is_what_it_is_now() {
    let server = Server::start(MANY).await;
    let address = "/ip4/192.0.2.1/tcp/1".parse().unwrap();
    server.bootstrap.send_modify(|b| b.addresses.push(address));
    let answer = server.get("/bootstrap.json").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("access-control-allow-origin"), "*");
    assert_eq!(answer.header("cache-control"), "no-store");
    let served: Bootstrap = serde_json::from_str(answer.text()).unwrap();
    assert_eq!(served, *server.bootstrap.borrow());
}

#[tokio::test]
async fn bootstrap_adds_the_host_that_was_asked_unless_addresses_are_announced() {
    for (announced, expected) in [
        (
            false,
            &["/dns/relay.lan/tcp/2/ws", "/ip4/10.0.0.2/tcp/2/ws"][..],
        ),
        (true, &["/ip4/10.0.0.2/tcp/2/ws"]),
    ] {
        let server = Server::serving(MANY, tempfile::tempdir().unwrap(), announced).await;
        let listed = "/ip4/10.0.0.2/tcp/2/ws".parse().unwrap();
        server.bootstrap.send_modify(|b| b.addresses.push(listed));
        let request = "GET /bootstrap.json HTTP/1.1\r\nhost: relay.lan:3\r\nconnection: close\r\n";
        let answer = server.exchange(&format!("{request}\r\n")).await;
        let served: Bootstrap = serde_json::from_str(answer.text()).unwrap();
        let served: Vec<_> = served.addresses.iter().map(ToString::to_string).collect();
        assert_eq!(served, expected);
    }
}

#[tokio::test]
async fn a_request_to_no_host_is_refused() {
    let server = Server::start(MANY).await;
    for host in ["..", "user@relay.lan", "a b"] {
        let request =
            format!("GET /bootstrap.json HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
        let answer = server.exchange(&request).await;
        assert_eq!(answer.status, 400, "{host}");
        assert!(!answer.text().contains(host), "{}", answer.text());
    }
}

#[tokio::test]
async fn healthz_is_ok() {
    let server = Server::start(MANY).await;
    assert_eq!(server.get("/healthz").await.text(), "ok");
}

#[tokio::test]
async fn garbage_is_refused_and_the_next_client_served() {
    let server = Server::start(MANY).await;
    let answer = server.exchange("\u{1}\u{2}nonsense\r\n\r\n").await;
    assert_eq!(answer.status, 400);
    assert_eq!(server.get("/healthz").await.text(), "ok");
}

#[tokio::test]
async fn who_finds_no_room_is_told_so_and_healthz_answers() {
    let server = Server::start(1).await;
    let mut holder = Client::connect(server.address).await;
    holder.exchange().await;
    for _ in 0..3 {
        let answer = server.get("/bootstrap.json").await;
        assert_eq!((answer.status, answer.text()), (503, BUSY));
        assert_eq!(answer.header("retry-after"), "1");
        assert_eq!(server.get("/healthz").await.text(), "ok");
    }
    holder.exchange().await;
}

#[tokio::test]
async fn a_silent_crowd_does_not_silence_healthz() {
    let server = Server::start(1).await;
    let mut crowd = Vec::new();
    for _ in 0..5 * MAX_SPARES {
        crowd.push(TcpStream::connect(server.address).await.unwrap());
        if crowd.len() % MAX_SPARES == 0 {
            assert_eq!(server.get("/healthz").await.text(), "ok");
        }
    }
}

#[tokio::test]
async fn listeners_share_one_limit() {
    let [one, other] = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0"));
    let listeners = [one.await.unwrap(), other.await.unwrap()];
    let router = Router::new().route("/healthz", get(async || "ok"));
    let limit = limit(1);
    let mut tasks = JoinSet::new();
    let addresses = listeners.map(|listener| {
        let address = listener.local_addr().unwrap();
        tasks.spawn(serve(listener, plain(router.clone(), limit.clone())));
        address
    });
    let mut holder = Client::connect(addresses[0]).await;
    holder.exchange().await;
    for address in addresses {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = b"GET /x HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
        stream.write_all(request).await.unwrap();
        let mut response = Vec::new();
        stream.read_to_end(&mut response).await.unwrap();
        assert_eq!(Answer::parse(&response).status, 503);
    }
}
