//! Gets the request answered: takes or opens a connection, sends, waits for the head of the response, tries again
//! where that is safe.
//!
//! When a request may be sent again:
//! - connecting failed: always, nothing was sent;
//! - a pooled connection took no byte of it: always;
//! - the connection ended before any byte of a response: when the method is idempotent and the whole request is still
//!   at hand. A POST that may have been acted on is never repeated;
//! - the answer took longer than one attempt may, or had a status the route wants retried: on the same terms.
//!
//! The last two kinds are paid for by the route's retry budget.

use std::rc::Rc;
use std::time::Duration;

use super::attempt::{Attempt, Terms, attempt};
use super::{mirror, request};
use crate::ingress::clock::Slot;
use crate::ingress::connection::{Connection, Failure, Flow};
use crate::ingress::core::Core;
use crate::ingress::entry::{Live, RouteEntry};
use crate::ingress::problem::Problem;
use crate::ingress::relay::{Body, RelayError};
use crate::ingress::resilience::outlier;
use crate::ingress::snapshot::{Policy, Protocol, UpstreamAddress};
use crate::ingress::socket::Socket;
use crate::ingress::stats::{Event, UpstreamState};
use crate::ingress::transaction::Transaction;

/// Bodies up to this size are read whole before they are sent on.
const GATHER_MAX: u64 = 64 * 1024;
/// Pause between attempts while nothing listens.
const RETRY_PAUSE: Duration = Duration::from_millis(100);
/// How long a Unix upstream (the control plane) may be away before its requests fail.
const UNIX_RETRY: Duration = Duration::from_secs(5);

/// Counts a request as in flight at its upstream for as long as it lives.
struct InFlight<'a> {
    state: &'a UpstreamState,
    core: &'a Core,
}

impl<'a> InFlight<'a> {
    fn begin(state: &'a UpstreamState, core: &'a Core) -> Self {
        state.begin(core.worker);
        Self { state, core }
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.state.end(self.core.worker, self.core.clock.wall_ms());
    }
}

/// Sends the request to an upstream of its route and the response to the client.
pub(crate) async fn exchange(conn: &mut Connection, tx: &mut Transaction) -> Result<Flow, Failure> {
    let Some(route) = tx.route else { return Err(Problem::unknown_host().into()) };
    let table = Rc::clone(&tx.table);
    let policy = &table.routes[route].route.policy;
    let mut out = conn.core.spares.output();
    request::write_head(tx, &conn.peer, &mut out);
    let mut body = Body::of_request(tx.head.framing, policy.max_body);
    take_buffered(conn, &mut body, &mut out, policy)?;
    gather(conn, tx, &mut body, &mut out, policy).await?;
    tx.body_read = body.is_done();
    let entry = &table.routes[route];
    if let Some(mirror) = entry.mirror.as_deref().filter(|_| body.is_done() && is_mirrored(entry, tx)) {
        mirror::copy(&conn.core, entry, mirror, &out);
    }
    let result = attempts(conn, tx, route, &mut out, &mut body).await;
    tx.bytes_in = body.content;
    conn.core.spares.give_output(out);
    result
}

/// Moves what was read of the body behind the head.
fn take_buffered(conn: &mut Connection, body: &mut Body, out: &mut Vec<u8>, policy: &Policy) -> Result<(), Failure> {
    let used = body.transform(conn.input.unread(), out).map_err(|error| upload_failure(error, policy))?;
    conn.input.consume(used);
    Ok(())
}

