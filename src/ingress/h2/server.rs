//! The server's side: one task for each connection, one for each stream.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use ::h2::RecvStream;
use ::h2::server::{self, SendResponse};
use bytes::Bytes;
use http::Request;
use tokio::task::spawn_local;

use super::flood::Gauge;
use super::head::{self, Shape};
use super::io::Wire;
use super::stream::{self, Stream};
use crate::ingress::buffer::Buffer;
use crate::ingress::clock::{NEVER, Slot};
use crate::ingress::connection::{Connection, Flow};
use crate::ingress::core::Core;
use crate::ingress::h1::request::{self as h1, HeadError, MAX_HEAD, RequestHead};
use crate::ingress::socket::Socket;
use crate::ingress::transaction::Peer;

/// Bytes of request bodies that a stream, and all of a connection, may send ahead of what was passed on.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// Bytes of a response that may wait in its stream.
const SEND_BUFFER: usize = 256 * 1024;
/// Errors of a client in its streams before the connection ends.
const MAX_ERRORS: usize = 64;
/// How long a connection that is to end may take to do so.
const LEAVE: Duration = Duration::from_secs(3);

type Http2 = server::Connection<Wire, Bytes>;
type Accepted = (Request<RecvStream>, SendResponse<Bytes>);

/// What the tasks of one connection share.
struct Shared {
    core: Rc<Core>,
    peer: Peer,
    wire: Wire,
    /// Open streams.
    open: Cell<usize>,
    /// Time of the clock when the last one ended.
    idle_since: Cell<u64>,
}

/// Counts a stream for as long as it lives.
struct Open(Rc<Shared>);

impl Open {
    fn new(shared: &Rc<Shared>) -> Self {
        shared.open.set(shared.open.get() + 1);
        Self(Rc::clone(shared))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.set(self.0.open.get() - 1);
        self.0.idle_since.set(self.0.core.clock.now_ms());
    }
}

/// Serves a connection to its end. What was read of it so far is in its input.
pub(crate) async fn serve(connection: Connection) {
    let Connection { socket, input, mut peer, core, slot } = connection;
    peer.is_http2 = true;
    let now = core.clock.now_ms();
    let wire = Wire::new(socket, input, Some(Gauge::new(now)), Rc::clone(&core.clock));
    let shared = Rc::new(Shared { core, peer, wire, open: Cell::new(0), idle_since: Cell::new(now) });
    if let Some(mut http2) = greet(&shared, &slot).await {
        let mut leaving = Leaving::default();
        while let Some(accepted) = next(&mut http2, &shared, &slot, &mut leaving).await {
            let open = Open::new(&shared);
            spawn_local(exchange(open, accepted));
        }
        if let Some(verdict) = shared.wire.verdict() {
            tracing::debug!(client = %shared.peer.text, what = verdict.what, "a client's connection was ended");
            shared.core.shared.refused.add(shared.core.worker, 1);
        }
    } else {
        shared.core.shared.refused.add(shared.core.worker, 1);
    }
    let wire = &shared.wire;
    let end = slot.after(LEAVE);
    let _ = slot.until(end, poll_fn(|cx| wire.poll_end(cx))).await;
    // What is unread when a socket is closed turns into a reset, which could overtake our last frame.
    let _ = slot.until(end, poll_fn(|cx| wire.poll_discard(cx))).await;
}

/// Exchanges settings and prefaces.
async fn greet(shared: &Shared, slot: &Slot) -> Option<Http2> {
    let table = shared.core.table();
    let settings = &table.snapshot.settings;
    let mut builder = server::Builder::new();
    builder
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_concurrent_streams(settings.max_streams.max(1))
        .max_header_list_size(MAX_HEAD as u32)
        .max_send_buffer_size(SEND_BUFFER)
        .max_local_error_reset_streams(Some(MAX_ERRORS))
        .data_frame_budget(CONNECTION_WINDOW as usize)
        .enable_connect_protocol();
    let mut handshake = pin!(builder.handshake(shared.wire.clone()));
    let greeting = poll_fn(|cx| {
        let done = handshake.as_mut().poll(cx);
        if let Poll::Ready(Err(_)) = shared.wire.poll_send(cx) {
            return Poll::Ready(None);
        }
        done.map(Result::ok)
    });
    slot.within(Duration::from_millis(settings.head_timeout_ms), greeting).await.ok().flatten()
}

