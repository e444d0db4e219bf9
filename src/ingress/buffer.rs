//! Input buffers that are read from the front and filled at the back, and the per-thread store they are recycled in.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll};

use super::h1::header::Line;
use super::socket::Transport;

/// Space made for a first read.
const SMALL: usize = 4 * 1024;
/// Space made once reads fill what they are given.
pub(crate) const LARGE: usize = 128 * 1024;
/// Memory of spare buffers of one kind that a thread keeps at most.
const MAX_SPARE_BYTES: usize = 4 << 20;
/// Spare lists of header lines that a thread keeps at most.
const MAX_SPARE_LINES: usize = 256;
/// Larger buffers come from rare, large bodies and are not kept.
const MAX_KEPT: usize = 2 * LARGE;

/// Bytes that were read and not yet used.
#[derive(Debug, Default)]
pub(crate) struct Buffer {
    bytes: Vec<u8>,
    at: usize,
    /// The last read filled all the space it was given.
    was_full: bool,
}

impl Buffer {
    /// A buffer of what was read elsewhere.
    pub(crate) fn of(bytes: Vec<u8>) -> Self {
        Self { bytes, ..Self::default() }
    }

    /// What is there to use.
    pub(crate) fn unread(&self) -> &[u8] {
        &self.bytes[self.at..]
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.at == self.bytes.len()
    }

    fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// The next `n` bytes are used up.
    pub(crate) fn consume(&mut self, n: usize) {
        self.at += n;
        debug_assert!(self.at <= self.bytes.len());
        if self.is_empty() {
            self.bytes.clear();
            self.at = 0;
        }
    }

    /// Makes room for so many more bytes, so that one read can bring them all.
    pub(crate) fn expect(&mut self, more: usize) {
        self.bytes.reserve(more);
    }

    /// Reads once; 0 is the end of the stream. Grows when the data at hand fills the space.
    pub(crate) async fn fill(&mut self, source: &mut impl Transport) -> io::Result<usize> {
        poll_fn(|cx| self.poll_fill(source, cx)).await
    }

    /// See [`Buffer::fill`].
    pub(crate) fn poll_fill(&mut self, source: &mut impl Transport, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.at > 0 && self.bytes.capacity() - self.bytes.len() < SMALL / 2 {
            self.bytes.drain(..self.at);
            self.at = 0;
        }
        let room = self.bytes.capacity() - self.bytes.len();
        // A read that filled its space was part of something bigger: the next ones get more.
        let more = if self.was_full { LARGE } else { SMALL };
        if room < more / 2 {
            self.bytes.reserve(more);
        }
        let room = self.bytes.capacity() - self.bytes.len();
        let read = source.poll_fill(cx, &mut self.bytes);
        if let Poll::Ready(Ok(n)) = read {
            self.was_full = n == room;
        }
        read
    }
}

/// Things of one kind that are used again, the last one first.
#[derive(Debug)]
struct Shelf<T> {
    things: RefCell<Vec<T>>,
    /// Sum of their sizes.
    size: Cell<usize>,
    /// The fewest there were since the last [`Shelf::trim`]: so many were never needed.
    fewest: Cell<usize>,
}

impl<T> Default for Shelf<T> {
    fn default() -> Self {
        Self { things: RefCell::default(), size: Cell::new(0), fewest: Cell::new(0) }
    }
}

impl<T> Shelf<T> {
    fn take(&self, size: impl Fn(&T) -> usize) -> Option<T> {
        let mut things = self.things.borrow_mut();
        let thing = things.pop()?;
        self.size.set(self.size.get() - size(&thing));
        self.fewest.set(self.fewest.get().min(things.len()));
        Some(thing)
    }

    fn put(&self, thing: T, size: usize, limit: usize) {
        if self.size.get() + size <= limit {
            self.things.borrow_mut().push(thing);
            self.size.set(self.size.get() + size);
        }
    }

    /// Frees what nobody needed since the last call.
    fn trim(&self, size: impl Fn(&T) -> usize) {
        let mut things = self.things.borrow_mut();
        let unused = self.fewest.get().min(things.len());
        let freed: usize = things.drain(..unused).map(|thing| size(&thing)).sum();
        self.size.set(self.size.get() - freed);
        self.fewest.set(things.len());
    }
}

/// Spare buffers of one thread.
#[derive(Debug, Default)]
pub(crate) struct Spares {
    outputs: Shelf<Vec<u8>>,
    inputs: Shelf<Buffer>,
    lines: Shelf<Vec<Line>>,
}

impl Spares {
    /// An empty buffer for what is to be sent.
    pub(crate) fn output(&self) -> Vec<u8> {
        self.outputs.take(Vec::capacity).unwrap_or_else(|| Vec::with_capacity(SMALL))
    }

    pub(crate) fn give_output(&self, mut output: Vec<u8>) {
        output.clear();
        let capacity = output.capacity();
        if (1..=MAX_KEPT).contains(&capacity) {
            self.outputs.put(output, capacity, MAX_SPARE_BYTES);
        }
    }

    /// An empty buffer to read into.
    pub(crate) fn input(&self) -> Buffer {
        self.inputs.take(Buffer::capacity).unwrap_or_default()
    }

    /// Takes back a buffer, and forgets what is unread in it.
    pub(crate) fn give_input(&self, mut input: Buffer) {
        input.bytes.clear();
        (input.at, input.was_full) = (0, false);
        let capacity = input.capacity();
        if (1..=MAX_KEPT).contains(&capacity) {
            self.inputs.put(input, capacity, MAX_SPARE_BYTES);
        }
    }

    /// An empty list for the lines of a head.
    pub(crate) fn lines(&self) -> Vec<Line> {
        self.lines.take(|_| 1).unwrap_or_else(|| Vec::with_capacity(24))
    }

    pub(crate) fn give_lines(&self, mut lines: Vec<Line>) {
        lines.clear();
        self.lines.put(lines, 1, MAX_SPARE_LINES);
    }

    /// Frees what was not needed since the last call; called now and then, so that a burst does not leave its memory
    /// behind.
    pub(crate) fn trim(&self) {
        self.outputs.trim(Vec::capacity);
        self.inputs.trim(Buffer::capacity);
        self.lines.trim(|_| 1);
    }
}
