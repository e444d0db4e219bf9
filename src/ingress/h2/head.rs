//! Heads of HTTP/2 messages as heads of HTTP/1.1, and back. Pure.
//!
//! The head rendered for a client's request is not trusted: it is read again by [`super::super::h1::request::parse`],
//! which refuses whatever two readers could read differently.

use std::io::Write;

use base64::Engine as _;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, COOKIE, EXPECT, HOST, TE};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, Version};

use crate::ingress::h1::header::{Kind, Line};
use crate::ingress::h1::request::{Framing, HeadError, RequestHead};
use crate::ingress::h1::response::ResponseHead;

/// Headers of a connection: in HTTP/2 there is no place for them (RFC 9113 section 8.2.2).
const OF_CONNECTION: [&str; 6] =
    ["connection", "transfer-encoding", "upgrade", "keep-alive", "proxy-connection", "http2-settings"];

/// How a request goes on after its head.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Shape {
    /// The body is of unknown length.
    pub is_chunked: bool,
    pub to_head: bool,
    /// Extended CONNECT (RFC 8441): the stream becomes a tunnel when the upstream switches protocols.
    pub is_tunnel: bool,
}

/// Renders a client's request. `has_body`: the stream did not end with its head; `key`: random bytes.
pub(super) fn render(parts: &Parts, has_body: bool, key: [u8; 16], out: &mut Vec<u8>) -> Result<Shape, HeadError> {
    let protocol = parts.extensions.get::<::h2::ext::Protocol>();
    let is_tunnel = protocol.is_some();
    if parts.method == Method::CONNECT && !is_tunnel {
        return Err(HeadError::MethodRefused);
    }
    if OF_CONNECTION.iter().any(|name| parts.headers.contains_key(*name)) {
        return Err(HeadError::Malformed("a header of connections has no place in HTTP/2"));
    }
    let authority = authority(&parts.uri, &parts.headers)?;
    let is_chunked = has_body && !is_tunnel && !parts.headers.contains_key(CONTENT_LENGTH);
    out.extend_from_slice(if is_tunnel { b"GET" } else { parts.method.as_str().as_bytes() });
    out.push(b' ');
    out.extend_from_slice(parts.uri.path_and_query().map_or("/", |path| path.as_str()).as_bytes());
    out.extend_from_slice(b" HTTP/1.1\r\n");
    field(out, b"host", authority);
    let mut cookies = 0;
    for (name, value) in &parts.headers {
        match *name {
            HOST => {}
            // May come in crumbs, but goes on as one (RFC 9113 section 8.2.3).
            COOKIE => cookies += 1,
            _ => field(out, name.as_str().as_bytes(), value.as_bytes()),
        }
    }
    if cookies > 0 {
        let crumbs: Vec<_> = parts.headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
        field(out, b"cookie", &crumbs.join(&b"; "[..]));
    }
    if is_chunked {
        out.extend_from_slice(b"transfer-encoding: chunked\r\n");
    }
    if let Some(protocol) = protocol {
        field(out, b"connection: upgrade\r\nupgrade", protocol.as_str().as_bytes());
        if protocol.as_str() == "websocket" {
            let key = base64::engine::general_purpose::STANDARD.encode(key);
            field(out, b"sec-websocket-key", key.as_bytes());
        }
    }
    out.extend_from_slice(b"\r\n");
    Ok(Shape { is_chunked, to_head: parts.method == Method::HEAD, is_tunnel })
}

/// `:authority`, else `Host`; both only when they say the same (RFC 9113 section 8.3.1).
fn authority<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> Result<&'a [u8], HeadError> {
    let authority = uri.authority().map(|authority| authority.as_str().as_bytes());
    let mut hosts = headers.get_all(HOST).iter().map(HeaderValue::as_bytes);
    let host = hosts.next();
    if hosts.next().is_some() {
        return Err(HeadError::Malformed("there is more than one Host header"));
    }
    match (authority, host) {
        (Some(authority), Some(host)) if !authority.eq_ignore_ascii_case(host) => {
            Err(HeadError::Malformed("Host is not what :authority is"))
        }
        (Some(name), _) | (None, Some(name)) => Ok(name),
        (None, None) => Err(HeadError::Malformed("there is neither :authority nor Host")),
    }
}

/// Appends a header line.
pub(super) fn field(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// A response head as HTTP/2 has it.
pub(super) fn response(head: &ResponseHead, bytes: &[u8]) -> Option<Response<()>> {
    let mut response = Response::new(());
    *response.version_mut() = Version::HTTP_2;
    *response.status_mut() = StatusCode::from_u16(head.status).ok()?;
    *response.headers_mut() = headers(&head.lines, bytes)?;
    Some(response)
}

/// A request for an upstream that speaks HTTP/2, of the head that was written for it.
pub(super) fn request(head: &RequestHead, bytes: &[u8]) -> Option<Request<()>> {
    let text = |span: crate::ingress::h1::header::Span| std::str::from_utf8(span.get(bytes)).ok();
    let mut request = Request::new(());
    *request.version_mut() = Version::HTTP_2;
    *request.method_mut() = Method::from_bytes(head.method.get(bytes)).ok()?;
    // HTTP/1.0 needs no Host, HTTP/2 does.
    let host = text(head.host).filter(|host| !host.is_empty()).unwrap_or("localhost");
    let uri = Uri::builder().scheme("http").authority(host).path_and_query(text(head.target)?);
    *request.uri_mut() = uri.build().ok()?;
    let mut headers = headers(&head.lines, bytes)?;
    headers.remove(HOST);
    if !head.expect_continue {
        headers.remove(EXPECT);
    }
    // Servers of gRPC ask for it; it is a header of the connection and ours to say: we do pass trailers on.
    if headers.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc")) {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
    if head.framing == Framing::Chunked {
        headers.remove(CONTENT_LENGTH);
    }
    *request.headers_mut() = headers;
    Some(request)
}

fn headers(lines: &[Line], bytes: &[u8]) -> Option<HeaderMap> {
    let mut headers = HeaderMap::with_capacity(lines.len() + 2);
    for line in lines {
        if matches!(line.kind, Kind::Drop | Kind::Connection | Kind::Upgrade | Kind::TransferEncoding) {
            continue;
        }
        let name = HeaderName::from_bytes(line.name.get(bytes)).ok()?;
        headers.append(name, HeaderValue::from_bytes(line.value.get(bytes)).ok()?);
    }
    Some(headers)
}

/// Renders the response of an upstream. `has_body`: its stream did not end with its head.
pub(super) fn render_response(response: &Response<()>, has_body: bool, to_head: bool, out: &mut Vec<u8>) -> bool {
    let status = response.status();
    let _ = write!(out, "HTTP/1.1 {} {}\r\n", status.as_u16(), status.canonical_reason().unwrap_or_default());
    for (name, value) in response.headers() {
        field(out, name.as_str().as_bytes(), value.as_bytes());
    }
    let never_has_body = to_head || matches!(status.as_u16(), 100..=199 | 204 | 304);
    let has_length = response.headers().contains_key(CONTENT_LENGTH);
    let is_chunked = has_body && !never_has_body && !has_length;
    if is_chunked {
        out.extend_from_slice(b"transfer-encoding: chunked\r\n");
    } else if !never_has_body && !has_length {
        out.extend_from_slice(b"content-length: 0\r\n");
    }
    // A stream carries one message only: nothing of it can be used again.
    out.extend_from_slice(if status.is_informational() { b"\r\n" } else { b"connection: close\r\n\r\n" });
    is_chunked
}
