//! The file server over real connections.

use std::io::Write;
use std::net::SocketAddr;

use http::{HeaderMap, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use crate::builds::static_server::{StaticOptions, serve_until};

struct Server {
    _dir: tempfile::TempDir,
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    task: tokio::task::JoinHandle<()>,
}

async fn start(spa: bool, not_found: Option<&str>) -> Server {
    let outer = tempfile::tempdir().unwrap();
    std::fs::write(outer.path().join("outside.txt"), "outside").unwrap();
    let root = outer.path().join("site");
    for (path, content) in [
        ("index.html", "home"),
        ("404.html", "gone"),
        ("about.html", "about"),
        ("docs/index.html", "docs"),
        ("docs/a b.txt", "0123456789"),
        ("assets/app.3f9a2b1c.js", "let plain = 1;"),
        ("style.css", "b{}"),
        (".env", "SECRET"),
        (".well-known/security.txt", "contact"),
        (".git/config", "SECRET"),
    ] {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    gz.write_all(b"let plain = 1;").unwrap();
    std::fs::write(root.join("assets/app.3f9a2b1c.js.gz"), gz.finish().unwrap()).unwrap();
    std::os::unix::fs::symlink(outer.path().join("outside.txt"), root.join("link.txt")).unwrap();

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let options = StaticOptions { root, listen: address, spa, not_found: not_found.map(str::to_owned) };
    let (stop, stopped) = oneshot::channel::<()>();
    let task = tokio::spawn(async move {
        let stopped = async move { stopped.await.unwrap_or(()) };
        serve_until(options, listener, stopped).await.unwrap();
    });
    Server { _dir: outer, address, stop: Some(stop), task }
}

impl Server {
    async fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> (StatusCode, HeaderMap, Vec<u8>) {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let (mut client, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let mut request = http::Request::builder().method(method).uri(path).header("host", "site.example");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = client.send_request(request.body(Empty::<bytes::Bytes>::new()).unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        (parts.status, parts.headers, body.collect().await.unwrap().to_bytes().to_vec())
    }

    async fn get(&self, path: &str) -> (u16, String) {
        let (status, _, body) = self.ask("GET", path, &[]).await;
        (status.as_u16(), String::from_utf8(body).unwrap())
    }

    async fn end(mut self) {
        self.stop.take().unwrap().send(()).unwrap();
        tokio::time::timeout(std::time::Duration::from_secs(5), self.task).await.unwrap().unwrap();
    }
}

fn header<'h>(headers: &'h HeaderMap, name: &str) -> &'h str {
    headers.get(name).map_or("", |v| v.to_str().unwrap())
}

#[tokio::test]
async fn pages_have_clean_addresses() {
    let server = start(false, Some("404.html")).await;
    for (path, status, body) in [
        ("/", 200, "home"),
        ("/about", 200, "about"),
        ("/about.html", 200, "about"),
        ("/docs/", 200, "docs"),
        ("/docs/a%20b.txt", 200, "0123456789"),
        ("/.well-known/security.txt", 200, "contact"),
        ("/nothing", 404, "gone"),
        ("/nothing.js", 404, "gone"),
        ("/about/more", 404, "gone"),
    ] {
        assert_eq!(server.get(path).await, (status, body.to_owned()), "{path}");
    }
    for (path, location) in [
        ("/docs?x=1", "/docs/?x=1"),
        ("/about/", "/about"),
        ("/docs/index.html", "/docs/"),
        ("/index.html", "/"),
        ("//docs", "/docs/"),
    ] {
        let (status, headers, _) = server.ask("GET", path, &[]).await;
        assert_eq!((status.as_u16(), header(&headers, "location")), (308, location), "{path}");
    }
    server.end().await;
}

#[tokio::test]
async fn what_is_not_of_the_site_is_not_there() {
    let server = start(false, None).await;
    for path in [
        "/.env",
        "/.git/config",
        "/docs/../.env",
        "/%2e%2e/outside.txt",
        "/..%2foutside.txt",
        "/%2e%2e%2foutside.txt",
        "/..%5coutside.txt",
        "/link.txt",
        "/%00",
        "/a%",
        "/%ff",
        "/.well-known/../.env",
        "/docs/%2E%2E/.env",
        "//etc/passwd",
        "/%2fetc%2fpasswd",
    ] {
        let (status, body) = server.get(path).await;
        assert_eq!((status, body.as_str()), (404, "Not Found\n"), "{path}");
    }
    let (status, headers, _) = server.ask("POST", "/", &[]).await;
    assert_eq!((status.as_u16(), header(&headers, "allow")), (405, "GET, HEAD"));
    server.end().await;
}

#[tokio::test]
async fn single_page_apps_get_their_page_for_addresses_but_not_for_files() {
    let server = start(true, None).await;
    assert_eq!(server.get("/users/7").await, (200, "home".into()));
    assert_eq!(server.get("/users/").await, (200, "home".into()));
    assert_eq!(server.get("/assets/old.js").await.0, 404);
    server.end().await;
}

#[tokio::test]
async fn caches_and_ranges_work() {
    let server = start(false, None).await;
    let (_, page, _) = server.ask("GET", "/about", &[]).await;
    assert_eq!(header(&page, "cache-control"), "public, max-age=0, must-revalidate");
    assert_eq!(header(&page, "content-type"), "text/html; charset=utf-8");
    assert_eq!(header(&page, "x-content-type-options"), "nosniff");
    let tag = header(&page, "etag");
    assert!(!tag.is_empty() && !header(&page, "last-modified").is_empty());
    let (status, again, body) = server.ask("GET", "/about", &[("if-none-match", tag)]).await;
    assert_eq!((status.as_u16(), body.len()), (304, 0));
    assert_eq!(header(&again, "etag"), tag);

    let (status, part, body) = server.ask("GET", "/docs/a%20b.txt", &[("range", "bytes=2-4")]).await;
    assert_eq!(
        (status.as_u16(), body.as_slice(), header(&part, "content-range")),
        (206, b"234".as_slice(), "bytes 2-4/10")
    );
    let (status, ..) = server.ask("GET", "/docs/a%20b.txt", &[("range", "bytes=99-")]).await;
    assert_eq!(status.as_u16(), 416);

    let (status, headers, body) = server.ask("HEAD", "/docs/a%20b.txt", &[]).await;
    assert_eq!((status.as_u16(), body.len(), header(&headers, "content-length")), (200, 0, "10"));
    server.end().await;
}

#[tokio::test]
async fn hashed_names_last_and_compressed_files_are_used() {
    let server = start(false, None).await;
    let (_, headers, body) = server.ask("GET", "/assets/app.3f9a2b1c.js", &[("accept-encoding", "gzip")]).await;
    assert_eq!(header(&headers, "cache-control"), "public, max-age=31536000, immutable");
    assert_eq!(header(&headers, "content-encoding"), "gzip");
    assert_eq!(header(&headers, "content-type"), "text/javascript; charset=utf-8");
    assert!(header(&headers, "vary").to_ascii_lowercase().contains("accept-encoding"));
    assert_ne!(body, b"let plain = 1;");
    let (_, headers, body) = server.ask("GET", "/assets/app.3f9a2b1c.js", &[]).await;
    assert_eq!((header(&headers, "content-encoding"), body.as_slice()), ("", b"let plain = 1;".as_slice()));
    server.end().await;
}

#[tokio::test]
async fn a_missing_folder_is_said() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let options = StaticOptions {
        root: "/nowhere/at/all".into(),
        listen: listener.local_addr().unwrap(),
        spa: false,
        not_found: None,
    };
    let error = serve_until(options, listener, std::future::pending()).await.unwrap_err();
    assert_eq!(error.to_string(), "the site folder /nowhere/at/all is not there or is no folder");
}
