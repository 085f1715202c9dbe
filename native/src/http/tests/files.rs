//! What is served of a directory, and what is not.

use std::{os::unix::fs::symlink, time::SystemTime};

use super::*;
use crate::http::page::Readiness;

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
    // A time of change decides nothing.
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
