//! UDP: datagrams of one client address form a session with one upstream, until both have been silent for a while.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::Poll;
use std::time::{Duration, Instant};

use tokio::net::UdpSocket;
use tokio::task::spawn_local;

use super::doors::Port;
use super::log::{self, Line};
use super::tcp::InUse;
use crate::ingress::clock::{Clock, Slot};
use crate::ingress::core::{Core, TableRef};
use crate::ingress::snapshot::UpstreamAddress;
use crate::ingress::stats::UpstreamState;

/// The largest datagram there is.
const MAX_DATAGRAM: usize = 65_535;
/// Datagrams taken in one go before other tasks get their turn.
const BURST: usize = 64;
/// Pause after the socket failed.
const PAUSE: Duration = Duration::from_millis(100);

/// A session.
#[derive(Debug)]
struct Session {
    upstream: UdpSocket,
    /// Time of the clock when a datagram last went either way.
    used: Cell<u64>,
    bytes_in: Cell<u64>,
    bytes_out: Cell<u64>,
}

type Sessions = Rc<RefCell<HashMap<SocketAddr, Rc<Session>>>>;

/// Serves a socket until the task is ended; sessions that are open then go on until they are silent.
pub(super) async fn serve(core: Rc<Core>, port: Rc<Port>, socket: UdpSocket) {
    let socket = Rc::new(socket);
    let sessions = Sessions::default();
    let mut space = vec![0; MAX_DATAGRAM];
    loop {
        for _ in 0..BURST {
            match socket.recv_from(&mut space).await {
                Ok((n, client)) => forward(&core, &port, &socket, &sessions, client, &space[..n]).await,
                Err(error) => {
                    tracing::debug!(%error, "cannot receive a datagram");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
        tokio::task::yield_now().await;
    }
}

/// Passes a datagram to the upstream of its session; one that cannot be passed at once is lost, as on any network.
async fn forward(
    core: &Rc<Core>,
    port: &Rc<Port>,
    socket: &Rc<UdpSocket>,
    sessions: &Sessions,
    client: SocketAddr,
    datagram: &[u8],
) {
    let known = sessions.borrow().get(&client).cloned();
    let session = match known {
        Some(session) => session,
        None => match open(core, port, socket, sessions, client).await {
            Some(session) => session,
            None => return,
        },
    };
    session.used.set(core.clock.now_ms());
    // A new socket has yet to be seen writable; later, one that is not is full, and the datagram is lost.
    if session.bytes_in.get() == 0 {
        let _ = session.upstream.writable().await;
    }
    if session.upstream.try_send(datagram).is_ok() {
        session.bytes_in.set(session.bytes_in.get() + datagram.len() as u64);
    }
}

async fn open(
    core: &Rc<Core>,
    port: &Rc<Port>,
    socket: &Rc<UdpSocket>,
    sessions: &Sessions,
    client: SocketAddr,
) -> Option<Rc<Session>> {
    // While nothing is open the clock stands still: from here on it goes.
    let slot = core.clock.slot();
    let table = core.table();
    let index = table.listeners.find(port.key)?;
    let entry = &table.listeners.entries[index];
    let ip = client.ip().to_canonical();
    let of_address = sessions.borrow().keys().filter(|other| other.ip() == client.ip()).count();
    if of_address >= entry.listener.max_connections_per_address as usize {
        entry.stats.refused.fetch_add(1, Relaxed);
        return None;
    }
    let admitted = entry.stats.admit(entry.listener.max_connections)?;
    let chosen = entry.choose(0, &[], core.clock.now_ms(), &core.random).map(|index| &entry.upstreams[0][index]);
    let connected = match chosen {
        Some(state) => connect(state).await.map(|upstream| (upstream, Arc::clone(state))),
        None => Err(io::ErrorKind::NotFound.into()),
    };
    let Ok((upstream, state)) = connected else {
        entry.stats.failed.fetch_add(1, Relaxed);
        return None;
    };
    let now = core.clock.now_ms();
    let session =
        Rc::new(Session { upstream, used: Cell::new(now), bytes_in: Cell::default(), bytes_out: Cell::default() });
    sessions.borrow_mut().insert(client, Rc::clone(&session));
    let ending = Ending {
        core: Rc::clone(core),
        table: Rc::clone(&table),
        index,
        sessions: Rc::clone(sessions),
        session: Rc::clone(&session),
        client,
        instance: state.id.clone(),
        started: Instant::now(),
    };
    let in_use = InUse::begin(core, state);
    let (replies, port) = (Rc::clone(&session), Rc::clone(port));
    let (socket, core) = (Rc::clone(socket), Rc::clone(core));
    let idle = entry.listener.idle_ms();
    tracing::trace!(client = %ip, "a UDP session begins");
    spawn_local(async move {
        let end = |now: u64| now.saturating_add(idle).min(port.cut_at.get());
        answer(&core.clock, &slot, &socket, &replies, client, end).await;
        drop((ending, in_use, admitted));
    });
    Some(session)
}

async fn connect(state: &UpstreamState) -> io::Result<UdpSocket> {
    let UpstreamAddress::Tcp(address) = &state.address else { return Err(io::ErrorKind::Unsupported.into()) };
    let any = if address.is_ipv4() { SocketAddr::from(([0; 4], 0)) } else { SocketAddr::from(([0u16; 8], 0)) };
    let upstream = UdpSocket::bind(any).await?;
    upstream.connect(address).await?;
    Ok(upstream)
}

/// Passes what the upstream sends back to the client, until both have been silent for too long: `end` says until when a
/// session goes on that was used at a time.
async fn answer(
    clock: &Clock,
    slot: &Slot,
    socket: &UdpSocket,
    session: &Session,
    client: SocketAddr,
    end: impl Fn(u64) -> u64,
) {
    let mut space = Vec::new();
    loop {
        let mut ready = pin!(session.upstream.readable());
        let is_readable = poll_fn(|cx| {
            if let Poll::Ready(ready) = ready.as_mut().poll(cx) {
                return Poll::Ready(ready.is_ok());
            }
            let end = end(session.used.get());
            if slot.is_past(end) {
                return Poll::Ready(false);
            }
            slot.watch(end, cx);
            Poll::Pending
        })
        .await;
        if !is_readable {
            return;
        }
        // Memory for a datagram is held only while there is one.
        space.resize(MAX_DATAGRAM, 0);
        match session.upstream.try_recv(&mut space) {
            Ok(n) => {
                session.used.set(clock.now_ms());
                if socket.try_send_to(&space[..n], client).is_ok() {
                    session.bytes_out.set(session.bytes_out.get() + n as u64);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => space = Vec::new(),
            // Nothing listens there (ICMP says so): the next datagram begins a new session, perhaps elsewhere.
            Err(_) => return,
        }
    }
}

/// Forgets the session and writes its line when it ends.
struct Ending {
    core: Rc<Core>,
    table: Rc<TableRef>,
    index: usize,
    sessions: Sessions,
    session: Rc<Session>,
    client: SocketAddr,
    instance: String,
    started: Instant,
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.sessions.borrow_mut().remove(&self.client);
        let line = Line {
            started: self.started,
            client: self.client.ip().to_canonical(),
            server_name: None,
            instance: Some(&self.instance),
            bytes_in: self.session.bytes_in.get(),
            bytes_out: self.session.bytes_out.get(),
            error: None,
        };
        log::record(&self.core, &self.table.listeners.entries[self.index], &line);
    }
}