/// How far the connection is on its way out.
#[derive(Debug, Default)]
struct Leaving {
    /// Time of the clock when the client was told.
    since: Option<u64>,
    /// It was told at once, without regard to open streams.
    abrupt: bool,
}

impl Leaving {
    /// Decides whether to tell the client to go; `true` when it was just told.
    fn tell(&mut self, http2: &mut Http2, shared: &Shared, slot: &Slot) -> bool {
        let now = shared.core.clock.now_ms();
        if let Some(verdict) = shared.wire.verdict().filter(|_| !self.abrupt) {
            http2.abrupt_shutdown(verdict.reason);
            (self.since, self.abrupt) = (Some(now), true);
            return true;
        }
        let leave = shared.core.drain_since().is_some() || slot.is_past(idle_end(shared));
        if leave && self.since.is_none() {
            http2.graceful_shutdown();
            self.since = Some(now);
            return true;
        }
        false
    }

    /// Until when the connection may live as things are.
    fn end(&self, shared: &Shared) -> u64 {
        match self.since {
            None => idle_end(shared),
            Some(_) if !self.abrupt && shared.open.get() > 0 => NEVER,
            Some(since) => since.max(shared.idle_since.get()) + LEAVE.as_millis() as u64,
        }
    }
}

fn idle_end(shared: &Shared) -> u64 {
    if shared.open.get() > 0 {
        return NEVER;
    }
    shared.idle_since.get().saturating_add(shared.core.table().snapshot.settings.keep_alive_ms)
}

/// The next request, while everything else of the connection moves on; `None` when it has ended or has to.
async fn next(http2: &mut Http2, shared: &Shared, slot: &Slot, leaving: &mut Leaving) -> Option<Accepted> {
    poll_fn(|cx: &mut Context<'_>| {
        loop {
            match http2.poll_accept(cx) {
                Poll::Ready(Some(Ok(accepted))) => return Poll::Ready(Some(accepted)),
                Poll::Ready(Some(Err(_)) | None) => return Poll::Ready(None),
                Poll::Pending => {}
            }
            if let Poll::Ready(Err(_)) = shared.wire.poll_send(cx) {
                return Poll::Ready(None);
            }
            if leaving.tell(http2, shared, slot) {
                continue;
            }
            let end = leaving.end(shared);
            if leaving.since.is_some() && slot.is_past(end) {
                return Poll::Ready(None);
            }
            slot.watch(end, cx);
            return Poll::Pending;
        }
    })
    .await
}

/// One stream: a request through the phases.
async fn exchange(open: Open, (request, respond): Accepted) {
    let shared = &*open.0;
    let core = &shared.core;
    let (parts, body) = request.into_parts();
    let mut bytes = core.spares.output();
    let read = read_head(&parts, !body.is_end_stream(), core, &mut bytes);
    drop(parts);
    let shape = read.as_ref().map_or_else(|_| Shape::default(), |(shape, _)| *shape);
    let (stream, reply) = Stream::new(body, respond, shape);
    let mut connection = Connection {
        socket: Socket::Stream(Box::new(stream)),
        input: Buffer::default(),
        peer: shared.peer.clone(),
        core: Rc::clone(core),
        slot: core.clock.slot(),
    };
    let flow = match read {
        Ok((_, head)) => connection.transact(head, bytes, stream::given_up(&reply)).await,
        Err(error) => {
            connection.refuse(&error.into()).await;
            Flow::Linger
        }
    };
    // Some clients take a reset for a failure, also when the answer was complete: what they still send is let in for a
    // while, and thrown away.
    if flow == Flow::Linger && reply.borrow().is_complete() {
        connection.linger().await;
    }
    let mut reply = reply.borrow_mut();
    if reply.is_complete() {
        shared.wire.answered();
    } else {
        reply.break_off();
    }
}

/// Renders the head and reads it as strictly as any other.
fn read_head(
    parts: &http::request::Parts,
    has_body: bool,
    core: &Core,
    bytes: &mut Vec<u8>,
) -> Result<(Shape, RequestHead), HeadError> {
    let shape = head::render(parts, has_body, core.random.hex(), bytes)?;
    match h1::parse(bytes, Vec::with_capacity(24))? {
        Some(head) if head.len == bytes.len() => Ok((shape, head)),
        _ => Err(HeadError::Malformed("its header fields hold the end of a head")),
    }
}
