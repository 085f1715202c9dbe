//! The server over real sockets, with a page of our own making.

use std::{collections::BTreeMap, fs, os::unix::fs::symlink, path::Path, time::SystemTime};

use libp2p::PeerId;
use shared::config::Bootstrap;
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::watch,
    task::{JoinHandle, JoinSet},
};

use super::{page::Readiness, *};

struct Server {
    address: SocketAddr,
    bootstrap: watch::Sender<Bootstrap>,
    www: TempDir,
    task: JoinHandle<()>,
}

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
    async fn start(slots: usize) -> Self {
        let www = tempfile::tempdir().unwrap();
        Self::serving(slots, www, false).await
    }

    async fn serving(slots: usize, www: TempDir, announced: bool) -> Self {
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
            bootstrap: served,
            announced,
        };
        let page = Page::find(Some(www.path())).unwrap();
        let slots = Arc::new(Semaphore::new(slots));
        let task = tokio::spawn(serve(listener, router(source, page), slots));
        Self {
            address,
            bootstrap,
            www,
            task,
        }
    }

    /// One that serves these files.
    async fn with(files: &[(&str, &[u8])]) -> Self {
        let www = tempfile::tempdir().unwrap();
        for (name, content) in files {
            write(www.path(), name, content);
        }
        Self::serving(1, www, false).await
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
    let server = Server::start(1).await;
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
        let server = Server::serving(1, tempfile::tempdir().unwrap(), announced).await;
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
async fn healthz_is_ok() {
    let server = Server::start(1).await;
    assert_eq!(server.get("/healthz").await.text(), "ok");
}

#[tokio::test]
async fn garbage_is_refused_and_the_next_client_served() {
    let server = Server::start(1).await;
    let answer = server.exchange("\u{1}\u{2}nonsense\r\n\r\n").await;
    assert_eq!(answer.status, 400);
    assert_eq!(server.get("/healthz").await.text(), "ok");
}

#[tokio::test]
async fn more_clients_than_slots_wait_their_turn() {
    let server = Server::start(1).await;
    let silent = TcpStream::connect(server.address).await.unwrap();
    let waiting = server.get("/healthz");
    tokio::pin!(waiting);
    assert!(futures::poll!(&mut waiting).is_pending());
    drop(silent);
    assert_eq!(waiting.await.text(), "ok");
}

#[tokio::test]
async fn listeners_share_their_slots() {
    let [one, other] = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0"));
    let listeners = [one.await.unwrap(), other.await.unwrap()];
    let slots = Arc::new(Semaphore::new(1));
    let router = Router::new().route("/healthz", get(async || "ok"));
    let mut tasks = JoinSet::new();
    let addresses = listeners.map(|listener| {
        let address = listener.local_addr().unwrap();
        tasks.spawn(serve(listener, router.clone(), slots.clone()));
        address
    });
    for address in [addresses[0], addresses[0], addresses[1], addresses[0]] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
        stream.write_all(request).await.unwrap();
        let mut response = Vec::new();
        let answer = stream.read_to_end(&mut response);
        time::timeout(CONNECTION_TIMEOUT, answer)
            .await
            .expect("an answer")
            .unwrap();
        assert!(response.ends_with(b"ok"));
    }
}

#[tokio::test]
async fn files_have_their_types() {
    let files = [
        ("index.html", "text/html; charset=utf-8"),
        ("main.js", "text/javascript; charset=utf-8"),
        ("style.css", "text/css; charset=utf-8"),
        ("favicon.svg", "image/svg+xml"),
        ("pkg/web_bg.wasm", "application/wasm"),
        ("pkg/package.json", "application/json"),
        ("app.webmanifest", "application/manifest+json"),
    ];
    let content = files.map(|(name, _)| (name, name.as_bytes()));
    let server = Server::with(&content).await;
    for (name, content_type) in files {
        let answer = server.get(&format!("/{name}?v=1")).await;
        assert_eq!((answer.status, answer.text()), (200, name));
        assert_eq!(answer.header("content-type"), content_type);
        assert_eq!(answer.header("content-length"), name.len().to_string());
    }
    assert_eq!(server.get("/").await.text(), "index.html");
}

