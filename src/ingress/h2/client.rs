//! Connections to upstreams that speak HTTP/2 without TLS (h2c by prior knowledge): each carries many requests.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

use ::h2::client::{self, SendRequest};
use bytes::Bytes;
use tokio::task::spawn_local;

use super::io::Wire;
use super::{Call, broken};
use crate::ingress::buffer::Buffer;
use crate::ingress::clock::Clock;
use crate::ingress::socket::Socket;

/// Requests at a time on one connection; what comes beside them gets another connection.
const MAX_CALLS: u32 = 100;
/// An idle connection older than this is closed.
const MAX_IDLE_MS: u64 = 55_000;
/// Bytes of responses that a stream, and all of a connection, may send ahead of what was passed on.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 4 * 1024 * 1024;
/// Largest response head, as in HTTP/1.1.
const MAX_HEAD: u32 = crate::ingress::h1::response::MAX_HEAD as u32;

/// The connections of one thread, keyed by the serial of the upstream.
#[derive(Debug, Default)]
pub(crate) struct Links {
    open: RefCell<HashMap<u64, Vec<Link>>>,
    /// Whose turn it is to connect.
    connecting: RefCell<HashMap<u64, Rc<tokio::sync::Mutex<()>>>>,
}

#[derive(Debug)]
struct Link {
    send: SendRequest<Bytes>,
    load: Rc<Load>,
}

/// How much a connection is used.
#[derive(Debug, Default)]
struct Load {
    calls: Cell<u32>,
    idle_since: Cell<u64>,
    /// It takes no more calls.
    condemned: Cell<bool>,
    clock: Option<Rc<Clock>>,
}

/// Counts a call for as long as it lives.
#[derive(Debug)]
pub(super) struct Use(Rc<Load>);

impl Use {
    fn new(load: &Rc<Load>) -> Self {
        load.calls.set(load.calls.get() + 1);
        Self(Rc::clone(load))
    }

    /// No further call is made on this connection.
    pub(super) fn condemn(&self) {
        self.0.condemned.set(true);
    }
}

impl Drop for Use {
    fn drop(&mut self) {
        self.0.calls.set(self.0.calls.get() - 1);
        self.0.idle_since.set(self.0.clock.as_ref().map_or(0, |clock| clock.now_ms()));
    }
}

impl Links {
    /// A call on an open connection that has room for it.
    pub(crate) fn take(&self, upstream: u64) -> Option<Call> {
        let mut links = self.open.borrow_mut();
        let list = links.get_mut(&upstream)?;
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        let mut found = None;
        list.retain_mut(|link| {
            if link.load.condemned.get() {
                return false;
            }
            let most = MAX_CALLS.min(u32::try_from(link.send.current_max_send_streams()).unwrap_or(MAX_CALLS));
            if found.is_some() || link.load.calls.get() >= most {
                return true;
            }
            match link.send.poll_ready(&mut cx) {
                Poll::Ready(Ok(())) => found = Some(Call::new(link.send.clone(), Use::new(&link.load))),
                Poll::Ready(Err(_)) => return false,
                Poll::Pending => {}
            }
            true
        });
        found
    }

    /// A call on an open connection, or on a new one that `connect` makes; of many calls at a time that find none,
    /// one connects and the others wait for it.
    pub(crate) async fn call(
        &self,
        upstream: u64,
        clock: &Rc<Clock>,
        connect: impl Future<Output = io::Result<Socket>>,
    ) -> io::Result<Call> {
        let turn = Rc::clone(self.connecting.borrow_mut().entry(upstream).or_default());
        let _turn = turn.lock().await;
        if let Some(call) = self.take(upstream) {
            return Ok(call);
        }
        self.open(upstream, connect.await?, clock).await
    }

    /// Greets the upstream on a new connection and keeps it for others.
    async fn open(&self, upstream: u64, socket: Socket, clock: &Rc<Clock>) -> io::Result<Call> {
        let wire = Wire::new(socket, Buffer::default(), None, Rc::clone(clock));
        let mut builder = client::Builder::new();
        builder
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_header_list_size(MAX_HEAD)
            .initial_max_send_streams(MAX_CALLS as usize)
            .data_frame_budget(CONNECTION_WINDOW as usize)
            .enable_push(false);
        let (send, connection) = builder.handshake(wire.clone()).await.map_err(broken)?;
        spawn_local(async move {
            let mut connection = pin!(connection);
            poll_fn(|cx| {
                let ended = connection.as_mut().poll(cx).is_ready();
                match wire.poll_send(cx) {
                    Poll::Ready(Err(_)) => Poll::Ready(()),
                    _ if ended => Poll::Ready(()),
                    _ => Poll::Pending,
                }
            })
            .await;
        });
        let load = Rc::new(Load { clock: Some(Rc::clone(clock)), ..Load::default() });
        let call = Call::new(send.clone(), Use::new(&load));
        self.open.borrow_mut().entry(upstream).or_default().push(Link { send, load });
        Ok(call)
    }

    /// Lets go of connections to upstreams that are not used any more; they end with their last request.
    pub(crate) fn keep_only(&self, is_used: impl Fn(u64) -> bool) {
        self.open.borrow_mut().retain(|serial, _| is_used(*serial));
        self.connecting.borrow_mut().retain(|serial, _| is_used(*serial));
    }

    /// Lets go of connections that grew old.
    pub(crate) fn sweep(&self, now_ms: u64) {
        self.open.borrow_mut().retain(|_, list| {
            list.retain(|link| {
                link.load.calls.get() > 0 || now_ms.saturating_sub(link.load.idle_since.get()) <= MAX_IDLE_MS
            });
            !list.is_empty()
        });
    }

    /// Lets go of all.
    pub(crate) fn clear(&self) {
        self.open.borrow_mut().clear();
    }
}
