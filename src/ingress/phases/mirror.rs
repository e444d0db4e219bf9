//! A copy of a request goes to another backend, whose answer is thrown away. The copy runs beside the request: it never
//! delays the client, and how many are on their way is bounded.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::spawn_local;

use super::upstream::connect;
use crate::ingress::core::Core;
use crate::ingress::entry::RouteEntry;
use crate::ingress::snapshot::Mirror;
use crate::ingress::stats::{Event, UpstreamState};

/// A copy is given up after this.
const LIMIT: Duration = Duration::from_secs(30);
/// So much of an answer is read before the connection is closed.
const MAX_ANSWER: usize = 1 << 20;

/// The mirror of a route.
#[derive(Debug)]
pub(crate) struct Plan {
    /// Share in 2^64.
    share: u64,
    max_in_flight: u32,
    upstreams: Box<[Arc<UpstreamState>]>,
    in_flight: Arc<AtomicU32>,
}

impl Plan {
    /// `upstreams` are those of the mirror's backend.
    pub(crate) fn new(mirror: &Mirror, upstreams: Box<[Arc<UpstreamState>]>) -> Box<Self> {
        let share = (mirror.percent / 100.0 * u64::MAX as f64) as u64;
        let in_flight = Arc::default();
        Box::new(Self { share, max_in_flight: mirror.max_in_flight, upstreams, in_flight })
    }
}

/// One more copy on its way.
struct Flight(Arc<AtomicU32>);

impl Drop for Flight {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

/// Sends a copy of a complete request (head and body in `request`).
pub(crate) fn copy(core: &Rc<Core>, entry: &RouteEntry, plan: &Plan, request: &[u8]) {
    if plan.upstreams.is_empty() || core.random.next() > plan.share {
        return;
    }
    if plan.in_flight.fetch_add(1, Relaxed) >= plan.max_in_flight {
        plan.in_flight.fetch_sub(1, Relaxed);
        entry.stats.count(core.worker, Event::MirrorDropped);
        return;
    }
    let flight = Flight(Arc::clone(&plan.in_flight));
    entry.stats.count(core.worker, Event::Mirrored);
    let upstream = Arc::clone(&plan.upstreams[core.random.below(plan.upstreams.len() as u64) as usize]);
    let copy = marked(request);
    spawn_local(async move {
        let _ = tokio::time::timeout(LIMIT, send(&upstream, &copy)).await;
        drop(flight);
    });
}

/// The request as a copy: it says so, and asks for its connection to be closed.
fn marked(request: &[u8]) -> Vec<u8> {
    let line_end = request.windows(2).position(|pair| pair == b"\r\n").map_or(0, |at| at + 2);
    [&request[..line_end], b"connection: close\r\nx-mirrored: 1\r\n", &request[line_end..]].concat()
}

async fn send(upstream: &UpstreamState, copy: &[u8]) -> Option<()> {
    let mut socket = connect(upstream).await.ok()?;
    socket.write_all(copy).await.ok()?;
    let (mut scratch, mut read) = (vec![0; 16 << 10], 0);
    while read < MAX_ANSWER {
        match socket.read(&mut scratch).await.ok()? {
            0 => break,
            n => read += n,
        }
    }
    Some(())
}
