//! Input buffers that are read from the front and filled at the back, and the per-thread store they are recycled in.

use std::cell::RefCell;
use std::io;

use tokio::io::{AsyncRead, AsyncReadExt};

/// Space made for a first read.
const SMALL: usize = 4 * 1024;
/// Space made once reads fill what they are given.
pub(crate) const LARGE: usize = 128 * 1024;
/// Recycled per thread; more are freed.
const MAX_SPARE: usize = 64;

/// Bytes that were read and not yet used.
#[derive(Debug, Default)]
pub(crate) struct Buffer {
    bytes: Vec<u8>,
    at: usize,
    /// The last read filled all the space it was given.
    was_full: bool,
}

impl Buffer {
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

    /// Frees all memory if nothing is unread.
    pub(crate) fn release(&mut self) {
        if self.is_empty() && self.bytes.capacity() > 0 {
            *self = Self::default();
        }
    }

    /// Makes room for so many more bytes, so that one read can bring them all.
    pub(crate) fn expect(&mut self, more: usize) {
        self.bytes.reserve(more);
    }

    /// Reads once; 0 is the end of the stream. Grows when the data at hand fills the space.
    pub(crate) async fn fill(&mut self, source: &mut (impl AsyncRead + Unpin)) -> io::Result<usize> {
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
        let read = source.read_buf(&mut self.bytes).await?;
        self.was_full = read == room;
        Ok(read)
    }
}

/// Spare output buffers of one thread.
#[derive(Debug, Default)]
pub(crate) struct Spares {
    outputs: RefCell<Vec<Vec<u8>>>,
    inputs: RefCell<Vec<Buffer>>,
}

impl Spares {
    pub(crate) fn output(&self) -> Vec<u8> {
        self.outputs.borrow_mut().pop().unwrap_or_else(|| Vec::with_capacity(SMALL))
    }

    pub(crate) fn give_output(&self, mut output: Vec<u8>) {
        let mut spares = self.outputs.borrow_mut();
        if spares.len() < MAX_SPARE && output.capacity() <= LARGE {
            output.clear();
            spares.push(output);
        }
    }

    pub(crate) fn input(&self) -> Buffer {
        self.inputs.borrow_mut().pop().unwrap_or_default()
    }

    pub(crate) fn give_input(&self, mut input: Buffer) {
        let mut spares = self.inputs.borrow_mut();
        if spares.len() < MAX_SPARE && input.bytes.capacity() <= 2 * LARGE {
            input.bytes.clear();
            input.at = 0;
            input.was_full = false;
            spares.push(input);
        }
    }
}
