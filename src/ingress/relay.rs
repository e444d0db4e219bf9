//! Moves one message body from one side to the other, as it comes, with back-pressure: nothing is read before what
//! was read is written, so a body of any size takes one buffer.

use std::time::Duration;

use tokio::io::{AsyncWrite, AsyncWriteExt};

use super::buffer::Buffer;
use super::clock::Slot;
use super::h1::chunked::{Chunks, Step};
use super::h1::{request, response};
use super::socket::Transport;
use super::splice::splice;

/// Up to this size body bytes are copied behind the head so that both leave in one packet.
const JOIN_MAX: usize = 16 * 1024;
/// A body that never has to wait lets the thread's other connections have their turn after so many bytes.
const TURN: u64 = 1 << 20;

/// Rests of bodies from this size on are moved inside the kernel where that is possible.
const SPLICE_MIN: u64 = 64 * 1024;

/// How the sender marks the end of the body.
#[derive(Debug)]
enum Source {
    Length(u64),
    Chunked(Chunks),
    UntilClose,
}

/// How the receiver is told the end of the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Output {
    /// The bytes as they are, chunk framing included.
    Same,
    /// Content only: the end is the end of the connection.
    Plain,
    /// Content in chunks of our own.
    Chunks,
}

/// A body on its way.
#[derive(Debug)]
pub(crate) struct Body {
    source: Source,
    output: Output,
    /// Most content bytes allowed.
    limit: u64,
    /// Content bytes so far.
    pub content: u64,
    done: bool,
}

/// Why a body did not arrive complete.
#[derive(Debug)]
pub(crate) enum RelayError {
    /// The sender closed, failed or fell silent.
    Source,
    SourceTimeout,
    /// The receiver closed, failed or stopped taking bytes.
    Sink,
    SinkTimeout,
    BadChunk,
    TooLarge,
}

impl Body {
    /// The body of a request; it keeps its framing on the way.
    pub(crate) fn of_request(framing: request::Framing, limit: Option<u64>) -> Self {
        let source = match framing {
            request::Framing::None => Source::Length(0),
            request::Framing::Length(n) => Source::Length(n),
            request::Framing::Chunked => Source::Chunked(Chunks::default()),
        };
        Self::new(source, Output::Same, limit.unwrap_or(u64::MAX))
    }

    /// The body of a response.
    pub(crate) fn of_response(framing: response::Framing, output: Output) -> Self {
        let source = match framing {
            response::Framing::None => Source::Length(0),
            response::Framing::Length(n) => Source::Length(n),
            response::Framing::Chunked => Source::Chunked(Chunks::default()),
            response::Framing::UntilClose => Source::UntilClose,
        };
        Self::new(source, output, u64::MAX)
    }

    fn new(source: Source, output: Output, limit: u64) -> Self {
        let done = matches!(source, Source::Length(0));
        Self { source, output, limit, content: 0, done }
    }

    /// What is left of a body of known length.
    pub(crate) fn remaining(&self) -> Option<u64> {
        match self.source {
            Source::Length(left) => Some(left),
            Source::Chunked(_) | Source::UntilClose => None,
        }
    }

    /// What is left when it is long and all of it is passed on as it is: it needs not come into this process.
    fn plain_rest(&self) -> Option<u64> {
        let left = self.remaining().filter(|left| *left >= SPLICE_MIN)?;
        let allowed = self.content.saturating_add(left) <= self.limit;
        (allowed && self.output != Output::Chunks).then_some(left)
    }

    /// So many bytes of a body of known length were moved without being looked at.
    fn passed(&mut self, n: u64) {
        if let Source::Length(left) = &mut self.source {
            *left -= n;
            self.content += n;
            self.done = *left == 0;
        }
    }

    /// All of it was moved.
    pub(crate) fn is_done(&self) -> bool {
        self.done
    }

    /// Classifies the start of `input`: `(bytes to use, those that are content)`; moves on the state.
    fn step(&mut self, input: &[u8]) -> Result<(usize, bool), RelayError> {
        let (used, is_content) = match &mut self.source {
            Source::Length(left) => {
                let n = (input.len() as u64).min(*left);
                *left -= n;
                self.done = *left == 0;
                (n as usize, true)
            }
            Source::UntilClose => (input.len(), true),
            Source::Chunked(chunks) => match chunks.step(input).map_err(|_| RelayError::BadChunk)? {
                Step::Data(n) => (n, true),
                Step::Meta(n) => {
                    self.done = matches!(chunks.step(&[]), Ok(Step::End));
                    (n, false)
                }
                Step::More => (0, false),
                Step::End => {
                    self.done = true;
                    (0, false)
                }
            },
        };
        if is_content {
            self.content += used as u64;
            if self.content > self.limit {
                return Err(RelayError::TooLarge);
            }
        }
        Ok((used, is_content))
    }

