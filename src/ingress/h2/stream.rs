//! A client's stream as a socket: the request's body is read from it in the framing of HTTP/1.1, the response is
//! written to it as HTTP/1.1 and leaves as frames.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use ::h2::server::SendResponse;
use ::h2::{Reason, RecvStream, SendStream};
use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::framing::{Deframer, Framer};
use super::head::Shape;
use super::outflow::poll_body;
use super::{broken, head};
use crate::ingress::h1::response::{self, Framing, ResponseHead};

/// A client's stream.
#[derive(Debug)]
pub(crate) struct Stream {
    body: RecvStream,
    framer: Framer,
    shape: Shape,
    reply: Rc<RefCell<Reply>>,
}

/// The answering side.
#[derive(Debug)]
pub(super) struct Reply {
    state: State,
    shape: Shape,
    /// The response was sent to its end.
    complete: bool,
}

#[derive(Debug)]
enum State {
    /// The head is still being written; what there is of it.
    Head(SendResponse<Bytes>, Vec<u8>),
    Body(SendStream<Bytes>, Deframer),
    /// The stream's handle is kept: dropping it early would reset the stream.
    Done(#[expect(dead_code, reason = "dropped with the stream")] Option<SendStream<Bytes>>),
}

impl Stream {
    pub(super) fn new(body: RecvStream, respond: SendResponse<Bytes>, shape: Shape) -> (Self, Rc<RefCell<Reply>>) {
        let reply = Reply { state: State::Head(respond, Vec::new()), shape, complete: false };
        let reply = Rc::new(RefCell::new(reply));
        let framer = Framer::new(shape.is_chunked);
        (Self { body, framer, shape, reply: Rc::clone(&reply) }, reply)
    }
}

impl Reply {
    pub(super) fn is_complete(&self) -> bool {
        self.complete
    }

    fn poll_reset(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let reset = match &mut self.state {
            State::Head(respond, _) => respond.poll_reset(cx),
            State::Body(send, _) => send.poll_reset(cx),
            State::Done(_) => return Poll::Pending,
        };
        reset.map(|_| ())
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if let State::Head(respond, held) = &mut self.state {
            let before = held.len();
            held.extend_from_slice(buf);
            let parsed = response::parse(held, self.shape.to_head, Vec::with_capacity(16));
            let Some(head) = parsed.map_err(io::Error::other)? else { return Poll::Ready(Ok(buf.len())) };
            let used = head.len - before;
            match begin(respond, &head, held, self.shape)? {
                None => held.clear(),
                Some(state) => {
                    self.complete = matches!(state, State::Done(_));
                    self.state = state;
                }
            }
            return Poll::Ready(Ok(used));
        }
        let State::Body(send, framing) = &mut self.state else { return Poll::Ready(Ok(buf.len())) };
        let (used, ended) = ready!(poll_body(send, framing, buf, cx))?;
        if ended {
            self.finish();
        }
        Poll::Ready(Ok(used))
    }

    fn finish(&mut self) {
        self.complete = true;
        if let State::Body(send, _) = std::mem::replace(&mut self.state, State::Done(None)) {
            self.state = State::Done(Some(send));
        }
    }

    /// The upstream ended its side of a tunnel.
    fn end(&mut self) -> io::Result<()> {
        if let State::Body(send, Deframer::Raw) = &mut self.state {
            send.send_data(Bytes::new(), true).map_err(broken)?;
            self.finish();
        }
        Ok(())
    }

    /// The response stopped in the middle: the client must not take it for complete.
    pub(super) fn break_off(&mut self) {
        match &mut self.state {
            State::Head(respond, _) => respond.send_reset(Reason::INTERNAL_ERROR),
            State::Body(send, _) => send.send_reset(Reason::INTERNAL_ERROR),
            State::Done(_) => {}
        }
    }
}

/// Sends a head; `None` after an interim one.
fn begin(
    respond: &mut SendResponse<Bytes>,
    head: &ResponseHead,
    bytes: &[u8],
    shape: Shape,
) -> io::Result<Option<State>> {
    let mut response = head::response(head, bytes).ok_or(io::ErrorKind::InvalidData)?;
    if head.is_interim() {
        respond.send_informational(response).map_err(broken)?;
        return Ok(None);
    }
    if head.status == 101 {
        if !shape.is_tunnel {
            return Err(io::ErrorKind::InvalidData.into());
        }
        *response.status_mut() = http::StatusCode::OK;
        response.headers_mut().remove("sec-websocket-accept");
        let send = respond.send_response(response, false).map_err(broken)?;
        return Ok(Some(State::Body(send, Deframer::Raw)));
    }
    let deframer = match head.framing {
        Framing::None => None,
        Framing::Length(length) => Some(Deframer::Length(length)),
        Framing::Chunked => Some(Deframer::chunked()),
        Framing::UntilClose => Some(Deframer::Raw),
    };
    let send = respond.send_response(response, deframer.is_none()).map_err(broken)?;
    Ok(Some(match deframer {
        None => State::Done(Some(send)),
        Some(deframer) => State::Body(send, deframer),
    }))
}

/// Waits until the client gives the stream up.
pub(super) async fn given_up(reply: &RefCell<Reply>) {
    poll_fn(|cx| reply.borrow_mut().poll_reset(cx)).await;
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        while this.framer.is_empty() {
            if this.framer.is_over() {
                return Poll::Ready(Ok(()));
            }
            match ready!(this.body.poll_data(cx)) {
                Some(data) => this.framer.put(data.map_err(broken)?, this.body.is_end_stream()),
                None => {
                    let trailers = ready!(this.body.poll_trailers(cx)).map_err(broken)?;
                    this.framer.end(trailers.filter(|_| !this.shape.is_tunnel));
                }
            }
        }
        let content = this.framer.read(buf);
        if content > 0 {
            // The window opens as the body moves on, so a slow upstream slows the client down.
            let _ = this.body.flow_control().release_capacity(content);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.reply.borrow_mut().poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.reply.borrow_mut().end())
    }
}
