//! Both sides speak a protocol of their own (after a 101, or on a port of TCP): bytes are copied both ways until both
//! have ended, or the tunnel has been silent for too long. What comes in bulk between two plain connections stays in
//! the kernel.

use std::cell::Cell;
use std::cell::RefCell;
use std::time::Duration;

use tokio::io::AsyncWriteExt;

use super::buffer::Buffer;
use super::clock::Slot;
use super::relay::Pace;
use super::socket::{Half, Socket, Transport};
use super::splice;

/// A read of this size is part of something bigger.
const BULK: usize = 32 * 1024;

/// Copies both ways; returns the bytes from the client and to the client. `early` are bytes already read from each.
pub(crate) async fn run(
    client: &mut Socket,
    upstream: &mut Socket,
    early: (&mut Buffer, &mut Buffer),
    slot: &Slot,
    idle: Duration,
) -> (u64, u64) {
    let (from_client, from_upstream) = early;
    let (client, upstream) = (RefCell::new(client), RefCell::new(upstream));
    let (up, down) = (Cell::new(0), Cell::new(0));
    let last = Cell::new(slot.after(idle));
    let upward = pump(Half(&client), Half(&upstream), from_client, slot, idle, &last, &up);
    let downward = pump(Half(&upstream), Half(&client), from_upstream, slot, idle, &last, &down);
    // An error on either way ends both; an orderly end of one way (half-close) leaves the other open.
    let _ = futures_util::future::try_join(upward, downward).await;
    (up.get(), down.get())
}

async fn pump(
    mut source: Half<'_, '_>,
    mut sink: Half<'_, '_>,
    buffer: &mut Buffer,
    slot: &Slot,
    idle: Duration,
    last: &Cell<u64>,
    moved: &Cell<u64>,
) -> Result<(), ()> {
    loop {
        if !buffer.is_empty() {
            flush(&mut sink, buffer, slot, idle, moved).await?;
        }
        // Traffic on either way keeps both alive: look again at the shared deadline before giving up.
        let n = loop {
            match slot.until(last.get(), buffer.fill(&mut source)).await {
                Ok(read) => break read.map_err(|_| ())?,
                Err(_) if slot.is_past(last.get()) => return Err(()),
                Err(_) => {}
            }
        };
        last.set(slot.after(idle));
        let mut ended = n == 0;
        if n >= BULK && source.can_splice() && sink.can_splice() {
            flush(&mut sink, buffer, slot, idle, moved).await?;
            let on_its_way = |n| {
                moved.set(moved.get() + n);
                last.set(slot.after(idle));
            };
            ended = splice::burst(&mut source, &mut sink, Pace { slot, idle }, on_its_way).await.map_err(|_| ())?;
        }
        if ended {
            return sink.shutdown().await.map_err(|_| ());
        }
    }
}

/// Sends what was read.
async fn flush(
    sink: &mut Half<'_, '_>,
    buffer: &mut Buffer,
    slot: &Slot,
    idle: Duration,
    moved: &Cell<u64>,
) -> Result<(), ()> {
    let bytes = buffer.unread();
    let writing = async {
        sink.write_all(bytes).await?;
        sink.flush().await
    };
    slot.within(idle, writing).await.map_err(|_| ())?.map_err(|_: std::io::Error| ())?;
    let n = bytes.len();
    moved.set(moved.get() + n as u64);
    buffer.consume(n);
    Ok(())
}
