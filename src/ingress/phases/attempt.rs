//! One try on one connection: sends the request, passes interim responses on, delivers the response, all while a
//! streaming request body may still be going up.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use tokio::io::AsyncWriteExt;

use super::response::{self, Plan};
use super::upstream::upload_failure;
use crate::ingress::buffer::Buffer;
use crate::ingress::clock::{NEVER, Slot};
use crate::ingress::connection::{Connection, Failure, Flow};
use crate::ingress::core::Core;
use crate::ingress::h1::response::{self as head, ResponseHead};
use crate::ingress::problem::Problem;
use crate::ingress::relay::{Body, Pace, RelayError, relay};
use crate::ingress::snapshot::Policy;
use crate::ingress::socket::{Half, Socket, Transport};
use crate::ingress::stats::{Event, UpstreamState};
use crate::ingress::transaction::Transaction;
use crate::ingress::tunnel;

/// After the upstream stopped taking the body, its answer must come within this.
const ANSWER_AFTER_REFUSAL: Duration = Duration::from_secs(5);
/// Most interim (1xx) responses before the final one.
const MAX_INTERIM: u32 = 32;

/// How one attempt ended.
pub(crate) enum Attempt {
    Done(Flow),
    /// The connection ended before any byte of a response; `unsent`: it took no byte of the request either.
    NoAnswer {
        unsent: bool,
    },
    /// The answer was an error that is worth another attempt; nothing of it was sent on.
    Again,
    /// There was no head of a response in time.
    TimedOut,
    Failed(Failure),
}

/// What one attempt is made with.
pub(crate) struct Terms<'a> {
    pub policy: &'a Policy,
    pub upstream: &'a UpstreamState,
    /// Time for the head of the response, from the end of the request.
    pub response_timeout: Duration,
    /// Whether an answer with this status is to be tried again; asked once.
    pub again: &'a dyn Fn(u16) -> bool,
}

/// Where the upload of a streaming request body stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Upload {
    Running,
    Done,
    /// The upstream stopped taking it; it may still answer.
    Refused,
}

/// One try on one connection, from the first byte sent to the last byte delivered.
pub(crate) async fn attempt(
    conn: &mut Connection,
    tx: &mut Transaction,
    socket: Socket,
    out: &mut Vec<u8>,
    body: &mut Body,
    terms: &Terms<'_>,
) -> Attempt {
    let core = Rc::clone(&conn.core);
    let mut exchange = Exchange { input: core.spares.input(), socket, terms };
    let answered = if body.is_done() {
        exchange.send_whole(conn, tx, out).await
    } else {
        // Boxed: the state of two directions at once is large, and most requests have no body that streams.
        Box::pin(exchange.stream(conn, tx, out, body)).await
    };
    match answered {
        Ok(answered) => exchange.finish(conn, tx, body, answered).await,
        Err(attempt) => attempt,
    }
}

/// An upstream connection that a request is on.
struct Exchange<'a> {
    socket: Socket,
    /// Bytes read from the upstream and not yet used.
    input: Buffer,
    terms: &'a Terms<'a>,
}

/// A response that was delivered.
struct Answered {
    head: ResponseHead,
    keep_alive: bool,
    uploaded: bool,
}

