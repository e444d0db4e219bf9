//! The access log: JSON lines in `telemetry/access.log`, written by a thread of its own.
//!
//! Worker threads collect lines in a buffer and hand it over when it is full or twice a second: waking the writer costs
//! more than writing some hundred lines, so the buffer is large. The queue is bounded: when the disk is slower than the
//! traffic, lines are dropped and counted, and traffic goes on. The file is renamed to `access.log.1` at [`MAX_FILE`]
//! bytes; [`KEPT_FILES`] old files are kept.

use std::cell::{Cell, RefCell};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// Size at which the file is rotated.
const MAX_FILE: u64 = 64 << 20;
const KEPT_FILES: u32 = 3;
/// A thread hands its lines over at this size.
const BATCH: usize = 256 * 1024;
/// Batches that may wait: 8 MiB of lines.
const MAX_QUEUE: usize = 32;
/// Written batches whose memory is used again.
const MAX_SPARE: usize = 4;

#[derive(Debug)]
enum Message {
    Lines(Vec<u8>),
    Sync(SyncSender<()>),
}

/// The way to the writer thread.
#[derive(Debug)]
pub(crate) struct LogSender {
    queue: SyncSender<Message>,
    dropped: AtomicU64,
    /// Written out and empty.
    spare: Mutex<Vec<Vec<u8>>>,
}

impl LogSender {
    fn buffer(&self) -> Vec<u8> {
        let spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner).pop();
        spare.unwrap_or_else(|| Vec::with_capacity(BATCH + BATCH / 16))
    }

    fn give_back(&self, mut lines: Vec<u8>) {
        lines.clear();
        let mut spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        if spare.len() < MAX_SPARE {
            spare.push(lines);
        }
    }

    /// Lines lost because the queue was full.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Relaxed)
    }

    /// Waits until all that was handed over is written.
    pub(crate) fn sync(&self) {
        let (done, written) = sync_channel(1);
        if self.queue.send(Message::Sync(done)).is_ok() {
            let _ = written.recv();
        }
    }
}

/// Opens the log in `folder` and starts its writer.
pub(crate) fn start(folder: &Path) -> io::Result<Arc<LogSender>> {
    fs::create_dir_all(folder)?;
    let mut writer = Writer::open(folder.join("access.log"))?;
    let (queue, messages) = sync_channel(MAX_QUEUE);
    let sender = Arc::new(LogSender { queue, dropped: AtomicU64::new(0), spare: Mutex::default() });
    // Only a weak hold: the thread ends when all senders are gone.
    let back = Arc::downgrade(&sender);
    std::thread::Builder::new().name("ingress-log".into()).spawn(move || writer.run(&messages, &back))?;
    Ok(sender)
}

struct Writer {
    path: PathBuf,
    file: File,
    size: u64,
}

impl Writer {
    fn open(path: PathBuf) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(&path)?;
        let size = file.metadata()?.len();
        Ok(Self { path, file, size })
    }

    fn run(&mut self, messages: &Receiver<Message>, back: &Weak<LogSender>) {
        for message in messages {
            match message {
                Message::Lines(lines) => {
                    if let Err(error) = self.write(&lines) {
                        tracing::warn!(path = %self.path.display(), %error, "cannot write the access log");
                    }
                    if let Some(sender) = back.upgrade() {
                        sender.give_back(lines);
                    }
                }
                Message::Sync(done) => {
                    let _ = done.send(());
                }
            }
        }
    }

    fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        if self.size > 0 && self.size + lines.len() as u64 > MAX_FILE {
            for n in (1..KEPT_FILES).rev() {
                let _ = fs::rename(self.numbered(n), self.numbered(n + 1));
            }
            fs::rename(&self.path, self.numbered(1))?;
            *self = Self::open(self.path.clone())?;
        }
        self.file.write_all(lines)?;
        self.size += lines.len() as u64;
        Ok(())
    }

    fn numbered(&self, n: u32) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{n}"));
        name.into()
    }
}

/// The lines of one worker thread on their way to the writer.
#[derive(Debug)]
pub(crate) struct LogBuffer {
    lines: RefCell<Vec<u8>>,
    count: Cell<u64>,
    sender: Arc<LogSender>,
}

impl LogBuffer {
    pub(crate) fn new(sender: Arc<LogSender>) -> Self {
        Self { lines: RefCell::new(sender.buffer()), count: Cell::new(0), sender }
    }

    /// Adds what `write` appends: one line, line feed included.
    pub(crate) fn line(&self, write: impl FnOnce(&mut Vec<u8>)) {
        let mut lines = self.lines.borrow_mut();
        write(&mut lines);
        self.count.set(self.count.get() + 1);
        let full = lines.len() >= BATCH;
        drop(lines);
        if full {
            self.flush();
        }
    }

    /// Hands the lines over, or drops them when the queue is full.
    pub(crate) fn flush(&self) {
        let count = self.count.replace(0);
        if count == 0 {
            return;
        }
        let lines = self.lines.replace(self.sender.buffer());
        if let Err(TrySendError::Full(Message::Lines(lines))) = self.sender.queue.try_send(Message::Lines(lines)) {
            self.sender.dropped.fetch_add(count, Relaxed);
            self.sender.give_back(lines);
        }
    }
}
