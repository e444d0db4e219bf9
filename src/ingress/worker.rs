//! Worker threads: each runs its own single-threaded runtime, accepts on its own sockets and shares nothing.

use std::net::TcpListener as StdListener;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::{LocalSet, spawn_local};

use super::buffer::Buffer;
use super::connection::Connection;
use super::core::{Core, Order};
use super::error::IngressError;
use super::shared::Shared;
use super::socket::Socket;
use super::table::Table;
use super::transaction::Peer;

/// Pause after accepting failed for want of descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A running worker thread. It ends when its order channel is closed.
#[derive(Debug)]
pub(crate) struct Worker {
    pub orders: mpsc::UnboundedSender<Order>,
    thread: JoinHandle<()>,
}

impl Worker {
    /// Starts worker number `index`; it accepts on `listeners` at once.
    pub(crate) fn start(
        index: usize,
        shared: Arc<Shared>,
        table: Arc<Table>,
        listeners: Vec<StdListener>,
    ) -> Result<Self, IngressError> {
        let failed = |source| IngressError::Worker { worker: index, source };
        let (orders, inbox) = mpsc::unbounded_channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let thread = std::thread::Builder::new()
            .name(format!("ingress-{index}"))
            .spawn(move || {
                let core = Core::new(index, shared, table);
                LocalSet::new().block_on(&runtime, run(core, listeners, inbox));
            })
            .map_err(failed)?;
        Ok(Self { orders, thread })
    }

    /// Waits for the thread's end; connections still open are cut.
    pub(crate) fn stop(self) {
        drop(self.orders);
        let _ = self.thread.join();
    }
}

async fn run(core: Rc<Core>, listeners: Vec<StdListener>, inbox: mpsc::UnboundedReceiver<Order>) {
    let ticking = Rc::clone(&core);
    spawn_local(Rc::clone(&core.clock).tick(move || ticking.housekeeping()));
    let mut accepting = Vec::new();
    for listener in listeners {
        match TcpListener::from_std(listener) {
            Ok(listener) => accepting.push(spawn_local(accept(Rc::clone(&core), listener))),
            Err(error) => tracing::error!(%error, "cannot use a listening socket"),
        }
    }
    core.obey(inbox, accepting).await;
}

async fn accept(core: Rc<Core>, listener: TcpListener) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => begin(&core, stream, peer),
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn begin(core: &Rc<Core>, stream: TcpStream, address: std::net::SocketAddr) {
    core.shared.accepted.add(core.worker, 1);
    let table = core.table();
    let settings = &table.snapshot.settings;
    let ip = address.ip().to_canonical();
    let admitted = core.shared.admit(ip, settings.max_connections, settings.max_connections_per_address);
    let Some(admission) = admitted else {
        core.shared.turned_away.add(core.worker, 1);
        return;
    };
    let _ = stream.set_nodelay(true);
    let local_port = stream.local_addr().map_or(0, |local| local.port());
    let connection = Connection {
        socket: Socket::Tcp(stream),
        input: Buffer::default(),
        peer: Peer {
            address: std::net::SocketAddr::new(ip, address.port()),
            text: ip.to_string(),
            local_port,
            is_tls: false,
        },
        core: Rc::clone(core),
        slot: core.clock.slot(),
    };
    spawn_local(async move {
        connection.serve().await;
        drop(admission);
    });
}
