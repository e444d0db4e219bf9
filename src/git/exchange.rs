//! One conversation between a client and a git process: bytes in, bytes out, as they come, with an end in sight.

use std::process::ExitStatus;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdin};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::kernel::process::Command;

/// Bytes read from git at once. Progress lines are far shorter, so each goes out alone.
const CHUNK: usize = 32 * 1024;
/// Chunks between git and a client that reads slowly; then git waits.
pub(super) const CHUNKS_IN_FLIGHT: usize = 8;
/// How long git may take to clean up after itself when it is told to stop.
const GRACE: Duration = Duration::from_secs(3);
/// A client that takes nothing for so long has gone, or holds up a deploy (a push suspended in its terminal).
const STALL: Duration = Duration::from_secs(120);
/// Bytes kept of what git writes to its standard error, for the log.
const STDERR_KEPT: u64 = 4096;

/// What a client gets: bytes of git, or an error where the transport must break off instead of ending properly.
pub(super) type Chunk = std::io::Result<Bytes>;
/// What a client sends.
pub(super) type Input = Box<dyn AsyncRead + Send + Unpin>;

/// A conversation to be had.
pub(super) struct Exchange {
    /// The git to run.
    pub command: Command,
    /// What the client sends.
    pub input: Input,
    /// Where the answer goes. When its receiver is dropped the client is gone, and git is stopped.
    pub output: mpsc::Sender<Chunk>,
    /// When it ends in any case.
    pub deadline: Duration,
    /// Cancelled when the server stops.
    pub stop: CancellationToken,
    /// The client may be silent for so long while it sends; `None` where silence is normal.
    pub input_idle: Option<Duration>,
    /// Read what the client still sends after git has ended, so that it gets to read the answer (HTTP/1.1 clients
    /// that are cut off while sending never look at it).
    pub read_to_end: bool,
}

/// How a conversation ended.
#[derive(Debug)]
pub(super) enum End {
    /// git ended by itself; its last words are for the log.
    Exited(ExitStatus, String),
    /// The client went away or fell silent; git was stopped.
    ClientGone,
    /// It took too long; git was stopped.
    Deadline,
    /// The server is being stopped, and git was stopped first.
    ServerStops,
}

/// Has the conversation.
pub(super) async fn run(exchange: Exchange) -> std::io::Result<End> {
    let Exchange { command, input, output, deadline, stop: stopped, input_idle, read_to_end } = exchange;
    // A group of its own: git starts further processes, and stopping means all of them.
    let mut child = command.to_tokio().process_group(0).spawn()?;
    let group = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    let gone = output.clone();
    let end = tokio::select! {
        end = talk(&mut child, input, &output, input_idle, read_to_end) => end?,
        () = gone.closed() => End::ClientGone,
        () = tokio::time::sleep(deadline) => End::Deadline,
        () = stopped.cancelled() => End::ServerStops,
    };
    if !matches!(end, End::Exited(..)) {
        stop(&mut child, group).await;
    }
    Ok(end)
}

async fn talk(
    child: &mut Child,
    input: Input,
    output: &mpsc::Sender<Chunk>,
    input_idle: Option<Duration>,
    read_to_end: bool,
) -> std::io::Result<End> {
    let missing = || std::io::Error::other("git has no pipes");
    let stdin = child.stdin.take().ok_or_else(missing)?;
    let stdout = child.stdout.take().ok_or_else(missing)?;
    let stderr = child.stderr.take().ok_or_else(missing)?;
    let feed = feed(input, stdin, input_idle);
    let listen = async { tokio::join!(drain(stdout, output), last_words(stderr)) };
    tokio::pin!(feed, listen);
    let mut fed = false;
    let (drained, words) = loop {
        tokio::select! {
            done = &mut listen => break done,
            result = &mut feed, if !fed => match result {
                Ok(()) => fed = true,
                Err(_) => return Ok(End::ClientGone),
            },
        }
    };
    if drained.is_err() {
        return Ok(End::ClientGone);
    }
    let status = child.wait().await?;
    if read_to_end && !fed {
        // What the client still has to say does not matter any more, only that it can say it.
        let _ = feed.await;
    }
    Ok(End::Exited(status, words))
}

/// Carries the client's bytes to git. When git stops listening the rest is read and dropped; an error is the client's.
async fn feed(mut input: Input, stdin: ChildStdin, idle: Option<Duration>) -> std::io::Result<()> {
    let mut stdin = Some(stdin);
    let mut chunk = BytesMut::with_capacity(CHUNK);
    loop {
        chunk.clear();
        let read = input.read_buf(&mut chunk);
        let n = match idle {
            None => read.await?,
            Some(limit) => tokio::time::timeout(limit, read).await.map_err(std::io::Error::other)??,
        };
        if n == 0 {
            return Ok(());
        }
        if let Some(pipe) = &mut stdin
            && pipe.write_all(&chunk).await.is_err()
        {
            stdin = None;
        }
    }
}

/// Carries git's bytes to the client; an error means that nobody reads any more.
async fn drain(mut stdout: impl AsyncRead + Unpin, output: &mpsc::Sender<Chunk>) -> Result<(), ()> {
    let mut chunk = BytesMut::new();
    loop {
        chunk.reserve(CHUNK);
        match stdout.read_buf(&mut chunk).await {
            Ok(0) | Err(_) => return Ok(()),
            Ok(_) => {
                let send = output.send_timeout(Ok(chunk.split().freeze()), STALL);
                send.await.map_err(drop)?;
            }
        }
    }
}

async fn last_words(mut stderr: impl AsyncRead + Unpin) -> String {
    let mut kept = Vec::new();
    let _ = (&mut stderr).take(STDERR_KEPT).read_to_end(&mut kept).await;
    let _ = tokio::io::copy(&mut stderr, &mut tokio::io::sink()).await;
    String::from_utf8_lossy(&kept).trim().to_owned()
}

/// Ends the whole group: politely first, because git then removes its quarantine directory itself.
async fn stop(child: &mut Child, group: Option<Pid>) {
    let Some(group) = group else { return };
    let _ = kill_process_group(group, Signal::TERM);
    if tokio::time::timeout(GRACE, child.wait()).await.is_err() {
        tracing::warn!(pid = group.as_raw_nonzero().get(), "git did not stop when asked, killing it");
    }
    // Also when the leader has ended: a member that ignored the request is still in the group.
    let _ = kill_process_group(group, Signal::KILL);
    let _ = child.wait().await;
}
