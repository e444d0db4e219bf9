//! HTTP/2, towards clients ([`server`]) and towards upstreams that speak it without TLS ([`client`]).
//!
//! Framing, HPACK and flow control are the `h2` crate's (hyper's own). What happens to a request is decided in one
//! place only, the phases: every stream becomes one exchange of HTTP/1.1, as strict as that of a plain connection.
//! A client's stream is rendered as a head and read by [`super::h1::request`] like any other ([`head`]), so nothing
//! can be said in HTTP/2 that could not be said in HTTP/1.1: no injected line, no second length, no hidden host.
//! The body goes through [`framing`], which puts content into chunks on one side and takes it out on the other, with
//! trailers. [`stream`] is a client's stream and [`call`] a request to an upstream, both as sockets
//! ([`super::socket::Socket`]): the phases do not know the difference.
//!
//! Invariants:
//! - Everything that became ready in one pass of the thread leaves in one write ([`io`]).
//! - What costs us more than the client is counted: resets, control frames, window updates ([`flood`]).
//! - No more is taken from either side than the other side has room for: windows are given back when bytes were
//!   passed on, and nothing is sent without a window.

mod call;
pub(crate) mod client;
pub(crate) mod flood;
mod framing;
pub(crate) mod head;
mod io;
mod outflow;
pub(crate) mod server;
mod stream;

pub(crate) use call::Call;
pub(crate) use stream::Stream;

/// What a client that speaks HTTP/2 sends first (RFC 9113 section 3.4).
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Whether these may be the first bytes of such a client; all of them once there are enough.
pub(crate) fn greets(bytes: &[u8]) -> bool {
    bytes.starts_with(&PREFACE[..3]) && PREFACE.starts_with(&bytes[..bytes.len().min(PREFACE.len())])
}

/// Most content bytes sent in one piece: a frame of the size every peer takes.
const PIECE: usize = 16 * 1024;

/// An error of the framing layer as one of the socket it stands for.
fn broken(error: ::h2::Error) -> std::io::Error {
    std::io::Error::new(std::io::ErrorKind::ConnectionReset, error)
}
