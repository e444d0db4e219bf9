//! One client connection: reads requests one after the other and takes each through the phases.

use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use tokio::io::AsyncWriteExt;

use super::answer::{self, Shape};
use super::buffer::Buffer;
use super::clock::{NEVER, SlotGuard};
use super::core::Core;
use super::grpc;
use super::h1::request::{self as head, Framing, MAX_HEAD, RequestHead};
use super::h2;
use super::phases::{admitted, challenge, log, upstream};
use super::problem::Problem;
use super::socket::Socket;
use super::transaction::{Peer, Transaction};

/// How long a client may take to take in an error answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// How long unread input is thrown away before closing, so that the answer is not lost to a reset.
const LINGER: Duration = Duration::from_secs(3);
/// While draining, idle connections get this long to send one more request, which is then answered with
/// `Connection: close`: closing them at once would race with requests already on their way.
const DRAIN_IDLE_MS: u64 = 2_000;

/// A client connection.
#[derive(Debug)]
pub(crate) struct Connection {
    pub socket: Socket,
    /// Bytes read from the client and not yet used.
    pub input: Buffer,
    pub peer: Peer,
    pub core: Rc<Core>,
    pub slot: SlotGuard,
}

/// What becomes of the connection after a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flow {
    KeepAlive,
    Close,
    /// Close, but throw away what the client is still sending first.
    Linger,
}

/// Why a request was not answered by its upstream.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Nothing was sent to the client yet: it gets this.
    Answer(Problem),
    /// The response has begun or the client is gone: only closing is left. The word is for the log.
    Abort(&'static str),
}

impl Failure {
    /// The upstream is to blame, not the client.
    pub(crate) fn is_by_upstream(&self) -> bool {
        match self {
            Self::Answer(problem) => problem.status >= 500,
            Self::Abort(why) => why.starts_with("upstream"),
        }
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self::Answer(problem)
    }
}

enum Next {
    /// The client speaks HTTP/2 without TLS, as it knew it could.
    Http2,
    Head(RequestHead, Vec<u8>),
    Refuse(Problem),
    End,
}

impl Connection {
    /// Serves the connection to its end.
    pub(crate) async fn serve(mut self) {
        loop {
            let flow = match self.next_head().await {
                Next::Head(head, bytes) => self.transact(head, bytes, std::future::pending()).await,
                Next::Http2 => return Box::pin(h2::server::serve(self)).await,
                Next::Refuse(problem) => {
                    self.refuse(&problem).await;
                    Flow::Linger
                }
                Next::End => return,
            };
            match flow {
                Flow::KeepAlive => {}
                Flow::Close if self.input.is_empty() => break,
                Flow::Close | Flow::Linger => {
                    self.linger().await;
                    return;
                }
            }
        }
        // A session says goodbye first; a plain connection does by being closed.
        if matches!(self.socket, Socket::Tls(_)) {
            let _ = self.slot.within(LINGER, self.socket.shutdown()).await;
        }
    }

    /// Answers what is not a request that could be served.
    pub(crate) async fn refuse(&mut self, problem: &Problem) {
        let id = self.core.random.hex::<32>();
        let id = std::str::from_utf8(&id).unwrap_or_default();
        let shape = Shape {
            html: false,
            extra: &[],
            route: None,
            head_only: false,
            keep_alive: false,
            is_grpc: false,
            request_id: id,
        };
        self.write_answer(problem, shape).await;
        self.core.shared.refused.add(self.core.worker, 1);
    }

    /// Waits for a request and reads its head.
    async fn next_head(&mut self) -> Next {
        let mut deadline = NEVER;
        let mut seen = 0;
        loop {
            self.skip_empty_lines();
            let unread = self.input.unread();
            let greets = !self.peer.is_tls && h2::greets(unread);
            if greets && unread.len() >= h2::PREFACE.len() {
                return Next::Http2;
            }
            // A head that is still incomplete is parsed again only when an empty line may have arrived, so that a
            // client that sends it byte by byte costs no more than its bytes.
            if !unread.is_empty()
                && !greets
                && (seen == 0 || unread.len() >= MAX_HEAD || has_empty_line(&unread[seen.min(unread.len())..]))
            {
                match head::parse(unread, self.core.spares.lines()) {
                    Ok(Some(head)) => {
                        let mut bytes = self.core.spares.output();
                        bytes.extend_from_slice(&unread[..head.len]);
                        self.input.consume(head.len);
                        return Next::Head(head, bytes);
                    }
                    Ok(None) => {}
                    Err(error) => return Next::Refuse(error.into()),
                }
            }
            seen = unread.len().saturating_sub(3);
            if self.input.is_empty() {
                if !self.wait_for_bytes().await {
                    return Next::End;
                }
                continue;
            }
            if deadline == NEVER {
                let limit = self.core.table().snapshot.settings.head_timeout_ms;
                deadline = self.slot.after(Duration::from_millis(limit));
            }
            match self.slot.until(deadline, self.input.fill(&mut self.socket)).await {
                Ok(Ok(0) | Err(_)) => return Next::End,
                Ok(Ok(_)) => {}
                Err(_) => return Next::Refuse(Problem::head_timeout()),
            }
        }
    }

    /// Empty lines before a request line are left over by old clients (RFC 9112 section 2.2).
    fn skip_empty_lines(&mut self) {
        while self.input.unread().starts_with(b"\r\n") {
            self.input.consume(2);
        }
    }