impl Exchange<'_> {
    /// The whole request is at hand: sends it in one piece, then delivers the response.
    async fn send_whole(
        &mut self,
        conn: &mut Connection,
        tx: &mut Transaction,
        out: &[u8],
    ) -> Result<Answered, Attempt> {
        let pace = Pace { slot: &conn.slot, idle: self.terms.policy.idle_timeout() };
        let unsent = match pace.slot.within(pace.idle, send(&mut self.socket, out)).await {
            Ok(Ok(())) => false,
            // The answer may have come before the end of the request: look for it.
            Ok(Err(none_sent)) => none_sent,
            Err(_) => return Err(Attempt::Failed(Problem::timed_out().into())),
        };
        let deadline = Cell::new(pace.slot.after(self.terms.response_timeout));
        let reading = read_head(&mut self.socket, &mut self.input, &mut conn.socket, tx, &conn.core, pace, &deadline);
        let head = reading.await.map_err(|fault| fault.into_attempt(unsent))?;
        let plan = begin_response(self.terms, &conn.core, tx, (&head, self.input.unread()), true, conn.peer.is_tls)?;
        let (up, down) = (&mut self.socket, &mut conn.socket);
        let sending = response::send(tx, &head, &plan, &mut self.input, up, down, &conn.core, pace);
        tx.bytes_out = sending.await.map_err(|error| undelivered(&error))?;
        Ok(Answered { head, keep_alive: plan.keep_alive, uploaded: true })
    }

    /// The request body goes up while the response may come down already.
    async fn stream(
        &mut self,
        conn: &mut Connection,
        tx: &mut Transaction,
        out: &mut Vec<u8>,
        body: &mut Body,
    ) -> Result<Answered, Attempt> {
        let core = Rc::clone(&conn.core);
        let slot = &conn.slot;
        let pace = Pace { slot, idle: self.terms.policy.idle_timeout() };
        let mut input = std::mem::take(&mut self.input);
        let state = Cell::new(Upload::Running);
        let answered = {
            let (up, down) = (RefCell::new(&mut self.socket), RefCell::new(&mut conn.socket));
            let deadline = Cell::new(NEVER);
            let (mut reader, mut writer) = (Half(&down), Half(&up));
            let mut upload = pin!(relay(&mut reader, &mut conn.input, &mut writer, out, body, pace));
            let response_timeout = self.terms.response_timeout;
            let both = Both { slot, deadline: &deadline, state: &state, response_timeout };
            let (mut half_up, mut half_down) = (Half(&up), Half(&down));
            let reading = read_head(&mut half_up, &mut input, &mut half_down, tx, &core, pace, &deadline);
            match both.beside(reading, upload.as_mut()).await {
                Err(error) => Err(Attempt::Failed(upload_failure(error, self.terms.policy))),
                Ok(Err(fault)) => Err(fault.into_attempt(false)),
                Ok(Ok(head)) => {
                    let uploaded = state.get() == Upload::Done;
                    let plan =
                        begin_response(self.terms, &core, tx, (&head, input.unread()), uploaded, conn.peer.is_tls);
                    match plan {
                        Err(attempt) => Err(attempt),
                        Ok(plan) => {
                            let sending =
                                response::send(tx, &head, &plan, &mut input, &mut half_up, &mut half_down, &core, pace);
                            let sent = both.beside(sending, upload.as_mut()).await;
                            Ok((head, plan.keep_alive, sent))
                        }
                    }
                }
            }
        };
        self.input = input;
        let uploaded = state.get() == Upload::Done;
        tx.body_read = uploaded;
        let (head, keep_alive, sent) = answered?;
        match sent {
            Ok(Ok(bytes)) => tx.bytes_out = bytes,
            Ok(Err(error)) | Err(error) => return Err(undelivered(&error)),
        }
        Ok(Answered { head, keep_alive, uploaded })
    }

    /// What follows a delivered response: a tunnel, or the connection is kept for the next request.
    async fn finish(
        mut self,
        conn: &mut Connection,
        tx: &mut Transaction,
        body: &mut Body,
        answered: Answered,
    ) -> Attempt {
        let core = Rc::clone(&conn.core);
        let Answered { head, keep_alive, uploaded } = answered;
        if head.status == 101 {
            self.terms.upstream.forgive();
            let early = (&mut conn.input, &mut self.input);
            let idle = self.terms.policy.tunnel_idle_timeout();
            let tunnel = tunnel::run(&mut conn.socket, &mut self.socket, early, &conn.slot, idle);
            let (up, down) = Box::pin(tunnel).await;
            (body.content, tx.bytes_out) = (up, tx.bytes_out + down);
            return Attempt::Done(Flow::Close);
        }
        if head.keep_alive && uploaded && self.input.is_empty() {
            core.recycle(&tx.table, self.terms.upstream.serial, self.socket);
        }
        core.spares.give_input(self.input);
        core.spares.give_lines(head.lines);
        Attempt::Done(match (uploaded, keep_alive) {
            (false, _) => Flow::Linger,
            (true, true) => Flow::KeepAlive,
            (true, false) => Flow::Close,
        })
    }
}

/// Takes note of the head's arrival and decides how the response goes on.
fn begin_response(
    terms: &Terms<'_>,
    core: &Core,
    tx: &mut Transaction,
    (head, bytes): (&ResponseHead, &[u8]),
    uploaded: bool,
    is_tls: bool,
) -> Result<Plan, Attempt> {
    if head.status >= 500 && (terms.again)(head.status) {
        return Err(Attempt::Again);
    }
    let micros = tx.started.elapsed().as_micros() as u64;
    tx.upstream_micros = Some(micros);
    terms.upstream.observe(core.worker, core.clock.now_ms(), micros);
    terms.upstream.answered(core.worker, head.status, micros);
    let plan = response::plan(tx, head, bytes, uploaded, core.drain_since().is_some(), is_tls);
    let plan = plan.map_err(|problem| Attempt::Failed(problem.into()))?;
    if let Some(entry) = tx.entry().filter(|_| plan.is_compressed()) {
        entry.stats.count(core.worker, Event::Compressed);
    }
    tx.status = head.status;
    Ok(plan)
}

