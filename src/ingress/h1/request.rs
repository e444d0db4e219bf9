//! Request heads.

use std::mem::MaybeUninit;

use super::header::{self, ConnectionOption, Kind, Line, MAX_HEADERS, Span};
use super::plain;

/// Largest request head in bytes, request line included.
pub(crate) const MAX_HEAD: usize = 32 * 1024;
/// Longest request target in bytes.
const MAX_TARGET: usize = 16 * 1024;
/// Longest method name in bytes.
const MAX_METHOD: usize = 24;

/// How the length of a request body is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    None,
    Length(u64),
    Chunked,
}

/// Why a request head is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeadError {
    /// 400, with the reason in words.
    Malformed(&'static str),
    /// 405: CONNECT and TRACE.
    MethodRefused,
    /// 414.
    TargetTooLong,
    /// 417.
    Expectation,
    /// 431.
    TooLarge,
    /// 505.
    Version,
}

/// A request head that is safe to pass on. All spans count from the start of the head.
#[derive(Debug)]
pub(crate) struct RequestHead {
    /// Bytes the head takes, empty line included.
    pub len: usize,
    pub method: Span,
    /// Path and query in origin form, or `*`.
    pub target: Span,
    /// Authority: of an absolute target, else of `Host`; empty in HTTP/1.0 without `Host`.
    pub host: Span,
    /// The target was absolute: `Host` has to be written anew.
    pub absolute: bool,
    /// HTTP/1.1 (else 1.0).
    pub is_http11: bool,
    pub framing: Framing,
    /// The client wants the connection to go on.
    pub keep_alive: bool,
    pub expect_continue: bool,
    /// The protocol asked for by `Upgrade`, when upgrading is possible.
    pub upgrade: Option<Span>,
    pub lines: Vec<Line>,
}

impl RequestHead {
    /// The path without the query.
    pub(crate) fn path<'a>(&self, head: &'a [u8]) -> &'a [u8] {
        let target = self.target.get(head);
        let end = target.iter().position(|byte| *byte == b'?').unwrap_or(target.len());
        &target[..end]
    }

    /// The first header of a kind.
    pub(crate) fn find<'a>(&self, head: &'a [u8], kind: Kind) -> Option<&'a [u8]> {
        self.lines.iter().find(|line| line.kind == kind).map(|line| line.value.get(head))
    }

    /// Whether repeating the request has the effect of doing it once (RFC 9110 section 9.2.2).
    pub(crate) fn is_idempotent(&self, head: &[u8]) -> bool {
        matches!(self.method.get(head), b"GET" | b"HEAD" | b"OPTIONS" | b"PUT" | b"DELETE")
    }
}

/// Reads a head from the start of `bytes`; `Ok(None)` means that it is not complete yet.
pub(crate) fn parse(bytes: &[u8], mut lines: Vec<Line>) -> Result<Option<RequestHead>, HeadError> {
    match parse_plain(bytes, &mut lines) {
        Some((len, method, target)) => decide(&bytes[..len], method, target, None, true, lines).map(Some),
        None => parse_any(bytes, lines),
    }
}

/// Most heads are plain; returns length, method and target of one that is.
fn parse_plain(bytes: &[u8], lines: &mut Vec<Line>) -> Option<(usize, Span, Span)> {
    let (method, target, at) = plain::request_line(bytes)?;
    let len = plain::lines(bytes, at, lines)?;
    // What takes a closer look: other methods than the usual, and targets that may climb.
    let path = target.get(bytes);
    let is_special =
        !matches!(method.get(bytes), b"GET" | b"HEAD" | b"POST" | b"PUT" | b"DELETE" | b"PATCH" | b"OPTIONS")
            || path.windows(2).any(|two| two == b"/.")
            || path.windows(3).any(|three| three == b"/%2");
    let fits = len <= MAX_HEAD && target.get(bytes).len() <= MAX_TARGET && method.get(bytes).len() <= MAX_METHOD;
    (fits && !is_special).then_some((len, method, target))
}

