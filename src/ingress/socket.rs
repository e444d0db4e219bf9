//! One stream type for clients and upstreams, and halves of it that need no lock.
//!
//! TCP and Unix sockets are read and written with bare system calls whenever the reactor's last word was that they are
//! ready. A read that does not fill its space, and a write that is not taken whole, tell that the socket is used up for
//! now: no call is spent on being told so again.

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use rustix::buffer::spare_capacity;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};
use rustix::pipe::SpliceFlags;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, Interest, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::server::TlsStream;

use super::h2;
use super::splice::Pipe;

/// A connected stream.
#[derive(Debug)]
pub(crate) enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
    Tls(Box<TlsStream<TcpStream>>),
    /// A client's stream in HTTP/2, as one exchange of HTTP/1.1.
    Stream(Box<h2::Stream>),
    /// A request to an upstream in HTTP/2, as one exchange of HTTP/1.1.
    Call(Box<h2::Call>),
}

/// What bodies are moved between: a whole socket, or one seen by two futures of a task.
pub(crate) trait Transport: AsyncRead + AsyncWrite + Unpin {
    /// Appends what can be read at once to the spare capacity of `into`, which must have some; 0 is the end of the
    /// stream.
    fn poll_fill(&mut self, cx: &mut Context<'_>, into: &mut Vec<u8>) -> Poll<io::Result<usize>>;

    /// Whether its bytes can stay in the kernel: TCP without TLS.
    fn can_splice(&self) -> bool;

    /// Moves up to `most` bytes of the stream into an empty pipe; 0 is the end of the stream.
    fn poll_splice_into(&mut self, cx: &mut Context<'_>, pipe: &Pipe, most: usize) -> Poll<io::Result<usize>>;

    /// Moves up to `held` bytes out of a pipe into the stream.
    fn poll_splice_from(&mut self, cx: &mut Context<'_>, pipe: &Pipe, held: usize) -> Poll<io::Result<usize>>;
}

impl Socket {
    pub(crate) async fn connect_tcp(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        // Upstreams are on this machine or its network: pacing and bandwidth probing, which the system may have as its
        // default towards clients, only cost here.
        let _ = rustix::net::sockopt::set_tcp_congestion(&stream, "cubic");
        Ok(Self::Tcp(stream))
    }

    pub(crate) async fn connect_unix(path: &Path) -> io::Result<Self> {
        UnixStream::connect(path).await.map(Self::Unix)
    }

    /// The client chose HTTP/2 when TLS began.
    pub(crate) fn chose_http2(&self) -> bool {
        matches!(self, Self::Tls(stream) if stream.get_ref().1.alpn_protocol() == Some(b"h2"))
    }

    /// Waits until there is something to read, holding no buffer meanwhile.
    pub(crate) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(stream) => stream.poll_read_ready(cx),
            Self::Unix(stream) => stream.poll_read_ready(cx),
            // Bytes may wait inside the session: only a read can tell.
            Self::Tls(_) | Self::Stream(_) | Self::Call(_) => Poll::Ready(Ok(())),
        }
    }

    /// Whether the peer has neither closed nor sent anything unasked. Asks the kernel, not the reactor, so that a
    /// close which arrived just now is seen.
    pub(crate) fn is_quiet(&self) -> bool {
        let mut byte = [0u8; 1];
        let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
        let peeked = match self {
            Self::Tcp(stream) => rustix::net::recv(stream, &mut byte[..], flags),
            Self::Unix(stream) => rustix::net::recv(stream, &mut byte[..], flags),
            Self::Tls(stream) => rustix::net::recv(stream.get_ref().0, &mut byte[..], flags),
            // These carry one exchange and are never used again.
            Self::Stream(_) | Self::Call(_) => return false,
        };
        matches!(peeked, Err(Errno::AGAIN))
    }
}

impl Transport for Socket {
    fn poll_fill(&mut self, cx: &mut Context<'_>, into: &mut Vec<u8>) -> Poll<io::Result<usize>> {
        match self {
            Self::Tcp(stream) => fill(stream, cx, into),
            Self::Unix(stream) => fill(stream, cx, into),
            Self::Tls(stream) => pin!(stream.read_buf(into)).poll(cx),
            Self::Stream(stream) => pin!(stream.read_buf(into)).poll(cx),
            Self::Call(call) => pin!(call.read_buf(into)).poll(cx),
        }
    }

    fn can_splice(&self) -> bool {
        matches!(self, Self::Tcp(_))
    }

    fn poll_splice_into(&mut self, cx: &mut Context<'_>, pipe: &Pipe, most: usize) -> Poll<io::Result<usize>> {
        let Self::Tcp(stream) = self else { return Poll::Ready(Err(io::ErrorKind::Unsupported.into())) };
        // Fewer bytes than asked for may be all that the pipe had room for: only the kernel's refusal says that the
        // socket is used up, here and below.
        transfer(stream, Interest::READABLE, cx, 0, || {
            rustix::pipe::splice(&*stream, None, &pipe.writer, None, most, SPLICE)
        })
    }

