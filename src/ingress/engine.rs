//! The data plane as one object: its workers and the table they use. The control server and the process drive it.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustls::ServerConfig;
use tokio::sync::{mpsc, oneshot};

use super::core::Order;
use super::disk::SnapshotFile;
use super::error::{IngressError, SnapshotError};
use super::l4;
use super::l4::model::Key;
use super::l4::ports::{Handle, Ports};
use super::l4::stats::ListenerStatus;
use super::listen::{Door, Sockets};
use super::registry::Registry;
use super::shared::Shared;
use super::snapshot::Snapshot;
use super::suspect;
use super::table::Table;
use super::tls::{Certificates, Resolver};
use super::validate::validate;
use super::worker::Worker;

/// How often a drain looks whether all connections have ended.
const DRAIN_POLL: Duration = Duration::from_millis(50);

/// The running data plane.
#[derive(Debug)]
pub(crate) struct Engine {
    pub shared: Arc<Shared>,
    /// Where plain HTTP and where TLS is spoken.
    pub addresses: Vec<SocketAddr>,
    pub tls_addresses: Vec<SocketAddr>,
    state: Mutex<State>,
    /// One snapshot at a time.
    applying: tokio::sync::Mutex<()>,
    disk: Option<SnapshotFile>,
    resolver: Arc<Resolver>,
    handing_over: AtomicBool,
}

#[derive(Debug)]
struct State {
    table: Arc<Table>,
    registry: Registry,
    /// Ways to the workers; they end when these are gone.
    orders: Vec<mpsc::UnboundedSender<Order>>,
    /// The last snapshot as the writer sent it, while routes of it are held.
    wanted: Option<Snapshot>,
    held: Vec<String>,
    /// Copies of the listening sockets, for a successor; dropped when draining begins.
    doors: Vec<Door>,
    /// Those beside HTTP.
    ports: Ports,
}

