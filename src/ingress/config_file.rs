//! Stand-alone: the table comes from a file that people write, and is read again when it changes. A file that cannot
//! be used is refused with its line and the reason; the table in use stays.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::engine::Engine;
use super::error::{IngressError, SnapshotError};
use super::snapshot::Snapshot;
use super::validate::validate;

/// How often the file is looked at.
const POLL: Duration = Duration::from_secs(1);
/// Boot of tables that name none.
const BOOT: &str = "file";

/// Reads the file for the first time.
pub(crate) fn read(path: &Path) -> Result<Snapshot, IngressError> {
    let text = fs::read_to_string(path).map_err(|source| unreadable(path, source))?;
    parse(path, &text, 1)
}

fn unreadable(path: &Path, source: io::Error) -> IngressError {
    IngressError::File { action: "read", path: path.to_owned(), source }
}

/// The table a file holds; boot and generation need not be in it.
fn parse(path: &Path, text: &str, generation: u64) -> Result<Snapshot, IngressError> {
    let bad = |line: usize, reason: String| IngressError::ConfigFile { path: path.to_owned(), line, reason };
    let mut snapshot: Snapshot =
        serde_json::from_str(text).map_err(|error| bad(error.line(), format!("it is not valid: {error}")))?;
    if snapshot.boot.is_empty() {
        snapshot.boot = BOOT.to_owned();
    }
    snapshot.generation = snapshot.generation.max(generation);
    validate(&snapshot).map_err(|error| bad(line_of(text, &error), error.to_string()))?;
    Ok(snapshot)
}

/// The line on which the route stands that an error is about; 1 when it is about no route.
fn line_of(text: &str, error: &SnapshotError) -> usize {
    let SnapshotError::Invalid { place, .. } = error else { return 1 };
    let Some(id) = place.strip_prefix("route `").and_then(|rest| rest.strip_suffix('`')) else { return 1 };
    let Ok(wanted) = serde_json::to_string(id) else { return 1 };
    let is_id = |line: &str| {
        let after = line.split("\"id\"").skip(1);
        after
            .map(str::trim_start)
            .any(|rest| rest.strip_prefix(':').is_some_and(|value| value.trim_start().starts_with(&wanted)))
    };
    text.lines().position(is_id).map_or(1, |at| at + 1)
}

/// Uses each new version of the file, for ever.
pub(crate) async fn follow(path: PathBuf, engine: Arc<Engine>) {
    let mut known = fs::read_to_string(&path).unwrap_or_default();
    let mut complained = None;
    loop {
        tokio::time::sleep(POLL).await;
        let outcome = match fs::read_to_string(&path) {
            Ok(text) if text == known => continue,
            Ok(text) => {
                let next = engine.table().snapshot.generation + 1;
                let parsed = parse(&path, &text, next);
                known = text;
                parsed
            }
            Err(source) => Err(unreadable(&path, source)),
        };
        let applied = match outcome {
            Ok(snapshot) => engine.apply(snapshot).await.map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        match applied {
            Ok(_) => {
                complained = None;
                tracing::info!(path = %path.display(), generation = engine.table().snapshot.generation, "uses the changed file");
            }
            Err(reason) if complained.as_ref() != Some(&reason) => {
                tracing::error!(%reason, "the changed file is refused; the table in use stays");
                complained = Some(reason);
            }
            Err(_) => {}
        }
    }
}
