//! A container's output, line by line with its time.

use bollard::container::LogOutput;
use bollard::query_parameters::LogsOptionsBuilder;
use futures_util::StreamExt;

use super::{DockerEngine, convert, errors};
use crate::engine::{EngineError, EngineStream, LogChunk, LogQuery, OutputStream};
use crate::kernel::clock::Timestamp;

/// Docker cuts long lines into pieces of 16 KiB; they are joined up to this length, then passed on in parts.
const LINE_LIMIT: usize = 64 * 1024;

impl DockerEngine {
    pub(super) async fn read_logs(&self, id: &str, query: LogQuery) -> Result<EngineStream<LogChunk>, EngineError> {
        self.inspect_own(id).await?;
        // Docker takes whole seconds here; the rest is cut off below.
        let since = query.since.map_or(0, |t| i32::try_from(t.0.div_euclid(1000)).unwrap_or(i32::MAX));
        let tail = query.tail.map_or_else(|| "all".to_owned(), |n| n.to_string());
        let options = LogsOptionsBuilder::new()
            .stdout(true)
            .stderr(true)
            .timestamps(true)
            .since(since)
            .tail(&tail)
            .follow(query.follow)
            .build();
        let frames = self.client().await?.logs(id, Some(options));
        let id = id.to_owned();
        let mut joiner = Joiner::default();
        let not_before = query.since.unwrap_or_default();
        let lines = frames
            .map(Some)
            // One more round at the end, for a last line without a line end.
            .chain(futures_util::stream::iter([None]))
            .flat_map(move |frame| {
                let chunks = match frame {
                    Some(Ok(frame)) => joiner.add(&frame).map(Ok).into_iter().collect(),
                    Some(Err(e)) => vec![Err(errors::engine(&e, &id))],
                    None => joiner.rest().into_iter().map(Ok).collect::<Vec<_>>(),
                };
                futures_util::stream::iter(chunks)
            })
            .filter(move |line| std::future::ready(!matches!(line, Ok(chunk) if chunk.at < not_before)));
        Ok(lines.boxed())
    }
}

/// Joins the pieces of long lines, for each of the two streams.
#[derive(Debug, Default)]
struct Joiner {
    stdout: Option<(Timestamp, Vec<u8>)>,
    stderr: Option<(Timestamp, Vec<u8>)>,
}

impl Joiner {
    /// Takes one frame, `<time> <bytes>`; gives a line when it is whole.
    fn add(&mut self, frame: &LogOutput) -> Option<LogChunk> {
        let (stream, message) = match frame {
            LogOutput::StdErr { message } => (OutputStream::Stderr, message),
            LogOutput::StdOut { message } | LogOutput::StdIn { message } | LogOutput::Console { message } => {
                (OutputStream::Stdout, message)
            }
        };
        let (at, text) = split_time(message);
        let open = self.open(stream);
        let line = open.get_or_insert_with(|| (at.unwrap_or_default(), Vec::new()));
        line.1.extend_from_slice(text);
        let whole = line.1.ends_with(b"\n") || line.1.len() >= LINE_LIMIT;
        if whole { open.take().map(|line| chunk(stream, line)) } else { None }
    }

    /// What is left when the stream ends.
    fn rest(&mut self) -> Option<LogChunk> {
        [OutputStream::Stdout, OutputStream::Stderr]
            .into_iter()
            .find_map(|stream| self.open(stream).take().map(|line| chunk(stream, line)))
    }

    fn open(&mut self, stream: OutputStream) -> &mut Option<(Timestamp, Vec<u8>)> {
        match stream {
            OutputStream::Stdout => &mut self.stdout,
            OutputStream::Stderr => &mut self.stderr,
        }
    }
}

fn chunk(stream: OutputStream, (at, bytes): (Timestamp, Vec<u8>)) -> LogChunk {
    let text = String::from_utf8_lossy(&bytes);
    LogChunk { at, stream, line: text.trim_end_matches(['\n', '\r']).to_owned() }
}

/// Splits Docker's time from the text; a frame without one is all text.
fn split_time(message: &[u8]) -> (Option<Timestamp>, &[u8]) {
    let Some(space) = message.iter().take(40).position(|b| *b == b' ') else { return (None, message) };
    match std::str::from_utf8(&message[..space]).ok().and_then(convert::timestamp) {
        Some(at) => (Some(at), &message[space + 1..]),
        None => (None, message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn out(text: &'static str) -> LogOutput {
        LogOutput::StdOut { message: text.into() }
    }

    #[test]
    fn joins_pieces_and_keeps_the_streams_apart() {
        let mut joiner = Joiner::default();
        assert_eq!(joiner.add(&out("2026-01-02T03:04:05.678901234Z long ")), None);
        let err = LogOutput::StdErr { message: "2026-01-02T03:04:06Z oops\n".into() };
        assert_eq!(joiner.add(&err).map(|c| (c.stream, c.line)), Some((OutputStream::Stderr, "oops".to_owned())));
        let line = joiner.add(&out("2026-01-02T03:04:05.7Z line\r\n")).expect("whole now");
        assert_eq!(line.line, "long line");
        assert_eq!(line.at.rfc3339(), "2026-01-02T03:04:05.678Z");
        assert_eq!(joiner.rest(), None);
    }

    #[test]
    fn gives_the_rest_and_survives_odd_bytes() {
        let mut joiner = Joiner::default();
        joiner.add(&LogOutput::Console { message: (&b"2026-01-02T03:04:05Z \xff end"[..]).into() });
        assert_eq!(joiner.rest().map(|c| c.line), Some("\u{fffd} end".to_owned()));
        assert_eq!(split_time(b"no time here"), (None, &b"no time here"[..]));
    }
}
