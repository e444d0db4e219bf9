//! One TCP connection: who it is for, to whom it goes, and the bytes in between.

use std::future::poll_fn;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};

use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use super::doors::Port;
use super::greeting;
use super::log::{self, Line};
use super::model::Tls;
use super::table::Entry;
use crate::ingress::buffer::Buffer;
use crate::ingress::clock::Slot;
use crate::ingress::core::{Core, TableRef};
use crate::ingress::proxy_protocol::{self, Header};
use crate::ingress::shared::Admission;
use crate::ingress::snapshot::UpstreamAddress;
use crate::ingress::socket::Socket;
use crate::ingress::stats::UpstreamState;
use crate::ingress::tunnel;

/// How long a client may take to say whom it wants.
const GREETING: Duration = Duration::from_secs(10);

/// A connection on its way.
struct Visit {
    core: Rc<Core>,
    table: Rc<TableRef>,
    entry: usize,
    client: IpAddr,
    server_name: Option<String>,
    instance: Option<String>,
    moved: (u64, u64),
}

/// Serves an accepted connection to its end.
pub(super) async fn serve(core: Rc<Core>, port: Rc<Port>, stream: TcpStream, address: SocketAddr) {
    let table = core.table();
    let Some(entry) = table.listeners.find(port.key) else { return };
    let listener = &table.listeners.entries[entry].listener;
    let stats = &table.listeners.entries[entry].stats;
    let client = address.ip().to_canonical();
    let per_address = if listener.proxy_protocol { u32::MAX } else { listener.max_connections_per_address };
    let most = table.snapshot.settings.max_connections;
    let Some(admission) = core.shared.admit(client, most, per_address) else {
        stats.refused.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        return;
    };
    let Some(_counted) = stats.admit(listener.max_connections) else { return };
    let _ = stream.set_nodelay(true);
    let started = Instant::now();
    let mut visit = Visit {
        core: Rc::clone(&core),
        table: Rc::clone(&table),
        entry,
        client,
        server_name: None,
        instance: None,
        moved: (0, 0),
    };
    let slot = core.clock.slot();
    let outcome = {
        let mut going = pin!(visit.go(stream, admission, &slot));
        poll_fn(|cx| match going.as_mut().poll(cx) {
            Poll::Ready(outcome) => Poll::Ready(outcome),
            Poll::Pending if slot.is_past(port.cut_at.get()) => Poll::Ready(Err("listener_removed")),
            Poll::Pending => {
                slot.watch(port.cut_at.get(), cx);
                Poll::Pending
            }
        })
        .await
    };
    let line = Line {
        started,
        client: visit.client,
        server_name: visit.server_name.as_deref(),
        instance: visit.instance.as_deref(),
        bytes_in: visit.moved.0,
        bytes_out: visit.moved.1,
        error: outcome.err(),
    };
    log::record(&core, &table.listeners.entries[entry], &line);
}

impl Visit {
    fn entry(&self) -> &Entry {
        &self.table.listeners.entries[self.entry]
    }

