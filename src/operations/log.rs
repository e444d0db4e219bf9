//! The writer of operation logs: lines of all operations are gathered for a moment and written in one transaction,
//! so that a chatty build does not cost one disk flush per line.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc, oneshot};

use super::model::{Line, LineKind};
use super::store;
use crate::kernel::clock::Clock;
use crate::kernel::error::chain;
use crate::kernel::id::OperationId;
use crate::store::{Store, StoreError};

/// Lines are gathered for so long.
const GATHER: Duration = Duration::from_millis(40);
/// Lines that may wait to be written; a writer that is faster than the disk then waits.
const QUEUE: usize = 2_000;
/// Lines kept of one operation; a build that prints more is told so and cut.
const MOST_LINES: i64 = 20_000;
/// Bytes kept of one line.
const LONGEST_LINE: usize = 4_096;

enum Message {
    Line(OperationId, LineKind, String),
    Flush(oneshot::Sender<()>),
}

/// Takes the lines of all operations.
pub(super) struct Writer {
    queue: mpsc::Sender<Message>,
}

/// Takes the lines of one operation.
#[derive(Clone)]
pub struct Log {
    operation: OperationId,
    queue: mpsc::Sender<Message>,
}

impl Log {
    /// Adds text; each line of it becomes a line, control characters are taken out.
    pub async fn line(&self, kind: LineKind, text: impl Into<String>) {
        let text = text.into();
        for line in text.lines() {
            let message = Message::Line(self.operation.clone(), kind, clean(line));
            if self.queue.send(message).await.is_err() {
                tracing::error!(operation.id = %self.operation, "the log writer has ended; a line is lost");
            }
        }
    }

    /// A heading.
    pub async fn step(&self, text: impl Into<String>) {
        self.line(LineKind::Step, text).await;
    }

    /// What a program printed.
    pub async fn output(&self, text: impl Into<String>) {
        self.line(LineKind::Output, text).await;
    }

    /// Something worth knowing.
    pub async fn notice(&self, text: impl Into<String>) {
        self.line(LineKind::Notice, text).await;
    }

    /// What went wrong.
    pub async fn error(&self, text: impl Into<String>) {
        self.line(LineKind::Error, text).await;
    }
}

/// A line without escape sequences and control characters, and not longer than allowed.
fn clean(line: &str) -> String {
    // A carriage return redraws a progress bar: only its last state is worth keeping.
    let line = line.trim_end_matches('\r').rsplit('\r').next().unwrap_or("");
    let plain = console::strip_ansi_codes(line);
    let mut kept: String = plain.chars().map(|c| if c == '\t' { ' ' } else { c }).filter(|c| !c.is_control()).collect();
    if kept.len() > LONGEST_LINE {
        let end = (0..=LONGEST_LINE).rev().find(|&i| kept.is_char_boundary(i)).unwrap_or(0);
        kept.truncate(end);
        kept.push('…');
    }
    kept
}

impl Writer {
    pub(super) fn start(store: Store, clock: Clock, bell: Arc<Notify>) -> Self {
        let (queue, inbox) = mpsc::channel(QUEUE);
        tokio::spawn(write_all(store, clock, bell, inbox));
        Self { queue }
    }

    pub(super) fn of(&self, operation: OperationId) -> Log {
        Log { operation, queue: self.queue.clone() }
    }

    /// Returns when all lines taken before are on disk.
    pub(super) async fn flush(&self) {
        let (done, wait) = oneshot::channel();
        if self.queue.send(Message::Flush(done)).await.is_ok() {
            let _ = wait.await;
        }
    }
}

async fn write_all(store: Store, clock: Clock, bell: Arc<Notify>, mut inbox: mpsc::Receiver<Message>) {
    let mut last = BTreeMap::new();
    while let Some(first) = inbox.recv().await {
        let mut batch = vec![first];
        // A flush is urgent: somebody waits for it.
        if !matches!(batch[0], Message::Flush(_)) {
            tokio::time::sleep(GATHER).await;
        }
        while let Ok(more) = inbox.try_recv() {
            batch.push(more);
        }
        let mut waiting = Vec::new();
        let mut lines = Vec::new();
        for message in batch {
            match message {
                Message::Line(id, kind, line) => lines.push((id, kind, line)),
                Message::Flush(done) => waiting.push(done),
            }
        }
        if !lines.is_empty() {
            if let Err(error) = write_batch(&store, &clock, &mut last, lines).await {
                tracing::error!(error = chain(&error), "operation log lines are lost");
                last.clear();
            }
            bell.notify_waiters();
        }
        for done in waiting {
            let _ = done.send(());
        }
        // Numbers of ended operations are read again from the table in the rare case they are needed.
        if last.len() > 256 {
            last.clear();
        }
    }
}

async fn write_batch(
    store: &Store,
    clock: &Clock,
    last: &mut BTreeMap<OperationId, i64>,
    lines: Vec<(OperationId, LineKind, String)>,
) -> Result<(), StoreError> {
    let mut tx = store.write().await?;
    let at = clock.now();
    for (id, kind, line) in lines {
        let seq = match last.get(&id) {
            Some(seq) => seq + 1,
            None => store::last_seq(&mut tx, &id).await? + 1,
        };
        last.insert(id.clone(), seq);
        let line = match seq {
            s if s < MOST_LINES => Line { seq, at, kind, line },
            MOST_LINES => Line {
                seq,
                at,
                kind: LineKind::Notice,
                line: format!("more than {MOST_LINES} lines: the rest is left out"),
            },
            _ => continue,
        };
        store::append(&mut tx, &id, &line).await?;
    }
    tx.commit().await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::clean;

    #[test]
    fn lines_are_kept_plain_and_short() {
        assert_eq!(clean("\u{1b}[31mred\u{1b}[0m\tx"), "red x");
        assert_eq!(clean("10 %\r50 %\r100 %\r"), "100 %");
        assert!(clean(&"ü".repeat(5000)).len() <= 4096 + '…'.len_utf8());
    }
}