/// Waits for the rest of a small body, so that it leaves with the head in one piece, can be sent again, and a slow
/// client holds no upstream connection. A client that waits for `100 Continue` must not be waited for.
async fn gather(
    conn: &mut Connection,
    tx: &Transaction,
    body: &mut Body,
    out: &mut Vec<u8>,
    policy: &Policy,
) -> Result<(), Failure> {
    while let Some(left) = body.remaining().filter(|left| (1..=GATHER_MAX).contains(left) && !tx.head.expect_continue) {
        conn.input.expect(left as usize);
        match conn.slot.within(policy.idle_timeout(), conn.input.fill(&mut conn.socket)).await {
            Ok(Ok(1..)) => take_buffered(conn, body, out, policy)?,
            Ok(Ok(0) | Err(_)) => return Err(Failure::Abort("client_gone")),
            Err(_) => return Err(Problem::head_timeout().into()),
        }
    }
    Ok(())
}

async fn attempts(
    conn: &mut Connection,
    tx: &mut Transaction,
    route: usize,
    out: &mut Vec<u8>,
    body: &mut Body,
) -> Result<Flow, Failure> {
    let (core, table) = (Rc::clone(&conn.core), Rc::clone(&tx.table));
    let entry = &table.routes[route];
    let policy = &entry.route.policy;
    let repeatable = body.is_done() && tx.head.is_idempotent(&tx.bytes);
    let is_unix = entry.route.upstreams.iter().any(|upstream| matches!(upstream.address, UpstreamAddress::Unix(_)));
    let patience =
        policy.connect_retry_ms.map_or(if is_unix { UNIX_RETRY } else { Duration::ZERO }, Duration::from_millis);
    let give_up = conn.slot.after(patience);
    let mut tried: Vec<usize> = Vec::new();
    let mut last = None;
    let mut failures = 0;
    loop {
        let chosen = entry.choose(tx, &conn.peer, &tried, &core).filter(|_| failures <= policy.retries);
        let Some(choice) = chosen else {
            if !patience.is_zero() && !tried.is_empty() && !conn.slot.is_past(give_up) {
                tokio::time::sleep(RETRY_PAUSE).await;
                tried.clear();
                failures = 0;
                continue;
            }
            return Err(last.unwrap_or_else(|| Problem::no_instance(entry.route.empty_reason.as_deref()).into()));
        };
        let Some(response_timeout) = try_time(policy, tx) else {
            return Err(last.unwrap_or_else(|| Problem::timed_out().into()));
        };
        let index = choice.upstream;
        tx.take(choice);
        tx.attempts += 1;
        if failures > 0 {
            entry.stats.count(core.worker, Event::Retry);
        }
        let state = &*entry.upstreams[index];
        let _usage = InFlight::begin(state, &core);
        // Protocols are switched in HTTP/1.1 only.
        let is_h2c = entry.route.protocol == Protocol::H2c && tx.head.upgrade.is_none();
        let pooled = if is_h2c {
            core.pool.links.take(state.serial).map(|call| Socket::Call(Box::new(call)))
        } else {
            core.pool.take(state.serial, core.clock.now_ms(), repeatable)
        };
        let is_pooled = pooled.is_some();
        let socket = match pooled {
            Some(socket) => socket,
            None => match connect_in_time(&core, &conn.slot, state, is_h2c, policy.connect_timeout()).await {
                Ok(socket) => socket,
                Err(timed_out) => {
                    state.eject(core.worker, core.clock.now_ms());
                    outlier::settle(&core, entry, index, false);
                    tx.error = Some(if timed_out { "connect_timeout" } else { "connect_refused" });
                    last = Some(connect_failure(is_unix, timed_out));
                    tried.push(index);
                    failures += 1;
                    continue;
                }
            },
        };
        let has_other = || Live::has_other(entry, &tried, index);
        let retries_left = repeatable && failures < policy.retries;
        let again = |status: u16| {
            policy.retry.on_status.contains(&status) && retries_left && has_other() && entry.may_retry(&core)
        };
        let terms = Terms { policy, upstream: state, response_timeout, again: &again };
        match attempt(conn, tx, socket, out, body, &terms).await {
            Attempt::Done(flow) => {
                state.forgive();
                outlier::settle(&core, entry, index, tx.status < 500);
                return Ok(flow);
            }
            Attempt::Failed(failure) => {
                if failure.is_by_upstream() {
                    outlier::settle(&core, entry, index, false);
                }
                return Err(failure);
            }
            Attempt::NoAnswer { unsent } => {
                tx.error = Some("upstream_closed");
                last = Some(Problem::broke_off().into());
                let again = repeatable || (unsent && body.is_done());
                if !again {
                    outlier::settle(&core, entry, index, false);
                    return Err(Problem::broke_off().into());
                }
                // A stale pooled connection says nothing about the instance; a fresh one that breaks does.
                if is_pooled {
                    continue;
                }
                outlier::settle(&core, entry, index, false);
                // The last attempt needs no budget: there is none after it.
                if failures < policy.retries && has_other() && !entry.may_retry(&core) {
                    return Err(Problem::broke_off().into());
                }
            }
            Attempt::TimedOut => {
                outlier::settle(&core, entry, index, false);
                tx.error = Some("upstream_timeout");
                last = Some(Problem::timed_out().into());
                let is_try = policy.retry.per_try_timeout_ms > 0 && retries_left && has_other();
                if !is_try || !entry.may_retry(&core) {
                    return Err(Problem::timed_out().into());
                }
            }
            Attempt::Again => outlier::settle(&core, entry, index, false),
        }
        tried.push(index);
        failures += 1;
    }
}

