//! The grammar of HTTP/1.1, strict and pure: bytes in, decisions out; no sockets, no clock, no allocation on the
//! common path.
//!
//! Invariant: what two readers could frame differently is refused, never repaired. Bare LF, obs-fold, white space
//! before a colon, two `Content-Length`, `Content-Length` beside `Transfer-Encoding`, any transfer coding but
//! `chunked`, control characters in chunk extensions: all of them end in an error (RFC 9112 sections 2.2, 5, 6, 7).
//!
//! To treat one more header specially: a variant of [`header::Kind`] and a line in [`header::classify`].

pub(crate) mod chunked;
pub(crate) mod header;
mod plain;
pub(crate) mod request;
pub(crate) mod response;

#[cfg(test)]
mod tests;
