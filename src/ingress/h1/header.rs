//! Header lines as positions in the head they came from, classified once.

/// Most header lines a head may have.
pub(crate) const MAX_HEADERS: usize = 100;

/// What the proxy does with a header line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Passed on as it is.
    Keep,
    /// Belongs to one connection only, or must not be believed: not passed on.
    Drop,
    Host,
    ContentLength,
    TransferEncoding,
    Connection,
    Upgrade,
    Expect,
    Accept,
    ContentType,
    UserAgent,
    RequestId,
    TraceParent,
    TraceState,
    ForwardedFor,
    /// `Forwarded` and the rest of `X-Forwarded-*`: kept only from trusted proxies.
    ForwardedOther,
    /// A forwarding header named by its role; set anew unless a trusted proxy sent it.
    ForwardedProto,
    ForwardedHost,
    ForwardedPort,
}

/// The kind of a header by its name; the length decides most names without a comparison.
pub(crate) fn classify(name: &[u8]) -> Kind {
    let is = |text: &[u8]| name.eq_ignore_ascii_case(text);
    match name.len() {
        2 if is(b"te") => Kind::Drop,
        4 if is(b"host") => Kind::Host,
        6 if is(b"accept") => Kind::Accept,
        6 if is(b"expect") => Kind::Expect,
        7 if is(b"upgrade") => Kind::Upgrade,
        9 if is(b"forwarded") => Kind::ForwardedOther,
        9 if is(b"x-real-ip") => Kind::ForwardedOther,
        10 if is(b"connection") => Kind::Connection,
        10 if is(b"keep-alive") => Kind::Drop,
        10 if is(b"user-agent") => Kind::UserAgent,
        10 if is(b"tracestate") => Kind::TraceState,
        11 if is(b"traceparent") => Kind::TraceParent,
        12 if is(b"x-request-id") => Kind::RequestId,
        12 if is(b"content-type") => Kind::ContentType,
        14 if is(b"content-length") => Kind::ContentLength,
        14 if is(b"http2-settings") => Kind::Drop,
        15 if is(b"x-forwarded-for") => Kind::ForwardedFor,
        16 if is(b"proxy-connection") => Kind::Drop,
        16 if is(b"x-forwarded-host") => Kind::ForwardedHost,
        16 if is(b"x-forwarded-port") => Kind::ForwardedPort,
        17 if is(b"transfer-encoding") => Kind::TransferEncoding,
        17 if is(b"x-forwarded-proto") => Kind::ForwardedProto,
        19 if is(b"proxy-authenticate") || is(b"proxy-authorization") => Kind::Drop,
        16 if is(b"x-forwarded-path") => Kind::ForwardedOther,
        18 if is(b"x-forwarded-prefix") || is(b"x-forwarded-server") => Kind::ForwardedOther,
        _ => shadow(name),
    }
}

/// Many apps see `X_Forwarded_For` and `X-Forwarded-For` as one header (CGI and its heirs): a name that would pass for
/// one that means something here is not passed on.
fn shadow(name: &[u8]) -> Kind {
    const LONGEST: usize = 20;
    if name.len() > LONGEST || !name.contains(&b'_') {
        return Kind::Keep;
    }
    let mut dashed = [b'-'; LONGEST];
    for (to, from) in dashed.iter_mut().zip(name) {
        *to = if *from == b'_' { b'-' } else { *from };
    }
    if classify(&dashed[..name.len()]) == Kind::Keep { Kind::Keep } else { Kind::Drop }
}

/// A part of the head: `[start, end)`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Span {
    pub start: u32,
    pub end: u32,
}

impl Span {
    /// The position of `part` inside `whole`; both must come from the same buffer.
    pub(crate) fn of(whole: &[u8], part: &[u8]) -> Self {
        let start = (part.as_ptr() as usize).wrapping_sub(whole.as_ptr() as usize) as u32;
        Self { start, end: start + part.len() as u32 }
    }

    /// The bytes at this position.
    pub(crate) fn get<'a>(&self, whole: &'a [u8]) -> &'a [u8] {
        &whole[self.start as usize..self.end as usize]
    }
}

/// One header line.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Line {
    pub kind: Kind,
    pub name: Span,
    pub value: Span,
    /// After the line's CRLF.
    pub end: u32,
}

impl Line {
    /// Finds the end of the line; `None` when it does not end in CRLF (bare LF, obs-fold).
    pub(crate) fn new(head: &[u8], name: &[u8], value: &[u8]) -> Option<Self> {
        let name_at = Span::of(head, name);
        // An empty value may point outside of the line: its place is found from the name then.
        let value_at = if value.is_empty() {
            let mut at = name_at.end as usize + 1;
            while matches!(head.get(at), Some(b' ' | b'\t')) {
                at += 1;
            }
            Span { start: at as u32, end: at as u32 }
        } else {
            Span::of(head, value)
        };
        let mut at = value_at.end as usize;
        while matches!(head.get(at), Some(b' ' | b'\t')) {
            at += 1;
        }
        (head.get(at..at + 2) == Some(b"\r\n")).then(|| Self {
            kind: classify(name),
            name: name_at,
            value: value_at,
            end: at as u32 + 2,
        })
    }
}

/// Whether a comma-separated list holds a token, letter case aside.
pub(crate) fn has_token(list: &[u8], token: &[u8]) -> bool {
    tokens(list).any(|part| part.eq_ignore_ascii_case(token))
}

/// The elements of a comma-separated list.
pub(crate) fn tokens(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    list.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).filter(|part| !part.is_empty())
}

/// What an element of a `Connection` header means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ConnectionOption {
    Close,
    KeepAlive,
    Upgrade,
    /// The name of a header that belongs to this connection only.
    Header,
}

/// Reads an element of a `Connection` header.
pub(crate) fn connection_option(token: &[u8]) -> ConnectionOption {
    let is = |text: &[u8]| token.eq_ignore_ascii_case(text);
    match token.len() {
        5 if is(b"close") => ConnectionOption::Close,
        7 if is(b"upgrade") => ConnectionOption::Upgrade,
        10 if is(b"keep-alive") => ConnectionOption::KeepAlive,
        _ => ConnectionOption::Header,
    }
}

/// A `Content-Length`: digits only, and never so many that they overflow.
pub(crate) fn content_length(value: &[u8]) -> Option<u64> {
    if value.is_empty() || value.len() > 18 || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(value.iter().fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0')))
}

/// Marks the headers a `Connection` header names as belonging to this connection only.
pub(crate) fn drop_nominated(head: &[u8], lines: &mut [Line]) {
    for index in 0..lines.len() {
        if lines[index].kind != Kind::Connection {
            continue;
        }
        let list = lines[index].value.get(head);
        for token in tokens(list) {
            if connection_option(token) != ConnectionOption::Header {
                continue;
            }
            for line in lines.iter_mut() {
                if line.kind == Kind::Keep && line.name.get(head).eq_ignore_ascii_case(token) {
                    line.kind = Kind::Drop;
                }
            }
        }
    }
}

/// Appends the lines `keep` accepts; neighbours leave as one copy.
pub(crate) fn copy_lines(head: &[u8], lines: &[Line], out: &mut Vec<u8>, keep: impl Fn(&Line) -> bool) {
    let (mut from, mut to) = (0u32, 0u32);
    for line in lines.iter().filter(|line| keep(line)) {
        if line.name.start != to {
            out.extend_from_slice(&head[from as usize..to as usize]);
            from = line.name.start;
        }
        to = line.end;
    }
    out.extend_from_slice(&head[from as usize..to as usize]);
}