/// Time for the next attempt to bring the head of a response; `None` when the time for all of them is over.
fn try_time(policy: &Policy, tx: &Transaction) -> Option<Duration> {
    let per_try = Duration::from_millis(match policy.retry.per_try_timeout_ms {
        0 => u64::MAX,
        limit => limit,
    });
    let limit = policy.response_timeout().min(per_try);
    match policy.total_timeout_ms {
        0 => Some(limit),
        total => Duration::from_millis(total).checked_sub(tx.started.elapsed()).map(|left| limit.min(left)),
    }
}

fn connect_failure(is_unix: bool, timed_out: bool) -> Failure {
    match (is_unix, timed_out) {
        (true, _) => Problem::control_plane_restarting().into(),
        (false, true) => Problem::timed_out().into(),
        (false, false) => Problem::refused().into(),
    }
}

/// Copies are sent in HTTP/1.1, and only of requests that are answered and over.
fn is_mirrored(entry: &RouteEntry, tx: &Transaction) -> bool {
    tx.head.upgrade.is_none() && entry.route.protocol == Protocol::Http1
}

/// Opens a connection to an upstream.
pub(crate) async fn connect(state: &UpstreamState) -> std::io::Result<Socket> {
    match &state.address {
        UpstreamAddress::Tcp(address) => Socket::connect_tcp(*address).await,
        UpstreamAddress::Unix(path) => Socket::connect_unix(path).await,
    }
}

/// Opens a connection; the error says whether it was the time that ran out.
async fn connect_in_time(
    core: &Core,
    slot: &Slot,
    state: &UpstreamState,
    is_h2c: bool,
    limit: Duration,
) -> Result<Socket, bool> {
    let connecting = async {
        if is_h2c {
            let call = Box::pin(core.pool.links.call(state.serial, &core.clock, connect(state))).await?;
            return Ok(Socket::Call(Box::new(call)));
        }
        connect(state).await
    };
    match slot.within(limit, connecting).await {
        Ok(Ok(socket)) => Ok(socket),
        Ok(Err(_)) => Err(false),
        Err(_) => Err(true),
    }
}

/// What a broken upload means for the client.
pub(crate) fn upload_failure(error: RelayError, policy: &Policy) -> Failure {
    match error {
        RelayError::BadChunk => Problem::bad_body().into(),
        RelayError::TooLarge => Problem::too_large(policy.max_body.unwrap_or(u64::MAX)).into(),
        RelayError::SourceTimeout => Problem::head_timeout().into(),
        RelayError::Source | RelayError::Sink | RelayError::SinkTimeout => Failure::Abort("client_gone"),
    }
}