impl Engine {
    /// Starts the workers on `listeners`, spread evenly; `snapshot` must be valid.
    pub(crate) fn start(
        snapshot: Snapshot,
        disk: Option<SnapshotFile>,
        shared: Arc<Shared>,
        workers: usize,
        sockets: Sockets,
        tls: Arc<ServerConfig>,
        resolver: Arc<Resolver>,
    ) -> Result<(Self, Vec<Worker>), IngressError> {
        match load_certificates(&snapshot) {
            Ok(certificates) => resolver.replace(certificates),
            Err(error) => tracing::error!(%error, "starting without certificates"),
        }
        let mut registry = Registry::new(workers);
        let table = Arc::new(Table::compile(Arc::new(snapshot), &mut registry));
        let Sockets { doors, ports } = sockets;
        let (addresses, tls_addresses) = (addresses(&doors, false), addresses(&doors, true));
        let mut shares: Vec<Vec<Door>> = (0..workers).map(|_| Vec::new()).collect();
        for (index, door) in doors.iter().enumerate() {
            let copy = door.share().map_err(|source| IngressError::Worker { worker: index % workers, source })?;
            shares[index % workers].push(copy);
        }
        let started: Result<Vec<_>, _> = shares
            .into_iter()
            .enumerate()
            .map(|(index, share)| Worker::start(index, Arc::clone(&shared), Arc::clone(&table), share, &tls))
            .collect();
        let started = started?;
        let orders = started.iter().map(|worker| worker.orders.clone()).collect();
        let engine = Self {
            shared,
            addresses,
            tls_addresses,
            state: Mutex::new(State {
                table,
                registry,
                orders,
                wanted: None,
                held: Vec::new(),
                doors,
                ports: Ports::new(workers, ports),
            }),
            applying: tokio::sync::Mutex::new(()),
            disk,
            resolver,
            handing_over: AtomicBool::new(false),
        };
        Ok((engine, started))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The table in use.
    pub(crate) fn table(&self) -> Arc<Table> {
        Arc::clone(&self.state().table)
    }

    /// Routes kept against a suspect snapshot.
    pub(crate) fn held(&self) -> Vec<String> {
        self.state().held.clone()
    }

    /// All upstreams that a table or a request still uses.
    pub(crate) fn live_upstreams(&self) -> Vec<Arc<super::stats::UpstreamState>> {
        self.state().registry.live_upstreams()
    }

    /// The ports beside HTTP: where they are, and what came in.
    pub(crate) fn listeners(&self) -> Vec<ListenerStatus> {
        let state = self.state();
        let one = |entry: &l4::table::Entry| {
            let (listening, error) = state.ports.state(entry.listener.key());
            let counted = ListenerStatus::of(&entry.listener.id, entry.listener.protocol, &entry.stats);
            ListenerStatus { listening, error, ..counted }
        };
        state.table.listeners.entries.iter().map(one).collect()
    }

    /// Opens and closes ports as the table in use says.
    pub(crate) async fn follow_listeners(&self) {
        let (changes, workers) = {
            let mut state = self.state();
            let table = Arc::clone(&state.table);
            (state.ports.follow(&table.listeners), state.orders.clone())
        };
        let mut obeyed = Vec::new();
        for (orders, change) in workers.iter().zip(changes) {
            let (done, wait) = oneshot::channel();
            if !change.is_empty() && orders.send(Order::Listeners(change, done)).is_ok() {
                obeyed.push(wait);
            }
        }
        for wait in obeyed {
            let _ = wait.await;
        }
    }

    /// Tries again to open ports that somebody else had.
    pub(crate) async fn review_listeners(&self) {
        let _turn = self.applying.lock().await;
        if self.state().ports.has_errors() && !self.handing_over.load(SeqCst) {
            self.follow_listeners().await;
        }
    }

    /// Copies of the sockets beside those of HTTP, for a successor.
    pub(crate) fn share_ports(&self) -> std::io::Result<Vec<(Key, Handle)>> {
        self.state().ports.share()
    }

    /// Copies of the listening sockets for a successor; from now on snapshots are refused until
    /// [`Engine::handover_failed`].
    pub(crate) fn begin_handover(&self) -> std::io::Result<Vec<Door>> {
        let copies = self.state().doors.iter().map(Door::share).collect::<Result<Vec<_>, _>>()?;
        self.handing_over.store(true, SeqCst);
        Ok(copies)
    }

    /// The successor did not come up: business as usual.
    pub(crate) fn handover_failed(&self) {
        self.handing_over.store(false, SeqCst);
    }

    /// Checks a snapshot, keeps it on disk and makes all threads use it. When this returns, no thread starts a
    /// request with the old table any more.
    pub(crate) async fn apply(&self, snapshot: Snapshot) -> Result<Vec<String>, SnapshotError> {
        let _turn = self.applying.lock().await;
        validate(&snapshot)?;
        let certificates = load_certificates(&snapshot)?;
        if self.handing_over.load(SeqCst) {
            return Err(SnapshotError::HandingOver);
        }
        let current = Arc::clone(&self.table().snapshot);
        if current.boot == snapshot.boot && snapshot.generation < current.generation {
            return Err(SnapshotError::Older { offered: snapshot.generation, current: current.generation });
        }
        let (effective, held) = suspect::hold(&current, snapshot.clone()).await;
        let effective = Arc::new(effective);
        self.save(&effective).await?;
        self.resolver.replace(certificates);
        let previous;
        let table = {
            let mut state = self.state();
            state.registry.now_ms = self.shared.started.elapsed().as_millis() as u64;
            let table = Arc::new(Table::compile(effective, &mut state.registry));
            previous = std::mem::replace(&mut state.table, Arc::clone(&table));
            state.wanted = (!held.is_empty()).then_some(snapshot);
            state.held.clone_from(&held);
            table
        };
        // Held until no worker begins a request with it: taking thousands of routes apart is not theirs to do.
        let _last = previous;
        self.order_all(|done| Order::Table(Arc::clone(&table), done)).await;
        self.follow_listeners().await;
        Ok(held)
    }

    async fn save(&self, snapshot: &Arc<Snapshot>) -> Result<(), SnapshotError> {
        let Some(disk) = self.disk.clone() else { return Ok(()) };
        let snapshot = Arc::clone(snapshot);
        let saving = tokio::task::spawn_blocking(move || disk.save(&snapshot));
        saving.await.map_err(std::io::Error::other).flatten().map_err(SnapshotError::Disk)
    }

    /// Looks again at routes held against a suspect snapshot.
    pub(crate) async fn review_held(&self) {
        let wanted = self.state().wanted.clone();
        if let Some(wanted) = wanted
            && let Err(error) = self.apply(wanted).await
        {
            tracing::debug!(%error, "held routes were not reviewed");
        }
    }

    /// Closes all idle connections to upstreams.
    pub(crate) async fn close_idle(&self) {
        self.order_all(Order::Purge).await;
    }

    /// Gives an order to all workers and waits until all have obeyed.
    async fn order_all(&self, order: impl Fn(oneshot::Sender<()>) -> Order) {
        let mut obeyed = Vec::new();
        let workers = self.state().orders.clone();
        for orders in &workers {
            let (done, wait) = oneshot::channel();
            if orders.send(order(done)).is_ok() {
                obeyed.push(wait);
            }
        }
        for wait in obeyed {
            let _ = wait.await;
        }
    }

    /// Stops accepting and waits for open connections to end, at most until the deadline; then stops the workers.
    pub(crate) async fn drain(&self, workers: Vec<Worker>, limit: Duration) {
        {
            let mut state = self.state();
            state.doors.clear();
            state.ports.clear();
        }
        self.order_all(Order::Drain).await;
        let end = Instant::now() + limit;
        while self.shared.open() > 0 && Instant::now() < end {
            tokio::time::sleep(DRAIN_POLL).await;
        }
        let cut = self.shared.open();
        if cut > 0 {
            tracing::warn!(connections = cut, "the drain deadline has passed; the rest is cut");
        }
        self.order_all(Order::FlushLog).await;
        self.state().orders.clear();
        let log = Arc::clone(&self.shared.log);
        let stopped = tokio::task::spawn_blocking(move || {
            workers.into_iter().for_each(Worker::stop);
            log.sync();
        });
        let _ = stopped.await;
    }
}

fn load_certificates(snapshot: &Snapshot) -> Result<Certificates, SnapshotError> {
    Certificates::load(snapshot).map_err(|reason| SnapshotError::Invalid { place: "certificates".into(), reason })
}

fn addresses(doors: &[Door], is_tls: bool) -> Vec<SocketAddr> {
    let doors = doors.iter().filter(|door| door.is_tls == is_tls);
    let mut all: Vec<_> = doors.filter_map(|door| door.listener.local_addr().ok()).collect();
    all.sort();
    all.dedup();
    all
}
