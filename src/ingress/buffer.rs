//! Input buffers that are read from the front and filled at the back, and the per-thread store they are recycled in.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll};

use super::h1::header::Line;
use super::socket::Transport;

/// Space made for a first read.
const SMALL: usize = 4 * 1024;
/// Space made once reads fill what they are given.
pub(crate) const LARGE: usize = 128 * 1024;
/// Buffers of one kind recycled per thread; more are freed.
const MAX_SPARE: usize = 256;
/// Of those that grew beyond [`ORDINARY`] only so many: a few large bodies must not leave their memory behind.
const MAX_LARGE_SPARE: usize = 8;
/// Capacity of a buffer that only saw heads and small bodies.
const ORDINARY: usize = 4 * SMALL;

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

/// Things of one kind that are used again.
#[derive(Debug)]
struct Shelf<T>(RefCell<Vec<T>>);

impl<T> Default for Shelf<T> {
    fn default() -> Self {
        Self(RefCell::default())
    }
}

impl<T> Shelf<T> {
    fn take(&self) -> Option<T> {
        self.0.borrow_mut().pop()
    }

    fn put(&self, thing: T, most: usize) {
        let mut things = self.0.borrow_mut();
        if things.len() < most {
            things.push(thing);
        }
    }
}

/// Spare buffers of one thread.
#[derive(Debug, Default)]
pub(crate) struct Spares {
    outputs: Shelf<Vec<u8>>,
    large_outputs: Shelf<Vec<u8>>,
    inputs: Shelf<Buffer>,
    large_inputs: Shelf<Buffer>,
    lines: Shelf<Vec<Line>>,
}

impl Spares {
    /// An empty buffer for what is to be sent.
    pub(crate) fn output(&self) -> Vec<u8> {
        self.outputs.take().or_else(|| self.large_outputs.take()).unwrap_or_else(|| Vec::with_capacity(SMALL))
    }

    pub(crate) fn give_output(&self, mut output: Vec<u8>) {
        output.clear();
        if output.capacity() <= ORDINARY {
            self.outputs.put(output, MAX_SPARE);
        } else if output.capacity() <= LARGE {
            self.large_outputs.put(output, MAX_LARGE_SPARE);
        }
    }

    /// An empty buffer to read into.
    pub(crate) fn input(&self) -> Buffer {
        self.inputs.take().or_else(|| self.large_inputs.take()).unwrap_or_default()
    }

    /// Takes back a buffer, and forgets what is unread in it.
    pub(crate) fn give_input(&self, mut input: Buffer) {
        input.bytes.clear();
        (input.at, input.was_full) = (0, false);
        let capacity = input.bytes.capacity();
        if (1..=ORDINARY).contains(&capacity) {
            self.inputs.put(input, MAX_SPARE);
        } else if (1..=2 * LARGE).contains(&capacity) {
            self.large_inputs.put(input, MAX_LARGE_SPARE);
        }
    }

    /// An empty list for the lines of a head.
    pub(crate) fn lines(&self) -> Vec<Line> {
        self.lines.take().unwrap_or_else(|| Vec::with_capacity(24))
    }

    pub(crate) fn give_lines(&self, mut lines: Vec<Line>) {
        lines.clear();
        self.lines.put(lines, MAX_SPARE);
    }
}
