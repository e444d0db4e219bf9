//! The same bytes to Debian's nginx and to us, before the same upstream: where we do something else, we are stricter,
//! and it is listed here by name.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use tokio::net::TcpStream;

use super::framing::REFUSED;
use super::harness::*;

/// Forwarded by nginx, refused by us.
const STRICTER: &[&str] = &[
    "two spaces",
    "bare LF",
    "bare LF after header",
    "bare LF at the end",
    "TE behind bare LF",
    "fragment",
    "climbing at the end",
    "climbing encoded",
    "climbing inside",
    "backslash in target",
    "version 1.2",
    "version 1.10",
    "unknown expectation",
    "chunk line bare LF",
    "chunk ext bare LF",
    "chunk end bare LF",
    "chunk ext NUL",
    "trailer with framing",
    "trailer with Host",
    "trailer obs-fold",
    "trailer bare LF",
    "other scheme",
    "Host with user",
    "Host with fragment",
    "HTTP/0.9",
    "no colon",
    "parenthesis in name",
];

/// Refused by nginx, forwarded by us, because the standard says so.
const LAWFUL: &[&str] = &[
    // A tab is white space around a value like any other (RFC 9110 section 5.6.3); nginx does not think so for Host.
    "tab before a value",
    // `OPTIONS *` asks about the server as a whole (RFC 9110 section 9.3.7).
    "star",
];

/// What both take, but for the above.
const ACCEPTED: &[(&str, &str)] = &[
    ("plain", "GET /x?y=1 HTTP/1.1\r\nHost: a.test\r\n\r\n"),
    ("empty lines first", "\r\n\r\nGET / HTTP/1.1\r\nHost: a.test\r\n\r\n"),
    ("spaces around a value", "GET / HTTP/1.1\r\nHost:   a.test  \r\n\r\n"),
    ("tab before a value", "GET / HTTP/1.1\r\nHost:\ta.test\r\n\r\n"),
    ("port in Host", "GET / HTTP/1.1\r\nHost: a.test:8080\r\n\r\n"),
    ("dot behind Host", "GET / HTTP/1.1\r\nHost: a.test.\r\n\r\n"),
    ("absolute", "GET http://a.test/abs HTTP/1.1\r\nHost: a.test\r\n\r\n"),
    ("absolute, other Host", "GET http://a.test/abs HTTP/1.1\r\nHost: b.test\r\n\r\n"),
    ("HTTP/1.0", "GET / HTTP/1.0\r\nHost: a.test\r\n\r\n"),
    ("length", "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nhello"),
    ("length with zeros", "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 005\r\n\r\nhello"),
    ("chunks", "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"),
    (
        "chunks in capitals",
        "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: CHUNKED\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    ),
    (
        "chunk sizes with zeros",
        "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n0005\r\nhello\r\n00\r\n\r\n",
    ),
    (
        "chunk extensions",
        "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\n\r\n",
    ),
    (
        "trailers",
        "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n",
    ),
    ("a body with GET", "GET / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nhello"),
    ("two requests", "GET /1 HTTP/1.1\r\nHost: a.test\r\n\r\nGET /2 HTTP/1.1\r\nHost: a.test\r\n\r\n"),
    (
        "a body, then a request",
        "POST /1 HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nhelloGET /2 HTTP/1.1\r\nHost: a.test\r\n\r\n",
    ),
    (
        "a length that hides a request",
        "POST /1 HTTP/1.1\r\nHost: a.test\r\nContent-Length: 37\r\n\r\nGET /evil HTTP/1.1\r\nHost: a.test\r\n\r\n",
    ),
    (
        "chunks, then a request",
        "POST /1 HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /2 HTTP/1.1\r\nHost: a.test\r\n\r\n",
    ),
    (
        "lengths in a nominated header",
        "POST / HTTP/1.1\r\nHost: a.test\r\nConnection: X-Own\r\nX-Own: 1\r\nContent-Length: 5\r\n\r\nhello",
    ),
    (
        "a length with an underscore",
        "POST / HTTP/1.1\r\nHost: a.test\r\nContent_Length: 9\r\nContent-Length: 5\r\n\r\nhello",
    ),
    ("own method", "PURGE / HTTP/1.1\r\nHost: a.test\r\n\r\n"),
    ("star", "OPTIONS * HTTP/1.1\r\nHost: a.test\r\n\r\n"),
    ("climbing inside", "GET /a/../b HTTP/1.1\r\nHost: a.test\r\n\r\n"),
    ("encoded slash", "GET /a%2fb HTTP/1.1\r\nHost: a.test\r\n\r\n"),
];

/// What an upstream saw: method, target and body of each request.
type Seen = Arc<Mutex<Vec<(String, String, Vec<u8>)>>>;

async fn upstream() -> (Server, Seen) {
    let seen = Seen::default();
    let list = Arc::clone(&seen);
    let server = Server::start(move |mut wire| {
        let list = Arc::clone(&list);
        async move {
            while let Some((head, mut body)) = wire.message().await {
                if header(&head, "transfer-encoding").is_some() {
                    body = wire.chunks().await;
                }
                let mut words = head.split(' ').map(str::to_owned);
                let (method, target) = (words.next().unwrap(), words.next().unwrap());
                for name in ["content_length", "x-own"] {
                    assert_eq!(header(&head, name).filter(|_| name != "x-own"), None, "{head}");
                }
                list.lock().unwrap().push((method, target, body));
                wire.send(OK).await;
            }
        }
    })
    .await;
    (server, seen)
}

/// A running nginx; ends with the test.
struct Nginx {
    address: SocketAddr,
    child: Child,
    _dir: tempfile::TempDir,
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Nginx {
    async fn start(program: PathBuf, upstream: SocketAddr) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let address = dead().await;
        let run = dir.path().display();
        let temp: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .iter()
            .map(|kind| format!("{kind}_temp_path {run}/{kind};"))
            .collect();
        let config = format!(
            "daemon off; master_process off; worker_processes 1; pid {run}/pid; error_log {run}/error.log crit;
            events {{ worker_connections 256; }}
            http {{ access_log off; {temp} server {{ listen {address}; location / {{
                proxy_pass http://{upstream}; proxy_http_version 1.1; proxy_set_header Connection \"\"; proxy_ignore_client_abort on; proxy_set_header Host $host;
            }} }} }}"
        );
        let file = dir.path().join("nginx.conf");
        std::fs::write(&file, config).unwrap();
        let mut nginx = Command::new(program);
        nginx
            .arg("-c")
            .arg(&file)
            .arg("-p")
            .arg(dir.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let child = nginx.spawn().unwrap();
        until_some(|| async { TcpStream::connect(address).await.ok() }).await;
        Self { address, child, _dir: dir }
    }
}

fn program() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into()]);
    folders.map(|folder| folder.join("nginx")).find(|file| file.is_file())
}