    fn poll_splice_from(&mut self, cx: &mut Context<'_>, pipe: &Pipe, held: usize) -> Poll<io::Result<usize>> {
        let Self::Tcp(stream) = self else { return Poll::Ready(Err(io::ErrorKind::Unsupported.into())) };
        transfer(stream, Interest::WRITABLE, cx, 0, || {
            rustix::pipe::splice(&pipe.reader, None, &*stream, None, held, SPLICE)
        })
    }
}

const SPLICE: SpliceFlags = SpliceFlags::MOVE.union(SpliceFlags::NONBLOCK);

/// A socket of the kernel that the reactor watches.
trait Watched: std::os::fd::AsFd {
    fn poll_ready(&self, interest: Interest, cx: &mut Context<'_>) -> Poll<io::Result<()>>;
    fn attempt(&self, interest: Interest, work: impl FnMut() -> io::Result<()>) -> io::Result<()>;
}

macro_rules! watched {
    ($stream:ty) => {
        impl Watched for $stream {
            fn poll_ready(&self, interest: Interest, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                if interest.is_readable() { self.poll_read_ready(cx) } else { self.poll_write_ready(cx) }
            }
            fn attempt(&self, interest: Interest, work: impl FnMut() -> io::Result<()>) -> io::Result<()> {
                self.try_io(interest, work)
            }
        }
    };
}
watched!(TcpStream);
watched!(UnixStream);

/// Makes a system call that moves up to `room` bytes as soon as the reactor thinks it can be made.
fn transfer(
    stream: &impl Watched,
    interest: Interest,
    cx: &mut Context<'_>,
    room: usize,
    mut call: impl FnMut() -> rustix::io::Result<usize>,
) -> Poll<io::Result<usize>> {
    loop {
        let mut moved = None;
        let tried = stream.attempt(interest, || {
            let n = call()?;
            moved = Some(n);
            // Not all: nothing more can be moved until the next event. Said this way, the reactor forgets the last one.
            if n < room { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
        });
        match (moved, tried) {
            (Some(n), _) => return Poll::Ready(Ok(n)),
            (None, Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
            (None, Err(error)) if error.kind() != io::ErrorKind::WouldBlock => return Poll::Ready(Err(error)),
            (None, _) => ready!(stream.poll_ready(interest, cx))?,
        }
    }
}

fn fill(stream: &impl Watched, cx: &mut Context<'_>, into: &mut Vec<u8>) -> Poll<io::Result<usize>> {
    let room = into.capacity() - into.len();
    transfer(stream, Interest::READABLE, cx, room, || {
        rustix::net::recv(stream, spare_capacity(into), RecvFlags::DONTWAIT).map(|(n, _)| n)
    })
}

fn send(stream: &impl Watched, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
    transfer(stream, Interest::WRITABLE, cx, bytes.len(), || {
        rustix::net::send(stream, bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL)
    })
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_read(cx, buf),
            Self::Stream(stream) => Pin::new(stream.as_mut()).poll_read(cx, buf),
            Self::Call(call) => Pin::new(call.as_mut()).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => send(stream, cx, buf),
            Self::Unix(stream) => send(stream, cx, buf),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_write(cx, buf),
            Self::Stream(stream) => Pin::new(stream.as_mut()).poll_write(cx, buf),
            Self::Call(call) => Pin::new(call.as_mut()).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Self::Unix(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_flush(cx),
            Self::Stream(stream) => Pin::new(stream.as_mut()).poll_flush(cx),
            Self::Call(call) => Pin::new(call.as_mut()).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_shutdown(cx),
            Self::Stream(stream) => Pin::new(stream.as_mut()).poll_shutdown(cx),
            Self::Call(call) => Pin::new(call.as_mut()).poll_shutdown(cx),
        }
    }
}

/// A half of a socket that is shared within one task; borrowed only during a poll.
#[derive(Debug)]
pub(crate) struct Half<'a, 'b>(pub &'a RefCell<&'b mut Socket>);

impl Transport for Half<'_, '_> {
    fn poll_fill(&mut self, cx: &mut Context<'_>, into: &mut Vec<u8>) -> Poll<io::Result<usize>> {
        self.0.borrow_mut().poll_fill(cx, into)
    }

    fn can_splice(&self) -> bool {
        self.0.borrow().can_splice()
    }

    fn poll_splice_into(&mut self, cx: &mut Context<'_>, pipe: &Pipe, most: usize) -> Poll<io::Result<usize>> {
        self.0.borrow_mut().poll_splice_into(cx, pipe, most)
    }

    fn poll_splice_from(&mut self, cx: &mut Context<'_>, pipe: &Pipe, held: usize) -> Poll<io::Result<usize>> {
        self.0.borrow_mut().poll_splice_from(cx, pipe, held)
    }
}

impl AsyncRead for Half<'_, '_> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut **self.0.borrow_mut()).poll_read(cx, buf)
    }
}

impl AsyncWrite for Half<'_, '_> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut **self.0.borrow_mut()).poll_write(cx, buf)
    }
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut **self.0.borrow_mut()).poll_flush(cx)
    }
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut **self.0.borrow_mut()).poll_shutdown(cx)
    }
}
