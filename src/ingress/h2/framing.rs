//! Between the body of a stream (pieces of content, then perhaps trailers) and the body of an HTTP/1.1 message.

use std::io::Write;
use std::ops::Range;

use bytes::Bytes;
use http::HeaderMap;

use crate::ingress::h1::chunked::{Chunks, Step};

/// Puts pieces of content into the framing of HTTP/1.1, to be read in any portions.
#[derive(Debug, Default)]
pub(super) struct Framer {
    is_chunked: bool,
    before: Vec<u8>,
    before_at: usize,
    content: Bytes,
    after: &'static [u8],
    ended: bool,
}

impl Framer {
    /// `is_chunked`: the head announced chunks; otherwise content goes as it is.
    pub(super) fn new(is_chunked: bool) -> Self {
        Self { is_chunked, ..Self::default() }
    }

    /// A head to be read before the body.
    pub(super) fn put_head(&mut self, head: Vec<u8>) {
        (self.before, self.before_at) = (head, 0);
    }

    /// The next piece; only when [`Framer::is_empty`]. `is_last`: nothing comes behind it, no trailers either.
    pub(super) fn put(&mut self, content: Bytes, is_last: bool) {
        if self.is_chunked && !content.is_empty() {
            self.before_at = 0;
            self.after = if is_last { b"\r\n0\r\n\r\n".as_slice() } else { b"\r\n" };
            self.ended = is_last;
            self.before.clear();
            let _ = write!(self.before, "{:x}\r\n", content.len());
        }
        self.content = content;
    }

    /// The end of the body; only when [`Framer::is_empty`].
    pub(super) fn end(&mut self, trailers: Option<HeaderMap>) {
        self.ended = true;
        if !self.is_chunked {
            return;
        }
        self.before_at = 0;
        self.before.clear();
        self.before.extend_from_slice(b"0\r\n");
        for (name, value) in trailers.iter().flatten() {
            super::head::field(&mut self.before, name.as_str().as_bytes(), value.as_bytes());
        }
        self.after = b"\r\n";
    }

    /// All was read so far.
    pub(super) fn is_empty(&self) -> bool {
        self.before_at == self.before.len() && self.content.is_empty() && self.after.is_empty()
    }

    /// All was read, and nothing will come.
    pub(super) fn is_over(&self) -> bool {
        self.ended && self.is_empty()
    }

    /// Reads into `buf`; returns how many bytes of content were among it.
    pub(super) fn read(&mut self, buf: &mut tokio::io::ReadBuf<'_>) -> usize {
        let n = (self.before.len() - self.before_at).min(buf.remaining());
        buf.put_slice(&self.before[self.before_at..self.before_at + n]);
        self.before_at += n;
        let content = self.content.len().min(buf.remaining());
        buf.put_slice(&self.content.split_to(content));
        if self.content.is_empty() {
            let n = self.after.len().min(buf.remaining());
            buf.put_slice(&self.after[..n]);
            self.after = &self.after[n..];
        }
        content
    }
}

/// Takes the body of a message we wrote ourselves out of its framing.
#[derive(Debug)]
pub(super) enum Deframer {
    Length(u64),
    Chunked {
        chunks: Chunks,
        meta: Vec<u8>,
    },
    /// Ends with the stream.
    Raw,
}

/// What was found at the start of the input.
#[derive(Debug)]
pub(super) struct Piece {
    /// Bytes of the input used up.
    pub used: usize,
    /// Where the content is in it.
    pub content: Range<usize>,
    /// The body ends with this piece.
    pub end: bool,
}

impl Deframer {
    pub(super) fn chunked() -> Self {
        Self::Chunked { chunks: Chunks::default(), meta: Vec::new() }
    }

    /// The next piece cannot be taken without room for content.
    pub(super) fn wants_content(&self) -> bool {
        match self {
            Self::Length(left) => *left > 0,
            Self::Chunked { chunks, .. } => chunks.is_in_data(),
            Self::Raw => true,
        }
    }

    /// Takes the next piece with at most `room` bytes of content.
    pub(super) fn next(&mut self, input: &[u8], room: usize) -> std::io::Result<Piece> {
        match self {
            Self::Raw => Ok(piece(input.len().min(room), false)),
            Self::Length(left) => {
                let n = input.len().min(room).min(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= n as u64;
                Ok(piece(n, *left == 0))
            }
            Self::Chunked { chunks, meta } => {
                let input = if chunks.is_in_data() { &input[..input.len().min(room)] } else { input };
                match chunks.step(input).map_err(|_| std::io::ErrorKind::InvalidData)? {
                    Step::Data(n) => {
                        meta.clear();
                        Ok(piece(n, false))
                    }
                    Step::Meta(n) => {
                        meta.extend_from_slice(&input[..n]);
                        let end = matches!(chunks.step(&[]), Ok(Step::End));
                        Ok(Piece { used: n, content: 0..0, end })
                    }
                    Step::More => Ok(piece(0, false)),
                    Step::End => Ok(piece(0, true)),
                }
            }
        }
    }

    /// The trailers, after the end.
    pub(super) fn trailers(&self) -> Option<HeaderMap> {
        let Self::Chunked { meta, .. } = self else { return None };
        let meta = meta.strip_prefix(b"\r\n").unwrap_or(meta);
        let mut lines = meta.split(|byte| *byte == b'\n').skip(1);
        let mut trailers = HeaderMap::new();
        while let Some(line) = lines.next().and_then(|line| line.strip_suffix(b"\r")).filter(|line| !line.is_empty()) {
            let colon = line.iter().position(|byte| *byte == b':')?;
            let name = http::HeaderName::from_bytes(&line[..colon]).ok()?;
            trailers.append(name, http::HeaderValue::from_bytes(line[colon + 1..].trim_ascii()).ok()?);
        }
        (!trailers.is_empty()).then_some(trailers)
    }
}

fn piece(used: usize, end: bool) -> Piece {
    Piece { used, content: 0..used, end }
}