    /// Takes what it can from `input`, appends what has to be sent to `out`; returns the bytes used.
    pub(crate) fn transform(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<usize, RelayError> {
        let mut at = 0;
        while at < input.len() && !self.done {
            let (used, is_content) = self.step(&input[at..])?;
            let part = &input[at..at + used];
            match self.output {
                Output::Same => out.extend_from_slice(part),
                Output::Plain if is_content => out.extend_from_slice(part),
                Output::Chunks if is_content && used > 0 => {
                    out.extend_from_slice(format!("{used:x}\r\n").as_bytes());
                    out.extend_from_slice(part);
                    out.extend_from_slice(b"\r\n");
                }
                Output::Plain | Output::Chunks => {}
            }
            at += used;
        }
        Ok(at)
    }

    /// How many bytes of `input` can be passed on unchanged; `None` when they have to be re-framed.
    fn pass(&mut self, input: &[u8]) -> Result<Option<usize>, RelayError> {
        let plain =
            self.output == Output::Same || (self.output == Output::Plain && !matches!(self.source, Source::Chunked(_)));
        if !plain {
            return Ok(None);
        }
        let mut at = 0;
        while at < input.len() && !self.done {
            at += self.step(&input[at..])?.0;
        }
        Ok(Some(at))
    }
}

/// Deadlines of a relay.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace<'a> {
    pub slot: &'a Slot,
    pub idle: Duration,
}

/// Moves the body. What is in `out` already (a head) is sent first, together with the first bytes of the body.
pub(crate) async fn relay(
    source: &mut impl Transport,
    input: &mut Buffer,
    sink: &mut impl Transport,
    out: &mut Vec<u8>,
    body: &mut Body,
    pace: Pace<'_>,
) -> Result<u64, RelayError> {
    let mut sent = 0u64;
    let mut turn_ends = TURN;
    loop {
        let unread = input.unread();
        let used = match (unread.len() <= JOIN_MAX).then(|| body.transform(unread, out)) {
            Some(used) => used?,
            None => match body.pass(unread)? {
                None => body.transform(unread, out)?,
                Some(used) => {
                    sent += flush(sink, out, pace).await?;
                    write(sink, &input.unread()[..used], pace).await?;
                    sent += used as u64;
                    used
                }
            },
        };
        input.consume(used);
        if body.done && body.output == Output::Chunks {
            out.extend_from_slice(b"0\r\n\r\n");
        }
        sent += flush(sink, out, pace).await?;
        if let Some(left) = body.plain_rest().filter(|_| source.can_splice() && sink.can_splice()) {
            sent += splice(source, sink, left, pace, |n| body.passed(n)).await?;
        }
        if body.done {
            return Ok(sent);
        }
        if sent >= turn_ends {
            turn_ends = sent + TURN;
            tokio::task::yield_now().await;
        }
        match pace.slot.within(pace.idle, input.fill(source)).await {
            Err(_) => return Err(RelayError::SourceTimeout),
            Ok(Err(_)) => return Err(RelayError::Source),
            Ok(Ok(0)) if matches!(body.source, Source::UntilClose) => body.done = true,
            Ok(Ok(0)) => return Err(RelayError::Source),
            Ok(Ok(_)) => {}
        }
    }
}

async fn flush(sink: &mut (impl AsyncWrite + Unpin), out: &mut Vec<u8>, pace: Pace<'_>) -> Result<u64, RelayError> {
    if out.is_empty() {
        return Ok(0);
    }
    write(sink, out, pace).await?;
    let sent = out.len() as u64;
    out.clear();
    Ok(sent)
}

/// Writes all bytes within the idle limit.
pub(crate) async fn write(
    sink: &mut (impl AsyncWrite + Unpin),
    bytes: &[u8],
    pace: Pace<'_>,
) -> Result<(), RelayError> {
    // A TLS session may keep a part of what was written until it is flushed; for TCP this is nothing.
    let writing = async {
        sink.write_all(bytes).await?;
        sink.flush().await
    };
    match pace.slot.within(pace.idle, writing).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(RelayError::Sink),
        Err(_) => Err(RelayError::SinkTimeout),
    }
}