    /// Waits for the first bytes of a request without holding any buffer, and reads them; `false` when the connection
    /// is to be closed.
    async fn wait_for_bytes(&mut self) -> bool {
        self.core.spares.give_input(std::mem::take(&mut self.input));
        let keep_alive = self.core.table().snapshot.settings.keep_alive_ms;
        let idle_end = self.slot.after(Duration::from_millis(keep_alive));
        poll_fn(|cx| {
            if self.socket.poll_readable(cx).is_ready() {
                // Readiness is a hint: when nothing was there after all, the waker is set by the read itself.
                self.input = self.core.spares.input();
                if let Poll::Ready(read) = self.input.poll_fill(&mut self.socket, cx) {
                    return Poll::Ready(matches!(read, Ok(1..)));
                }
                self.core.spares.give_input(std::mem::take(&mut self.input));
            }
            let drain_end = self.core.drain_since().map_or(NEVER, |since| since + DRAIN_IDLE_MS);
            let end = idle_end.min(drain_end);
            if self.slot.is_past(end) {
                return Poll::Ready(false);
            }
            self.slot.watch(end, cx);
            Poll::Pending
        })
        .await
    }

    /// Takes one request through the phases, unless the client gives it up before its end.
    pub(crate) async fn transact(
        &mut self,
        head: RequestHead,
        bytes: Vec<u8>,
        given_up: impl Future<Output = ()>,
    ) -> Flow {
        let mut tx = Transaction::new(bytes, head, self.core.table(), &self.core.random);
        // How long the caller of a gRPC call waits; the connection's own slot is the phases'.
        let alarm = grpc::timeout(&tx.head, &tx.bytes).map(|limit| {
            let slot = self.core.clock.slot();
            let end = slot.after(limit);
            (slot, end)
        });
        let (mut outcome, too_late) = {
            let (mut phases, mut given_up) = (pin!(self.phases(&mut tx)), pin!(given_up));
            poll_fn(|cx| {
                if given_up.as_mut().poll(cx).is_ready() {
                    return Poll::Ready((Err(Failure::Abort("client_gone")), false));
                }
                if let Poll::Ready(outcome) = phases.as_mut().poll(cx) {
                    return Poll::Ready((outcome, false));
                }
                if let Some((slot, end)) = &alarm {
                    if slot.is_past(*end) {
                        return Poll::Ready((Err(Failure::Abort("deadline")), true));
                    }
                    slot.watch(*end, cx);
                }
                Poll::Pending
            })
            .await
        };
        if too_late && tx.status == 0 {
            outcome = Err(Failure::Answer(Problem::timed_out()));
        }
        let flow = match outcome {
            Ok(flow) => flow,
            Err(Failure::Answer(problem)) => self.answer(&mut tx, &problem).await,
            Err(Failure::Abort(why)) => {
                tx.error = Some(why);
                Flow::Close
            }
        };
        log::record(&self.core, &mut tx, &self.peer);
        self.core.spares.give_output(tx.bytes);
        self.core.spares.give_lines(tx.head.lines);
        flow
    }

    async fn phases(&mut self, tx: &mut Transaction) -> Result<Flow, Failure> {
        if let Some(answer) = challenge::answer(tx, &self.peer) {
            self.write(&answer).await;
            return Ok(Flow::Linger);
        }
        admitted(&self.core, tx, &self.peer).await?;
        // request → balance → upstream → response
        upstream::exchange(self, tx).await
    }

    async fn answer(&mut self, tx: &mut Transaction, problem: &Problem) -> Flow {
        let all_read = tx.head.framing == Framing::None || tx.body_read;
        let keep_alive = all_read && tx.head.keep_alive && self.core.drain_since().is_none();
        tx.status = problem.status;
        let shape = Shape {
            html: tx.wants_html(),
            extra: tx.response_extra(),
            route: tx.entry(),
            head_only: tx.head.method.get(&tx.bytes) == b"HEAD",
            keep_alive: keep_alive && tx.head.is_http11,
            request_id: std::str::from_utf8(tx.request_id()).unwrap_or_default(),
            is_grpc: tx.is_grpc(),
        };
        let keep_alive = shape.keep_alive;
        let sent = self.write_answer(problem, shape).await;
        tx.bytes_out = sent;
        match (all_read, keep_alive) {
            (false, _) => Flow::Linger,
            (true, true) => Flow::KeepAlive,
            (true, false) => Flow::Close,
        }
    }

    async fn write_answer(&mut self, problem: &Problem, shape: Shape<'_>) -> u64 {
        let answer = answer::render(problem, shape);
        self.write(&answer).await;
        answer.len() as u64
    }

    async fn write(&mut self, answer: &[u8]) {
        let writing = async {
            self.socket.write_all(answer).await?;
            self.socket.flush().await
        };
        let _: Result<Result<(), std::io::Error>, _> = self.slot.within(ANSWER_TIMEOUT, writing).await;
    }

    /// Ends our side, then reads and forgets until the client has ended too or the time is up.
    pub(crate) async fn linger(&mut self) {
        let end = self.slot.after(LINGER);
        if !matches!(self.slot.until(end, self.socket.shutdown()).await, Ok(Ok(()))) {
            return;
        }
        loop {
            let unread = self.input.unread().len();
            self.input.consume(unread);
            match self.slot.until(end, self.input.fill(&mut self.socket)).await {
                Ok(Ok(n)) if n > 0 => {}
                _ => return,
            }
        }
    }
}

fn has_empty_line(bytes: &[u8]) -> bool {
    bytes.windows(2).any(|pair| pair == b"\n\n") || bytes.windows(3).any(|three| three == b"\n\r\n")
}
