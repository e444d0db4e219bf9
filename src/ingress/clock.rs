//! Deadlines for a great many waits at the price of one comparison each.
//!
//! Each worker thread has a coarse clock that a ticker moves every [`TICK`]. A connection owns a [`Slot`]; a wait that
//! has to stop in time notes its deadline there, and the ticker wakes the slots whose time has come. Nothing is
//! allocated or registered per wait, so every read and write of the data path can have a deadline.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::Notify;

/// Resolution of all deadlines.
pub(crate) const TICK: Duration = Duration::from_millis(100);
/// A deadline that never comes.
pub(crate) const NEVER: u64 = u64::MAX;

/// The wait took longer than allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Elapsed;

/// The coarse clock of one thread and the slots it watches.
#[derive(Debug)]
pub(crate) struct Clock {
    start: Instant,
    now: Cell<u64>,
    /// The time of day at `now`, in milliseconds since 1970.
    wall: Cell<u64>,
    slots: RefCell<Vec<Rc<Slot>>>,
    busy: Notify,
}

/// One connection's place in the ticker's list.
#[derive(Debug)]
pub(crate) struct Slot {
    clock: Rc<Clock>,
    index: Cell<usize>,
    wake_at: Cell<u64>,
    waker: RefCell<Option<Waker>>,
}

/// Owns a slot; gives it back when the connection ends.
#[derive(Debug)]
pub(crate) struct SlotGuard(Rc<Slot>);

impl Clock {
    /// `start` is the same for all threads of the process, so their clocks agree.
    pub(crate) fn new(start: Instant) -> Rc<Self> {
        let clock =
            Self { start, now: Cell::new(0), wall: Cell::new(0), slots: RefCell::default(), busy: Notify::new() };
        clock.refresh();
        Rc::new(clock)
    }

    /// Milliseconds since the start of the process, at most one tick old while connections are open.
    pub(crate) fn now_ms(&self) -> u64 {
        self.now.get()
    }

    /// The time of day in milliseconds since 1970, as old as [`Clock::now_ms`].
    pub(crate) fn wall_ms(&self) -> u64 {
        self.wall.get()
    }

    /// The time of day at a moment after the last tick, without asking the system again.
    pub(crate) fn wall_ms_at(&self, moment: Instant) -> u64 {
        let since_tick = self.ms_at(moment).saturating_sub(self.now.get());
        self.wall.get() + since_tick
    }

    fn ms_at(&self, moment: Instant) -> u64 {
        moment.saturating_duration_since(self.start).as_millis() as u64
    }

    /// Opens a slot.
    pub(crate) fn slot(self: &Rc<Self>) -> SlotGuard {
        self.refresh();
        let mut slots = self.slots.borrow_mut();
        let slot = Rc::new(Slot {
            clock: Rc::clone(self),
            index: Cell::new(slots.len()),
            wake_at: Cell::new(NEVER),
            waker: RefCell::default(),
        });
        slots.push(Rc::clone(&slot));
        self.busy.notify_one();
        SlotGuard(slot)
    }

    /// Wakes every connection, so that each looks at what has changed.
    pub(crate) fn wake_all(&self) {
        self.slots.borrow().iter().for_each(|slot| slot.wake());
    }

    /// Open slots.
    pub(crate) fn slots(&self) -> usize {
        self.slots.borrow().len()
    }

    /// Moves the clock while there are connections; sleeps without any wake-up when there are none.
    /// `each_tick` runs with every tick and once more before sleeping.
    pub(crate) async fn tick(self: Rc<Self>, each_tick: impl Fn()) {
        let mut interval = tokio::time::interval(TICK);
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            if self.slots.borrow().is_empty() {
                each_tick();
                self.busy.notified().await;
            }
            interval.tick().await;
            self.refresh();
            let now = self.now.get();
            for slot in self.slots.borrow().iter() {
                if slot.wake_at.get() <= now {
                    slot.wake();
                }
            }
            each_tick();
        }
    }

    fn refresh(&self) {
        self.now.set(self.ms_at(Instant::now()));
        self.wall.set(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64));
    }
}

impl Slot {
    fn wake(&self) {
        self.wake_at.set(NEVER);
        if let Some(waker) = self.waker.borrow().as_ref() {
            waker.wake_by_ref();
        }
    }

    /// The clock's time after a pause of this length.
    pub(crate) fn after(&self, pause: Duration) -> u64 {
        self.clock.now_ms().saturating_add(pause.as_millis() as u64).saturating_add(TICK.as_millis() as u64)
    }

    /// Waits for `future`, but not past `limit`.
    pub(crate) async fn within<F: Future>(&self, limit: Duration, future: F) -> Result<F::Output, Elapsed> {
        self.until(self.after(limit), future).await
    }

    /// Waits for `future`, but not past a time of the clock (see [`Slot::after`]).
    pub(crate) async fn until<F: Future>(&self, deadline: u64, future: F) -> Result<F::Output, Elapsed> {
        self.until_moving(&Cell::new(deadline), future).await
    }

    /// Like [`Slot::until`], with a deadline that may be moved by something polled in the same task.
    pub(crate) async fn until_moving<F: Future>(&self, deadline: &Cell<u64>, future: F) -> Result<F::Output, Elapsed> {
        let mut future = pin!(future);
        poll_fn(|cx| match future.as_mut().poll(cx) {
            Poll::Ready(output) => Poll::Ready(Ok(output)),
            Poll::Pending if self.is_past(deadline.get()) => Poll::Ready(Err(Elapsed)),
            Poll::Pending => {
                self.watch(deadline.get(), cx);
                Poll::Pending
            }
        })
        .await
    }

    /// Asks to be woken at a time, or by [`Clock::wake_all`].
    pub(crate) fn watch(&self, deadline: u64, cx: &Context<'_>) {
        if deadline < self.wake_at.get() {
            self.wake_at.set(deadline);
        }
        let mut waker = self.waker.borrow_mut();
        if !waker.as_ref().is_some_and(|old| old.will_wake(cx.waker())) {
            *waker = Some(cx.waker().clone());
        }
    }

    /// Whether a time of the clock has passed.
    pub(crate) fn is_past(&self, deadline: u64) -> bool {
        self.clock.now_ms() >= deadline
    }
}

impl std::ops::Deref for SlotGuard {
    type Target = Slot;
    fn deref(&self) -> &Slot {
        &self.0
    }
}

impl Drop for SlotGuard {
    fn drop(&mut self) {
        let mut slots = self.0.clock.slots.borrow_mut();
        let index = self.0.index.get();
        slots.swap_remove(index);
        if let Some(moved) = slots.get(index) {
            moved.index.set(index);
        }
    }
}
