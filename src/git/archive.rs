//! `git archive` as a stream that tells the truth about its end.

use std::io;
use std::process::Stdio;

use bytes::{Bytes, BytesMut};
use tokio::io::AsyncReadExt;
use tokio::process::{Child, ChildStdout};
use tokio_util::io::StreamReader;

use super::backend::ArchiveStream;
use super::commands::View;

const CHUNK: usize = 64 * 1024;

/// Starts to write the commit's files as tar. Dropping the stream stops git.
pub(super) fn open(view: &View, commit: &str) -> io::Result<ArchiveStream> {
    let mut child = view.archive(commit).to_tokio().stdin(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let stdout = child.stdout.take().ok_or_else(|| io::Error::other("git has no output"))?;
    let chunks = futures_util::stream::try_unfold(Some((child, stdout)), |state| async {
        match state {
            Some((child, stdout)) => next(child, stdout).await,
            None => Ok(None),
        }
    });
    Ok(Box::pin(StreamReader::new(chunks)))
}

type State = Option<(Child, ChildStdout)>;

async fn next(mut child: Child, mut stdout: ChildStdout) -> io::Result<Option<(Bytes, State)>> {
    let mut chunk = BytesMut::with_capacity(CHUNK);
    if stdout.read_buf(&mut chunk).await? > 0 {
        return Ok(Some((chunk.freeze(), Some((child, stdout)))));
    }
    let status = child.wait().await?;
    if status.success() { Ok(None) } else { Err(io::Error::other(format!("git archive failed ({status})"))) }
}
