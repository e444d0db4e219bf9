//! One try on one connection: sends the request, passes interim responses on, delivers the response, all while a
//! streaming request body may still be going up.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use tokio::io::AsyncWriteExt;

use super::response;
use super::upstream::upload_failure;
use crate::ingress::buffer::Buffer;
use crate::ingress::clock::{NEVER, Slot};
use crate::ingress::connection::{Connection, Failure, Flow};
use crate::ingress::h1::response::{self as head, ResponseHead};
use crate::ingress::problem::Problem;
use crate::ingress::relay::{Body, Pace, RelayError, relay};
use crate::ingress::snapshot::Policy;
use crate::ingress::socket::{Half, Socket};
use crate::ingress::stats::UpstreamState;
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
    Failed(Failure),
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
    mut socket: Socket,
    out: &mut Vec<u8>,
    body: &mut Body,
    policy: &Policy,
    upstream: &UpstreamState,
) -> Attempt {
    let core = Rc::clone(&conn.core);
    let mut input = core.spares.input();
    let slot = &conn.slot;
    let pace = Pace { slot, idle: policy.idle_timeout() };
    let complete = body.is_done();
    let mut unsent = false;
    if complete {
        match slot.within(pace.idle, send(&mut socket, out)).await {
            Ok(Ok(())) => {}
            // The answer may have come before the end of the request: look for it.
            Ok(Err(none_sent)) => unsent = none_sent,
            Err(_) => return Attempt::Failed(Problem::timed_out().into()),
        }
    }
    let (upload, outcome) = {
        let (up, down) = (RefCell::new(&mut socket), RefCell::new(&mut conn.socket));
        let deadline = Cell::new(if complete { slot.after(policy.response_timeout()) } else { NEVER });
        let state = Cell::new(if complete { Upload::Done } else { Upload::Running });
        let mut reader = Half(&down);
        let mut writer = Half(&up);
        let mut upload = pin!(relay(&mut reader, &mut conn.input, &mut writer, out, body, pace));
        let both = Both { slot, deadline: &deadline, state: &state, response_timeout: policy.response_timeout() };
        let reading = read_head(&up, &mut input, &down, tx, pace, &deadline);
        let outcome = match both.beside(reading, upload.as_mut()).await {
            Err(error) => Err(Attempt::Failed(upload_failure(error, policy))),
            Ok(Err(fault)) => Err(fault.into_attempt(unsent)),
            Ok(Ok(head)) => {
                let micros = tx.started.elapsed().as_micros() as u64;
                tx.upstream_micros = Some(micros);
                upstream.observe(core.worker, core.clock.now_ms(), micros);
                let plan = response::plan(
                    tx,
                    &head,
                    state.get() == Upload::Done,
                    core.drain_since().is_some(),
                    conn.peer.is_tls,
                );
                match plan {
                    Err(problem) => Err(Attempt::Failed(problem.into())),
                    Ok(plan) => {
                        tx.status = head.status;
                        let sending = response::send(tx, &head, &plan, &mut input, &up, &down, &core, pace);
                        let sent = both.beside(sending, upload.as_mut()).await;
                        Ok((head, plan, sent))
                    }
                }
            }
        };
        (state.get(), outcome)
    };
    tx.body_read = upload == Upload::Done;
    let (head, plan, sent) = match outcome {
        Err(attempt) => return attempt,
        Ok(parts) => parts,
    };
    match sent {
        Ok(Ok(bytes)) => tx.bytes_out = bytes,
        Ok(Err(error)) | Err(error) => return Attempt::Failed(Failure::Abort(delivery_fault(&error))),
    }
    if head.status == 101 {
        upstream.forgive();
        let idle = policy.tunnel_idle_timeout();
        let (up, down) =
            tunnel::run(&mut conn.socket, &mut socket, (&mut conn.input, &mut input), &conn.slot, idle).await;
        (body.content, tx.bytes_out) = (up, tx.bytes_out + down);
        return Attempt::Done(Flow::Close);
    }
    if head.keep_alive && upload == Upload::Done && input.is_empty() {
        core.recycle(&tx.table, upstream.serial, socket);
    }
    core.spares.give_input(input);
    let flow = if upload != Upload::Done {
        Flow::Linger
    } else if plan.keep_alive {
        Flow::KeepAlive
    } else {
        Flow::Close
    };
    Attempt::Done(flow)
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
            Self::TimedOut => Attempt::Failed(Problem::timed_out().into()),
            Self::Bad(what) => Attempt::Failed(Problem::bad_answer(what).into()),
            Self::ClientGone => Attempt::Failed(Failure::Abort("client_gone")),
        }
    }
}

/// Reads the final response head; interim ones go to the client at once. The head stays unread in `input`.
async fn read_head(
    up: &RefCell<&mut Socket>,
    input: &mut Buffer,
    down: &RefCell<&mut Socket>,
    tx: &Transaction,
    pace: Pace<'_>,
    deadline: &Cell<u64>,
) -> Result<ResponseHead, HeadFault> {
    let to_head = tx.head.method.get(&tx.bytes) == b"HEAD";
    let (mut interim, mut any) = (0, false);
    loop {
        if !input.is_empty() {
            any = true;
            match head::parse(input.unread(), to_head, Vec::with_capacity(16)).map_err(HeadFault::Bad)? {
                Some(found) if found.is_interim() => {
                    interim += 1;
                    if interim > MAX_INTERIM {
                        return Err(HeadFault::Bad("it sent too many interim responses"));
                    }
                    response::pass_interim(tx, &found, input.unread(), &mut Half(down), pace)
                        .await
                        .map_err(|_| HeadFault::ClientGone)?;
                    input.consume(found.len);
                    continue;
                }
                Some(found) => return Ok(found),
                None => {}
            }
        }
        match pace.slot.until_moving(deadline, input.fill(&mut Half(up))).await {
            Err(_) => return Err(HeadFault::TimedOut),
            Ok(Ok(0) | Err(_)) => return Err(HeadFault::Ended { any }),
            Ok(Ok(_)) => {}
        }
    }
}

fn delivery_fault(error: &RelayError) -> &'static str {
    match error {
        RelayError::Source | RelayError::BadChunk | RelayError::TooLarge => "upstream_broke_off",
        RelayError::SourceTimeout => "upstream_idle",
        RelayError::Sink => "client_gone",
        RelayError::SinkTimeout => "client_stalled",
    }
}