#[tokio::test]
async fn a_compressed_form_is_sent_to_those_who_take_it() {
    let server = Server::with(&[
        ("a.js", b"plain"),
        ("a.js.gz", b"gzipped"),
        ("a.js.br", b"brotli-ed"),
        ("b.js", b"plain"),
        ("b.js.gz", b"gzipped"),
        ("c.js", b"plain"),
    ])
    .await;
    for (path, accepted, body, encoding) in [
        ("/a.js", "gzip, deflate, br, zstd", "brotli-ed", "br"),
        ("/a.js", "br;q=0.5, gzip;q=0.9", "gzipped", "gzip"),
        ("/a.js", "br;q=0, gzip", "gzipped", "gzip"),
        ("/a.js", "GZIP", "gzipped", "gzip"),
        ("/a.js", "br;q=0, gzip;q=0", "plain", ""),
        ("/a.js", "identity, br;q=0.1", "plain", ""),
        ("/a.js", "zstd", "plain", ""),
        ("/a.js", ";;q=,,\u{e4}", "plain", ""),
        ("/b.js", "br, gzip;q=0.1", "gzipped", "gzip"),
        ("/c.js", "br, gzip", "plain", ""),
    ] {
        let answer = server.get_encoded(path, accepted).await;
        let case = format!("{path} {accepted}: {answer:?}");
        assert_eq!((answer.status, answer.text()), (200, body), "{case}");
        assert_eq!(answer.header("content-encoding"), encoding, "{case}");
        assert_eq!(answer.header("vary"), "accept-encoding", "{case}");
        let content_type = answer.header("content-type");
        assert_eq!(content_type, "text/javascript; charset=utf-8", "{case}");
    }
}

#[tokio::test]
async fn a_compressed_form_that_is_outdated_is_left() {
    let server = Server::with(&[("a.js", b"new"), ("a.js.br", b"old")]).await;
    let path = server.www.path().join("a.js.br");
    let file = fs::File::options().write(true).open(path).unwrap();
    file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
    let answer = server.get_encoded("/a.js", "br").await;
    assert_eq!((answer.status, answer.text()), (200, "new"));
}

#[tokio::test]
async fn what_has_not_changed_is_not_sent_again() {
    let server = Server::with(&[("a.js", b"plain"), ("a.js.br", b"brotli-ed")]).await;
    let plain = server.get("/a.js").await;
    let brotli = server.get_encoded("/a.js", "br").await;
    let (plain, brotli) = (plain.header("etag"), brotli.header("etag"));
    assert!(plain.starts_with('"') && brotli.starts_with('"'));
    assert_ne!(plain, brotli);
    for (known, encoding, status) in [
        (plain, "", 304),
        (brotli, "br", 304),
        (plain, "br", 200),
        (brotli, "", 200),
        ("\"x\"", "", 200),
        ("*", "", 304),
        (&format!("\"x\", W/{plain}"), "", 304),
        ("\u{e4}", "", 200),
    ] {
        let headers = format!("if-none-match: {known}\r\naccept-encoding: {encoding}\r\n");
        let answer = server.ask("GET", "/a.js", &headers).await;
        assert_eq!(answer.status, status, "{headers}");
        assert_eq!(answer.header("cache-control"), "no-cache");
        assert_eq!(answer.header("vary"), "accept-encoding");
        assert!(answer.header("etag").starts_with('"'));
        assert_eq!(answer.body.is_empty(), status == 304);
    }
    // Times say nothing here.
    let since = "if-modified-since: Fri, 01 Jan 2100 00:00:00 GMT\r\n";
    let answer = server.ask("GET", "/a.js", since).await;
    assert_eq!((answer.status, answer.header("last-modified")), (200, ""));
}

#[tokio::test]
async fn a_changed_file_is_served_as_it_is_now() {
    let server = Server::with(&[("a.js", b"one")]).await;
    let before = server.get("/a.js").await;
    write(server.www.path(), "a.js", b"three");
    let headers = format!("if-none-match: {}\r\n", before.header("etag"));
    let after = server.ask("GET", "/a.js", &headers).await;
    assert_eq!((after.status, after.text()), (200, "three"));
    assert_ne!(before.header("etag"), after.header("etag"));
    fs::remove_file(server.www.path().join("a.js")).unwrap();
    assert_eq!(server.get("/a.js").await.status, 404);
}

#[tokio::test]
async fn head_is_get_without_its_body_and_other_methods_are_refused() {
    let server = Server::with(&[("index.html", b"page"), ("index.html.br", b"brotli-ed")]).await;
    for path in ["/", "/index.html"] {
        let headers = "accept-encoding: br\r\n";
        let get = server.ask("GET", path, headers).await;
        let head = server.ask("HEAD", path, headers).await;
        assert_eq!((head.status, head.body.len()), (200, 0));
        for name in ["content-length", "content-type", "content-encoding", "etag"] {
            assert_eq!(head.header(name), get.header(name), "{name}");
        }
        for method in ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "BREW"] {
            let answer = server.ask(method, path, "").await;
            assert_eq!(answer.status, 405, "{method}");
            assert_eq!(answer.header("allow"), "GET,HEAD", "{method}");
        }
    }
    let answer = server.ask("POST", "/bootstrap.json", "").await;
    assert_eq!((answer.status, answer.header("allow")), (405, "GET,HEAD"));
}

