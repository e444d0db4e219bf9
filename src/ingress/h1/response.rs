//! Response heads.

use std::mem::MaybeUninit;

use super::header::{self, ConnectionOption, Kind, Line, MAX_HEADERS, Span};
use super::plain;

/// Largest response head in bytes.
pub(crate) const MAX_HEAD: usize = 64 * 1024;

/// How the end of a response body is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    None,
    Length(u64),
    Chunked,
    /// Ends with the connection.
    UntilClose,
}

/// A response head that is safe to pass on. All spans count from the start of the head.
#[derive(Debug)]
pub(crate) struct ResponseHead {
    /// Bytes the head takes, empty line included.
    pub len: usize,
    pub status: u16,
    pub reason: Span,
    pub framing: Framing,
    /// The upstream connection can carry another request after this response.
    pub keep_alive: bool,
    /// `Upgrade`, for a 101.
    pub upgrade: Option<Span>,
    pub lines: Vec<Line>,
}

impl ResponseHead {
    /// 1xx other than 101: another head follows.
    pub(crate) fn is_interim(&self) -> bool {
        self.status < 200 && self.status != 101
    }

    /// Whether the upstream set this kind of header.
    pub(crate) fn has(&self, kind: Kind) -> bool {
        self.lines.iter().any(|line| line.kind == kind)
    }
}

/// Reads a head from the start of `bytes`; `Ok(None)` means that it is not complete yet, the error says what is wrong.
pub(crate) fn parse(bytes: &[u8], to_head: bool, mut lines: Vec<Line>) -> Result<Option<ResponseHead>, &'static str> {
    match parse_plain(bytes, &mut lines) {
        Some((len, status, reason)) => decide(&bytes[..len], status, reason, true, to_head, lines).map(Some),
        None => parse_any(bytes, to_head, lines),
    }
}

/// Most heads are plain; returns length, status and reason of one that is.
fn parse_plain(bytes: &[u8], lines: &mut Vec<Line>) -> Option<(usize, u16, Span)> {
    let (status, reason, at) = plain::status_line(bytes)?;
    let len = plain::lines(bytes, at, lines).filter(|len| *len <= MAX_HEAD)?;
    Some((len, status, reason))
}

/// Reads any head, as strictly as it takes.
pub(super) fn parse_any(
    bytes: &[u8],
    to_head: bool,
    mut lines: Vec<Line>,
) -> Result<Option<ResponseHead>, &'static str> {
    let mut raw = [MaybeUninit::<httparse::Header<'_>>::uninit(); MAX_HEADERS];
    let mut response = httparse::Response::new(&mut []);
    let parser = httparse::ParserConfig::default();
    let len = match parser.parse_response_with_uninit_headers(&mut response, bytes, &mut raw) {
        Ok(httparse::Status::Complete(len)) if len <= MAX_HEAD => len,
        Ok(httparse::Status::Partial) if bytes.len() < MAX_HEAD => return Ok(None),
        Ok(_) | Err(httparse::Error::TooManyHeaders) => return Err("its response head is too large"),
        Err(_) => return Err("its response is not valid HTTP"),
    };
    let head = &bytes[..len];
    let (Some(status), Some(version)) = (response.code, response.version) else {
        return Err("its status line is incomplete");
    };
    if !(100..=999).contains(&status) {
        return Err("its status code is out of range");
    }
    let reason = response.reason.filter(|reason| !reason.is_empty());
    let reason = reason.map(|reason| Span::of(head, reason.as_bytes())).unwrap_or_default();
    lines.clear();
    for field in response.headers.iter() {
        lines.push(
            Line::new(head, field.name.as_bytes(), field.value)
                .ok_or("a header line of its response does not end in CRLF")?,
        );
    }
    decide(head, status, reason, version == 1, to_head, lines).map(Some)
}

fn decide(
    head: &[u8],
    status: u16,
    reason: Span,
    is_http11: bool,
    to_head: bool,
    mut lines: Vec<Line>,
) -> Result<ResponseHead, &'static str> {
    let (mut length, mut chunked, mut upgrade) = (None, false, None);
    let (mut close, mut keep, mut nominated) = (false, false, false);
    for line in &mut lines {
        let value = line.value.get(head);
        match line.kind {
            Kind::ContentLength => {
                let n = header::content_length(value).ok_or("its Content-Length is not a number")?;
                match length.replace(n) {
                    Some(other) if other != n => return Err("it sent two different Content-Length headers"),
                    Some(_) => line.kind = Kind::Drop,
                    None => {}
                }
            }
            Kind::TransferEncoding => {
                if chunked || !value.eq_ignore_ascii_case(b"chunked") {
                    return Err("its Transfer-Encoding is not just `chunked`");
                }
                chunked = true;
            }
            Kind::Connection => {
                for token in header::tokens(value) {
                    match header::connection_option(token) {
                        ConnectionOption::Close => close = true,
                        ConnectionOption::KeepAlive => keep = true,
                        ConnectionOption::Upgrade => {}
                        ConnectionOption::Header => nominated = true,
                    }
                }
            }
            Kind::Upgrade => upgrade = Some(line.value),
            _ => {}
        }
    }
    if chunked && length.is_some() {
        return Err("it sent Content-Length beside Transfer-Encoding");
    }
    if nominated {
        header::drop_nominated(head, &mut lines);
    }
    let framing = if to_head || status < 200 || status == 204 || status == 304 {
        Framing::None
    } else if chunked {
        Framing::Chunked
    } else {
        match length {
            Some(0) => Framing::None,
            Some(n) => Framing::Length(n),
            None => Framing::UntilClose,
        }
    };
    let keep_alive = framing != Framing::UntilClose && !close && (is_http11 || keep);
    Ok(ResponseHead { len: head.len(), status, reason, framing, keep_alive, upgrade, lines })
}
