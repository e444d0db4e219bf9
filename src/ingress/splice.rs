//! Moves bytes from one TCP connection to another inside the kernel, through a pipe: they are never copied to this
//! process. Worth it from some ten thousand bytes on; see [`super::relay`] for when it is done.
//!
//! Pipes are kept per thread. One goes back only when it is empty, so bytes of one body can never get into another.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::os::fd::OwnedFd;
use std::task::Poll;

use rustix::pipe::{PipeFlags, fcntl_setpipe_size, pipe_with};

use super::relay::{Pace, RelayError};
use super::socket::Transport;

/// What a pipe may hold. The kernel keeps references to the packets, so this is also what a slow reader can tie up.
const CAPACITY: usize = 512 * 1024;
/// Pipes kept per thread.
const MAX_SPARE: usize = 16;

thread_local! {
    static SPARE: RefCell<Vec<Pipe>> = const { RefCell::new(Vec::new()) };
}

/// A pipe of the kernel.
#[derive(Debug)]
pub(crate) struct Pipe {
    pub reader: OwnedFd,
    pub writer: OwnedFd,
}

impl Pipe {
    /// A spare one, or a new one. An error (no descriptors, or the user's share of pipe memory is used up) means that the
    /// bytes have to be copied.
    fn take() -> io::Result<Self> {
        if let Some(pipe) = SPARE.with_borrow_mut(Vec::pop) {
            return Ok(pipe);
        }
        let (reader, writer) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        fcntl_setpipe_size(&writer, CAPACITY)?;
        Ok(Self { reader, writer })
    }

    fn give_back(self) {
        SPARE.with_borrow_mut(|spare| {
            if spare.len() < MAX_SPARE {
                spare.push(self);
            }
        });
    }
}

/// Moves up to `length` bytes; returns how many, which is fewer only when there is no pipe to be had.
pub(crate) async fn splice(
    source: &mut impl Transport,
    sink: &mut impl Transport,
    length: u64,
    pace: Pace<'_>,
    mut moved: impl FnMut(u64),
) -> Result<u64, RelayError> {
    let Ok(pipe) = Pipe::take() else { return Ok(0) };
    let mut left = length;
    while left > 0 {
        let most = left.min(CAPACITY as u64) as usize;
        let inward = poll_fn(|cx| source.poll_splice_into(cx, &pipe, most));
        let n = match pace.slot.within(pace.idle, inward).await {
            Ok(Ok(n)) if n > 0 => n,
            Ok(_) => return Err(RelayError::Source),
            Err(_) => return Err(RelayError::SourceTimeout),
        };
        let mut held = n;
        while held > 0 {
            let outward = poll_fn(|cx| sink.poll_splice_from(cx, &pipe, held));
            match pace.slot.within(pace.idle, outward).await {
                Ok(Ok(n)) if n > 0 => held -= n,
                Ok(_) => return Err(RelayError::Sink),
                Err(_) => return Err(RelayError::SinkTimeout),
            }
        }
        left -= n as u64;
        moved(n as u64);
        // A body that never has to wait lets the thread's other connections have their turn.
        tokio::task::yield_now().await;
    }
    pipe.give_back();
    Ok(length)
}

/// Moves what keeps coming without a pause; `true` when the source has ended. Nothing is held while nothing comes: the
/// caller waits for more on its own.
pub(crate) async fn burst(
    source: &mut impl Transport,
    sink: &mut impl Transport,
    pace: Pace<'_>,
    mut moved: impl FnMut(u64),
) -> Result<bool, RelayError> {
    let Ok(pipe) = Pipe::take() else { return Ok(false) };
    let ended = loop {
        let inward = poll_fn(|cx| match source.poll_splice_into(cx, &pipe, CAPACITY) {
            Poll::Ready(read) => Poll::Ready(Some(read)),
            Poll::Pending => Poll::Ready(None),
        });
        let n = match inward.await {
            Some(Ok(0)) => break true,
            Some(Ok(n)) => n,
            Some(Err(_)) => return Err(RelayError::Source),
            None => break false,
        };
        let mut held = n;
        while held > 0 {
            let outward = poll_fn(|cx| sink.poll_splice_from(cx, &pipe, held));
            match pace.slot.within(pace.idle, outward).await {
                Ok(Ok(n)) if n > 0 => held -= n,
                Ok(_) => return Err(RelayError::Sink),
                Err(_) => return Err(RelayError::SinkTimeout),
            }
        }
        moved(n as u64);
        tokio::task::yield_now().await;
    };
    pipe.give_back();
    Ok(ended)
}
