//! Requests that two servers could read differently never reach an upstream.

use super::harness::*;

/// `(what, bytes, status)`: refused with this status and the connection closed.
pub(crate) const REFUSED: &[(&str, &str, u16)] = &[
    (
        "CL and TE",
        "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    (
        "TE and CL",
        "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
        400,
    ),
    (
        "two TE",
        "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    ("TE identity", "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: identity\r\n\r\n", 400),
    ("TE list", "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 400),
    ("TE x then chunked", "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 400),
    ("TE vertical tab", "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n", 400),
    ("TE list end", "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked,\r\n\r\n0\r\n\r\n", 400),
    (
        "TE twice in list",
        "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    ("TE with parameter", "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n", 400),
    ("TE empty", "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding:\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", 400),
    ("TE folded", "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n", 400),
    ("TE with NUL", "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\0\r\n\r\n0\r\n\r\n", 400),
    ("TE behind bare CR", "POST / HTTP/1.1\r\nHost: a.test\r\nX: y\rTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    ("TE behind bare LF", "POST / HTTP/1.1\r\nHost: a.test\r\nX: y\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    (
        "TE cow and CL",
        "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\nTransfer-Encoding: cow\r\n\r\n0\r\n\r\n",
        400,
    ),
    (
        "TE, then TE cow",
        "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\nTransfer-encoding: cow\r\n\r\n0\r\n\r\n",
        400,
    ),
    ("tab before colon", "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding\t: chunked\r\n\r\n0\r\n\r\n", 400),
    ("no colon", "GET / HTTP/1.1\r\nHost: a.test\r\nnonsense\r\n\r\n", 400),
    ("empty name", "GET / HTTP/1.1\r\nHost: a.test\r\n: x\r\n\r\n", 400),
    ("parenthesis in name", "GET / HTTP/1.1\r\nHost: a.test\r\nX(: y\r\n\r\n", 400),
    ("first line a header", "Host: a.test\r\nGET / HTTP/1.1\r\n\r\n", 400),
    ("TE quoted", "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n", 400),
    ("TE in HTTP/1.0", "POST / HTTP/1.0\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    ("space before colon", "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n", 400),
    ("space before name", "GET / HTTP/1.1\r\n Host: a.test\r\n\r\n", 400),
    ("two CL, same", "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx", 400),
    ("two CL, other", "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx", 400),
    ("CL list", "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 1, 1\r\n\r\nx", 400),
    ("CL plus", "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: +1\r\n\r\nx", 400),
    ("CL negative", "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: -1\r\n\r\nx", 400),
    ("CL hex", "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 0x1\r\n\r\nx", 400),
    ("CL empty", "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: \r\n\r\nx", 400),
    ("CL space inside", "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 1 0\r\n\r\nx", 400),
    ("CL decimal", "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 1.0\r\n\r\nx", 400),
    (
        "CL with sign and TE",
        "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: -0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    ("CL huge", "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 99999999999999999999\r\n\r\nx", 400),
    ("bare LF", "GET / HTTP/1.1\nHost: a.test\n\n", 400),
    ("bare LF after header", "GET / HTTP/1.1\r\nHost: a.test\nX: y\r\n\r\n", 400),
    ("bare LF at the end", "GET / HTTP/1.1\r\nHost: a.test\r\n\n", 400),
    ("obs-fold", "GET / HTTP/1.1\r\nHost: a.test\r\nX: a\r\n b\r\n\r\n", 400),
    ("NUL in value", "GET / HTTP/1.1\r\nHost: a.test\r\nX: a\0b\r\n\r\n", 400),
    ("bare CR in value", "GET / HTTP/1.1\r\nHost: a.test\r\nX: a\rb\r\n\r\n", 400),
    ("two Host", "GET / HTTP/1.1\r\nHost: a.test\r\nHost: b.test\r\n\r\n", 400),
    ("no Host", "GET / HTTP/1.1\r\nX: y\r\n\r\n", 400),
    ("bad Host", "GET / HTTP/1.1\r\nHost: a.test/x\r\n\r\n", 400),
    ("Host with user", "GET / HTTP/1.1\r\nHost: u@a.test\r\n\r\n", 400),
    ("Host list", "GET / HTTP/1.1\r\nHost: a.test, b.test\r\n\r\n", 400),
    ("Host with space", "GET / HTTP/1.1\r\nHost: a.test b.test\r\n\r\n", 400),
    ("Host with fragment", "GET / HTTP/1.1\r\nHost: a.test#@b.test\r\n\r\n", 400),
    ("absolute and two Host", "GET http://a.test/ HTTP/1.1\r\nHost: a.test\r\nHost: b.test\r\n\r\n", 400),
    ("absolute without host", "GET http:/// HTTP/1.1\r\nHost: a.test\r\n\r\n", 400),
    ("method in small letters", "get / HTTP/1.1\r\nHost: a.test\r\n\r\n", 400),
    ("climbing path", "GET /a/../../b HTTP/1.1\r\nHost: a.test\r\n\r\n", 400),
    ("climbing at the end", "GET /a/.. HTTP/1.1\r\nHost: a.test\r\n\r\n", 400),
    ("climbing encoded", "GET /a/%2E./b HTTP/1.1\r\nHost: a.test\r\n\r\n", 400),
    ("control character in target", "GET /\x01 HTTP/1.1\r\nHost: a.test\r\n\r\n", 400),
    ("backslash in target", "GET /\\x HTTP/1.1\r\nHost: a.test\r\n\r\n", 400),
    ("version in small letters", "GET / http/1.1\r\nHost: a.test\r\n\r\n", 400),
    ("version 1.2", "GET / HTTP/1.2\r\nHost: a.test\r\n\r\n", 505),
    ("version 1.10", "GET / HTTP/1.10\r\nHost: a.test\r\n\r\n", 400),
    ("words behind the version", "GET / HTTP/1.1 x\r\nHost: a.test\r\n\r\n", 400),
    ("space in target", "GET /a b HTTP/1.1\r\nHost: a.test\r\n\r\n", 400),
    ("two spaces", "GET  / HTTP/1.1\r\nHost: a.test\r\n\r\n", 400),
    ("tab in line", "GET\t/ HTTP/1.1\r\nHost: a.test\r\n\r\n", 400),
    ("bad method", "G(T / HTTP/1.1\r\nHost: a.test\r\n\r\n", 400),
    ("fragment", "GET /#x HTTP/1.1\r\nHost: a.test\r\n\r\n", 400),
    ("relative target", "GET x HTTP/1.1\r\nHost: a.test\r\n\r\n", 400),
    ("other scheme", "GET ftp://a.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n", 400),
    ("user in target", "GET http://u@a.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n", 400),
    ("star with GET", "GET * HTTP/1.1\r\nHost: a.test\r\n\r\n", 400),
    ("CONNECT", "CONNECT a.test:443 HTTP/1.1\r\nHost: a.test\r\n\r\n", 405),
    ("TRACE", "TRACE / HTTP/1.1\r\nHost: a.test\r\n\r\n", 405),
    ("HTTP/2 by name", "GET / HTTP/2.0\r\nHost: a.test\r\n\r\n", 505),
    ("HTTP/0.9", "GET /\r\n\r\n", 400),
    ("unknown expectation", "GET / HTTP/1.1\r\nHost: a.test\r\nExpect: wonders\r\n\r\n", 417),
    ("chunk size not hex", "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", 400),
    ("chunk size negative", "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n", 400),
    ("chunk size 0x", "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n0x1\r\nx\r\n", 400),
    (
        "chunk size huge",
        "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n10000000000000000\r\n",
        400,
    ),
    (
        "chunk size empty",
        "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n\r\nx\r\n0\r\n\r\n",
        400,
    ),
    (
        "chunk size plus",
        "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n+1\r\nx\r\n0\r\n\r\n",
        400,
    ),
    ("chunk size underscore", "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n1_0\r\nx\r\n", 400),
    (
        "chunk line bare CR",
        "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n1\rx\r\n0\r\n\r\n",
        400,
    ),
    (
        "chunk ext NUL",
        "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n1;\0\r\nx\r\n0\r\n\r\n",
        400,
    ),
    (
        "trailer with Host",
        "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nHost: b.test\r\n\r\n",
        400,
    ),
    ("trailer bare LF", "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: y\n\r\n", 400),
    ("chunk size with space", "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n1 \r\nx\r\n", 400),
    (
        "chunk line bare LF",
        "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n1\nx\r\n0\r\n\r\n",
        400,
    ),
    (
        "chunk ext bare LF",
        "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n1;a\nx\r\n0\r\n\r\n",
        400,
    ),
    (
        "chunk too long",
        "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nxy\r\n0\r\n\r\n",
        400,
    ),
    (
        "chunk end bare LF",
        "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\n0\r\n\r\n",
        400,
    ),
    (
        "trailer with framing",
        "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 5\r\n\r\n",
        400,
    ),
    (
        "trailer obs-fold",
        "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: a\r\n b\r\n\r\n",
        400,
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn ambiguous_requests_are_refused_and_never_forwarded() {
    let server = Server::answering(OK).await;
    let ingress = Ingress::start(vec![route("a", &[server.address])]).await;
    for (what, bytes, status) in REFUSED {
        let answer = ingress.raw(bytes).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{what}: {answer}");
        assert_eq!(header(&answer, "connection"), Some("close"), "{what}: {answer}");
    }
    assert_eq!(server.seen(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn heads_have_limits() {
    let server = Server::answering(OK).await;
    let ingress = Ingress::start(vec![route("a", &[server.address])]).await;
    let many = format!("GET / HTTP/1.1\r\nHost: a.test\r\n{}\r\n", "X: y\r\n".repeat(200));
    let long = format!("GET / HTTP/1.1\r\nHost: a.test\r\nX: {}\r\n\r\n", "y".repeat(40_000));
    let target = format!("GET /{} HTTP/1.1\r\nHost: a.test\r\n\r\n", "y".repeat(20_000));
    assert!(ingress.raw(many).await.starts_with("HTTP/1.1 431 "));
    assert!(ingress.raw(long).await.starts_with("HTTP/1.1 431 "));
    assert!(ingress.raw(target).await.starts_with("HTTP/1.1 414 "));
    assert_eq!(server.seen().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_absolute_target_decides_the_host() {
    let server = Server::answering(OK).await;
    let ingress = Ingress::start(vec![route("a", &[server.address])]).await;
    let request = "GET http://a.test/x?y HTTP/1.1\r\nHost: other.test\r\nConnection: close\r\n\r\n";
    assert!(ingress.raw(request).await.starts_with("HTTP/1.1 200 "));
    let head = &server.seen()[0];
    assert!(head.starts_with("GET /x?y HTTP/1.1\r\n"), "{head}");
    assert_eq!(header(head, "host"), Some("a.test"));
    assert!(!head.contains("other.test"), "{head}");
}

#[tokio::test(flavor = "multi_thread")]
async fn responses_that_cannot_be_framed_become_502() {
    let bad = [
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
        "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        "SSH-2.0-OpenSSH_9.2\r\n",
        "HTTP/1.1 200 OK\r\nX: incomplete",
    ];
    for response in bad {
        let server = Server::start(move |mut wire| async move {
            wire.head().await;
            wire.send(response).await;
        })
        .await;
        let ingress = Ingress::start(vec![route("a", &[server.address])]).await;
        let answer = ingress.raw("GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 502 "), "{response}: {answer}");
    }
}
