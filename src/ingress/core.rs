//! What one worker thread owns. Nothing in here is locked; other threads speak to it by [`Order`]s.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use rustls::ServerConfig;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::JoinHandle;

use super::access_log::LogBuffer;
use super::buffer::Spares;
use super::clock::Clock;
use super::l4::doors::{Change, Doors};
use super::pool::Pool;
use super::shared::Shared;
use super::table::Table;

/// The table as one thread holds it: a request counts its reference without an atomic operation.
#[derive(Debug)]
pub(crate) struct TableRef(Arc<Table>);

impl std::ops::Deref for TableRef {
    type Target = Table;
    fn deref(&self) -> &Table {
        &self.0
    }
}

/// What a worker can be told.
#[derive(Debug)]
pub(crate) enum Order {
    /// Use this table from now on; answer when it is in use.
    Table(Arc<Table>, oneshot::Sender<()>),
    /// Open and close ports beside HTTP; answer when it is done.
    Listeners(Change, oneshot::Sender<()>),
    /// Accept no more connections and let the open ones end; answer when the listeners are closed.
    Drain(oneshot::Sender<()>),
    /// Close all idle connections to upstreams.
    Purge(oneshot::Sender<()>),
    /// Answer once all log lines so far were handed to the writer.
    FlushLog(oneshot::Sender<()>),
}

/// The state of one worker thread.
#[derive(Debug)]
pub(crate) struct Core {
    pub worker: usize,
    pub shared: Arc<Shared>,
    pub clock: Rc<Clock>,
    pub pool: Pool,
    pub spares: Spares,
    pub random: Random,
    pub log: LogBuffer,
    /// For TLS that carries no HTTP.
    pub tls: Arc<ServerConfig>,
    doors: Doors,
    table: RefCell<Rc<TableRef>>,
    /// Wakes those who wait for a new table.
    pub table_changed: Notify,
    /// Time of the clock when draining began.
    drain_since: Cell<Option<u64>>,
    ticks: Cell<u64>,
}

impl Core {
    pub(crate) fn new(worker: usize, shared: Arc<Shared>, table: Arc<Table>, tls: Arc<ServerConfig>) -> Rc<Self> {
        Rc::new(Self {
            tls,
            doors: Doors::default(),
            worker,
            clock: Clock::new(shared.started),
            pool: Pool::default(),
            spares: Spares::default(),
            random: Random::seeded(),
            log: LogBuffer::new(Arc::clone(&shared.log)),
            table: RefCell::new(Rc::new(TableRef(table))),
            table_changed: Notify::new(),
            drain_since: Cell::new(None),
            ticks: Cell::new(0),
            shared,
        })
    }

    /// The table in use; a request keeps the one it began with.
    pub(crate) fn table(&self) -> Rc<TableRef> {
        Rc::clone(&self.table.borrow())
    }

    /// Time of the clock when draining began, if it has.
    pub(crate) fn drain_since(&self) -> Option<u64> {
        self.drain_since.get()
    }

    /// Gives a connection back to the pool, unless its upstream left the table meanwhile.
    pub(crate) fn recycle(&self, used: &Rc<TableRef>, serial: u64, socket: super::socket::Socket) {
        let current = Rc::ptr_eq(&self.table.borrow(), used);
        if current && self.drain_since.get().is_none() {
            self.pool.put(serial, socket, self.clock.now_ms());
        }
    }