    async fn go(&mut self, mut stream: TcpStream, admission: Admission, slot: &Slot) -> Result<(), &'static str> {
        let mut _admission = admission;
        if self.entry().listener.proxy_protocol {
            _admission = self.unwrap(&mut stream, slot).await?;
        }
        let (socket, rule, early) = self.greet(stream, slot).await.inspect_err(|_| {
            self.entry().stats.refused.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        })?;
        let (upstream, state) = self.connect(rule, slot).await.inspect_err(|_| {
            self.entry().stats.failed.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        })?;
        self.instance = Some(state.id.clone());
        let idle = Duration::from_millis(self.entry().listener.idle_ms());
        let _in_use = InUse::begin(&self.core, state);
        let (mut client, mut upstream, mut from_client) = (socket, upstream, early);
        self.moved =
            tunnel::run(&mut client, &mut upstream, (&mut from_client, &mut Buffer::default()), slot, idle).await;
        Ok(())
    }

    /// Takes the PROXY header off and counts the connection for the client it names.
    async fn unwrap(&mut self, stream: &mut TcpStream, slot: &Slot) -> Result<Admission, &'static str> {
        let header = slot.within(GREETING, proxy_protocol::take(stream)).await;
        match header {
            Ok(Ok(Header::Proxied { client, .. })) => self.client = client.ip().to_canonical(),
            Ok(Ok(Header::Local)) => {}
            _ => {
                self.entry().stats.refused.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                return Err("bad_proxy_header");
            }
        }
        let most = self.table.snapshot.settings.max_connections;
        let per_address = self.entry().listener.max_connections_per_address;
        self.core.shared.admit(self.client, most, per_address).ok_or("too_many_connections")
    }

    /// Finds out which rule the client's connection falls under, and ends its TLS where that is said.
    async fn greet(&mut self, mut stream: TcpStream, slot: &Slot) -> Result<(Socket, usize, Buffer), &'static str> {
        if !self.entry().listener.reads_tls() {
            return Ok((Socket::Tcp(stream), 0, Buffer::default()));
        }
        let greeting = slot.within(GREETING, greeting::read(&mut stream)).await.map_err(|_| "greeting_timeout")??;
        self.server_name = greeting.name;
        let rule = self.entry().rule(self.server_name.as_deref()).ok_or("unknown_server_name")?;
        if self.entry().tls(rule) == Tls::Pass {
            return Ok((Socket::Tcp(stream), rule, Buffer::of(greeting.bytes)));
        }
        let acceptor = TlsAcceptor::from(std::sync::Arc::clone(&self.core.tls));
        let accepting = acceptor.accept_with(stream, |session| {
            let mut bytes = greeting.bytes.as_slice();
            // An error comes up again in the handshake that follows.
            while !bytes.is_empty() && session.read_tls(&mut bytes).is_ok() && session.process_new_packets().is_ok() {}
        });
        match slot.within(GREETING, Box::pin(accepting)).await {
            Ok(Ok(stream)) => Ok((Socket::Tls(Box::new(stream)), rule, Buffer::default())),
            Ok(Err(_)) => Err("handshake_failed"),
            Err(_) => Err("handshake_timeout"),
        }
    }

    /// Connects to an upstream of the rule; each is tried once.
    async fn connect(&self, rule: usize, slot: &Slot) -> Result<(Socket, std::sync::Arc<UpstreamState>), &'static str> {
        let entry = self.entry();
        let limit = Duration::from_millis(entry.listener.connect_timeout_ms.max(1));
        let mut tried = Vec::new();
        while let Some(index) = entry.choose(rule, &tried, self.core.clock.now_ms(), &self.core.random) {
            let state = &entry.upstreams[rule][index];
            let connecting = async {
                match &state.address {
                    UpstreamAddress::Tcp(address) => Socket::connect_tcp(*address).await,
                    UpstreamAddress::Unix(path) => Socket::connect_unix(path).await,
                }
            };
            match slot.within(limit, connecting).await {
                Ok(Ok(socket)) => {
                    state.forgive();
                    return Ok((socket, std::sync::Arc::clone(state)));
                }
                _ => {
                    state.eject(self.core.worker, self.core.clock.now_ms());
                    tried.push(index);
                }
            }
        }
        Err("no_upstream")
    }
}

/// Counts a connection at its upstream.
pub(super) struct InUse {
    state: std::sync::Arc<UpstreamState>,
    worker: usize,
}

impl InUse {
    pub(super) fn begin(core: &Core, state: std::sync::Arc<UpstreamState>) -> Self {
        state.begin(core.worker);
        Self { state, worker: core.worker }
    }
}

impl Drop for InUse {
    fn drop(&mut self) {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        self.state.end(self.worker, now.map_or(0, |since| since.as_millis() as u64));
    }
}