#[tokio::test]
async fn nothing_outside_is_served() {
    let outside = tempfile::tempdir().unwrap();
    write(outside.path(), "secret.txt", b"secret");
    let server = Server::with(&[
        ("index.html", b"page"),
        (".hidden", b"secret"),
        (".git/config", b"secret"),
        ("tests/view.js", b"secret"),
        ("pkg/.gitignore", b"secret"),
        ("pkg/web.js", b"public"),
        ("c d.txt", b"secret"),
    ])
    .await;
    let www = server.www.path();
    symlink(outside.path().join("secret.txt"), www.join("file.txt")).unwrap();
    symlink(outside.path(), www.join("dir")).unwrap();
    symlink(www.join(".hidden"), www.join("alias.txt")).unwrap();
    symlink(www.join("tests"), www.join("checks")).unwrap();
    symlink("loop.txt", www.join("loop.txt")).unwrap();
    let long = format!("/{}", "a".repeat(300));
    let longer = format!("/{}", "a/".repeat(20_000));
    for path in [
        "/%00",
        "/a%00b",
        "/..",
        "/../secret.txt",
        "/%2e%2e/secret.txt",
        "/..%2fsecret.txt",
        "/pkg/..%2f..%2fsecret.txt",
        "/pkg%2fweb.js",
        "/pkg%5cweb.js",
        "/pkg\\web.js",
        "//etc/passwd",
        "/.hidden",
        "/%2ehidden",
        "/.git/config",
        "/pkg/.gitignore",
        "/tests",
        "/tests/",
        "/tests/view.js",
        "/Tests/view.js",
        "/./tests/view.js",
        "/pkg/../tests/view.js",
        "/pkg//web.js",
        "/pkg/web.js/",
        "/pkg",
        "/pkg/",
        "/index.html/",
        "/index.html/x",
        "/file.txt",
        "/dir/secret.txt",
        "/dir",
        "/alias.txt",
        "/checks/view.js",
        "/loop.txt",
        "/c%20d.txt",
        "/%ff",
        "/%",
        "/%zz",
        "/bootstrap.json/x",
        "/healthz/x",
        &long,
        &longer,
    ] {
        for method in ["GET", "HEAD"] {
            let answer = server.ask(method, path, "").await;
            assert_eq!(answer.status, 404, "{method} {path}");
            assert!(!answer.text().contains("secret"), "{method} {path}");
        }
    }
    assert_eq!(server.get("/pkg/web.js").await.text(), "public");
}

#[tokio::test]
async fn only_files_of_a_sensible_size_are_served() {
    let server = Server::with(&[("a.js", b"plain")]).await;
    let www = server.www.path();
    let large = fs::File::create(www.join("large.wasm")).unwrap();
    large.set_len(16 * 1024 * 1024).unwrap();
    let answer = server.ask("HEAD", "/large.wasm", "").await;
    assert_eq!(
        (answer.status, answer.header("content-length")),
        (200, "16777216")
    );
    large.set_len(16 * 1024 * 1024 + 1).unwrap();
    assert_eq!(server.get("/large.wasm").await.status, 404);
    fs::create_dir(www.join("a.js.br")).unwrap();
    nix::unistd::mkfifo(&www.join("pipe.js"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    assert_eq!(server.get("/pipe.js").await.status, 404);
    assert_eq!(server.get_encoded("/a.js", "br").await.text(), "plain");
}

#[tokio::test]
async fn every_answer_forbids_what_the_page_does_not_need() {
    let server = Server::with(&[("index.html", b"page")]).await;
    for (method, path) in [
        ("GET", "/"),
        ("HEAD", "/"),
        ("POST", "/"),
        ("GET", "/x"),
        ("GET", "/bootstrap.json"),
        ("GET", "/healthz"),
    ] {
        let answer = server.ask(method, path, "").await;
        assert_eq!(
            answer.header("content-security-policy"),
            "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; \
             img-src 'self'; connect-src 'self' ws: wss: http: https:; manifest-src 'self'; \
             base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
            "{method} {path}"
        );
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(answer.header("referrer-policy"), "no-referrer");
        assert!(answer.header("permissions-policy").contains("camera=()"));
    }
}

#[tokio::test]
async fn a_page_that_is_missing_says_so_and_may_come_later() {
    let server = Server::start(1).await;
    let page = Page::find(Some(server.www.path())).unwrap();
    assert_eq!(page.readiness(), Readiness::Missing);
    let answer = server.get("/").await;
    assert_eq!(answer.status, 404);
    assert!(answer.text().contains("--www DIR"), "{}", answer.text());
    assert_eq!(server.get("/x").await.text(), "not found\n");
    write(server.www.path(), "index.html", b"page");
    assert_eq!(page.readiness(), Readiness::NotBuilt);
    assert_eq!(server.get("/").await.text(), "page");
    assert_eq!(server.get("/pkg/web_bg.wasm").await.status, 404);
    write(server.www.path(), "pkg/web_bg.wasm", b"\0asm");
    assert_eq!(page.readiness(), Readiness::Built);
    assert_eq!(server.get("/pkg/web_bg.wasm").await.body, b"\0asm");
}

#[test]
fn a_directory_that_is_not_there_is_a_wrong_argument() {
    let complaint = Page::find(Some(Path::new("/no/such"))).unwrap_err();
    assert_eq!(complaint.to_string(), "--www /no/such: no such directory");
}
