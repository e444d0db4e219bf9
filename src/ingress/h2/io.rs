//! The wire below a connection: what is written is gathered and leaves in one piece when the connection has done all
//! that was ready; what is read is gauged.

use std::cell::{Cell, RefCell};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::flood::{Gauge, Verdict};
use crate::ingress::buffer::Buffer;
use crate::ingress::clock::Clock;
use crate::ingress::socket::Socket;

/// Once so much is gathered, it is sent before more is taken.
const FULL: usize = 128 * 1024;
/// A gathering buffer that grew beyond this is freed when it is empty.
const KEPT: usize = 16 * 1024;

/// A handle of the wire; the framing layer holds one, the connection's task another.
#[derive(Clone, Debug)]
pub(super) struct Wire(Rc<Inner>);

#[derive(Debug)]
struct Inner {
    socket: RefCell<Socket>,
    /// Read before the connection was known to be HTTP/2.
    early: RefCell<Buffer>,
    out: RefCell<Gathered>,
    gauge: Option<RefCell<Gauge>>,
    clock: Rc<Clock>,
    verdict: Cell<Option<Verdict>>,
}

#[derive(Debug, Default)]
struct Gathered {
    bytes: Vec<u8>,
    /// Sent already.
    at: usize,
    /// The socket may hold bytes of its own that were not sent (a TLS session does).
    unflushed: bool,
}

impl Wire {
    pub(super) fn new(socket: Socket, early: Buffer, gauge: Option<Gauge>, clock: Rc<Clock>) -> Self {
        Self(Rc::new(Inner {
            socket: RefCell::new(socket),
            early: RefCell::new(early),
            out: RefCell::default(),
            gauge: gauge.map(RefCell::new),
            clock,
            verdict: Cell::new(None),
        }))
    }

    /// What the client does too much of, or wrong, once it does. From then on nothing more is read.
    pub(super) fn verdict(&self) -> Option<Verdict> {
        self.0.verdict.get()
    }

    /// A stream was answered to its end.
    pub(super) fn answered(&self) {
        if let Some(gauge) = &self.0.gauge {
            gauge.borrow_mut().answered();
        }
    }

    /// Sends what was gathered.
    pub(super) fn poll_send(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let (mut socket, mut out) = (self.0.socket.borrow_mut(), self.0.out.borrow_mut());
        while out.at < out.bytes.len() {
            let n = ready!(Pin::new(&mut *socket).poll_write(cx, &out.bytes[out.at..]))?;
            if n == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            out.at += n;
            out.unflushed = true;
            if let Some(gauge) = &self.0.gauge {
                gauge.borrow_mut().sent(n);
            }
        }
        out.at = 0;
        out.bytes.clear();
        if out.bytes.capacity() > KEPT {
            out.bytes = Vec::new();
        }
        if out.unflushed {
            ready!(Pin::new(&mut *socket).poll_flush(cx))?;
            out.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    /// Sends what was gathered and ends our side.
    pub(super) fn poll_end(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_send(cx))?;
        Pin::new(&mut *self.0.socket.borrow_mut()).poll_shutdown(cx)
    }

    /// Throws away what is still coming, to the end of the other side.
    pub(super) fn poll_discard(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut space = [0u8; 4096];
        loop {
            let mut buf = ReadBuf::new(&mut space);
            match ready!(Pin::new(&mut *self.0.socket.borrow_mut()).poll_read(cx, &mut buf)) {
                Ok(()) if !buf.filled().is_empty() => {}
                _ => return Poll::Ready(()),
            }
        }
    }

    fn gather(&self, cx: &mut Context<'_>, parts: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let is_full = {
            let out = self.0.out.borrow();
            out.bytes.len() - out.at >= FULL
        };
        if is_full {
            ready!(self.poll_send(cx))?;
        }
        let mut out = self.0.out.borrow_mut();
        let before = out.bytes.len();
        parts.iter().for_each(|part| out.bytes.extend_from_slice(part));
        Poll::Ready(Ok(out.bytes.len() - before))
    }
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.0.verdict.get().is_some() {
            return Poll::Pending;
        }
        let before = buf.filled().len();
        let mut early = self.0.early.borrow_mut();
        if early.is_empty() {
            ready!(Pin::new(&mut *self.0.socket.borrow_mut()).poll_read(cx, buf))?;
        } else {
            let n = early.unread().len().min(buf.remaining());
            buf.put_slice(&early.unread()[..n]);
            early.consume(n);
            if early.is_empty() {
                *early = Buffer::default();
            }
        }
        if let Some(gauge) = &self.0.gauge
            && let Err(verdict) = gauge.borrow_mut().read(&buf.filled()[before..], self.0.clock.now_ms())
        {
            self.0.verdict.set(Some(verdict));
            if verdict.is_of_frame() {
                buf.set_filled(before);
                return Poll::Pending;
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.gather(cx, &[io::IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.gather(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// Nothing: the connection's task sends when all that is ready was gathered.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_end(cx)
    }
}