/// Reads any head, as strictly as it takes.
pub(super) fn parse_any(bytes: &[u8], mut lines: Vec<Line>) -> Result<Option<RequestHead>, HeadError> {
    let mut raw = [MaybeUninit::<httparse::Header<'_>>::uninit(); MAX_HEADERS];
    let mut request = httparse::Request::new(&mut []);
    let len = match request.parse_with_uninit_headers(bytes, &mut raw) {
        Ok(httparse::Status::Complete(len)) => len,
        Ok(httparse::Status::Partial) if bytes.len() >= MAX_HEAD => return Err(HeadError::TooLarge),
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => return Err(HeadError::TooLarge),
        Err(httparse::Error::Version) if is_other_version(bytes) => return Err(HeadError::Version),
        Err(_) => return Err(HeadError::Malformed("the request head is not valid HTTP")),
    };
    if len > MAX_HEAD {
        return Err(HeadError::TooLarge);
    }
    let head = &bytes[..len];
    let (Some(method), Some(target), Some(version)) = (request.method, request.path, request.version) else {
        return Err(HeadError::Malformed("the request line is incomplete"));
    };
    check_request_line(head, method, target, version)?;
    lines.clear();
    for field in request.headers.iter() {
        let line = Line::new(head, field.name.as_bytes(), field.value)
            .ok_or(HeadError::Malformed("a header line does not end in CRLF"))?;
        lines.push(line);
    }
    if !head.ends_with(b"\r\n\r\n") {
        return Err(HeadError::Malformed("the head does not end in an empty CRLF line"));
    }
    let (target, authority) = split_target(head, method, target)?;
    decide(head, Span::of(head, method.as_bytes()), target, authority, version == 1, lines).map(Some)
}

/// Whether the request line is well formed but for its version.
fn is_other_version(bytes: &[u8]) -> bool {
    let line = bytes.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let mut parts = line.split(|byte| *byte == b' ');
    parts.nth(2).is_some_and(|version| version.starts_with(b"HTTP/")) && parts.next().is_none()
}

/// Exactly one space between the parts and CRLF at the end, no white space tricks.
fn check_request_line(head: &[u8], method: &str, target: &str, version: u8) -> Result<(), HeadError> {
    if method.len() > MAX_METHOD {
        return Err(HeadError::Malformed("the method is too long"));
    }
    if target.len() > MAX_TARGET {
        return Err(HeadError::TargetTooLong);
    }
    // Methods are told apart by case: `get` is not GET, and not everybody looks as closely.
    if !method.bytes().all(|byte| byte.is_ascii_uppercase() || matches!(byte, b'-' | b'_')) {
        return Err(HeadError::Malformed("the method is not in capital letters"));
    }
    if climbs(target) {
        return Err(HeadError::Malformed("the request target holds a `..` segment"));
    }
    let version_text: &[u8] = if version == 1 { b"HTTP/1.1\r\n" } else { b"HTTP/1.0\r\n" };
    let after = method.len() + target.len() + 1;
    let exact = head.get(after) == Some(&b' ') && head.get(after + 1..after + 11) == Some(version_text);
    let starts = head.starts_with(method.as_bytes())
        && head.get(method.len()) == Some(&b' ')
        && head.get(method.len() + 1..method.len() + 1 + target.len()) == Some(target.as_bytes());
    if !(exact && starts) {
        return Err(HeadError::Malformed("the request line is not `METHOD target HTTP/1.x` with CRLF"));
    }
    if target.bytes().any(|byte| byte == b'#' || byte == b'\\' || byte <= b' ' || byte == 0x7f) {
        return Err(HeadError::Malformed("the request target holds a character that is not allowed"));
    }
    Ok(())
}

/// Whether the path has a segment `..`, plain or encoded. Clients resolve these before they ask; what comes with one
/// means to be one path for us and another for the app.
fn climbs(target: &str) -> bool {
    let path = target.split('?').next().unwrap_or_default();
    let suspicious = path.contains("/.") || path.as_bytes().windows(4).any(|part| part.eq_ignore_ascii_case(b"/%2e"));
    suspicious
        && path.split('/').any(|segment| {
            let dots = segment.to_ascii_lowercase().replace("%2e", ".");
            dots == ".."
        })
}

/// Origin form stays; absolute form is split into path and authority; `*` only for OPTIONS.
fn split_target(head: &[u8], method: &str, target: &str) -> Result<(Span, Option<Span>), HeadError> {
    if matches!(method, "CONNECT" | "TRACE") {
        return Err(HeadError::MethodRefused);
    }
    let whole = Span::of(head, target.as_bytes());
    if target.starts_with('/') {
        return Ok((whole, None));
    }
    if target == "*" {
        return if method == "OPTIONS" {
            Ok((whole, None))
        } else {
            Err(HeadError::Malformed("`*` is only for OPTIONS"))
        };
    }
    let scheme_end = ["http://", "https://"]
        .iter()
        .find(|scheme| target.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme)))
        .map(|scheme| scheme.len())
        .ok_or(HeadError::Malformed("the request target is neither a path nor an http URL"))?;
    let rest = &target[scheme_end..];
    let path_at = rest.find(['/', '?']).unwrap_or(rest.len());
    let authority = &rest[..path_at];
    if authority.is_empty() || authority.contains('@') {
        return Err(HeadError::Malformed("the authority of the request target is not allowed"));
    }
    let path = &rest[path_at..];
    if path.starts_with('?') {
        return Err(HeadError::Malformed("the request target has no path"));
    }
    Ok((Span::of(head, path.as_bytes()), Some(Span::of(head, authority.as_bytes()))))
}