/// Sends the bytes, ends the sending side, and waits until all was answered; what the upstream saw of it.
async fn effect(address: SocketAddr, bytes: &str, seen: &Seen) -> Vec<(String, String, Vec<u8>)> {
    seen.lock().unwrap().clear();
    let mut wire = Wire::new(TcpStream::connect(address).await.unwrap());
    wire.send(bytes).await;
    let _ = tokio::io::AsyncWriteExt::shutdown(&mut wire.stream).await;
    wire.rest().await;
    std::mem::take(&mut *seen.lock().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn where_we_differ_from_nginx_we_are_stricter() {
    let Some(program) = program() else {
        assert!(std::env::var_os("WHARF_TEST_DOCKER").is_none(), "nginx is missing; tests/prepare.sh installs it");
        eprintln!("skipped: there is no nginx here");
        return;
    };
    let (server, seen) = upstream().await;
    let nginx = Nginx::start(program, server.address).await;
    let ingress = Ingress::start(vec![route("a", &[server.address])]).await;
    let mut differ = Vec::new();
    let all = REFUSED.iter().map(|(what, bytes, _)| (*what, *bytes)).chain(ACCEPTED.iter().copied());
    for (what, bytes) in all {
        let theirs = effect(nginx.address, bytes, &seen).await;
        let ours = effect(ingress.address, bytes, &seen).await;
        let stricter = ours.len() < theirs.len() && ours[..] == theirs[..ours.len()];
        let lawful = theirs.is_empty() && LAWFUL.contains(&what);
        let listed = STRICTER.contains(&what) || LAWFUL.contains(&what);
        match (ours == theirs, listed) {
            (true, false) => {}
            (false, true) if stricter || lawful => {}
            (true, true) => differ.push(format!("{what}: is listed, but we do the same")),
            (false, _) => differ.push(format!("{what}:\n  nginx {theirs:?}\n  ours  {ours:?}")),
        }
    }
    assert!(differ.is_empty(), "{}", differ.join("\n"));
}