    /// Obeys orders until the sender is gone. `accepting` are the tasks that hold the listening sockets.
    pub(crate) async fn obey(
        self: Rc<Self>,
        mut orders: mpsc::UnboundedReceiver<Order>,
        mut accepting: Vec<JoinHandle<()>>,
    ) {
        while let Some(order) = orders.recv().await {
            match order {
                Order::Table(table, done) => {
                    self.pool.keep_only(&table);
                    self.table.replace(Rc::new(TableRef(table)));
                    self.table_changed.notify_waiters();
                    let _ = done.send(());
                }
                Order::Listeners(change, done) => {
                    self.doors.change(&self, change).await;
                    let _ = done.send(());
                }
                Order::Drain(done) => {
                    self.doors.close().await;
                    for task in accepting.drain(..) {
                        task.abort();
                        let _ = task.await;
                    }
                    self.drain_since.set(Some(self.clock.now_ms()));
                    self.table_changed.notify_waiters();
                    self.pool.clear();
                    self.clock.wake_all();
                    let _ = done.send(());
                }
                Order::Purge(done) => {
                    self.pool.clear();
                    let _ = done.send(());
                }
                Order::FlushLog(done) => {
                    self.log.flush();
                    let _ = done.send(());
                }
            }
        }
    }

    /// Regular work of the thread, see [`Clock::tick`].
    pub(crate) fn housekeeping(&self) {
        let ticks = self.ticks.get() + 1;
        self.ticks.set(ticks);
        let asleep = self.clock.slots() == 0;
        if ticks.is_multiple_of(5) || asleep {
            self.log.flush();
        }
        if ticks.is_multiple_of(10) || asleep {
            self.pool.sweep(self.clock.now_ms());
        }
        if ticks.is_multiple_of(50) || asleep {
            self.spares.trim();
        }
    }
}

/// Fast random numbers for balancing and ids (xorshift; nothing secret hangs on them).
#[derive(Debug)]
pub(crate) struct Random(Cell<u64>);

impl Random {
    fn seeded() -> Self {
        use std::hash::{BuildHasher, Hasher};
        let mut hasher = std::collections::hash_map::RandomState::new().build_hasher();
        hasher.write_u128(Instant::now().elapsed().as_nanos());
        Self(Cell::new(hasher.finish() | 1))
    }

    /// The same numbers each time.
    #[cfg(test)]
    pub(crate) fn from_seed(seed: u64) -> Self {
        Self(Cell::new(seed | 1))
    }

    pub(crate) fn next(&self) -> u64 {
        let mut x = self.0.get();
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        self.0.set(x);
        x.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `bound` (0 for 0).
    pub(crate) fn below(&self, bound: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }

    /// A number in [0, 1).
    pub(crate) fn fraction(&self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Lower-case hex digits, for ids.
    pub(crate) fn hex<const N: usize>(&self) -> [u8; N] {
        let mut out = [0; N];
        for chunk in out.chunks_mut(16) {
            let digits = hex(self.next());
            chunk.copy_from_slice(&digits[..chunk.len()]);
        }
        out
    }
}

/// The sixteen hex digits of a number, all at once: a digit is a nibble plus `0`, plus the distance to `a` if it is
/// above nine.
fn hex(number: u64) -> [u8; 16] {
    let spread = |half: u32| {
        let mut x = u64::from(half);
        x = (x | (x << 16)) & 0x0000_ffff_0000_ffff;
        x = (x | (x << 8)) & 0x00ff_00ff_00ff_00ff;
        x = (x | (x << 4)) & 0x0f0f_0f0f_0f0f_0f0f;
        let above_nine = ((x + 0x0606_0606_0606_0606) >> 4) & 0x0101_0101_0101_0101;
        (x + 0x3030_3030_3030_3030 + above_nine * u64::from(b'a' - b'0' - 10)).to_be_bytes()
    };
    let mut digits = [0; 16];
    digits[..8].copy_from_slice(&spread((number >> 32) as u32));
    digits[8..].copy_from_slice(&spread(number as u32));
    digits
}

#[cfg(test)]
mod tests {
    #[test]
    fn hex_digits_are_those_of_the_number() {
        for number in [0, 9, 10, 0x0123_4567_89ab_cdef, u64::MAX, 0xf0e1_d2c3_b4a5_9687] {
            assert_eq!(std::str::from_utf8(&super::hex(number)).unwrap(), format!("{number:016x}"));
        }
    }
}