/// One pass over the headers: framing, host, connection handling.
fn decide(
    head: &[u8],
    method: Span,
    target: Span,
    authority: Option<Span>,
    is_http11: bool,
    mut lines: Vec<Line>,
) -> Result<RequestHead, HeadError> {
    let (mut length, mut chunked, mut host, mut upgrade) = (None, false, None, None);
    let (mut close, mut keep, mut wants_upgrade, mut expect_continue, mut nominated) =
        (false, false, false, false, false);
    for line in &lines {
        let value = line.value.get(head);
        match line.kind {
            Kind::Host if host.replace(line.value).is_some() => {
                return Err(HeadError::Malformed("there is more than one Host header"));
            }
            Kind::ContentLength => {
                let n = header::content_length(value).ok_or(HeadError::Malformed("Content-Length is not a number"))?;
                if length.replace(n).is_some() {
                    return Err(HeadError::Malformed("there is more than one Content-Length header"));
                }
            }
            Kind::TransferEncoding => {
                if chunked || !is_http11 || !value.eq_ignore_ascii_case(b"chunked") {
                    return Err(HeadError::Malformed("Transfer-Encoding may only be `chunked`, once, in HTTP/1.1"));
                }
                chunked = true;
            }
            Kind::Connection => {
                for token in header::tokens(value) {
                    match header::connection_option(token) {
                        ConnectionOption::Close => close = true,
                        ConnectionOption::KeepAlive => keep = true,
                        ConnectionOption::Upgrade => wants_upgrade = true,
                        ConnectionOption::Header => nominated = true,
                    }
                }
            }
            Kind::Upgrade => upgrade = Some(line.value),
            Kind::Expect if value.eq_ignore_ascii_case(b"100-continue") => expect_continue = is_http11,
            Kind::Expect => return Err(HeadError::Expectation),
            _ => {}
        }
    }
    if chunked && length.is_some() {
        return Err(HeadError::Malformed("Content-Length and Transfer-Encoding exclude each other"));
    }
    if host.is_none() && is_http11 {
        return Err(HeadError::Malformed("there is no Host header"));
    }
    let host_at = authority.or(host).unwrap_or_default();
    if !is_host(host_at.get(head)) {
        return Err(HeadError::Malformed("the Host header is not a host"));
    }
    if nominated {
        header::drop_nominated(head, &mut lines);
    }
    let framing = match (chunked, length) {
        (true, _) => Framing::Chunked,
        (false, None | Some(0)) => Framing::None,
        (false, Some(n)) => Framing::Length(n),
    };
    // Upgrading to h2c, or with a body still to come, would leave two views of where messages end.
    let upgrade = upgrade.filter(|protocol| {
        wants_upgrade && is_http11 && framing == Framing::None && !header::has_token(protocol.get(head), b"h2c")
    });
    let keep_alive = if is_http11 { !close } else { keep && !close };
    Ok(RequestHead {
        len: head.len(),
        method,
        target,
        host: host_at,
        absolute: authority.is_some(),
        is_http11,
        framing,
        keep_alive,
        expect_continue,
        upgrade,
        lines,
    })
}

fn is_host(host: &[u8]) -> bool {
    host.len() <= 300
        && host
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b':' | b'[' | b']' | b'~' | b'%'))
}
