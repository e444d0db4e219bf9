//! A request to an upstream that speaks HTTP/2, as a socket: the request is written to it as HTTP/1.1 and leaves as
//! frames, the response is read from it as HTTP/1.1.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use ::h2::client::{ResponseFuture, SendRequest};
use ::h2::{RecvStream, SendStream};
use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::client::Use;
use super::framing::{Deframer, Framer};
use super::outflow::poll_body;
use super::{broken, head};
use crate::ingress::h1::request::{self, Framing};

/// One request on a connection that carries many.
#[derive(Debug)]
pub(crate) struct Call {
    sending: Sending,
    receiving: Receiving,
    framer: Framer,
    to_head: bool,
    /// Counts this call at its connection.
    in_use: Use,
}

#[derive(Debug)]
enum Sending {
    /// The head is still being written; what there is of it.
    Head(SendRequest<Bytes>, Vec<u8>),
    Body(SendStream<Bytes>, Deframer),
    Done(#[expect(dead_code, reason = "kept until the response is there")] Option<SendStream<Bytes>>),
}

#[derive(Debug)]
enum Receiving {
    /// Nothing was asked yet.
    Nothing,
    Head(ResponseFuture),
    Body(RecvStream),
    /// The stream was refused or lost before its head: for the reader the connection just ended.
    Lost,
}

impl Call {
    pub(super) fn new(request: SendRequest<Bytes>, in_use: Use) -> Self {
        Self {
            sending: Sending::Head(request, Vec::new()),
            receiving: Receiving::Nothing,
            framer: Framer::default(),
            to_head: false,
            in_use,
        }
    }

    /// Takes in more of the head; how many bytes of `buf` belong to it.
    fn write_head(&mut self, buf: &[u8]) -> io::Result<usize> {
        let Sending::Head(send, held) = &mut self.sending else { return Ok(0) };
        let before = held.len();
        held.extend_from_slice(buf);
        let invalid = || io::Error::from(io::ErrorKind::InvalidData);
        let Some(head) = request::parse(held, Vec::with_capacity(24)).map_err(|_| invalid())? else {
            return Ok(buf.len());
        };
        let used = head.len - before;
        self.to_head = head.method.get(held) == b"HEAD";
        let deframer = match head.framing {
            Framing::None => None,
            Framing::Length(length) => Some(Deframer::Length(length)),
            Framing::Chunked => Some(Deframer::chunked()),
        };
        let request = head::request(&head, held).ok_or_else(invalid)?;
        let sent = send.send_request(request, deframer.is_none());
        let (response, stream) = sent.map_err(|error| {
            self.in_use.condemn();
            broken(error)
        })?;
        self.receiving = Receiving::Head(response);
        self.sending = match deframer {
            None => Sending::Done(Some(stream)),
            Some(deframer) => Sending::Body(stream, deframer),
        };
        Ok(used)
    }
}

impl AsyncWrite for Call {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let of_head = this.write_head(buf)?;
        if of_head > 0 {
            return Poll::Ready(Ok(of_head));
        }
        let Sending::Body(send, framing) = &mut this.sending else { return Poll::Ready(Ok(buf.len())) };
        let (used, ended) = ready!(poll_body(send, framing, buf, cx))?;
        if ended && let Sending::Body(send, _) = std::mem::replace(&mut this.sending, Sending::Done(None)) {
            this.sending = Sending::Done(Some(send));
        }
        Poll::Ready(Ok(used))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Call {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        while this.framer.is_empty() && !this.framer.is_over() {
            match &mut this.receiving {
                // The head is written first, and in one piece.
                Receiving::Nothing => return Poll::Pending,
                Receiving::Lost => return Poll::Ready(Ok(())),
                Receiving::Head(response) => {
                    let mut out = Vec::with_capacity(512);
                    if let Poll::Ready(Some(Ok(interim))) = response.poll_informational(cx) {
                        head::render_response(&interim, false, this.to_head, &mut out);
                        this.framer.put_head(out);
                        continue;
                    }
                    let response = match ready!(Pin::new(response).poll(cx)) {
                        Ok(response) => response,
                        Err(error) => {
                            if error.is_go_away() || error.is_io() {
                                this.in_use.condemn();
                            }
                            this.receiving = Receiving::Lost;
                            continue;
                        }
                    };
                    let (parts, body) = response.into_parts();
                    let response = http::Response::from_parts(parts, ());
                    let has_body = !body.is_end_stream();
                    let is_chunked = head::render_response(&response, has_body, this.to_head, &mut out);
                    this.framer = Framer::new(is_chunked);
                    this.framer.put_head(out);
                    this.receiving = Receiving::Body(body);
                }
                Receiving::Body(body) => match ready!(body.poll_data(cx)) {
                    Some(data) => {
                        let is_last = body.is_end_stream();
                        this.framer.put(data.map_err(broken)?, is_last);
                    }
                    None => {
                        let trailers = ready!(body.poll_trailers(cx)).map_err(broken)?;
                        this.framer.end(trailers);
                    }
                },
            }
        }
        let content = this.framer.read(buf);
        if content > 0
            && let Receiving::Body(body) = &mut this.receiving
        {
            let _ = body.flow_control().release_capacity(content);
        }
        Poll::Ready(Ok(()))
    }
}