/// Writes the request; the error says whether not a single byte was taken.
async fn send(socket: &mut Socket, bytes: &[u8]) -> Result<(), bool> {
    let first = socket.write(bytes).await.map_err(|_| true)?;
    socket.write_all(&bytes[first..]).await.map_err(|_| false)
}

/// Drives the upload beside whatever happens on the response side.
struct Both<'a> {
    slot: &'a Slot,
    /// Until when the response head must be there; set when the upload ends.
    deadline: &'a Cell<u64>,
    state: &'a Cell<Upload>,
    response_timeout: Duration,
}

impl Both<'_> {
    /// Ends when `main` does, or with an error of the upload that makes an answer pointless.
    async fn beside<M, U>(&self, main: M, mut upload: Pin<&mut U>) -> Result<M::Output, RelayError>
    where
        M: Future,
        U: Future<Output = Result<u64, RelayError>>,
    {
        let mut main = pin!(main);
        poll_fn(|cx| {
            if self.state.get() == Upload::Running
                && let Poll::Ready(ended) = upload.as_mut().poll(cx)
            {
                match ended {
                    Ok(_) => {
                        self.state.set(Upload::Done);
                        self.deadline.set(self.slot.after(self.response_timeout));
                    }
                    Err(RelayError::Sink | RelayError::SinkTimeout) => {
                        self.state.set(Upload::Refused);
                        self.deadline.set(self.slot.after(ANSWER_AFTER_REFUSAL));
                    }
                    Err(error) => return Poll::Ready(Err(error)),
                }
            }
            main.as_mut().poll(cx).map(Ok)
        })
        .await
    }
}

/// Why there is no response head.
enum HeadFault {
    /// The connection ended; `any`: after some bytes.
    Ended {
        any: bool,
    },
    TimedOut,
    Bad(&'static str),
    ClientGone,
}

impl HeadFault {
    fn into_attempt(self, unsent: bool) -> Attempt {
        match self {
            Self::Ended { any: false } => Attempt::NoAnswer { unsent },
            Self::Ended { any: true } => Attempt::Failed(Problem::broke_off().into()),
            Self::TimedOut => Attempt::TimedOut,
            Self::Bad(what) => Attempt::Failed(Problem::bad_answer(what).into()),
            Self::ClientGone => Attempt::Failed(Failure::Abort("client_gone")),
        }
    }
}

/// Reads the final response head; interim ones go to the client at once. The head stays unread in `input`.
async fn read_head(
    up: &mut impl Transport,
    input: &mut Buffer,
    down: &mut impl Transport,
    tx: &Transaction,
    core: &Core,
    pace: Pace<'_>,
    deadline: &Cell<u64>,
) -> Result<ResponseHead, HeadFault> {
    let to_head = tx.head.method.get(&tx.bytes) == b"HEAD";
    let (mut interim, mut any) = (0, false);
    loop {
        if !input.is_empty() {
            any = true;
            match head::parse(input.unread(), to_head, core.spares.lines()).map_err(HeadFault::Bad)? {
                Some(found) if found.is_interim() => {
                    interim += 1;
                    if interim > MAX_INTERIM {
                        return Err(HeadFault::Bad("it sent too many interim responses"));
                    }
                    response::pass_interim(tx, &found, input.unread(), down, pace)
                        .await
                        .map_err(|_| HeadFault::ClientGone)?;
                    input.consume(found.len);
                    continue;
                }
                Some(found) => return Ok(found),
                None => {}
            }
        }
        match pace.slot.until_moving(deadline, input.fill(up)).await {
            Err(_) => return Err(HeadFault::TimedOut),
            Ok(Ok(0) | Err(_)) => return Err(HeadFault::Ended { any }),
            Ok(Ok(_)) => {}
        }
    }
}

/// The response broke off on its way to the client.
fn undelivered(error: &RelayError) -> Attempt {
    Attempt::Failed(Failure::Abort(match error {
        RelayError::Source | RelayError::BadChunk | RelayError::TooLarge => "upstream_broke_off",
        RelayError::SourceTimeout => "upstream_idle",
        RelayError::Sink => "client_gone",
        RelayError::SinkTimeout => "client_stalled",
    }))
}
