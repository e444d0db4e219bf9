//! The little that all threads of the process share.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use super::access_log::LogSender;
use super::resilience::demand::Rooms;
use super::resilience::shedding::Level;

/// Locks for counting connections by address; a power of two.
const ADDRESS_SHARDS: usize = 16;

/// State of the process.
#[derive(Debug)]
pub(crate) struct Shared {
    pub started: Instant,
    pub log: Arc<LogSender>,
    /// Requests answered, and connections refused for a bad head.
    pub requests: Counter,
    pub refused: Counter,
    pub accepted: Counter,
    /// Connections closed on arrival because a limit was reached.
    pub turned_away: Counter,
    /// How much is refused because the node is saturated.
    pub shedding: Level,
    /// Requests that wait for an instance.
    pub rooms: Arc<Rooms>,
    open: AtomicU32,
    /// Most connections the file descriptors allow.
    pub capacity: u32,
    by_address: [Mutex<HashMap<IpAddr, u32>>; ADDRESS_SHARDS],
}

impl Shared {
    pub(crate) fn new(workers: usize, log: Arc<LogSender>, capacity: u32) -> Self {
        Self {
            started: Instant::now(),
            log,
            requests: Counter::new(workers),
            refused: Counter::new(workers),
            accepted: Counter::new(workers),
            turned_away: Counter::new(workers),
            shedding: Level::default(),
            rooms: Arc::default(),
            open: AtomicU32::new(0),
            capacity,
            by_address: Default::default(),
        }
    }

    /// Open client connections.
    pub(crate) fn open(&self) -> u32 {
        self.open.load(Relaxed)
    }

    /// Counts a new connection, unless it would exceed a limit.
    pub(crate) fn admit(self: &Arc<Self>, address: IpAddr, max: u32, max_per_address: u32) -> Option<Admission> {
        let max = if max == 0 { self.capacity } else { max.min(self.capacity) };
        if self.open.fetch_add(1, Relaxed) >= max {
            self.open.fetch_sub(1, Relaxed);
            return None;
        }
        let address = unit(address);
        let mut counts = self.shard(address);
        let count = counts.entry(address).or_insert(0);
        if *count >= max_per_address {
            self.open.fetch_sub(1, Relaxed);
            return None;
        }
        *count += 1;
        drop(counts);
        Some(Admission { shared: Arc::clone(self), address })
    }

    fn shard(&self, address: IpAddr) -> std::sync::MutexGuard<'_, HashMap<IpAddr, u32>> {
        let last = match address {
            IpAddr::V4(address) => address.octets()[3],
            IpAddr::V6(address) => address.octets()[7],
        };
        self.by_address[usize::from(last) % ADDRESS_SHARDS].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What counts as one client: an address of IPv4, a /64 of IPv6, whose host part is the client's to choose.
fn unit(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6((u128::from(address) >> 64 << 64).into()),
        address => address,
    }
}

/// A counted connection; uncounted when dropped.
#[derive(Debug)]
pub(crate) struct Admission {
    shared: Arc<Shared>,
    address: IpAddr,
}

impl Drop for Admission {
    fn drop(&mut self) {
        let mut counts = self.shared.shard(self.address);
        if let Some(count) = counts.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.address);
            }
        }
        drop(counts);
        self.shared.open.fetch_sub(1, Relaxed);
    }
}

#[derive(Debug, Default)]
#[repr(align(64))]
struct Cell(AtomicU64);

/// A counter with a cell per thread: adding takes no lock and shares no cache line.
#[derive(Debug)]
pub(crate) struct Counter(Box<[Cell]>);

impl Counter {
    fn new(workers: usize) -> Self {
        Self((0..workers).map(|_| Cell::default()).collect())
    }

    pub(crate) fn add(&self, worker: usize, n: u64) {
        let cell = &self.0[worker].0;
        cell.store(cell.load(Relaxed) + n, Relaxed);
    }

    pub(crate) fn sum(&self) -> u64 {
        self.0.iter().map(|cell| cell.0.load(Relaxed)).sum()
    }
}
